"""Haystack: a component that answers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sift_rag import AnswerSettings, FineTuning
from tests.plugins.conftest import LANGUAGE_MODEL, QUESTION

pytest.importorskip("haystack", reason="Haystack is not installed: pip install 'sift-rag[haystack]'")

from haystack import Pipeline

from sift_rag_haystack import SiftAssistant, SiftRetriever


@pytest.mark.slow
def test_an_assistant_answers_in_a_pipeline_that_was_saved(folder: Path) -> None:
    settings = AnswerSettings(steps=1, max_new_tokens=4, min_gain=0.0, finetuning=FineTuning(rank=4))
    assistant = SiftAssistant(SiftRetriever(str(folder), top_k=2), str(LANGUAGE_MODEL), settings=settings)
    pipeline = Pipeline()
    pipeline.add_component("assistant", assistant)
    loaded = Pipeline.loads(pipeline.dumps(), allowed_modules=["sift_rag_haystack.*"])
    component = loaded.get_component("assistant")
    assert component.settings == settings
    try:
        pieces: list[str] = []
        told = {"query": QUESTION, "k": 1, "streaming_callback": lambda chunk: pieces.append(chunk.content)}
        (answer,) = loaded.run({"assistant": told})["assistant"]["answers"]
        assert answer.data == "".join(pieces)
        assert [document.id for document in answer.documents] == [hit["id"] for hit in answer.meta["hits"]]
        assert len(answer.documents) == 1
        assert (answer.query, answer.meta["mode"]) == (QUESTION, "context")
        (tuned,) = asyncio.run(component.run_async(QUESTION, "both"))["answers"]
        assert tuned.meta["tuning"]["steps"] == 1
    finally:
        component.close()
