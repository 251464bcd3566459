"""``sift-rag ui``."""

import os
import sys
from typing import Annotated

import typer

from sift_rag import defaults
from sift_rag_cli import options
from sift_rag_cli.api_keys import store_key
from sift_rag_cli.configuration import settings_for
from sift_rag_cli.embedding import embedder_of
from sift_rag_cli.output import is_terminal, say
from sift_rag_cli.searching import open_language_model, open_scoring, runtime_of
from sift_rag_cli.serving import require_server, serve


def ui(
    context: typer.Context,
    port: Annotated[
        int,
        typer.Option("--port", metavar="N", min=0, max=65535, envvar="SIFT_RAG_PORT", help="Port; 0 picks a free one."),
    ] = 8600,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the page's address and open no browser.")
    ] = False,
    allow_ingest: options.AllowIngest = False,
    uploads: options.Uploads = None,
    reranker: options.Reranker = None,
    reranker_url: options.RerankerUrl = None,
    model: options.Model = None,
    base_url: options.BaseUrl = None,
    store: options.Store = None,
    collection: options.Collection = defaults.COLLECTION,
    embedder_url: options.EmbedderUrl = None,
    assignments: options.Set = None,
) -> None:
    """Open a page that shows how passages are chosen.

    Serves what `sift-rag serve` serves, to this machine alone, until you stop it with Ctrl+C.

    Examples:
        sift-rag ui
        sift-rag ui -c handbook -m Qwen/Qwen3-0.6B
        sift-rag ui --no-browser --port 0
    """
    require_server()

    from sift_rag_server.settings import KEY_VARIABLE, ServerSettings, default_uploads

    values = settings_for(context, assignments)
    settings = ServerSettings(
        port=port,
        api_key=os.environ.get(KEY_VARIABLE) or None,
        embedder=embedder_of(context, values, None, embedder_url),
        store=store,
        store_api_key=store_key(context, store),
        collection=collection,
        runtime=runtime_of(values),
        relevance=open_scoring(context, reranker, reranker_url),
        language_model=open_language_model(context, model, base_url),
        uploads=uploads or (default_uploads(store) if allow_ingest else None),
    )
    serve(settings, on_listening=_announced if no_browser else _opened)


def _announced(url: str) -> None:
    if not is_terminal(sys.stderr):  # there, more is said
        say(f"The page is at {url}/ . Stop it with Ctrl+C.")


def _opened(url: str) -> None:
    import webbrowser

    _announced(url)
    if not webbrowser.open(f"{url}/"):
        say("No browser could be opened: open the address yourself.")
