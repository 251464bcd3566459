"""A stub of a Cohere-compatible rerank endpoint: a loopback server that can simulate faults."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.loopback import StubHandler, loopback


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
    with loopback(_Handler, StubReranker) as stub:
        yield stub


class _Handler(StubHandler):
    def respond(self, body: Any) -> None:
        stub: StubReranker = self.stub
        stub.paths.append(self.path)
        stub.keys.append(self.headers.get("authorization"))
        stub.bodies.append(body)
        status, payload = stub.answer(body)
        if status:  # else it hangs up
            encoding = {} if stub.encoding is None else {"content_encoding": stub.encoding}
            self.send_whole(status, "application/json", payload, connection="close", **encoding)
