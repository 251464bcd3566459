"""The ASGI application: routes, middleware, and loading in the background."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from re import Pattern
from threading import Thread
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route

from sift_rag import SiftRagError, __version__
from sift_rag_server.ask import ask_routes
from sift_rag_server.chat import chat_routes
from sift_rag_server.embed import embedding_routes
from sift_rag_server.errors import HTTPError
from sift_rag_server.guard import Guard
from sift_rag_server.handlers import context_of, error_response
from sift_rag_server.mcp import McpRoutes
from sift_rag_server.metrics import CONTENT_TYPE_LATEST
from sift_rag_server.openapi import describe
from sift_rag_server.page.routes import page_routes
from sift_rag_server.replies import ErrorReply, ModelEntry, ModelsReply, State
from sift_rag_server.rerank import rerank_routes
from sift_rag_server.search import search_routes
from sift_rag_server.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable


def create_app(service: Service, *, on_failure: Callable[[], None] | None = None) -> FastAPI:
    """Return the ASGI application. It answers ``/health`` at once, and other routes once the service is loaded.

    Args:
        service: loaded when the application starts, closed when it ends.
        on_failure: called, on another thread, if the service cannot be loaded.
    """

    def load() -> None:
        try:
            service.load()
        except SiftRagError:  # `failure` keeps it
            if on_failure is not None:
                on_failure()

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        loading = Thread(target=load, name="load", daemon=True)
        loading.start()
        try:
            async with mcp.running():
                yield
        finally:
            service.close()

    mcp = McpRoutes(service)
    parts = (rerank_routes, search_routes, ask_routes, chat_routes, embedding_routes)
    routers = [*(routes(service) for routes in parts), *page_routes(service), mcp.router()]
    paths: dict[str, Pattern[str]] = {}
    app = FastAPI(
        title="sift-rag",
        summary="Passages that jointly answer a question.",
        version=__version__,
        lifespan=running,
        docs_url=None,  # these pages load scripts from the internet
        redoc_url=None,
        redirect_slashes=False,
        middleware=[Middleware(Guard, service=service, paths=paths)],
    )
    app.add_exception_handler(HTTPException, _not_routed)
    for router in routers:
        app.include_router(router)
    _add_state_routes(app, service)
    routes = [route for part in (app.router, *routers) for route in part.routes if isinstance(route, Route)]
    paths.update((route.path_format, route.path_regex) for route in routes)
    describe(app, service.settings)
    return app


def _add_state_routes(app: FastAPI, service: Service) -> None:
    @app.get("/health", tags=["state"])
    async def health() -> State:
        """Report that the process is alive."""
        return State(status="ok")

    @app.get("/ready", tags=["state"], responses={503: {"model": ErrorReply}}, response_model=State)
    async def ready(request: Request) -> Response:
        """Report that the embedder is loaded, so that requests are answered."""
        try:
            service.check_ready()
        except HTTPError as error:
            return error_response(error, context_of(request.scope))
        return JSONResponse({"status": "ready"})

    @app.get("/v1/models", tags=["state"], responses={503: {"model": ErrorReply}}, response_model=ModelsReply)
    async def models(request: Request) -> Response:
        """List the names of the reranker and, if the server has a language model, of each collection to chat with."""
        try:
            names = await names_of_models()
        except HTTPError as error:
            return error_response(error, context_of(request.scope))
        return JSONResponse({"object": "list", "data": [_model_entry(name) for name in names]})

    @app.get(
        "/v1/models/{name:path}",
        tags=["state"],
        responses={404: {"model": ErrorReply}, 503: {"model": ErrorReply}},
        response_model=ModelEntry,
    )
    async def model(request: Request, name: str) -> Response:
        """Describe a model by its name."""
        try:
            if name not in await names_of_models():
                raise HTTPError(HTTPStatus.NOT_FOUND, "There is no model of this name: /v1/models lists the names.")
        except HTTPError as error:
            return error_response(error, context_of(request.scope))
        return JSONResponse(_model_entry(name))

    async def names_of_models() -> tuple[str, ...]:
        return (*service.model_names, *await service.in_worker(service.collection_models))

    @app.get("/metrics", tags=["state"], response_class=Response)
    async def metrics() -> Response:
        """Return the metrics in the text format of Prometheus."""
        return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _model_entry(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "sift-rag"}


async def _not_routed(request: Request, error: Exception) -> Response:
    """Report an unknown path or method like any other error."""
    status = HTTPStatus(error.status_code if isinstance(error, HTTPException) else 500)
    reply = HTTPError(status, f"{status.phrase}: /openapi.json lists the routes.")
    response = error_response(reply, context_of(request.scope))
    response.headers.update((error.headers or {}) if isinstance(error, HTTPException) else {})
    allowed = {*response.headers.get("allow", "").split(", ")}
    if "GET" in allowed:
        response.headers["allow"] = ", ".join(sorted({*allowed, "HEAD"}))
    return response
