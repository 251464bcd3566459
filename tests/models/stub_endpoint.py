"""A stub of an OpenAI-compatible endpoint: a loopback server that speaks the streaming protocol as told, faults too."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal


@dataclass(frozen=True)
class Request:
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: dict[str, Any]


@dataclass
class StubEndpoint:
    """What it answers can be changed between requests; what it was asked is kept."""

    url: str
    pieces: Sequence[str] = ("Hello", " there", ".")
    fault: Literal["", "ends early", "drops", "html", "no json", "error in stream", "empty choices first"] = ""
    status: int = 200
    error: Mapping[str, object] = field(default_factory=lambda: {"message": "as told"})
    requests: list[Request] = field(default_factory=list)
    sent_after_close: threading.Event = field(default_factory=threading.Event)


@contextmanager
def stub_endpoint() -> Iterator[StubEndpoint]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.stub = stub = StubEndpoint(f"http://127.0.0.1:{server.server_port}/v1")  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        stub: StubEndpoint = self.server.stub  # type: ignore[attr-defined]
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        stub.requests.append(Request(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        self.close_connection = True
        if stub.status != 200:
            self._whole(stub.status, "application/json", json.dumps({"error": stub.error}))
        elif stub.fault == "html":
            self._whole(200, "text/html", "<html><body>Welcome to the router</body></html>")
        else:
            self._stream(stub)

    def _whole(self, status: int, kind: str, text: str) -> None:
        payload = text.encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def _stream(self, stub: StubEndpoint) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        try:
            if stub.fault == "empty choices first":
                self._event({"choices": []})
            for piece in stub.pieces:
                self._event({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]})
            if stub.fault == "drops":
                return
            if stub.fault == "no json":
                self._chunk(b"data: {not json\n\n")
            if stub.fault == "error in stream":
                self._event({"error": {"message": "the engine died"}})
            if stub.fault not in ("ends early", "error in stream"):
                self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
                self._chunk(b"data: [DONE]\n\n")
            self._chunk(b"")
        except (BrokenPipeError, ConnectionResetError):
            stub.sent_after_close.set()

    def _event(self, value: Mapping[str, object]) -> None:
        chunk = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "stub", **value}
        self._chunk(f"data: {json.dumps(chunk)}\n\n".encode())

    def _chunk(self, payload: bytes) -> None:
        self.wfile.write(f"{len(payload):x}\r\n".encode() + payload + b"\r\n")
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has there
        """Log nothing to stderr."""
