"""What the options say of a store on a server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import typer

from sift_rag_cli.configuration import chosen_by_working_directory
from sift_rag_cli.output import one_line, say

if TYPE_CHECKING:
    from sift_rag.stores.qdrant.layout import Layout
    from sift_rag.stores.qdrant.options import ServerOptions

KEY_VARIABLES = ("SIFT_RAG_QDRANT_API_KEY", "QDRANT_API_KEY")
"""Environment variables that may hold the key of a Qdrant server; the first one that is set counts."""


def qdrant_api_key() -> str | None:
    """Return the key of a Qdrant server, from the environment: it belongs in no command line and no file."""
    return next((os.environ[name] for name in KEY_VARIABLES if os.environ.get(name)), None)


def without_key_if_from_working_directory(context: typer.Context, store: str | None) -> str | None:
    """The store; asked without a key if it is a server that a file in the working directory has chosen."""
    if store is None or "://" not in store or not chosen_by_working_directory(context, "store"):
        return store
    if qdrant_api_key() is None:
        return store
    say(
        f"The store {one_line(store)} was chosen by sift-rag.toml in this directory, so your API key is not sent to "
        "it. To send it, name the store with --store or SIFT_RAG_STORE."
    )
    return f"{store}{'&' if '?' in store else '?'}key=none"


def layout_of(vector_name: str | None, text_key: str | None, source_key: str | None) -> Layout:
    """How another tool's collection is read."""
    from sift_rag.stores.qdrant.layout import Layout

    return Layout(vector_name, text_key, source_key)


def server_options_of(
    shard_number: int | None,
    replication_factor: int | None,
    write_consistency_factor: int | None,
    *,
    on_disk: bool,
    float16: bool,
    quantize: bool,
) -> ServerOptions | None:
    """How a server keeps a new collection; None if nothing was said of it."""
    from sift_rag.stores.qdrant.options import ServerOptions

    options = ServerOptions(
        shard_number, replication_factor, write_consistency_factor, on_disk=on_disk, float16=float16, quantize=quantize
    )
    return None if options == ServerOptions() else options
