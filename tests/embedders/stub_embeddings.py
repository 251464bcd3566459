"""A stub of an OpenAI-compatible endpoint for embeddings: a loopback server that can simulate faults."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from tests.loopback import StubHandler, loopback

DIMENSION = 8


def vector_of(text: str, dimension: int = DIMENSION) -> list[float]:
    """Vector of a text, of no particular norm: the sum of a direction for each of its words."""
    total = np.full(dimension, 1e-3)
    for word in text.lower().split():
        total += _direction(word.strip(".,?!"), dimension)
    return [float(value) for value in total]


@cache
def _direction(word: str, dimension: int) -> np.ndarray:
    seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest(), "big")
    return np.random.default_rng(seed).normal(size=dimension)


@dataclass
class StubEmbeddings:
    """Replies can be changed between requests; requests are recorded."""

    url: str
    vector: Callable[[str], Any] = vector_of
    statuses: list[int] = field(default_factory=list)
    """Statuses of the next replies; then 200. 0 closes the connection without a reply."""
    always: int = 200
    """Status of every reply after those."""
    error: object = field(default_factory=lambda: {"error": {"message": "as told"}})
    retry_after: str | None = None
    most: int | None = None
    """Number of texts that one request may have."""
    longest: int | None = None
    """Number of characters that a text may have."""
    edit: Callable[[dict[str, Any]], Any] = lambda body: body
    """Changes the body of every good reply."""
    reply: tuple[str, bytes] | None = None
    """Content type and body of every good reply, in place of vectors."""
    pause: Callable[[dict[str, Any]], float] = lambda _: 0.0
    """Seconds before the reply to a request."""
    keys: list[str | None] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    busiest: int = 0
    """The most requests at once."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    now: int = 0

    @property
    def texts(self) -> list[str]:
        """All texts of all requests."""
        return [text for body in self.bodies for text in body["input"]]


@contextmanager
def stub_embeddings() -> Iterator[StubEmbeddings]:
    with loopback(_Handler, StubEmbeddings) as stub:
        yield stub


class _Handler(StubHandler):
    def respond(self, body: Any) -> None:
        stub: StubEmbeddings = self.stub
        with stub.lock:
            stub.bodies.append(body)
            stub.keys.append(self.headers.get("authorization"))
            stub.now += 1
            stub.busiest = max(stub.busiest, stub.now)
            status = stub.statuses.pop(0) if stub.statuses else stub.always
        try:
            time.sleep(stub.pause(body))
            self._reply(stub, status, body["input"])
        finally:
            with stub.lock:
                stub.now -= 1

    def _reply(self, stub: StubEmbeddings, status: int, texts: list[str]) -> None:
        assert self.path == "/v1/embeddings"
        headers = {} if stub.retry_after is None else {"retry_after": stub.retry_after}
        if status == 0:
            return
        if stub.most is not None and len(texts) > stub.most:
            self._send_json(422, {"error": f"batch size {len(texts)} > maximum allowed batch size {stub.most}"})
        elif stub.longest is not None and any(len(text) > stub.longest for text in texts):
            self._send_json(400, {"error": {"message": "the input length exceeds the context length"}})
        elif status != 200:
            self._send_json(status, stub.error, **headers)
        elif stub.reply is not None:
            self.send_whole(200, stub.reply[0], stub.reply[1])
        else:
            data = [
                {"object": "embedding", "index": place, "embedding": stub.vector(text)}
                for place, text in enumerate(texts)
            ]
            self._send_json(200, stub.edit({"object": "list", "data": data, "model": "stub", "usage": {}}))

    def _send_json(self, status: int, body: object, **headers: str) -> None:
        self.send_whole(status, "application/json", json.dumps(body).encode(), **headers)
