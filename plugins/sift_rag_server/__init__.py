"""An HTTP server: a reranker for clients of Cohere, Jina, vLLM and TEI, and search and answers from your collections.

from sift_rag_server import RunningServer, ServerSettings
RunningServer(ServerSettings(port=8600)).run()
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sift_rag_server.app import create_app as create_app
    from sift_rag_server.running import RunningServer as RunningServer
    from sift_rag_server.running import serve as serve
    from sift_rag_server.service import Service as Service
    from sift_rag_server.settings import Limits as Limits
    from sift_rag_server.settings import ServerSettings as ServerSettings

_HOME = {
    "Limits": "settings",
    "RunningServer": "running",
    "ServerSettings": "settings",
    "Service": "service",
    "create_app": "app",
    "serve": "running",
}

__all__ = sorted(_HOME)  # noqa: PLE0605 - a list of strings


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
