"""The stub over HTTP."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from time import perf_counter
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json
from qdrant_client import models

from tests.qdrant_stub.faults import Refused, Request, Reset, Truncated

if TYPE_CHECKING:
    from tests.qdrant_stub.engine import Engine
    from tests.qdrant_stub.server import QdrantStub

Apply = Callable[["Engine", str, Any, bool], Any]
"""Engine, name of the collection, body, whether to wait; the model that is the answer."""


@dataclass(frozen=True)
class _Route:
    method: str
    path: re.Pattern[str]
    operation: str
    body: TypeAdapter[Any] | None
    apply: Apply


def _route(method: str, path: str, operation: str, apply: Apply, body: Any = None) -> _Route:
    """Return a route; ``*`` in its path is one segment, the first one the name of the collection."""
    pattern = re.compile(path.replace("*", "([^/]+)"))
    return _Route(method, pattern, operation, None if body is None else TypeAdapter(body), apply)


_ROUTES = (
    _route("GET", "/", "root", lambda e, *_: e.version_info()),
    _route("GET", "/readyz", "health", lambda *_: "all shards are ready"),
    _route("GET", "/aliases", "list_aliases", lambda e, *_: e.list_aliases()),
    _route("GET", "/collections", "list_collections", lambda e, *_: e.list_collections()),
    _route("POST", "/collections/aliases", "update_aliases",
           lambda e, _n, b, _w: e.update_aliases(b.actions), models.ChangeAliasesOperation),
    _route("GET", "/collections/*", "get_collection", lambda e, n, *_: e.get_collection(n)),
    _route("PUT", "/collections/*", "create_collection",
           lambda e, n, b, _w: e.create_collection(n, b), models.CreateCollection),
    _route("PATCH", "/collections/*", "update_collection",
           lambda e, n, b, _w: e.update_collection(n, b), models.UpdateCollection),
    _route("DELETE", "/collections/*", "delete_collection", lambda e, n, *_: e.delete_collection(n)),
    _route("GET", "/collections/*/exists", "collection_exists", lambda e, n, *_: e.collection_exists(n)),
    _route("GET", "/collections/*/cluster", "collection_cluster", lambda e, n, *_: e.collection_cluster(n)),
    _route("PUT", "/collections/*/index", "create_index",
           lambda e, n, b, w: e.create_index(n, b.field_name, b.field_schema, wait=w), models.CreateFieldIndex),
    _route("PUT", "/collections/*/vectors/words", "create_vector_name",
           lambda e, n, b, _w: e.create_vector_name(n, "words", b), models.VectorNameConfig),
    _route("PUT", "/collections/*/points/vectors", "update_vectors",
           lambda e, n, b, w: e.update_vectors(n, b, wait=w), models.UpdateVectors),
    _route("PUT", "/collections/*/points", "upsert",
           lambda e, n, b, w: e.upsert(n, b, wait=w), models.PointInsertOperations),
    _route("POST", "/collections/*/points", "retrieve", lambda e, n, b, _w: e.retrieve(n, b), models.PointRequest),
    _route("POST", "/collections/*/points/delete", "delete",
           lambda e, n, b, w: e.delete(n, b, wait=w), models.PointsSelector),
    _route("POST", "/collections/*/points/scroll", "scroll", lambda e, n, b, _w: e.scroll(n, b), models.ScrollRequest),
    _route("POST", "/collections/*/points/count", "count", lambda e, n, b, _w: e.count(n, b), models.CountRequest),
    _route("POST", "/collections/*/facet", "facet", lambda e, n, b, _w: e.facet(n, b), models.FacetRequest),
    _route("POST", "/collections/*/points/query/batch", "query_batch",
           lambda e, n, b, _w: e.query_batch(n, b.searches), models.QueryRequestBatch),
)  # fmt: skip


class RestFront:
    """The HTTP port of a stub; keeps its number when it is closed and opened again."""

    def __init__(self, stub: QdrantStub) -> None:
        self._stub = stub
        self.port = 0
        self.open_port()

    def open_port(self) -> None:
        self._server = _Server(self._stub, self.port)
        self.port = self._server.server_port
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), name="qdrant-stub-http")
        self._thread.start()

    def close_port(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.reset_all()
        self._server.server_close()  # waits for the threads of the connections

    close = close_port


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128

    def __init__(self, stub: QdrantStub, port: int) -> None:
        self.stub = stub
        self._connections: set[socket.socket] = set()
        self._to_reset: set[socket.socket] = set()
        self._lock = Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
            reset = request in self._to_reset
            self._to_reset.discard(request)
        if reset:
            reset_on_close(request)
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def reset(self, connection: socket.socket) -> None:
        """Let the connection end with a reset when its handler ends, which is about to."""
        with self._lock:
            self._to_reset.add(connection)

    def reset_all(self) -> None:
        """Reset all connections, those that wait for their next request included."""
        with self._lock:
            self._to_reset |= self._connections
            for connection in self._connections:
                connection.shutdown(socket.SHUT_RD)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: a client that has gone away is no matter for the test's streams."""


def reset_on_close(connection: socket.socket) -> None:
    """Make the connection end with RST in place of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def handle_one_request(self) -> None:
        """Read a request and answer it, whatever its method."""
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline:
            self.close_connection = True
        elif self.parse_request():
            self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _answer(self, body: bytes) -> None:
        begun = perf_counter()
        try:
            self._say(200, {"result": self._perform(body), "status": "ok"}, begun)
        except Refused as refusal:
            headers = {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
            if refusal.status == 401:
                self._write(401, refusal.message.encode(), "text/plain", headers)
            else:
                self._say(refusal.status, {"status": {"error": refusal.message}}, begun, headers=headers)
        except Reset:
            self.close_connection = True
            self.server.reset(self.connection)
        except Truncated as truncated:
            self._say(200, {"result": truncated.answer, "status": "ok"}, begun, part=0.5)
            self.close_connection = True

    def _perform(self, body: bytes) -> Any:
        stub = self.server.stub
        url = urlsplit(self.path)
        route, names = self._route(url.path)
        if len(body) > stub.max_body_bytes:
            raise Refused(
                400,
                f"Payload error: JSON payload ({len(body)} bytes) is larger than allowed "
                f"(limit: {stub.max_body_bytes} bytes).",
            )
        try:
            parsed = route.body.validate_json(body) if route.body else "".join(names[1:])
        except ValidationError as error:
            raise Refused(400, f"Format error in JSON body: {error}") from error
        name = names[0] if names else ""
        wait = parse_qs(url.query).get("wait", ["false"])[0] == "true"
        request = Request("rest", route.operation, f"{self.command} {url.path}", name, _points_of(parsed), wait)
        return stub.perform(
            request, self.headers.get("api-key"), lambda engine: route.apply(engine, name, parsed, wait)
        )

    def _route(self, path: str) -> tuple[_Route, list[str]]:
        for route in _ROUTES:
            matched = route.path.fullmatch(path) if route.method == self.command else None
            if matched:
                return route, [unquote(part) for part in matched.groups()]
        raise Refused(404, f"The stub has no {self.command} {path}")

    def _say(
        self,
        status: int,
        answer: dict[str, Any],
        begun: float,
        *,
        headers: dict[str, str] | None = None,
        part: float = 1,
    ) -> None:
        """Write ``part`` of the answer; those of the root and the health are bare, as the server's."""
        result = answer.get("result")
        if isinstance(result, str):
            self._write(status, result.encode(), "text/plain", headers or {}, part=part)
            return
        whole = result if isinstance(result, models.VersionInfo) else answer | {"time": perf_counter() - begun}
        self._write(status, to_json(whole), "application/json", headers or {}, part=part)

    def _write(self, status: int, body: bytes, kind: str, headers: dict[str, str], *, part: float = 1) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": kind, "Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: int(len(body) * part)])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Print nothing: the streams belong to the test."""


def _points_of(body: Any) -> int:
    for attribute in ("points", "ids"):
        value = getattr(body, attribute, None)
        if value is not None:
            return len(value)
    batch = getattr(body, "batch", None)
    return len(batch.ids) if batch is not None else 0
