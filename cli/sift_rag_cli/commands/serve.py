"""``sift-rag serve``."""

import os
from typing import Annotated

import typer

from sift_rag import defaults
from sift_rag_cli import options
from sift_rag_cli.api_keys import store_key
from sift_rag_cli.configuration import settings_for
from sift_rag_cli.embedding import embedder_of
from sift_rag_cli.mcp_clients import folders_of
from sift_rag_cli.searching import open_language_model, open_scoring, runtime_of
from sift_rag_cli.serving import require_server
from sift_rag_cli.serving import serve as serve_until_stopped

LIMITS = "Limits"


def serve(
    context: typer.Context,
    host: Annotated[
        str,
        typer.Option(
            "--host",
            metavar="ADDRESS",
            envvar="SIFT_RAG_HOST",
            rich_help_panel=options.SERVER,
            help="Address to listen on. Other machines can connect only with an API key: set it in "
            "SIFT_RAG_SERVER_API_KEY.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            "--port",
            metavar="N",
            min=0,
            max=65535,
            envvar="SIFT_RAG_PORT",
            rich_help_panel=options.SERVER,
            help="Port; 0 picks a free one.",
        ),
    ] = 8600,
    workers: Annotated[
        int,
        typer.Option(
            "--workers",
            metavar="N",
            min=1,
            envvar="SIFT_RAG_WORKERS",
            rich_help_panel=options.SERVER,
            help="Number of threads that search and select.",
        ),
    ] = 2,
    processes: Annotated[
        int,
        typer.Option(
            "--processes",
            metavar="N",
            min=0,
            envvar="SIFT_RAG_PROCESSES",
            rich_help_panel=options.SERVER,
            help="Number of processes that rank documents when several requests come at the same time; 0 uses threads.",
        ),
    ] = 2,
    served_name: Annotated[
        list[str] | None,
        typer.Option(
            "--served-name",
            metavar="NAME",
            envvar="SIFT_RAG_SERVED_NAME",
            rich_help_panel=options.SERVER,
            help="Another name for the reranker, for clients that send a name of their own. Repeatable.",
        ),
    ] = None,
    max_documents: Annotated[
        int,
        typer.Option(
            "--max-documents",
            metavar="N",
            min=1,
            envvar="SIFT_RAG_MAX_DOCUMENTS",
            rich_help_panel=LIMITS,
            help="Maximum number of documents in one request.",
        ),
    ] = 1000,
    max_megabytes: Annotated[
        int,
        typer.Option(
            "--max-megabytes",
            metavar="N",
            min=1,
            envvar="SIFT_RAG_MAX_MEGABYTES",
            rich_help_panel=LIMITS,
            help="Maximum size of one request.",
        ),
    ] = 8,
    max_requests: Annotated[
        int,
        typer.Option(
            "--max-requests",
            metavar="N",
            min=1,
            envvar="SIFT_RAG_MAX_REQUESTS",
            rich_help_panel=LIMITS,
            help="Maximum number of requests being handled or waiting. Further ones are told to try again later.",
        ),
    ] = 128,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            envvar="SIFT_RAG_TIMEOUT",
            rich_help_panel=LIMITS,
            help="Maximum time for one request. An answer may take 300 seconds whatever this says.",
        ),
    ] = 60.0,
    cache_megabytes: Annotated[
        int,
        typer.Option(
            "--cache-megabytes",
            metavar="N",
            min=0,
            envvar="SIFT_RAG_CACHE_MEGABYTES",
            rich_help_panel=LIMITS,
            help="Memory for a cache of document embeddings.",
        ),
    ] = 256,
    log_json: Annotated[
        bool,
        typer.Option(
            "--log-json",
            envvar="SIFT_RAG_LOG_JSON",
            rich_help_panel=options.SERVER,
            help="Log JSON lines at a terminal too, as elsewhere.",
        ),
    ] = False,
    allow_ingest: options.AllowIngest = False,
    uploads: options.Uploads = None,
    roots: options.Roots = None,
    reranker: options.Reranker = None,
    reranker_url: options.RerankerUrl = None,
    model: options.Model = None,
    base_url: options.BaseUrl = None,
    store: options.Store = None,
    collection: options.Collection = defaults.COLLECTION,
    embedder: Annotated[
        str | None,
        typer.Option(
            "--embedder",
            "-e",
            metavar="NAME",
            envvar="SIFT_RAG_EMBEDDER",
            rich_help_panel=options.COLLECTION,
            help=f"Embedding model of the reranker. Default: {defaults.EMBEDDER}. A collection is searched with "
            "the embedder it was made with.",
        ),
    ] = None,
    embedder_url: options.EmbedderUrl = None,
    assignments: options.Set = None,
) -> None:
    """Serve a reranker and your collections over HTTP.

    The reranker works with clients of Cohere, Jina, vLLM and TEI. Paths: POST /v1/rerank, /v2/rerank, /rerank,
    /v1/search, /v1/ask; GET /health, /ready, /metrics, /v1/models, /docs. Also POST /v1/chat/completions
    and /v1/embeddings (OpenAI), POST /mcp (agents), and a page for the browser at /. To require an API key, set it in
    SIFT_RAG_SERVER_API_KEY.

    Examples:
        sift-rag serve
        sift-rag serve --port 9000 -c handbook -m Qwen/Qwen3-0.6B
        sift-rag serve --allow-ingest --root ~/documents
        SIFT_RAG_SERVER_API_KEY=secret sift-rag serve --host 0.0.0.0
    """
    require_server()

    from sift_rag_server.settings import KEY_VARIABLE, Limits, ServerSettings, default_uploads

    if roots and not (allow_ingest or uploads):
        raise ValueError("--root lets agents change a collection: add --allow-ingest.")
    values = settings_for(context, assignments)
    settings = ServerSettings(
        host=host,
        port=port,
        api_key=os.environ.get(KEY_VARIABLE) or None,
        embedder=embedder_of(context, values, embedder, embedder_url),
        served_names=tuple(served_name or ()),
        store=store,
        store_api_key=store_key(context, store),
        collection=collection,
        runtime=runtime_of(values),
        workers=workers,
        processes=processes,
        limits=Limits(
            body_bytes=max_megabytes * 2**20,
            documents=max_documents,
            requests=max_requests,
            seconds=timeout,
            cache_bytes=cache_megabytes * 2**20,
        ),
        relevance=open_scoring(context, reranker, reranker_url),
        language_model=open_language_model(context, model, base_url),
        uploads=uploads or (default_uploads(store) if allow_ingest else None),
        roots=folders_of(roots),
    )
    serve_until_stopped(settings, log_json=log_json)
