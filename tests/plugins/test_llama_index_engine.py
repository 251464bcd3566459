"""LlamaIndex: a query engine that answers."""

from __future__ import annotations

import asyncio

import pytest

from sift_rag import AnswerSettings, PassageStore, open_model
from tests.doubles import HashingEmbedder
from tests.plugins.conftest import LANGUAGE_MODEL, QUESTION, QUESTIONS, CitingModel

pytest.importorskip("llama_index.core", reason="LlamaIndex is not installed: pip install 'sift-rag[llama-index]'")

from llama_index.core.schema import NodeWithScore, QueryBundle

from sift_rag_llama_index import SiftQuery, SiftQueryEngine, SiftRetriever


def ids(got: list[NodeWithScore]) -> list[str]:
    return [node.node.node_id for node in got]


def test_a_query_engine_answers_with_citations_and_nodes(store: PassageStore, embedder: HashingEmbedder) -> None:
    engine = SiftQueryEngine(SiftRetriever(store, embed_model=embedder, similarity_top_k=3), CitingModel())
    response = engine.query(SiftQuery(QUESTION, options={"k": 2}))
    assert str(response) == "They hunt at night [1]."
    assert ids(response.source_nodes) == [hit["id"] for hit in response.metadata["hits"]]
    assert len(response.source_nodes) == 2
    assert response.metadata["citations"][0]["id"] == ids(response.source_nodes)[0]
    assert str(asyncio.run(engine.aquery(QUESTION))) == str(response)
    assert len(engine.retrieve(QueryBundle(QUESTION))) == 3
    together = engine.query(QueryBundle("owls and flowers", custom_embedding_strs=list(QUESTIONS)))
    assert together.metadata["questions"] == list(QUESTIONS)


def test_a_streaming_engine_gives_pieces_and_then_the_facts(store: PassageStore, embedder: HashingEmbedder) -> None:
    engine = SiftQueryEngine(SiftRetriever(store, embed_model=embedder), CitingModel(), streaming=True)
    response = engine.query(QUESTION)
    assert response.metadata == {}
    assert list(response.response_gen) == ["They hunt ", "at night ", "[1]."]
    assert response.metadata["answer"] == "They hunt at night [1]."
    assert len(response.source_nodes) == 5


@pytest.mark.slow
def test_a_model_is_fine_tuned_for_one_question(store: PassageStore, embedder: HashingEmbedder) -> None:
    engine = SiftQueryEngine(
        SiftRetriever(store, embed_model=embedder),
        open_model(str(LANGUAGE_MODEL)),
        mode="finetune",
        settings=AnswerSettings(steps=1, max_new_tokens=4, min_gain=0.0),
    )
    assert engine.query(QUESTION).metadata["tuning"]["steps"] == 1
