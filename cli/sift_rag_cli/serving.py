"""Start the server for ``sift-rag serve`` and ``sift-rag ui``, and say where it runs."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from sift_rag.errors import MissingExtra
from sift_rag_cli.output import is_terminal, one_line, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from sift_rag_server.settings import ServerSettings


def require_server() -> None:
    """Check that the packages of the server are installed.

    Raises:
        MissingExtra: one is not.
    """
    try:
        import fastapi
        import prometheus_client
        import uvicorn
    except ImportError as error:
        raise MissingExtra(error.name or "fastapi", "server") from error
    del fastapi, prometheus_client, uvicorn  # imported only to tell early if one is missing


def serve(
    settings: ServerSettings, *, log_json: bool = False, on_listening: Callable[[str], None] | None = None
) -> None:
    """Serve until the user stops it. At a terminal, say where the server runs and log short lines; else log JSON lines.

    Args:
        settings: the server's settings.
        log_json: log JSON lines at a terminal too, and say nothing else.
        on_listening: called with the server's URL once it accepts connections.
    """
    from sift_rag_server.running import serve as run

    json_log = log_json or not is_terminal(sys.stderr)

    def listening(url: str) -> None:
        if not json_log:
            _announce(url, settings)
        if on_listening is not None:
            on_listening(url)

    run(replace(settings, json_log=json_log), on_listening=listening)


def _announce(url: str, settings: ServerSettings) -> None:
    """Say where the server runs, what it serves and how to stop it."""
    model = settings.language_model
    for name, value in (
        ("page", f"{url}/"),
        ("reranker", f"{url}/v1/rerank"),
        ("API", f"{url}/docs"),
        ("collection", f"{settings.collection} in {settings.store or 'your data folder'}"),
        ("model", "none; --model NAME adds answers" if model is None else model.name),
        ("API key", "required" if settings.api_key else "none; only this machine can connect"),
        ("to stop", "Ctrl-C"),
    ):
        say(f"  {name:<11} {one_line(value)}")
