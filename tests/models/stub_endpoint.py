"""A stub of an OpenAI-compatible endpoint: a loopback server that speaks the streaming protocol as told, faults too."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.loopback import StubHandler, loopback


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
    pieces: Sequence[Any] = ("Hello", " there", ".")
    """Texts, or lists of parts."""
    reasoning: Sequence[str] = ()
    """Pieces of reasoning before the answer, in a field of their own."""
    asides: Sequence[str] = ()
    """Pieces of reasoning after each piece of the answer."""
    reasoning_field: str = "reasoning_content"
    finish: str = "stop"
    """Reason that it gives for the end."""
    refuses_system: bool = False
    """True to refuse chats with the role ``system``."""
    fault: Literal[
        "",
        "ends early",
        "drops",
        "html",
        "one piece",
        "no choices",
        "no json",
        "error in stream",
        "empty choices first",
    ] = ""
    status: int = 200
    error: Mapping[str, object] = field(default_factory=lambda: {"message": "as told"})
    requests: list[Request] = field(default_factory=list)
    sent_after_close: threading.Event = field(default_factory=threading.Event)


@contextmanager
def stub_endpoint() -> Iterator[StubEndpoint]:
    with loopback(_Handler, StubEndpoint) as stub:
        yield stub


class _Handler(StubHandler):
    def respond(self, body: Any) -> None:
        stub: StubEndpoint = self.stub
        stub.requests.append(Request(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        if stub.status != 200:
            self.send_whole(stub.status, "application/json", json.dumps({"error": stub.error}).encode())
        elif stub.refuses_system and any(message["role"] == "system" for message in body["messages"]):
            error = {"message": "System role not supported by this model's template"}
            self.send_whole(400, "application/json", json.dumps({"error": error}).encode())
        elif stub.fault == "html":
            self.send_whole(200, "text/html", b"<html><body>Welcome to the router</body></html>")
        elif stub.fault == "one piece":
            self.send_whole(200, "application/json", b'{"error": {"message": "no more quota"}}')
        else:
            self._stream(stub)

    def _stream(self, stub: StubEndpoint) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        try:
            if stub.fault == "empty choices first":
                self._event({"choices": []})
            if stub.fault == "no choices":
                self._event({"choices": None})
            for piece in stub.reasoning:
                self._event({"choices": [{"index": 0, "delta": {stub.reasoning_field: piece}, "finish_reason": None}]})
            for piece in stub.pieces:
                self._event({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]})
                for text in stub.asides:
                    delta = {stub.reasoning_field: text}
                    self._event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
            if stub.fault == "drops":
                return
            if stub.fault == "no json":
                self._chunk(b"data: {not json\n\n")
            if stub.fault == "error in stream":
                self._event({"error": {"message": "the engine died"}})
            if stub.fault not in ("ends early", "error in stream"):
                self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": stub.finish}]})
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
