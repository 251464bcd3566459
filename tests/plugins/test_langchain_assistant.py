"""LangChain: a runnable that answers."""

from __future__ import annotations

import asyncio

import pytest

from sift_rag import AnswerSettings, Filter, PassageStore, open_model
from tests.doubles import HashingEmbedder
from tests.plugins.conftest import LANGUAGE_MODEL, QUESTION, QUESTIONS, CitingModel

pytest.importorskip("langchain_core", reason="LangChain is not installed: pip install 'sift-rag[langchain]'")

from sift_rag_langchain import SiftAssistant, SiftRetriever


@pytest.fixture
def assistant(store: PassageStore, embedder: HashingEmbedder) -> SiftAssistant:
    return SiftAssistant(retriever=SiftRetriever(store=store, embedder=embedder, k=3), model=CitingModel())


def test_an_answer_has_text_citations_and_documents(assistant: SiftAssistant) -> None:
    got = assistant.invoke(QUESTION)
    assert got["answer"] == "They hunt at night [1]."
    assert [document.id for document in got["context"]] == [hit["id"] for hit in got["hits"]]
    assert [(citation["number"], citation["id"]) for citation in got["citations"]] == [(1, got["hits"][0]["id"])]
    assert (got["mode"], got["model"], got["questions"]) == ("context", "citing", [QUESTION])


def test_a_call_overrides_options_and_asks_several_questions(assistant: SiftAssistant) -> None:
    got = assistant.invoke(QUESTIONS, k=1, where=Filter(sources=("bees.md",)))
    assert [document.metadata["source"] for document in got["context"]] == ["bees.md"]
    assert got["questions"] == list(QUESTIONS)


def test_the_parts_of_a_stream_add_up_to_the_answer(assistant: SiftAssistant) -> None:
    parts = list(assistant.stream(QUESTION))
    assert list(parts[0]) == ["context"]
    assert [part["answer"] for part in parts[1:-1]] == ["They hunt ", "at night ", "[1]."]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    whole = assistant.invoke(QUESTION)
    assert {**total, "timings_ms": None} == {**whole, "timings_ms": None}
    assert asyncio.run(assistant.ainvoke(QUESTION))["answer"] == whole["answer"]


def test_an_assistant_takes_its_place_in_a_chain(assistant: SiftAssistant) -> None:
    chain = assistant | (lambda answer: answer["answer"])
    assert chain.invoke(QUESTION) == "They hunt at night [1]."
    assert chain.batch([QUESTION, QUESTION]) == ["They hunt at night [1]."] * 2


@pytest.mark.slow
def test_a_model_is_fine_tuned_for_one_question(store: PassageStore, embedder: HashingEmbedder) -> None:
    assistant = SiftAssistant(
        retriever=SiftRetriever(store=store, embedder=embedder),
        model=open_model(str(LANGUAGE_MODEL)),
        mode="finetune",
        settings=AnswerSettings(steps=1, max_new_tokens=4, min_gain=0.0),
    )
    got = assistant.invoke(QUESTION)
    assert (got["mode"], got["tuning"]["steps"]) == ("finetune", 1)
    assert assistant.invoke(QUESTION, mode="context")["tuning"] is None
