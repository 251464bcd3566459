"""``sift-rag serve``."""

import os
from typing import Annotated

import typer

from sift_rag.errors import MissingExtra
from sift_rag_cli import options
from sift_rag_cli.language_model import open_named_model
from sift_rag_cli.stores import qdrant_api_key


def serve(
    context: typer.Context,
    host: Annotated[
        str,
        typer.Option(
            "--host",
            metavar="ADDRESS",
            envvar="SIFT_RAG_HOST",
            help="Where to listen. Any but this machine's own needs a key in SIFT_RAG_SERVER_API_KEY.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option("--port", metavar="N", min=0, max=65535, envvar="SIFT_RAG_PORT", help="0 for any that is free."),
    ] = 8600,
    served_name: Annotated[
        list[str] | None,
        typer.Option(
            "--served-name",
            metavar="NAME",
            envvar="SIFT_RAG_SERVED_NAME",
            help="A further name of the reranker, for clients that send their own. Repeatable.",
        ),
    ] = None,
    max_documents: Annotated[
        int,
        typer.Option("--max-documents", metavar="N", min=1, envvar="SIFT_RAG_MAX_DOCUMENTS", help="In one request."),
    ] = 1000,
    max_megabytes: Annotated[
        int,
        typer.Option("--max-megabytes", metavar="N", min=1, envvar="SIFT_RAG_MAX_MEGABYTES", help="Of one request."),
    ] = 8,
    max_requests: Annotated[
        int,
        typer.Option(
            "--max-requests",
            metavar="N",
            min=1,
            envvar="SIFT_RAG_MAX_REQUESTS",
            help="Worked on or waiting at once; the next one is told to come again.",
        ),
    ] = 128,
    timeout: Annotated[
        float,
        typer.Option("--timeout", metavar="SECONDS", envvar="SIFT_RAG_TIMEOUT", help="For one request."),
    ] = 60.0,
    cache_megabytes: Annotated[
        int,
        typer.Option(
            "--cache-megabytes",
            metavar="N",
            min=0,
            envvar="SIFT_RAG_CACHE_MEGABYTES",
            help="Of embeddings kept for documents that come again.",
        ),
    ] = 256,
    workers: Annotated[
        int,
        typer.Option("--workers", metavar="N", min=1, envvar="SIFT_RAG_WORKERS", help="Threads that choose."),
    ] = 2,
    store: options.Store = None,
    collection: options.Collection = options.DEFAULT_COLLECTION,
    embedder: Annotated[
        str | None,
        typer.Option(
            "--embedder",
            metavar="NAME",
            envvar="SIFT_RAG_EMBEDDER",
            help=f"Embedding model of the reranker; a collection is searched with its own. "
            f"Default: {options.DEFAULT_EMBEDDER}.",
        ),
    ] = None,
    model: options.Model = None,
    base_url: options.BaseUrl = None,
) -> None:
    """Serve a reranker and your collections over HTTP.

    The reranker is for clients of Cohere, Jina, vLLM and TEI.

    POST /v1/rerank, /v2/rerank, /rerank, /v1/search, /v1/ask; GET /health, /ready, /metrics, /v1/models, /openapi.json.
    A key is taken from SIFT_RAG_SERVER_API_KEY.
    """
    try:
        import fastapi
        import prometheus_client
        import uvicorn
    except ImportError as error:
        raise MissingExtra(error.name or "fastapi", "server") from error
    del fastapi, prometheus_client, uvicorn  # only to learn whether they are there

    from sift_rag_server.running import serve as run
    from sift_rag_server.settings import KEY_VARIABLE, Limits, ServerSettings

    settings = ServerSettings(
        host=host,
        port=port,
        api_key=os.environ.get(KEY_VARIABLE) or None,
        embedder=embedder,
        served_names=tuple(served_name or ()),
        store=store,
        store_api_key=qdrant_api_key(),
        collection=collection,
        workers=workers,
        limits=Limits(
            body_bytes=max_megabytes * 2**20,
            documents=max_documents,
            requests=max_requests,
            seconds=timeout,
            cache_bytes=cache_megabytes * 2**20,
        ),
        language_model=open_named_model(context, model, base_url)
        if model is not None or base_url is not None
        else None,
    )
    run(settings)
