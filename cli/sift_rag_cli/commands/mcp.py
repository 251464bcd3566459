"""``sift-rag mcp``."""

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from sift_rag import defaults
from sift_rag.errors import SiftRagError
from sift_rag.extras import require
from sift_rag.suggestions import suggestion
from sift_rag_cli import options
from sift_rag_cli.api_keys import store_key
from sift_rag_cli.completion import client_words
from sift_rag_cli.mcp_clients import CLIENTS, Entry, folders_of, install
from sift_rag_cli.output import is_terminal, one_line, say
from sift_rag_cli.searching import open_language_model, open_scoring


def mcp(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[install CLIENT]",
            autocompletion=client_words,
            help=f"Add the server to a client's configuration: {', '.join(CLIENTS)}. Without: serve.",
            show_default=False,
        ),
    ] = None,
    read_only: Annotated[
        bool,
        typer.Option(
            "--read-only", rich_help_panel=options.SERVER, help="Leave out the tools that change the collection."
        ),
    ] = False,
    roots: options.Roots = None,
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            metavar="URL",
            rich_help_panel=options.SERVER,
            help="With install: use a running `sift-rag serve` at this address, such as http://localhost:8600/mcp.",
        ),
    ] = None,
    reranker: options.Reranker = None,
    reranker_url: options.RerankerUrl = None,
    model: options.Model = None,
    base_url: options.BaseUrl = None,
    store: options.Store = None,
    collection: options.Collection = defaults.COLLECTION,
    embedder: options.Embedder = None,
) -> None:
    """Serve a collection to agents that speak MCP.

    The Model Context Protocol goes over stdin and stdout. Tools: search, get, list, status; delete unless --read-only;
    ingest with --root; ask with --model.

    Examples:
        sift-rag mcp install claude
        sift-rag mcp install cursor -c handbook --read-only
        sift-rag mcp install cursor --url http://localhost:8600/mcp
        sift-rag mcp --root ~/documents
    """
    folders = folders_of(roots)
    if words:
        given = {
            "--store": _absolute(store),
            "--collection": None if collection == defaults.COLLECTION else collection,
            "--embedder": embedder,
            "--reranker": reranker,
            "--reranker-url": reranker_url,
            "--model": model,
            "--base-url": base_url,
        }
        arguments = [part for name, value in given.items() if value is not None for part in (name, value)]
        arguments += [part for folder in folders for part in ("--root", str(folder.resolve()))]
        arguments += ["--read-only"] if read_only else []
        if url is not None and arguments:
            raise ValueError(f"--url names a server that is running, and leaves no choice of {arguments[0]}.")
        say(install(words, Entry(collection, arguments, url)))
        if url is None:
            _warn_if_missing(collection, store, store_key(context, store))
        return
    if url is not None:
        raise ValueError("--url is for `sift-rag mcp install CLIENT`.")
    require("mcp", "mcp")
    from sift_rag_mcp import McpSettings, create_server

    settings = McpSettings(
        store=store,
        collection=collection,
        embedder=embedder,
        api_key=store_key(context, store),
        read_only=read_only,
        roots=folders,
        relevance=open_scoring(context, reranker, reranker_url),
        model=open_language_model(context, model, base_url),
    )
    if is_terminal(sys.stdin):
        say(
            "Serving MCP to a program on stdin and stdout: `sift-rag mcp install claude` connects one. Ctrl-C stops it."
        )
    if signal.getsignal(signal.SIGINT) not in {None, signal.SIG_IGN}:
        signal.signal(signal.SIGINT, _end)
    create_server(settings).run("stdio")


def _end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a handler's signature
    """End at once: the interpreter would wait for the thread that reads stdin. What a call has written is on disk."""
    os._exit(130)


def _warn_if_missing(collection: str, store: str | None, api_key: str | None) -> None:
    """Say so if there is no such collection to serve; nothing if the store cannot be read."""
    from sift_rag.stores.registry import open_database

    try:
        names = [one.name for one in open_database(store, api_key=api_key).collections()]
    except SiftRagError:
        return
    if collection not in names:
        say(f"Warning: there is no collection '{one_line(collection)}' yet.{suggestion(collection, names)}")


def _absolute(store: str | None) -> str | None:
    """Return a store as a client's process finds it, wherever that is started."""
    return store if store is None or "://" in store else str(Path(store).expanduser().resolve())
