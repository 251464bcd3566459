"""``/mcp``: the tools of ``sift_rag_mcp`` over the server's own collections and embedder, in streamable HTTP.

The SDK reads and writes the protocol. Everything else is as on other routes: access, limits, time, the end of a client.
A reply is JSON, but that to an ingest, which takes long, is a stream of its progress for clients that accept one.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, closing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from importlib.util import find_spec
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope

from sift_rag.answering.assistant import Assistant
from sift_rag.corpus.ingest import ingest
from sift_rag.ingestion import open_to_ingest
from sift_rag_server.answer_writer import AnswerWriter
from sift_rag_server.ask import language_model_of, written_whole
from sift_rag_server.embeddings import QueuedEmbedder, ingest_embedder
from sift_rag_server.errors import HTTPError
from sift_rag_server.event_stream import EventStream
from sift_rag_server.handlers import Operation, RequestContext, client_error, handle

if TYPE_CHECKING:
    from pathlib import Path

    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    from sift_rag.answering.answer import Answer
    from sift_rag.answering.stream import AnswerStream
    from sift_rag.corpus.options import IngestOptions
    from sift_rag.corpus.report import IngestReport, Progress
    from sift_rag.protocols import DocumentRecords, PassageIndex, PassageStore
    from sift_rag.retrieval.options import SearchOptions
    from sift_rag.retrieval.queries import Query
    from sift_rag.retrieval.retriever import Retriever
    from sift_rag.types import Retrieval
    from sift_rag_server.service import Service

PATH = "/mcp"

_SERVER_ERROR = -32000
"""Code of an error that the protocol leaves to servers."""

SOON_SECONDS = 1.0
"""Time after which the reply to an ingest becomes a stream."""

LOOK_SECONDS = 0.1
"""Time between two looks at the progress of an ingest."""

PING_SECONDS = 15.0
"""Time after which a stream that has nothing to tell says so, lest something on the way close the connection."""

_log = logging.getLogger("sift_rag_server")
_T = TypeVar("_T")


class McpRoutes:
    """The route, and what lives as long as the application. Without the SDK there is no route.

    The SDK takes a second to import, so the first request does that, on a thread.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._starting = asyncio.Lock()
        self._manager: StreamableHTTPSessionManager | None = None
        self._running: asyncio.Task[None] | None = None
        self.available = find_spec("mcp") is not None
        """True if the SDK is installed."""

    def router(self) -> APIRouter:
        """Return the routes: the default collection, and each collection by its name."""
        router = APIRouter(tags=["collections"])

        async def default(request: Request) -> Response:
            """Answer a message of the Model Context Protocol about the default collection.

            Streamable HTTP without sessions: each message is a request with a reply of its own.
            """
            return await self._reply(request, self._service.settings.collection)

        async def named(request: Request, collection: str) -> Response:
            """Answer a message of the Model Context Protocol about a collection."""
            return await self._reply(request, collection)

        described: dict[str, Any] = {"response_model": None, "include_in_schema": False}
        if self.available:
            router.add_api_route(PATH, default, methods=["POST"], **described)
            router.add_api_route(PATH + "/{collection}", named, methods=["POST"], **described)
        return router

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep what the first request starts until the block ends."""
        if not self.available:
            _log.info("no /mcp: install sift-rag[mcp]")
        try:
            yield
        finally:
            if self._running is not None:
                self._running.cancel()
                await asyncio.gather(self._running, return_exceptions=True)
            self._running = self._manager = None

    async def _reply(self, request: Request, collection: str) -> Response:
        async def work(content: bytes, context: RequestContext) -> Response:
            _check_json(request)
            self._service.check_ready()
            manager = await self._start()
            if (refused := _refused(content)) is not None:
                return refused
            call = _Call(collection, context)
            held = _call.set(call)
            try:
                exchange = _exchange(manager, request.scope, content)
                if self._service.settings.roots and _accepts_stream(request) and _is_ingest(content):
                    return await _followed(asyncio.create_task(exchange), call, _progress_token(content), self._service)
                return await exchange
            finally:
                _call.reset(held)

        limits = self._service.settings.limits
        seconds = limits.seconds if self._service.settings.language_model is None else limits.answer_seconds
        return await handle(
            request, Operation(service=self._service, work=work, seconds=seconds, error_body_of=_error_body_of)
        )

    async def _start(self) -> StreamableHTTPSessionManager:
        async with self._starting:
            if self._manager is None:
                manager = await self._service.in_worker(_manager, self._service)
                begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._running = asyncio.create_task(_run(manager, begun))
                await begun
                self._manager = manager
            return self._manager


def _manager(service: Service) -> StreamableHTTPSessionManager:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    from sift_rag_mcp import create_reading_server, create_writing_server

    access = ServedAccess(service)
    server = create_writing_server(access) if service.settings.may_ingest else create_reading_server(access)
    return StreamableHTTPSessionManager(
        server._lowlevel_server,  # noqa: SLF001 - its public form is an application
        json_response=True,
        stateless=True,
        max_request_body_size=service.settings.limits.body_bytes,
    )


async def _run(manager: StreamableHTTPSessionManager, begun: asyncio.Future[None]) -> None:
    async with manager.run():
        begun.set_result(None)
        await asyncio.Event().wait()  # until cancelled


@dataclass(eq=False)
class _Call:
    """The request that a tool works for."""

    collection: str
    context: RequestContext
    progress: Progress | None = None
    """Progress of its ingest."""


_call: ContextVar[_Call] = ContextVar("call")


class ServedAccess:
    """An ``Access`` of the MCP tools to the collection of the request that they are called in."""

    def __init__(self, service: Service) -> None:
        self._service = service

    @property
    def answers(self) -> bool:
        """Implement ``Access.answers``."""
        return self._service.settings.language_model is not None

    def index(self) -> AbstractContextManager[PassageIndex]:
        """Implement ``Access.index``."""
        return self._service.collection(_call.get().collection)

    @contextmanager
    def records(self) -> Iterator[DocumentRecords]:
        """Implement ``Access.records``."""
        with closing(self._service.database().documents(_call.get().collection)) as records:
            yield records

    def collections(self) -> list[str]:
        """Implement ``Access.collections``."""
        return self._service.collection_names()

    @contextmanager
    def retriever(self, options: SearchOptions) -> Iterator[Retriever]:
        """Implement ``Access.retriever``."""
        service, context = self._service, _call.get().context
        with self.index() as store:
            embedder = QueuedEmbedder(service.collection_queue(store), waiting=context.waiting)
            yield options.retriever(embedder, store, service.settings.relevance)

    async def answer(self, query: Query, options: SearchOptions) -> Answer:
        """Implement ``Access.answer``."""
        service = self._service
        with ExitStack() as held:
            abandon = held.enter_context(service.answering())
            stream = await self.run(partial(self._begin, query, options))
            writer = AnswerWriter(stream, held.pop_all(), abandon, streamed=False)
        await written_whole(writer, service)
        return stream.answer

    def _begin(self, query: Query, options: SearchOptions) -> AnswerStream:
        with self.retriever(options) as retriever:
            stream = Assistant(retriever, language_model_of(self._service), options=options).stream(query)
        self.retrieved(stream.retrieval)
        return stream

    def retrieved(self, retrieval: Retrieval) -> None:
        """Implement ``Access.retrieved``."""
        self._service.metrics.retrieved(retrieval.timings_ms)

    async def run(self, function: Callable[[], _T]) -> _T:
        """Implement ``Access.run``."""
        return await self._service.in_worker(function)

    @property
    def roots(self) -> Sequence[Path]:
        """Implement ``WritingAccess.roots``."""
        return self._service.settings.roots

    def ingest(
        self, paths: Sequence[Path], options: IngestOptions, progress: Callable[[Progress], None]
    ) -> IngestReport:
        """Implement ``WritingAccess.ingest``. It goes on if its client has gone, and ends if the server stops."""
        service, call = self._service, _call.get()
        embedder = ingest_embedder(service, call.collection)

        def tell(done: Progress) -> None:
            if service.closing.is_set():
                raise HTTPError(HTTPStatus.SERVICE_UNAVAILABLE, "The server is stopping. Ingest again.")
            call.progress = done
            progress(done)

        database, name = service.database(), call.collection
        with service.writing(name, lambda: closing(open_to_ingest(database, name, embedder))) as store:
            return ingest(paths, store, embedder, options, progress=tell)

    def writable(self) -> AbstractContextManager[PassageStore]:
        """Implement ``WritingAccess.writable``."""
        service, collection = self._service, _call.get().collection
        return service.writing(collection, lambda: closing(service.database().open(collection)))

    async def write(self, function: Callable[[], _T]) -> _T:
        """Implement ``WritingAccess.write``."""
        return await self._service.on_own_thread(function)

    def fact(self, error: Exception) -> str | None:
        """Implement ``Access.fact``."""
        return client_error(error, _call.get().context).message

    def close(self) -> None:
        """Implement ``Access.close``: the service closes its collections."""


@dataclass
class _Sent:
    """A response, while an ASGI application sends it."""

    status: int = 500
    headers: tuple[tuple[bytes, bytes], ...] = ()
    content: bytes = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], tuple(message.get("headers", ()))
        else:
            self.content += message.get("body", b"")

    def response(self) -> Response:
        kept = {name.decode("latin-1"): value.decode("latin-1") for name, value in self.headers}
        return Response(self.content or None, self.status, kept)


def _refused(content: bytes) -> Response | None:
    """Return the reply to what is no message of the protocol; None if it is one."""
    from sift_rag_mcp.messages import refusal

    refused = refusal(content)
    return None if refused is None else JSONResponse(refused.model_dump(exclude_unset=True), HTTPStatus.BAD_REQUEST)


async def _exchange(manager: StreamableHTTPSessionManager, scope: Scope, content: bytes) -> Response:
    """Let the SDK answer a message whose body has been read."""
    sent = _Sent()
    await manager.handle_request(_wants_json(scope), _body(content), sent.send)
    return sent.response()


def _wants_json(scope: Scope) -> Scope:
    """Return the scope of a client that accepts JSON alone: a stream would outlive its request."""
    headers = [(name, value) for name, value in scope["headers"] if name != b"accept"]
    return {**scope, "headers": [*headers, (b"accept", b"application/json")]}


def _body(content: bytes) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": content, "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await asyncio.Event().wait()  # the handler watches the client
        raise AssertionError

    return receive


async def _followed(
    exchange: asyncio.Task[Response], call: _Call, token: str | int | None, service: Service
) -> Response:
    """Return the reply to an ingest: as it is if it comes soon, else as a stream of progress that ends with it."""
    until = monotonic() + SOON_SECONDS
    try:
        while not exchange.done() and monotonic() < until and (token is None or call.progress is None):
            await asyncio.wait({exchange}, timeout=LOOK_SECONDS)
        if exchange.done():
            return exchange.result()
    except BaseException:
        exchange.cancel()
        raise

    def end() -> None:
        exchange.cancel()

    return EventStream(
        _events(exchange, call, token),
        lambda error: _event(call.context.error_body(client_error(error, call.context), call.context.id)),
        service.lifetimes,
        seconds=service.settings.limits.ingest_seconds,
        close=end,
    )


async def _events(
    exchange: asyncio.Task[Response], call: _Call, token: str | int | None
) -> AsyncGenerator[bytes, None]:
    told, silent_since = None, monotonic()
    while not exchange.done():
        if token is not None and call.progress is not None and call.progress is not told:
            told, silent_since = call.progress, monotonic()
            yield _event(_notification(told, token))
        elif monotonic() - silent_since > PING_SECONDS:
            silent_since = monotonic()
            yield b": ping\n\n"
        await asyncio.wait({exchange}, timeout=LOOK_SECONDS)
    yield _event(json.loads(bytes(exchange.result().body)))


def _notification(done: Progress, token: str | int) -> dict[str, object]:
    told = {"progressToken": token, "progress": done.bytes_done, "total": done.bytes_found, "message": done.source}
    return {"jsonrpc": "2.0", "method": "notifications/progress", "params": told}


def _event(message: object) -> bytes:
    return f"event: message\ndata: {json.dumps(message)}\n\n".encode()


def _check_json(request: Request) -> None:
    """Check that a body is sent as JSON, which a page of another site could not do without asking the server first.

    Raises:
        HTTPError: it is not.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The header Content-Type must be application/json.")


def _accepts_stream(request: Request) -> bool:
    return "text/event-stream" in request.headers.get("accept", "")


def _parsed(content: bytes) -> Mapping[str, Any]:
    """Return a message, or an empty one if it is none."""
    try:
        message = json.loads(content)
    except (ValueError, RecursionError):
        message = None
    return message if isinstance(message, Mapping) else {}


def _is_ingest(content: bytes) -> bool:
    match _parsed(content):
        case {"method": "tools/call", "params": {"name": "ingest"}}:
            return True
        case _:
            return False


def _progress_token(content: bytes) -> str | int | None:
    """Return the token under which a client wants to hear of progress; None if it does not."""
    match _parsed(content):
        case {"params": {"_meta": {"progressToken": str() | int() as token}}} if not isinstance(token, bool):
            return token
        case _:
            return None


def _error_body_of(content: bytes) -> Callable[[HTTPError, str], dict[str, object]]:
    """Return a writer of errors as replies to a message."""
    sent = _parsed(content).get("id")
    asked = sent if isinstance(sent, str | int) and not isinstance(sent, bool) else None

    def body(error: HTTPError, request_id: str) -> dict[str, object]:
        return {
            "jsonrpc": "2.0",
            "id": asked,
            "error": {"code": _SERVER_ERROR, "message": error.message, "data": {"request": request_id}},
        }

    return body
