"""A stub of an OpenAI-compatible endpoint on the loopback interface: one fixed answer, and a record of who asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class Endpoint(ThreadingHTTPServer):
    """Answers every chat with ``pieces``, in as many events."""

    def __init__(
        self,
        pieces: tuple[str, ...],
        status: int = 200,
        on_request: Callable[[], None] | None = None,
        finish: str = "stop",
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.on_request = on_request
        self.pieces = pieces
        self.finish = finish
        self.status = status
        self.authorizations: list[str | None] = []
        self.chats: list[list[dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.authorizations.append(self.headers.get("Authorization"))
        self.server.chats.append(request["messages"])
        if self.server.on_request is not None:
            self.server.on_request()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "text/event-stream" if self.server.status == 200 else "application/json")
        self.end_headers()
        if self.server.status != 200:
            self.wfile.write(b'{"error": {"message": "no", "type": "invalid_request_error"}}')
            return
        for number, piece in enumerate(self.server.pieces, start=1):
            finish = self.server.finish if number == len(self.server.pieces) else None
            choice = {"index": 0, "delta": {"content": piece}, "finish_reason": finish}
            event = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "stub", "choices": [choice]}
            self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Log nothing: the streams belong to the test."""


@contextmanager
def serving(
    *pieces: str, status: int = 200, on_request: Callable[[], None] | None = None, finish: str = "stop"
) -> Iterator[Endpoint]:
    """Yield the stub, which answers while the block runs; ``on_request`` is called before each answer."""
    with Endpoint(pieces, status, on_request, finish) as endpoint:
        thread = Thread(target=endpoint.serve_forever)
        thread.start()
        try:
            yield endpoint
        finally:
            endpoint.shutdown()
            thread.join()
