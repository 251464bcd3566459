"""Stubs of HTTP endpoints on the loopback interface."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

Stub = TypeVar("Stub")


class StubHandler(BaseHTTPRequestHandler):
    """Handler of a server whose stub tells what to answer; a connection serves one request."""

    protocol_version = "HTTP/1.1"

    @property
    def stub(self) -> Any:
        """The stub that ``loopback`` made."""
        return self.server.stub  # type: ignore[attr-defined]

    def do_POST(self) -> None:
        """Answer the last request of this connection."""
        self.close_connection = True
        self.respond(json.loads(self.rfile.read(int(self.headers["content-length"]))))

    def respond(self, body: Any) -> None:
        """Answer a request with this body."""
        raise NotImplementedError

    def send_whole(self, status: int, kind: str, payload: bytes, **headers: str) -> None:
        """Send a response in one piece; underscores in the names of headers stand for hyphens."""
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(payload)))
        self.send_header("connection", "close")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has there
        """Log nothing to stderr."""


@contextmanager
def loopback(handler: type[StubHandler], make: Callable[[str], Stub]) -> Iterator[Stub]:
    """Yield the stub made for the server's address, up to ``/v1``, while the server runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.stub = stub = make(f"http://127.0.0.1:{server.server_port}/v1")  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
