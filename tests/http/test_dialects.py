"""Requests of clients as they were recorded, and the replies that these read."""

from __future__ import annotations

from typing import Any

import pytest

from tests.http.serving import Served

QUERY, TEXTS = "What does the red fox eat?", ["The blue whale sings.", "The red fox eats mice.", "Rust is red."]
ASKED = {"model": "sift", "query": QUERY}


@pytest.fixture
def order(served: Served) -> list[tuple[int, float]]:
    results = served.rerank(QUERY, TEXTS).json()["results"]
    return [(result["index"], result["relevance_score"]) for result in results]


@pytest.mark.parametrize("path", ["/v1/rerank", "/rerank", "/voyage/v1/rerank"])
@pytest.mark.parametrize("top_k", [2, "2", 2.0, None])
def test_voyage(served: Served, order: list[tuple[int, float]], path: str, top_k: object) -> None:
    body = {**ASKED, "documents": TEXTS, "top_k": top_k, "return_documents": True, "truncation": True}
    reply = served.client.post(path, json=body).json()
    wanted = order if top_k is None else order[:2]
    assert [(one["index"], one["relevance_score"]) for one in reply["data"]] == wanted
    assert [one["document"] for one in reply["data"]] == [TEXTS[index] for index, _ in wanted]
    assert reply["usage"]["total_tokens"] > 0


def test_voyage_without_a_number_is_told_by_its_path(served: Served, order: list[tuple[int, float]]) -> None:
    reply = served.client.post("/voyage/v1/rerank", json={**ASKED, "documents": TEXTS}).json()
    assert [(one["index"], one["relevance_score"]) for one in reply["data"]] == order


@pytest.mark.parametrize("path", ["/v1/rerank", "/v1/reranking"])
def test_mixedbread(served: Served, order: list[tuple[int, float]], path: str) -> None:
    body = {**ASKED, "input": TEXTS, "top_k": 2, "return_input": True}
    reply = served.client.post(path, json=body).json()
    assert [(one["index"], one["score"]) for one in reply["data"]] == order[:2]
    assert [one["input"] for one in reply["data"]] == [TEXTS[index] for index, _ in order[:2]]


def test_infinity_gets_documents_as_texts(served: Served, order: list[tuple[int, float]]) -> None:
    body = {**ASKED, "documents": TEXTS, "return_documents": True}
    reply = served.client.post("/infinity/rerank", json=body).json()
    assert [one["document"] for one in reply["results"]] == [TEXTS[index] for index, _ in order]


@pytest.mark.parametrize("top_n", ["2", 2.0])
def test_a_number_may_be_written_out(served: Served, order: list[tuple[int, float]], top_n: object) -> None:
    results = served.rerank(QUERY, TEXTS, top_n=top_n).json()["results"]
    assert [result["index"] for result in results] == [index for index, _ in order[:2]]


@pytest.mark.parametrize("top_n", ["two", "-1", "", "2.5", "²", "9" * 5000, True])
def test_other_words_are_no_numbers(served: Served, top_n: object) -> None:
    assert served.rerank(QUERY, TEXTS, top_n=top_n).status_code == 400


@pytest.mark.parametrize("body", [{"input": []}, {"input": "x"}, {"input": [3]}, {"documents": {}, "top_k": 1}])
def test_a_bad_body_is_refused_in_every_dialect(served: Served, body: dict[str, Any]) -> None:
    assert served.client.post("/v1/rerank", json={**ASKED, **body}).status_code == 400


@pytest.mark.parametrize("path", ["/v1/rerank/", "/rerank//", "/v1/search/"])
def test_a_slash_at_the_end_makes_no_difference(served: Served, path: str) -> None:
    body = {"query": QUERY} if "search" in path else {**ASKED, "documents": TEXTS}
    assert served.client.post(path, json=body).status_code == 200
    assert served.client.get("/health/").status_code == 200
    assert served.client.get("/none/").status_code == 404
