"""``/v1/ask``: answers from the server's collections."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sift_rag.errors import ModelUnavailable
from sift_rag_server import Limits
from tests.http.models import ScriptedModel, tiny_model
from tests.http.serving import Served, serving

QUESTION = "What does the red fox eat?"


@pytest.fixture(scope="module")
def asked(store: Path) -> Iterator[Served]:
    """A server whose model cites the first passage."""
    with serving(store=store, idle_seconds=0, language_model=ScriptedModel("Mice ", "[1].")) as running:
        yield running


def events(reply: httpx.Response) -> list[tuple[str, dict[str, Any]]]:
    blocks = [block.split("\n") for block in reply.text.strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


def test_an_answer_comes_in_events_with_its_passages_first_and_its_citations_last(store: Path) -> None:
    model = ScriptedModel("The fox ", "eats mice [1].")
    with serving(store=store, idle_seconds=0, language_model=model) as served:
        reply = served.client.post("/v1/ask", json={"query": QUESTION, "k": 2, "system": "Be brief."})
        found = served.client.post("/v1/search", json={"query": QUESTION, "k": 2}).json()
    assert reply.headers["content-type"].startswith("text/event-stream")
    (first, passages), *texts, (last, done) = events(reply)
    assert first == "passages"
    del passages["timings_ms"], found["timings_ms"]
    assert passages == found
    assert texts == [("text", {"text": "The fox "}), ("text", {"text": "eats mice [1]."})]
    place = {name: found["hits"][0][name] for name in ("id", "source", "line", "page")}
    assert last == "done"
    assert (done["model"], done["mode"], done["tuning"], done["notices"]) == ("scripted", "context", None, [])
    assert done["answer"] == "The fox eats mice [1]."
    assert done["citations"] == [{"number": 1, **place}]
    assert done["hits"] == found["hits"]
    assert model.chats[0][0].content.startswith("Be brief.")


def test_an_answer_can_be_had_whole(store: Path) -> None:
    with serving(store=store, idle_seconds=0, language_model=ScriptedModel("Mice ", "[1].")) as served:
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
    with serving(store=store, idle_seconds=0, language_model=model) as served:
        streamed = events(served.client.post("/v1/ask", json={"query": QUESTION}))
        whole = served.client.post("/v1/ask", json={"query": QUESTION, "stream": False})
    assert [name for name, _ in streamed] == ["passages", "text", "error"]
    assert streamed[-1][1]["error"]["code"] == 503  # type: ignore[index]
    assert whole.status_code == 503
    assert "somewhere" not in whole.text


def test_a_question_that_does_not_fit_the_model_is_a_422(store: Path) -> None:
    model = ScriptedModel("x")
    model.context_length = 20
    with serving(store=store, idle_seconds=0, language_model=model) as served:
        reply = served.client.post("/v1/ask", json={"query": QUESTION, "max_new_tokens": 10})
    assert reply.status_code == 422


@pytest.mark.slow
def test_a_model_stops_when_its_reader_leaves(store: Path) -> None:
    model = ScriptedModel(*["more "] * 100_000)
    with serving(store=store, idle_seconds=0, language_model=model) as served:
        with served.client.stream("POST", "/v1/ask", json={"query": QUESTION}) as reply:
            next(reply.iter_bytes())
            assert model.begun.wait(30)
        assert model.stopped.wait(30)
        while served.server.service.answers:
            pass
        assert served.client.get("/health").status_code == 200


def test_one_answer_too_many_is_told_to_come_again(store: Path) -> None:
    model = ScriptedModel("a ", "b")
    model.go.clear()
    with serving(store=store, idle_seconds=0, language_model=model, limits=Limits(answers=1)) as served:
        with served.client.stream("POST", "/v1/ask", json={"query": QUESTION}) as reply:
            assert model.begun.wait(30)
            refused = served.bare.post("/v1/ask", json={"query": QUESTION})
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
            model.go.set()
            assert "event: done" in reply.read().decode()
        assert served.client.post("/v1/ask", json={"query": QUESTION}).status_code == 200


def test_an_answer_that_takes_too_long_ends_with_an_error(store: Path) -> None:
    model = ScriptedModel("a ", "b")
    model.go.clear()
    with serving(store=store, idle_seconds=0, language_model=model, limits=Limits(answer_seconds=2.0)) as served:
        streamed = events(served.client.post("/v1/ask", json={"query": QUESTION}))
        model.go.set()
    assert [name for name, _ in streamed] == ["passages", "text", "error"]
    assert streamed[-1][1]["error"]["code"] == 504  # type: ignore[index]


def test_a_question_can_be_split_into_simpler_ones(store: Path) -> None:
    model = ScriptedModel("1. What eats mice?\n2. What sings?")
    with serving(store=store, idle_seconds=0, language_model=model) as served:
        reply = served.client.post("/v1/ask", json={"query": QUESTION, "decompose": True, "stream": False}).json()
    assert "What sings?" in reply["questions"]


@pytest.mark.parametrize("mode", ["finetune", "both"])
def test_a_model_at_an_endpoint_cannot_be_fine_tuned(asked: Served, mode: str) -> None:
    reply = asked.client.post("/v1/ask", json={"query": QUESTION, "mode": mode})
    assert reply.status_code == 501
    assert '"mode": "context"' in reply.json()["message"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": "bth"}, "'context', 'finetune' or 'both'"),
        ({"steps": 0}, "'steps'"),
        ({"step": 5}, "Did you mean 'steps'?"),
        ({"max_new_tokens": 0}, "'max_new_tokens'"),
        ({"min_gain": "much"}, "'min_gain'"),
        ({"candidat_limit": 3}, "Did you mean 'candidate_limit'?"),
    ],
)
def test_a_question_that_cannot_be_asked_is_told_why(asked: Served, change: dict[str, object], message: str) -> None:
    reply = asked.client.post("/v1/ask", json={"query": QUESTION, **change})
    assert (reply.status_code, message in reply.json()["message"]) == (400, True)


@pytest.fixture(scope="module")
def tuned(store: Path) -> Iterator[Served]:
    """A server whose model can be fine-tuned."""
    pytest.importorskip("peft", reason="needs peft: pip install 'sift-rag[finetune]'")
    with serving(store=store, idle_seconds=0, language_model=tiny_model()) as running:
        yield running


SHORT = {"query": QUESTION, "stream": False, "steps": 3, "max_new_tokens": 8}


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["finetune", "both"])
def test_a_model_in_the_servers_process_is_fine_tuned_for_an_answer_and_restored(tuned: Served, mode: str) -> None:
    def ask(**asked: object) -> dict[str, Any]:
        reply = tuned.client.post("/v1/ask", json={**SHORT, **asked})
        assert reply.status_code == 200, reply.text
        return reply.json()  # type: ignore[no-any-return]

    before = ask()
    learnt = ask(mode=mode, min_gain=0.0)
    assert (learnt["mode"], learnt["tuning"]["steps"], learnt["tuning"]["reason"]) == (mode, 3, None)
    declined = ask(mode=mode, min_gain=1.1)
    assert declined["tuning"]["steps"] == 0
    assert declined["tuning"]["reason"] in declined["notices"]
    assert ask()["answer"] == before["answer"]


@pytest.mark.slow
def test_a_fine_tuned_answer_has_the_model_to_itself(tuned: Served) -> None:
    learn = {**SHORT, "mode": "finetune", "min_gain": 0.0}
    with tuned.server.service.answering():
        assert tuned.client.post("/v1/ask", json=SHORT).status_code == 200
        refused = tuned.client.post("/v1/ask", json=learn)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
    with tuned.server.service.answering(fine_tuned=True):
        assert tuned.client.post("/v1/ask", json=SHORT).status_code == 429
    assert tuned.client.post("/v1/ask", json=learn).status_code == 200
