"""Agents and chat windows that misbehave: refused in the shape of their protocol, nothing written, nothing held."""

from __future__ import annotations

import json
import socket
import string
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from sift_rag import ingest_paths
from sift_rag.opening import open_store
from sift_rag_server import Limits
from tests.doubles import HashingEmbedder
from tests.http.gates import SlowToLoad
from tests.http.models import ScriptedModel
from tests.http.serving import Served, serving

pytest.importorskip("mcp", reason="needs the package mcp: pip install 'sift-rag[mcp]'")

QUESTION = "What does the red fox eat?"
TOOLS = ("search", "get", "list", "status", "ask", "ingest", "delete")
METHODS = ("initialize", "ping", "tools/list", "tools/call", "resources/read", "resources/list", "prompts/get",
           "completion/complete", "logging/setLevel", "notifications/cancelled", "subscriptions/listen",
           "server/discover")  # fmt: skip


@pytest.fixture(scope="module")
def writable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that may write and answer. At the end it has what it had."""
    place = tmp_path_factory.mktemp("place")
    (place / "library").mkdir()
    (place / "library" / "fox.md").write_text("# Fox\n\nThe red fox eats mice.\n", encoding="utf-8")
    (place / "secret.md").write_text("# Secret\n\nThe key lies under the mat.\n", encoding="utf-8")
    ingest_paths([place / "library"], store=place / "store", embedder=HashingEmbedder())
    before = sorted(path.name for path in (place / "store").iterdir())
    settings: dict[str, Any] = {"uploads": place / "uploads", "roots": (place / "library",)}
    with serving(store=place / "store", language_model=ScriptedModel("Mice ", "[1]."), **settings) as running:
        yield running
        assert running.metric("sift_rag_requests_in_flight") == 0
    assert sorted(path.name for path in (place / "store").iterdir()) == before
    with closing(open_store(place / "store")) as opened:
        assert [document.source for document in opened.documents()] == ["library/fox.md"]


# JSON-RPC

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
texts = st.text(max_size=20) | st.text(string.ascii_letters + "./~\\\0\ud800*", max_size=12) | st.just("x" * 30_000)
arguments = st.fixed_dictionaries(
    {},
    optional={
        "questions": st.lists(texts, max_size=3) | anything,
        "k": st.integers(-1, 1000) | anything,
        "filters": st.lists(texts, max_size=2) | anything,
        "known": st.lists(texts, max_size=2) | anything,
        "context": st.integers(-1, 60) | anything,
        "token_budget": st.integers(-1, 60) | anything,
        "source": texts | anything,
        "line": st.integers() | anything,
        "paths": st.lists(texts, max_size=3) | anything,
        "prune": st.booleans() | anything,
        "sources": st.lists(texts, max_size=3) | anything,
        "": anything,
    },
)
parameters = anything | st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(TOOLS) | texts | anything,
        "arguments": arguments | anything,
        "uri": texts.map(lambda text: f"sift-rag://documents/{text}") | anything,
        "protocolVersion": texts | anything,
        "_meta": st.fixed_dictionaries({"progressToken": st.integers() | texts | anything}) | anything,
    },
)
messages = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | anything,
        "id": st.integers() | texts | anything,
        "method": st.sampled_from(METHODS) | texts | anything,
        "params": parameters,
    },
)
calls = st.builds(
    lambda name, given, token: {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": name, "arguments": given, "_meta": {"progressToken": token}},
    },
    st.sampled_from(TOOLS),
    arguments,
    st.integers() | texts,
)
bodies = (messages | calls | anything | st.lists(messages, max_size=2)).map(lambda body: json.dumps(body).encode())
headers = st.fixed_dictionaries(
    {"content-type": st.sampled_from(["application/json"] * 9 + ["text/plain"])},
    optional={
        "accept": st.sampled_from(["application/json", "application/json, text/event-stream", "text/html", "*/*"]),
        "mcp-protocol-version": st.sampled_from(["2025-06-18", "2026-07-28", "1", ""]),
        "mcp-method": st.sampled_from(METHODS),
        "mcp-name": st.sampled_from(TOOLS),
        "mcp-session-id": st.sampled_from(["a", ""]),
    },
)


def check_reply(reply: Any) -> None:
    """Check that a reply is one message of the protocol, or none where there is nothing to say."""
    assert reply.status_code < 500, reply.text
    if reply.status_code in {202, 405, 406} and not reply.content:
        return
    content = reply.text.rpartition("data: ")[2] if reply.text.startswith("event:") else reply.text
    told = json.loads(content)
    assert told["jsonrpc"] == "2.0"
    assert "id" in told
    assert ("result" in told) != ("error" in told)
    if "error" in told:
        assert isinstance(told["error"]["code"], int)
        assert told["error"]["message"]


@pytest.mark.slow
def test_no_message_of_an_agent_breaks_anything(writable: Served) -> None:
    @hypothesis.given(st.binary(max_size=50) | bodies, headers)
    @hypothesis.settings(
        max_examples=300,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    def check(body: bytes, sent: dict[str, str]) -> None:
        check_reply(writable.client.post("/mcp", content=body, headers=sent))

    check()
    assert writable.client.get("/ready").status_code == 200


# Chats


def chat(served: Served, **body: Any) -> Any:
    asked = {"model": "sift", "messages": [{"role": "user", "content": QUESTION}], **body}
    return served.client.post("/v1/chat/completions", json=asked)


def test_a_long_history_is_cut_and_answered(writable: Served) -> None:
    turns = [("user", "What do owls eat?"), ("assistant", "Mice. " * 50)] * 1000
    said = [{"role": role, "content": text} for role, text in (*turns, ("user", QUESTION))]
    reply = chat(writable, messages=said)
    assert reply.status_code == 200
    assert reply.json()["choices"][0]["message"]["content"].startswith("Mice [1].")


def test_a_history_beyond_all_measure_is_refused(writable: Served) -> None:
    refused = chat(writable, messages=[{"role": "user", "content": "x" * 1000}] * 10_000)
    assert refused.status_code == 413
    assert refused.json()["error"]["message"]


def test_a_chat_before_the_embedder_is_loaded_is_told_to_come_again(writable: Served) -> None:
    embedder = SlowToLoad()
    with serving(embedder, ready=False, language_model=ScriptedModel("Mice.")) as loading:
        try:
            reply = chat(loading)
        finally:
            embedder.open.set()
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
    assert reply.json()["error"]["message"]


def test_a_chat_window_that_vanishes_stops_the_model(store: Path) -> None:
    model = ScriptedModel("Mice ", "[1].")
    model.go.clear()
    with serving(store=store, language_model=model, limits=Limits(answers=1)) as answering:
        body = json.dumps({"stream": True, "messages": [{"role": "user", "content": QUESTION}]}).encode()
        with socket.create_connection(("127.0.0.1", answering.server.port)) as client:
            client.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b"
                % (len(body), body)
            )
            assert model.begun.wait(30) or client.recv(1)
        while answering.metric("sift_rag_requests_in_flight"):
            pass
        model.go.set()
        assert model.stopped.wait(30)
        assert chat(answering).status_code == 200


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff", b"[]", b"null", b'{"messages": {}}'])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings"])
def test_what_is_no_request_is_refused_in_openais_shape(writable: Served, path: str, content: bytes) -> None:
    refused = writable.client.post(path, content=content)
    assert refused.status_code == 400
    assert {"message", "type", "param", "code"} <= refused.json()["error"].keys()
