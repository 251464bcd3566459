"""Requests that end early: the client leaves, sends too slowly, or the server stops."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from sift_rag_server import Limits
from tests.http.gates import GatedEmbedder
from tests.http.models import ScriptedModel
from tests.http.serving import Served, serving

TEXT = {"query": "a question", "documents": ["a document", "another"]}
ASKED = {"query": "What does the red fox eat?"}
LONG = 30.0
"""Seconds after which a test fails for want of an end."""


def wait_until(condition: object) -> None:
    until = time.monotonic() + LONG
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < until
        time.sleep(0.005)


def head(path: str, length: int) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "host: localhost", "content-type: application/json", f"content-length: {length}"]
    return "\r\n".join([*lines, "", ""]).encode()


@contextmanager
def connected(served: Served, sent: bytes = b"") -> Iterator[socket.socket]:
    """A connection on which something was sent."""
    with socket.create_connection(("127.0.0.1", served.server.port), timeout=LONG) as connection:
        connection.sendall(sent)
        yield connection


def received(connection: socket.socket) -> bytes:
    """All that comes until the server closes the connection."""
    parts = []
    while part := connection.recv(65_536):
        parts.append(part)
    return b"".join(parts)


def accepts(connection: socket.socket, content: bytes) -> bool:
    try:
        connection.sendall(content)
    except OSError:
        return False
    return True


def in_flight(served: Served) -> float:
    return served.server.service.metrics.in_flight.collect()[0].samples[0].value


@contextmanager
def posting(served: Served, path: str, body: object) -> Iterator[socket.socket]:
    """A request that was sent and whose reply nobody has read."""
    content = json.dumps(body).encode()
    with connected(served, head(path, len(content)) + content) as connection:
        yield connection


@pytest.mark.parametrize("path", ["/v2/rerank", "/v1/search"])
def test_a_client_that_leaves_frees_its_slot_while_the_embedder_is_at_work(store: Path, path: str) -> None:
    embedder = GatedEmbedder()
    body = TEXT if path == "/v2/rerank" else {**ASKED, "known_texts": ["known"]}
    with serving(embedder, store=store, idle_seconds=0, limits=Limits(requests=1), workers=1) as served:
        with posting(served, path, body):
            assert embedder.arrived.wait(LONG)
            assert served.rerank(**TEXT).status_code == 429
        wait_until(lambda: in_flight(served) == 0)
        # no thread is left waiting: the only one answers
        wait_until(lambda: not served.server.service._working)
        embedder.open.set()
        assert served.rerank(**TEXT).status_code == 200
        assert 'status="499"' in served.client.get("/metrics").text


def test_a_client_that_leaves_the_queue_is_not_worked_for() -> None:
    embedder = GatedEmbedder()
    with serving(embedder, limits=Limits(requests=2)) as served, ThreadPoolExecutor() as others:
        first = others.submit(served.rerank, **TEXT)
        assert embedder.arrived.wait(LONG)
        with posting(served, "/v2/rerank", {"query": "unwanted", "documents": ["unwanted document"]}):
            wait_until(lambda: in_flight(served) == 2)
        wait_until(lambda: in_flight(served) == 1)
        embedder.open.set()
        assert first.result().status_code == 200
    assert not [call for call in embedder.calls if "unwanted document" in call]


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_frees_its_answer_while_the_model_is_silent(store: Path, stream: bool) -> None:
    model = ScriptedModel("a ", "b")
    model.go.clear()
    with serving(store=store, idle_seconds=0, language_model=model, limits=Limits(answers=1)) as served:
        with posting(served, "/v1/ask", {**ASKED, "stream": stream}):
            assert model.begun.wait(LONG)
            assert served.client.post("/v1/ask", json=ASKED).status_code == 429
        wait_until(lambda: in_flight(served) == 0)
        with served.client.stream("POST", "/v1/ask", json=ASKED) as reply:  # the first is silent still
            assert reply.status_code == 200
            model.go.set()
            assert "event: done" in reply.read().decode()


def test_answers_that_nobody_waits_for_do_not_pile_up(store: Path) -> None:
    model = ScriptedModel("a ", "b")
    model.go.clear()
    with serving(store=store, idle_seconds=0, language_model=model, limits=Limits(answers=1)) as served:
        statuses = []
        for _ in range(6):
            with served.client.stream("POST", "/v1/ask", json=ASKED) as reply:
                statuses.append(reply.status_code)
            wait_until(lambda: in_flight(served) == 0)
        model.go.set()
    assert statuses == [200] * 4 + [429] * 2


def test_a_head_that_does_not_arrive_ends_with_its_connection() -> None:
    with serving(limits=Limits(head_seconds=0.2)) as served:
        for sent in (b"", b"POST /v2/rerank HTTP/1.1\r\nhost: localh"):
            with connected(served, sent) as connection:
                assert received(connection) == b""
        with connected(served, b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\nGET /hea") as connection:
            assert received(connection).count(b"HTTP/1.1 200 OK") == 1
        with connected(served, b"GET /health HTTP/1.1\r\n") as connection:
            wait_until(lambda: not accepts(connection, b"x"))  # a byte now and then does not help


def test_a_body_that_does_not_arrive_is_a_408_in_the_dialects_of_all() -> None:
    with serving(limits=Limits(body_seconds=0.2)) as served, connected(served, head("/v2/rerank", 1000)) as connection:
        connection.sendall(b'{"query":')
        reply = received(connection)
        assert reply.startswith(b"HTTP/1.1 408")
        assert b"connection: close" in reply
        assert b"did not arrive" in reply


def test_bodies_that_arrive_slowly_take_no_place_from_others() -> None:
    with serving(limits=Limits(requests=1)) as served:
        slow = [connected(served, head("/v2/rerank", 1000) + b"{") for _ in range(20)]
        connections = [one.__enter__() for one in slow]
        assert [served.rerank(**TEXT).status_code for _ in range(3)] == [200] * 3
        for connection in connections:
            connection.close()


def test_bodies_that_arrive_are_bounded_in_memory() -> None:
    with serving(limits=Limits(arriving_bytes=1000)) as served:
        with connected(served, head("/v2/rerank", 5000) + b"{" * 900):
            wait_until(lambda: served.server.service.slots._arriving == 900)
            refused = served.rerank("q", ["a" * 500])
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        wait_until(lambda: served.server.service.slots._arriving == 0)
        assert served.rerank("q", ["a" * 500]).status_code == 200


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        ({"query": "q", "documents": ["a", "b"]}, {"id", "message", "detail", "error"}),
        ({"query": "q", "texts": ["a", "b"]}, {"error", "error_type"}),
    ],
)
def test_a_stopping_server_tells_who_waits_to_come_again(body: dict[str, object], shape: set[str]) -> None:
    embedder = GatedEmbedder()
    with ThreadPoolExecutor() as others:
        with serving(embedder, limits=Limits(stopping_seconds=0.2), workers=1) as served:
            waiting = others.submit(httpx.post, f"{served.url}/rerank", json=body, timeout=LONG)
            assert embedder.arrived.wait(LONG)
            served.server.stop()
            reply = waiting.result()
        embedder.open.set()
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "5")
    assert set(reply.json()) == shape
    assert "stopping" in reply.text


def test_a_stopping_server_lets_requests_finish(store: Path) -> None:
    embedder = GatedEmbedder()
    with ThreadPoolExecutor() as others, serving(embedder) as served:
        waiting = others.submit(httpx.post, f"{served.url}/v2/rerank", json=TEXT, timeout=LONG)
        assert embedder.arrived.wait(LONG)
        served.server.stop()
        embedder.open.set()
        assert waiting.result().status_code == 200


def test_a_stopping_server_ends_streams_with_an_error(store: Path) -> None:
    model = ScriptedModel("a ", "b")
    model.go.clear()
    limits = Limits(stopping_seconds=0.2)
    with serving(store=store, idle_seconds=0, language_model=model, limits=limits) as served:
        with httpx.stream("POST", f"{served.url}/v1/ask", json=ASKED, timeout=LONG) as reply:
            assert model.begun.wait(LONG)
            served.server.stop()
            text = reply.read().decode()
        model.go.set()
    *_, last = text.strip().split("\n\n")
    assert last.startswith("event: error\n")
    assert json.loads(last.partition("data: ")[2])["error"]["code"] == 503


@pytest.mark.parametrize("path", ["/health", "/ready", "/v1/models", "/metrics", "/openapi.json"])
def test_head_is_get_without_the_body(served: Served, path: str) -> None:
    reply, full = served.client.head(path), served.client.get(path)
    assert (reply.status_code, reply.content) == (200, b"")
    assert reply.headers["content-type"] == full.headers["content-type"]
    if path != "/metrics":  # it grows
        assert reply.headers["content-length"] == full.headers["content-length"]
    refused = served.client.post(path)
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")


def test_head_on_other_routes_is_refused_like_get(served: Served) -> None:
    assert served.client.head("/v1/rerank").status_code == 405
    assert served.client.head("/nothing").status_code == 404


def test_refused_requests_count_under_their_route() -> None:
    embedder = GatedEmbedder()
    limits = Limits(requests=1, body_bytes=1000)
    with serving(embedder, limits=limits, api_key="key") as served, ThreadPoolExecutor() as others:
        first = others.submit(served.rerank, **TEXT)
        assert embedder.arrived.wait(LONG)
        served.rerank(**TEXT, path="/v1/rerank")
        embedder.open.set()
        first.result()
        served.rerank("q", ["a" * 2000])
        served.bare.post("/v1/search", json=ASKED)
        served.client.get("/v1/ask")
        served.bare.get("/elsewhere")
        told = served.client.get("/metrics").text
    for route, status in (
        ("/v1/rerank", 429),
        ("/v2/rerank", 413),
        ("/v2/rerank", 200),
        ("/v1/search", 401),
        ("/v1/ask", 405),
        ("other", 401),
    ):
        assert f'sift_rag_requests_total{{route="{route}",status="{status}"}} 1.0' in told


def test_another_machines_name_counts_under_its_route(store: Path) -> None:
    with serving(store=store) as served:
        served.client.post("/v1/search", json=ASKED, headers={"host": "elsewhere.example"})
        assert 'sift_rag_requests_total{route="/v1/search",status="403"} 1.0' in served.client.get("/metrics").text
