"""A stub of a Cohere-compatible rerank endpoint: a loopback server that can simulate faults."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def relevance_of(text: str) -> float:
    """Score of a text: the share of its words that are ``flowers``."""
    words = text.split()
    return words.count("flowers") / max(1, len(words))


@dataclass
class StubReranker:
    """Replies can be changed between requests; requests are recorded."""

    url: str
    score: Callable[[str], float] = relevance_of
    statuses: list[int] = field(default_factory=list)
    """Statuses of the next replies; then 200."""
    error: object = field(default_factory=lambda: {"message": "as told"})
    reply: bytes | None = None
    """Body of every reply, instead of a ranking."""
    encoding: str | None = None
    """Content encoding that every reply claims to have."""
    paths: list[str] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, body: Mapping[str, Any]) -> tuple[int, bytes]:
        status = self.statuses.pop(0) if self.statuses else 200
        if status != 200:
            return status, json.dumps(self.error).encode()
        if self.reply is not None:
            return 200, self.reply
        ranking = sorted(
            ({"index": i, "relevance_score": self.score(text)} for i, text in enumerate(body["documents"])),
            key=lambda result: -result["relevance_score"],
        )
        return 200, json.dumps({"id": "1", "results": ranking[: body["top_n"]]}).encode()


@contextmanager
def stub_reranker() -> Iterator[StubReranker]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.stub = stub = StubReranker(f"http://127.0.0.1:{server.server_port}/v1")  # type: ignore[attr-defined]
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
        stub: StubReranker = self.server.stub  # type: ignore[attr-defined]
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        stub.paths.append(self.path)
        stub.keys.append(self.headers.get("authorization"))
        stub.bodies.append(body)
        self.close_connection = True
        status, payload = stub.answer(body)
        if status == 0:  # hangs up
            return
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(payload)))
        if stub.encoding is not None:
            self.send_header("content-encoding", stub.encoding)
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has there
        """Log nothing to stderr."""
