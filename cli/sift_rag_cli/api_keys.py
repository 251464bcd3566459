"""API keys of endpoints and servers. They come from the environment, never from a file or the command line.

A key is not sent to an endpoint or a server that only a ``sift-rag.toml`` in the working directory has named: that file
may have come with somebody else's project.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import typer

from sift_rag_cli.configuration import chosen_by_working_directory
from sift_rag_cli.output import one_line, say

ENDPOINT_VARIABLES = ("SIFT_RAG_API_KEY", "OPENAI_API_KEY")
QDRANT_VARIABLES = ("SIFT_RAG_QDRANT_API_KEY", "QDRANT_API_KEY")
"""Environment variables that may hold a key; the first one that is set is used."""


def endpoint_key(context: typer.Context, base_url: str | None) -> str | None:
    """Return the key for a language model's endpoint; None if there is none or it must not be sent."""
    key = _first_of(ENDPOINT_VARIABLES)
    if base_url is None or key is None:
        return None
    if chosen_by_working_directory(context, "base_url"):
        say(
            f"The endpoint {one_line(base_url)} was chosen by sift-rag.toml in this directory, so your API key is not "
            "sent to it. To send it, name the endpoint with --base-url or SIFT_RAG_BASE_URL."
        )
        return None
    return key


def store_key(context: typer.Context, store: str | None) -> str | None:
    """Return the key for the server that ``--store`` names; None if there is none or it must not be sent."""
    key = server_key()
    if store is None or "://" not in store or key is None:
        return None
    if chosen_by_working_directory(context, "store"):
        say(
            f"The store {one_line(store)} was chosen by sift-rag.toml in this directory, so your API key is not sent "
            "to it. To send it, name the store with --store or SIFT_RAG_STORE."
        )
        return None
    return key


def server_key() -> str | None:
    """Return the key for a Qdrant server that was named on the command line."""
    return _first_of(QDRANT_VARIABLES)


def _first_of(variables: Sequence[str]) -> str | None:
    return next((os.environ[name] for name in variables if os.environ.get(name)), None)
