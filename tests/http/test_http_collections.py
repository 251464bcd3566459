"""``/v1/search`` and ``/v1/ask`` on the own collections."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from sift_rag import Retriever, ingest_paths
from sift_rag.errors import ModelUnavailable, StoreInUse
from sift_rag.opening import open_store
from sift_rag.protocols import Message
from sift_rag_server import Limits
from sift_rag_server.store_pool import StorePool
from tests.doubles import HashingEmbedder
from tests.http.serving import Served, serving

QUESTION = "What does the red fox eat?"


class ScriptedModel:
    """A language model that says its pieces, each when ``go`` is set; ``stopped`` once nobody reads any more."""

    name = "scripted"
    context_length = 4096

    def __init__(self, *pieces: str, error: Exception | None = None) -> None:
        self.pieces = pieces
        self.error = error
        self.go = threading.Event()
        self.go.set()
        self.begun = threading.Event()
        self.stopped = threading.Event()
        self.chats: list[Sequence[Message]] = []

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(len(message.content.split()) for message in messages)

    def stream(self, messages: Sequence[Message], *, max_new_tokens: int) -> Iterator[str]:
        self.chats.append(messages)
        try:
            for piece in self.pieces:
                yield piece
                self.begun.set()
                assert self.go.wait(30)
            if self.error is not None:
                raise self.error
        finally:
            self.stopped.set()


def events(reply: httpx.Response) -> list[tuple[str, dict[str, object]]]:
    blocks = [block.split("\n") for block in reply.text.strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


def test_a_search_gives_the_librarys_hits(served: Served, store: Path) -> None:
    with closing(open_store(store)) as opened:
        expected = Retriever(HashingEmbedder(), opened).retrieve(QUESTION, 2)
    reply = served.client.post("/v1/search", json={"query": QUESTION, "k": 2}).json()
    assert reply["collection"] == "documents"
    assert reply["candidates"] == expected.candidates
    assert [(hit["rank"], hit["id"], hit["text"], hit["gain"]) for hit in reply["hits"]] == [
        (hit.rank, hit.passage.id, hit.passage.text, hit.gain) for hit in expected.hits
    ]
    assert reply["hits"][0]["source"] == "library/animals/fox.md"
    assert reply["hits"][0]["headings"] == ["Fox"]


def test_a_search_chooses_among_what_its_filter_lets_through(served: Served) -> None:
    def sources(**asked: object) -> set[str]:
        reply = served.client.post("/v1/search", json={"query": QUESTION, **asked}).json()
        return {hit["source"] for hit in reply["hits"]}

    assert sources() == {"library/animals/fox.md", "library/animals/whale.md", "library/plants/oak.md"}
    assert sources(sources=["library/animals/*"]) == {"library/animals/fox.md", "library/animals/whale.md"}
    assert sources(labels={"kind": ["tree", "shrub"]}) == {"library/plants/oak.md"}
    assert sources(given=["library/animals/fox.md"]) == {"library/animals/whale.md", "library/plants/oak.md"}


@pytest.mark.parametrize(
    ("asked", "status", "message"),
    [
        ({"collection": "none"}, 404, "no such collection"),
        ({"collection": "../documents"}, 400, "'collection'"),
        ({"collection": ""}, 400, "'collection'"),
        ({"sources": ["nothing/*"]}, 404, "nothing that the filter lets through"),
        ({"sources": [""]}, 400, "'sources'"),
        ({"labels": {"": ["x"]}}, 400, "'labels'"),
        ({"given": ["nothing.md"]}, 404, "nothing.md"),
        ({"k": 0}, 400, "'k'"),
        ({"k": 1001}, 400, "'k'"),
        ({"candidates": 0}, 400, "'candidates'"),
        ({"query": " "}, 400, "'query'"),
    ],
)
def test_a_search_that_cannot_be_made_is_told_why(
    served: Served, asked: dict[str, object], status: int, message: str
) -> None:
    reply = served.client.post("/v1/search", json={"query": QUESTION, **asked})
    assert reply.status_code == status
    assert message in reply.json()["message"]


def test_a_reply_names_no_folder_of_the_server(served: Served, store: Path) -> None:
    reply = served.client.post("/v1/search", json={"query": QUESTION, "collection": "none"})
    assert str(store) not in reply.text


def test_between_searches_others_may_write_and_the_next_search_finds_it(tmp_path: Path) -> None:
    library, store = tmp_path / "library", tmp_path / "store"
    library.mkdir()
    (library / "fox.md").write_text("The red fox eats mice.", encoding="utf-8")
    ingest_paths([library], store=store, embedder=HashingEmbedder())
    with serving(store=store, release_seconds=0) as served:
        assert len(served.client.post("/v1/search", json={"query": QUESTION}).json()["hits"]) == 1
        (library / "whale.md").write_text("The blue whale sings.", encoding="utf-8")
        ingest_paths([library], store=store, embedder=HashingEmbedder())
        assert len(served.client.post("/v1/search", json={"query": QUESTION}).json()["hits"]) == 2


def test_a_collection_stays_open_for_the_next_search_and_is_closed_when_none_comes(store: Path) -> None:
    lending = StorePool(store, release_seconds=0.05)
    with lending.collection("documents") as first, lending.collection("documents") as second:
        assert first is second
    with lending.collection("documents") as third:
        assert third is first
    while True:  # until it is closed
        try:
            open_store(store).close()
            break
        except StoreInUse:
            continue
    with lending.collection("documents") as fourth:
        assert fourth.count() == 3
    lending.close()
    open_store(store).close()


def test_a_collection_that_is_read_is_not_closed_under_its_reader(store: Path) -> None:
    lending = StorePool(store, release_seconds=0)
    with lending.collection("documents") as held:
        with lending.collection("documents"):
            pass
        lending.close()
        assert held.count() == 3
    open_store(store).close()


def test_a_collection_that_another_process_holds_is_a_503(tmp_path: Path, store: Path) -> None:
    with serving(store=store, release_seconds=0) as served:
        with closing(open_store(store)):
            reply = served.client.post("/v1/search", json={"query": QUESTION})
        assert reply.status_code == 503
        assert reply.headers["retry-after"] == "1"
        assert str(store) not in reply.text
        assert served.client.post("/v1/search", json={"query": QUESTION}).status_code == 200


def test_an_answer_comes_in_events_with_its_passages_first_and_its_citations_last(store: Path) -> None:
    model = ScriptedModel("The fox ", "eats mice [1].")
    with serving(store=store, release_seconds=0, language_model=model) as served:
        reply = served.client.post("/v1/ask", json={"query": QUESTION, "k": 2, "system": "Be brief."})
        found = served.client.post("/v1/search", json={"query": QUESTION, "k": 2}).json()
    assert reply.headers["content-type"].startswith("text/event-stream")
    (first, passages), *texts, (last, done) = events(reply)
    assert (first, passages) == ("passages", found)
    assert texts == [("text", {"text": "The fox "}), ("text", {"text": "eats mice [1]."})]
    citation = {"number": 1, "id": found["hits"][0]["id"], "source": "library/animals/fox.md"}
    assert (last, done) == ("done", {"model": "scripted", "citations": [citation]})
    assert model.chats[0][0].content.startswith("Be brief.")


def test_an_answer_can_be_had_whole(store: Path) -> None:
    with serving(store=store, release_seconds=0, language_model=ScriptedModel("Mice ", "[1].")) as served:
        reply = served.client.post("/v1/ask", json={"query": QUESTION, "stream": False}).json()
    assert reply["answer"] == "Mice [1]."
    assert reply["model"] == "scripted"
    assert [citation["number"] for citation in reply["citations"]] == [1]
    assert len(reply["hits"]) == 3


def test_without_a_language_model_an_answer_is_a_501_that_names_the_option(served: Served) -> None:
    reply = served.client.post("/v1/ask", json={"query": QUESTION})
    assert reply.status_code == 501
    assert "--model" in reply.json()["message"]


def test_a_model_that_fails_is_told_in_the_stream_or_by_the_status(store: Path) -> None:
    model = ScriptedModel("The fox", error=ModelUnavailable("http://somewhere:1 does not answer"))
    with serving(store=store, release_seconds=0, language_model=model) as served:
        streamed = events(served.client.post("/v1/ask", json={"query": QUESTION}))
        whole = served.client.post("/v1/ask", json={"query": QUESTION, "stream": False})
    assert [name for name, _ in streamed] == ["passages", "text", "error"]
    assert streamed[-1][1]["error"]["code"] == 503  # type: ignore[index]
    assert whole.status_code == 503
    assert "somewhere" not in whole.text


def test_a_question_that_does_not_fit_the_model_is_a_422(store: Path) -> None:
    model = ScriptedModel("x")
    model.context_length = 20
    with serving(store=store, release_seconds=0, language_model=model) as served:
        reply = served.client.post("/v1/ask", json={"query": QUESTION, "max_new_tokens": 10})
    assert reply.status_code == 422


def test_a_model_stops_when_its_reader_leaves(store: Path) -> None:
    model = ScriptedModel(*["more "] * 100_000)
    with serving(store=store, release_seconds=0, language_model=model) as served:
        with served.client.stream("POST", "/v1/ask", json={"query": QUESTION}) as reply:
            next(reply.iter_bytes())
            assert model.begun.wait(30)
        assert model.stopped.wait(30)
        while served.server.service.answering:
            pass
        assert served.client.get("/health").status_code == 200


def test_one_answer_too_many_is_told_to_come_again(store: Path) -> None:
    model = ScriptedModel("a ", "b")
    model.go.clear()
    with serving(store=store, release_seconds=0, language_model=model, limits=Limits(answers=1)) as served:
        with served.client.stream("POST", "/v1/ask", json={"query": QUESTION}) as reply:
            assert model.begun.wait(30)
            refused = httpx.post(f"{served.url}/v1/ask", json={"query": QUESTION})
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
            model.go.set()
            assert "event: done" in reply.read().decode()
        assert served.client.post("/v1/ask", json={"query": QUESTION}).status_code == 200


def test_an_answer_that_takes_too_long_ends_with_an_error(store: Path) -> None:
    model = ScriptedModel("a ", "b")
    model.go.clear()
    with serving(store=store, release_seconds=0, language_model=model, limits=Limits(answer_seconds=0.5)) as served:
        streamed = events(served.client.post("/v1/ask", json={"query": QUESTION}))
        model.go.set()
    assert [name for name, _ in streamed] == ["passages", "text", "error"]
    assert streamed[-1][1]["error"]["code"] == 504  # type: ignore[index]
