"""The stub over HTTP."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable
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
"""Engine, name of the collection (or of the field, after a line feed), body, wait."""

_NAME = r"/collections/([^/]+)"


def _route(method: str, path: str, operation: str, body: Any, apply: Apply) -> tuple[Any, ...]:
    return method, re.compile(path), operation, body and TypeAdapter(body), apply


_ROUTES = (
    _route("GET", "/collections", "list_collections", None, lambda e, _n, _b, _w: e.list_collections()),
    _route("GET", "/aliases", "list_aliases", None, lambda e, _n, _b, _w: e.list_aliases()),
    _route("GET", "/cluster", "cluster", None, lambda e, _n, _b, _w: {"status": "disabled"}),
    _route(
        "POST",
        "/collections/aliases",
        "update_aliases",
        models.ChangeAliasesOperation,
        lambda e, _n, b, _w: e.update_aliases(b.actions),
    ),
    _route("GET", f"{_NAME}/exists", "collection_exists", None, lambda e, n, _b, _w: e.collection_exists(n)),
    _route("GET", f"{_NAME}/aliases", "collection_aliases", None, lambda e, n, _b, _w: e.collection_aliases(n)),
    _route("GET", f"{_NAME}/cluster", "collection_cluster", None, lambda e, n, _b, _w: e.collection_cluster(n)),
    _route("GET", _NAME, "get_collection", None, lambda e, n, _b, _w: e.get_collection(n)),
    _route("PUT", _NAME, "create_collection", models.CreateCollection, lambda e, n, b, _w: e.create_collection(n, b)),
    _route("PATCH", _NAME, "update_collection", models.UpdateCollection, lambda e, n, b, _w: e.update_collection(n, b)),
    _route("DELETE", _NAME, "delete_collection", None, lambda e, n, _b, _w: e.delete_collection(n)),
    _route(
        "PUT",
        f"{_NAME}/index",
        "create_index",
        models.CreateFieldIndex,
        lambda e, n, b, w: e.create_index(n, b.field_name, b.field_schema, wait=w),
    ),
    _route(
        "DELETE",
        f"{_NAME}/index/([^/]+)",
        "delete_index",
        None,
        lambda e, n, _b, w: e.delete_index(*n.split("\n"), wait=w),
    ),
    _route("PUT", f"{_NAME}/points", "upsert", models.PointInsertOperations, lambda e, n, b, w: e.upsert(n, b, wait=w)),
    _route("POST", f"{_NAME}/points", "retrieve", models.PointRequest, lambda e, n, b, _w: e.retrieve(n, b)),
    _route(
        "POST", f"{_NAME}/points/delete", "delete", models.PointsSelector, lambda e, n, b, w: e.delete(n, b, wait=w)
    ),
    _route(
        "POST",
        f"{_NAME}/points/batch",
        "update_batch",
        models.UpdateOperations,
        lambda e, n, b, w: e.update_batch(n, b.operations, wait=w),
    ),
    _route(
        "POST",
        f"{_NAME}/points/payload",
        "set_payload",
        models.SetPayload,
        lambda e, n, b, w: e.set_payload(n, b, wait=w),
    ),
    _route(
        "PUT",
        f"{_NAME}/points/payload",
        "overwrite_payload",
        models.SetPayload,
        lambda e, n, b, w: e.overwrite_payload(n, b, wait=w),
    ),
    _route(
        "POST",
        f"{_NAME}/points/payload/delete",
        "delete_payload",
        models.DeletePayload,
        lambda e, n, b, w: e.delete_payload(n, b, wait=w),
    ),
    _route("POST", f"{_NAME}/points/scroll", "scroll", models.ScrollRequest, lambda e, n, b, _w: e.scroll(n, b)),
    _route("POST", f"{_NAME}/points/count", "count", models.CountRequest, lambda e, n, b, _w: e.count(n, b)),
    _route("POST", f"{_NAME}/points/query", "query", models.QueryRequest, lambda e, n, b, _w: e.query(n, b)),
    _route(
        "POST",
        f"{_NAME}/points/query/batch",
        "query_batch",
        models.QueryRequestBatch,
        lambda e, n, b, _w: e.query_batch(n, b.searches),
    ),
    _route("POST", f"{_NAME}/facet", "facet", models.FacetRequest, lambda e, n, b, _w: e.facet(n, b)),
)


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
        """Its handler, which is about to end, will end it with a reset."""
        with self._lock:
            self._to_reset.add(connection)

    def reset_all(self) -> None:
        """Reset the connections that wait for their next request too."""
        with self._lock:
            self._to_reset |= self._connections
            for connection in self._connections:
                connection.shutdown(socket.SHUT_RD)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a client that has gone away is no matter for the test's streams."""


def reset_on_close(connection: socket.socket) -> None:
    """Closing it will say RST and not FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def _answer(self) -> None:
        self._begun = perf_counter()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            self._say(200, {"result": self._perform(body), "status": "ok"})
        except Refused as refusal:
            self._refuse(refusal)
        except Reset:
            self.close_connection = True
            self.server.reset(self.connection)
        except Truncated as truncated:
            self._say(200, {"result": truncated.answer, "status": "ok"}, part=0.5)
            self.close_connection = True

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = _answer

    def _perform(self, body: bytes) -> Any:
        stub = self.server.stub
        url = urlsplit(self.path)
        target = f"{self.command} {url.path}"
        if url.path in {"/", "/healthz", "/livez", "/readyz"}:
            operation = "root" if url.path == "/" else "health"
            return stub.perform(Request("rest", operation, target), None, lambda _: None)
        for method, pattern, operation, adapter, apply in _ROUTES:
            matched = pattern.fullmatch(url.path) if method == self.command else None
            if matched:
                break
        else:
            raise Refused(404, f"The stub has no {target}")
        name = "\n".join(unquote(part) for part in matched.groups())
        if len(body) > stub.max_body_bytes:
            raise Refused(
                400,
                f"Payload error: JSON payload ({len(body)} bytes) is larger than allowed "
                f"(limit: {stub.max_body_bytes} bytes).",
            )
        try:
            parsed = adapter and adapter.validate_json(body)
        except ValidationError as error:
            raise Refused(400, f"Format error in JSON body: {error}") from error
        wait = parse_qs(url.query).get("wait", ["false"])[0] == "true"
        request = Request("rest", operation, target, name.split("\n")[0], _points_of(parsed), wait)
        return stub.perform(request, self._key(), lambda engine: apply(engine, name, parsed, wait))

    def _key(self) -> str | None:
        bearer = self.headers.get("Authorization", "")
        return self.headers.get("api-key") or bearer.removeprefix("Bearer ") or None

    def _refuse(self, refusal: Refused) -> None:
        headers = {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
        if refusal.status == 401:
            self._write(401, refusal.message.encode(), "text/plain", headers)
        else:
            self._say(refusal.status, {"status": {"error": refusal.message}}, headers=headers)

    def _say(
        self, status: int, answer: dict[str, Any], *, headers: dict[str, str] | None = None, part: float = 1
    ) -> None:
        path = urlsplit(self.path).path
        if status == 200 and path == "/":
            answer = {"title": "qdrant - vector search engine", "version": self.server.stub.version, "commit": "stub"}
        elif status == 200 and path in {"/healthz", "/livez", "/readyz"}:
            self._write(200, f"{path[1:]} check passed".encode(), "text/plain", {}, part=part)
            return
        else:
            answer["time"] = perf_counter() - self._begun
        self._write(status, to_json(answer), "application/json", headers or {}, part=part)

    def _write(self, status: int, body: bytes, kind: str, headers: dict[str, str], *, part: float = 1) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": kind, "Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: int(len(body) * part)])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Nothing: the streams belong to the test."""


def _points_of(body: Any) -> int:
    for attribute in ("points", "ids", "operations"):
        value = getattr(body, attribute, None)
        if value is not None:
            return len(value)
    batch = getattr(body, "batch", None)
    return len(batch.ids) if batch is not None else 0
