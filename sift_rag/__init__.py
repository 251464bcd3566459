"""sift-rag: passages that jointly answer a question.

    from sift_rag import open_retriever
    hits = open_retriever("store").retrieve("How do generators relate to coroutines?", k=5).hits

Names are imported when they are first used: ``import sift_rag`` loads neither torch nor a store.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sift_rag.errors import SiftRagError as SiftRagError
    from sift_rag.ingestion import ingest_paths as ingest_paths
    from sift_rag.opening import open_reranker as open_reranker
    from sift_rag.opening import open_retriever as open_retriever
    from sift_rag.opening import open_store as open_store
    from sift_rag.retrieval.reranker import Reranker as Reranker
    from sift_rag.retrieval.retriever import Retriever as Retriever
    from sift_rag.selection import GreedySelection as GreedySelection
    from sift_rag.selection import SelectorSettings as SelectorSettings
    from sift_rag.selection import select_sift as select_sift
    from sift_rag.types import Hit as Hit
    from sift_rag.types import Passage as Passage
    from sift_rag.types import Retrieval as Retrieval

__version__ = "0.1.0"

_HOME = {
    "GreedySelection": "selection",
    "Hit": "types",
    "Passage": "types",
    "Reranker": "retrieval.reranker",
    "Retrieval": "types",
    "Retriever": "retrieval.retriever",
    "SelectorSettings": "selection",
    "SiftRagError": "errors",
    "ingest_paths": "ingestion",
    "open_reranker": "opening",
    "open_retriever": "opening",
    "open_store": "opening",
    "select_sift": "selection",
}

__all__ = [*sorted(_HOME), "__version__"]  # noqa: PLE0604 - every element is a string


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
