"""Relevance scores over HTTP: those of a request, and those of the server's reranker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sift_rag import ModelUnavailable, Reranker
from tests.doubles import HashingEmbedder, WordRelevance
from tests.http.serving import Served, serving

QUESTION = "What does the red fox eat?"
DOCUMENTS = ["The blue whale sings.", "The red fox eats mice.", "A fox eats berries.", "Rust is red."]


@pytest.fixture(scope="module")
def reranking(store: Path) -> Iterator[Served]:
    """A server with a reranker that prefers whales."""
    with serving(store=store, idle_seconds=0, relevance=WordRelevance("whale")) as running:
        yield running


def indices(reply: Any) -> list[int]:
    assert reply.status_code == 200, reply.text
    return [result["index"] for result in reply.json()["results"]]


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank"])
def test_scores_of_a_request_order_its_documents_as_the_library_does(served: Served, path: str) -> None:
    relevance = [0.3, 0.1, 0.2, 0.95]
    reply = served.rerank(QUESTION, DOCUMENTS, path, sift={"relevance": relevance})
    expected = Reranker(HashingEmbedder()).rerank(QUESTION, DOCUMENTS, relevance=relevance)
    assert indices(reply) == [text.index for text in expected.ranked]
    results = reply.json()["results"]
    assert [result["relevance_score"] for result in results] == [text.score for text in expected.ranked]
    assert results[0]["index"] == 3
    assert results[0]["relevance_score"] == pytest.approx(0.95)


@pytest.mark.parametrize(
    ("relevance", "complaint"),
    [
        ([0.1, 0.2], "one score for each of 4 texts"),
        ([], "field 'sift.relevance' is invalid"),
        ([0.1, 0.2, 0.3, 1.5], "field 'sift.relevance' is invalid"),
        ([0.1, 0.2, 0.3, "high"], "field 'sift.relevance' is invalid"),
        ([0.1, 0.2, 0.3, None], "field 'sift.relevance' is invalid"),
        (0.5, "field 'sift.relevance' is invalid"),
    ],
)
def test_scores_that_cannot_be_used_are_a_400(served: Served, relevance: object, complaint: str) -> None:
    reply = served.rerank(QUESTION, DOCUMENTS, sift={"relevance": relevance})
    assert reply.status_code == 400
    assert complaint in reply.json()["message"]


def test_a_score_that_is_not_a_number_is_a_400(served: Served) -> None:
    content = b'{"query": "q", "documents": ["a", "b"], "sift": {"relevance": [NaN, 0.5]}}'
    assert served.client.post("/v1/rerank", content=content).status_code == 400


def test_a_misspelt_name_gets_a_suggestion(served: Served) -> None:
    reply = served.rerank(QUESTION, DOCUMENTS, sift={"relevence": [0.1] * 4})
    assert (reply.status_code, "Did you mean 'relevance'?" in reply.json()["message"]) == (400, True)


def test_a_server_with_a_reranker_asks_it_and_scores_of_a_request_win(reranking: Served) -> None:
    assert indices(reranking.rerank(QUESTION, DOCUMENTS))[0] == 0
    assert indices(reranking.rerank(QUESTION, DOCUMENTS, sift={"relevance": [0.1, 0.9, 0.1, 0.1]}))[0] == 1
    reply = reranking.client.post("/rerank", json={"query": QUESTION, "texts": DOCUMENTS})
    assert reply.json()[0]["index"] == 0


def test_its_searches_are_scored_too(reranking: Served) -> None:
    reply = reranking.client.post("/v1/search", json={"query": QUESTION, "k": 2})
    assert reply.status_code == 200, reply.text
    first = reply.json()["hits"][0]
    assert first["source"] == "library/animals/whale.md"
    assert first["reranker_score"] >= 0.5
    exact = reranking.client.post("/v1/search", json={"query": QUESTION, "exact": True})
    assert (exact.status_code, "leave out one of the two" in exact.json()["message"]) == (400, True)


class Gone:
    name = "gone"

    def score(self, question: str, texts: Sequence[str]) -> np.ndarray:
        raise ModelUnavailable("The endpoint http://reranker/v1/rerank did not answer in time.")


def test_a_reranker_that_does_not_answer_is_a_503() -> None:
    with serving(relevance=Gone()) as running:
        assert running.rerank(QUESTION, DOCUMENTS).status_code == 503
        assert running.rerank(QUESTION, DOCUMENTS, sift={"relevance": [0.5] * 4}).status_code == 200
