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
RERANKER_VARIABLES = ("SIFT_RAG_RERANKER_KEY",)
EMBEDDER_VARIABLES = ("SIFT_RAG_EMBEDDER_KEY", "OPENAI_API_KEY")
"""Environment variables that may hold a key; the first one that is set is used."""


def endpoint_key(context: typer.Context, base_url: str | None) -> str | None:
    """Return the key for a language model's endpoint; None if there is none or it must not be sent."""
    return _key_for(context, base_url, _first_of(ENDPOINT_VARIABLES), what="endpoint", option="base_url")


def reranker_key(context: typer.Context, url: str | None) -> str | None:
    """Return the key for a reranker's endpoint; None if there is none or it must not be sent."""
    return _key_for(context, url, _first_of(RERANKER_VARIABLES), what="reranker", option="reranker_url")


def embedder_key(context: typer.Context, url: str | None) -> str | None:
    """Return the key for an embedder's endpoint; None if there is none or it must not be sent."""
    return _key_for(context, url, _first_of(EMBEDDER_VARIABLES), what="embedder", option="embedder_url")


def store_key(context: typer.Context, store: str | None) -> str | None:
    """Return the key for the server that ``--store`` names; None if there is none or it must not be sent."""
    url = store if store is not None and "://" in store else None
    return _key_for(context, url, server_key(), what="store", option="store")


def server_key() -> str | None:
    """Return the key for a Qdrant server that was named on the command line."""
    return _first_of(QDRANT_VARIABLES)


def _key_for(context: typer.Context, url: str | None, key: str | None, *, what: str, option: str) -> str | None:
    """Return the key, or report and withhold it if only the working directory's file named the address."""
    if url is None or key is None:
        return None
    if chosen_by_working_directory(context, option):
        flag, variable = option.replace("_", "-"), option.upper()
        say(
            f"The {what} {one_line(url)} was chosen by sift-rag.toml in this directory, so your API key is not sent to "
            f"it. To send it, name the {what} with --{flag} or SIFT_RAG_{variable}."
        )
        return None
    return key


def _first_of(variables: Sequence[str]) -> str | None:
    return next((os.environ[name] for name in variables if os.environ.get(name)), None)
