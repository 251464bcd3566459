"""``/mcp`` on the server, with the SDK's client over HTTP."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest

from sift_rag.types import Embedding
from sift_rag_server.settings import Limits
from tests.doubles import HashingEmbedder
from tests.http.agents import call, talk
from tests.http.gates import READY, SlowToLoad
from tests.http.models import ScriptedModel
from tests.http.serving import Served, serving

pytest.importorskip("mcp", reason="needs the package mcp: pip install 'sift-rag[mcp]'")

READING = {"search", "get", "list", "status"}
HEADERS = {"accept": "application/json, text/event-stream"}


def message(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}


def search(**arguments: Any) -> dict[str, Any]:
    return message("tools/call", name="search", arguments=arguments)


def test_a_client_finds_what_the_server_searches(served: Served) -> None:
    reply = call(served, "search", questions=["What does the fox eat?", "What sings?"], k=2)
    direct = served.client.post("/v1/search", json={"query": ["What does the fox eat?", "What sings?"], "k": 2}).json()
    assert [hit["id"] for hit in reply.structured_content["hits"]] == [hit["id"] for hit in direct["hits"]]


def test_no_tool_writes(served: Served) -> None:
    tools = talk(served, lambda client: client.list_tools()).tools
    assert {tool.name for tool in tools} == READING
    assert all(tool.annotations.read_only_hint for tool in tools)


def test_another_collection_is_another_address(served: Served) -> None:
    assert call(served, "status", "/mcp/documents").structured_content["collection"] == "documents"
    refused = call(served, "search", "/mcp/none", questions=["?"])
    assert refused.is_error
    assert "no such collection" in refused.content[0].text


def test_a_document_is_a_resource(served: Served) -> None:
    source = call(served, "list", prefix="library/animals/w").structured_content["documents"][0]["source"]
    found = talk(served, lambda client: client.read_resource(f"sift-rag://documents/{source}"))
    assert "krill" in found.contents[0].text


def test_the_model_answers_and_no_more_often_than_it_may(store: Path) -> None:
    with serving(store=store, language_model=ScriptedModel("Mice [1].")) as answering:
        reply = call(answering, "ask", questions=["What does the red fox eat?"])
        assert reply.structured_content["answer"].startswith("Mice [1]")
        with answering.server.service.answering(fine_tuned=True):
            refused = call(answering, "ask", questions=["What does the red fox eat?"])
        assert refused.is_error
        assert "fine-tuned for another question" in refused.content[0].text


# What is refused


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"[" * 100_000, -32700),
        (b"[]", -32600),
        (b'"search"', -32600),
        (b'{"jsonrpc": "1.0", "id": 1, "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "tools/write", "params": {}}', -32601),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": 3}}', -32602),
    ],
)
@pytest.mark.parametrize("version", ["2025-06-18", "2026-07-28"])
def test_what_is_no_message_is_refused_in_the_protocols_shape(
    served: Served, content: bytes, code: int, version: str
) -> None:
    headers = {**HEADERS, "content-type": "application/json", "mcp-protocol-version": version}
    reply = served.client.post("/mcp", content=content, headers=headers)
    assert reply.status_code < 500
    assert reply.json()["jsonrpc"] == "2.0"
    assert reply.json()["error"]["code"] in {code, -32600, -32602, -32020}


@pytest.mark.parametrize(
    ("message", "message_id", "code", "words"),
    [
        ([], None, -32600, "one JSON object"),
        ("x", None, -32600, "one JSON object"),
        ({"jsonrpc": "1.0", "id": 3, "method": "ping"}, 3, -32600, "'jsonrpc' must be '2.0'"),
        ({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": "x"}, 3, -32602, "'params' must be an object"),
    ],
)
@pytest.mark.parametrize("version", ["2025-06-18", "2026-07-28"])
def test_what_is_no_message_is_told_in_plain_words(
    served: Served, message: Any, message_id: int | None, code: int, words: str, version: str
) -> None:
    reply = served.client.post("/mcp", json=message, headers={**HEADERS, "mcp-protocol-version": version})
    assert reply.status_code == 400
    told = reply.json()
    assert (told["id"], told["error"]["code"]) == (message_id, code)
    assert words in told["error"]["message"]


def test_an_unknown_argument_is_refused(served: Served) -> None:
    reply = call(served, "search", questions=["?"], filter=["year>=2025"])
    assert reply.is_error
    assert reply.content[0].text == "There is no argument 'filter'. Did you mean 'filters'?"


def test_an_unknown_tool_is_told(served: Served) -> None:
    reply = served.client.post("/mcp", json=message("tools/call", name="delete", arguments={"sources": ["a"]}))
    assert "Unknown tool" in reply.text


@pytest.mark.parametrize("arguments", [{}, {"questions": []}, {"questions": ["?"], "k": 10**9}, {"questions": "?" * 9}])
def test_wrong_arguments_are_told_to_the_model(served: Served, arguments: dict[str, Any]) -> None:
    result = served.client.post("/mcp", json=search(**arguments)).json()["result"]
    assert result["isError"]


@pytest.mark.parametrize("headers", [{"host": "example.org"}, {"origin": "https://example.org"}, {"origin": "null"}])
def test_other_names_and_other_pages_are_refused(served: Served, headers: dict[str, str]) -> None:
    assert served.client.post("/mcp", json=message("tools/list"), headers=headers).status_code == 403


def test_a_server_with_a_key_asks_for_it(store: Path) -> None:
    with serving(store=store, api_key="key") as keyed:
        assert keyed.bare.post("/mcp", json=message("tools/list")).status_code == 401
        assert "result" in keyed.client.post("/mcp", json=message("tools/list")).json()


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_there_are_no_streams_and_no_sessions(served: Served, method: str) -> None:
    assert served.client.request(method, "/mcp", headers=HEADERS).status_code == 405


def test_subscribing_does_not_hold_a_place(served: Served) -> None:
    headers = {**HEADERS, "mcp-protocol-version": "2026-07-28", "mcp-method": "subscriptions/listen"}
    assert served.client.post("/mcp", json=message("subscriptions/listen"), headers=headers).status_code == 406


def test_a_call_before_the_embedder_is_loaded_is_told_to_come_again(store: Path) -> None:
    embedder = SlowToLoad()
    with serving(embedder, ready=False, store=store) as loading:
        try:
            reply = loading.client.post("/mcp", json=search(questions=["?"]))
        finally:
            embedder.open.set()
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
    assert (reply.json()["id"], reply.json()["error"]["code"]) == (7, -32000)


class GatedQuestions(HashingEmbedder):
    """Questions wait until ``open``."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived, self.open = Event(), Event()

    def embed_queries(self, texts: Sequence[str]) -> Embedding:
        if list(texts) != READY:
            self.arrived.set()
            assert self.open.wait(30)
        return super().embed_queries(texts)


def test_a_client_that_vanishes_leaves_its_place(store: Path) -> None:
    embedder = GatedQuestions()
    with serving(embedder, store=store) as gated:
        try:
            client = socket.create_connection(("127.0.0.1", gated.server.port))
            body = json.dumps(search(questions=["fox"])).encode()
            client.sendall(
                b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            )
            assert embedder.arrived.wait(30)
            client.close()
            while gated.metric("sift_rag_requests_in_flight"):
                pass
        finally:
            embedder.open.set()
        assert gated.client.post("/mcp", json=search(questions=["whale"])).json()["result"]["structuredContent"]["hits"]


def test_a_call_in_progress_ends_with_the_server(store: Path) -> None:
    embedder = GatedQuestions()
    try:
        with serving(embedder, store=store, limits=Limits(stopping_seconds=0.1)) as gated:
            with ThreadPoolExecutor(1) as other:
                reply = other.submit(gated.client.post, "/mcp", json=search(questions=["fox"]))
                assert embedder.arrived.wait(30)
                gated.server.stop()
                assert reply.result().status_code == 503
            assert "stopping" in reply.result().json()["error"]["message"]
    finally:
        embedder.open.set()


def test_many_agents_at_once_all_get_their_reply(served: Served) -> None:
    def one(number: int) -> Any:
        return httpx.post(served.url + "/mcp", json=search(questions=[f"fox {number}"]), timeout=30).json()

    with ThreadPoolExecutor(50) as agents:
        replies = list(agents.map(one, range(50)))
    assert all(reply["result"]["structuredContent"]["questions"] == [f"fox {n}"] for n, reply in enumerate(replies))


def test_without_the_sdk_there_is_no_route(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sift_rag_server.mcp.find_spec", lambda name: None)
    with serving(store=store) as bare:
        assert bare.client.post("/mcp", json=message("tools/list")).status_code == 404
        assert bare.client.post("/v1/search", json={"query": "fox"}).status_code == 200
