"""A reranker at an endpoint, against a stub."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from sift_rag import ConfigurationError, ModelUnavailable, ModelUnsuitable, Retriever, SiftRagError, open_relevance
from sift_rag.relevance import endpoint as module
from sift_rag.relevance.endpoint import EndpointRelevance
from tests.doubles import HashingEmbedder
from tests.relevance.stub_reranker import StubReranker

SECRET = "a-key-that-nobody-may-see"
QUESTION = "where do flowers grow"
TEXTS = ["owls hunt", "flowers", "flowers grow"]


def ranking_of(*scores: tuple[int, float]) -> bytes:
    results = [{"index": index, "relevance_score": score} for index, score in scores]
    return json.dumps({"results": results}).encode()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr(module, "sleep", pauses.append)
    return pauses


@pytest.fixture
def reranker(endpoint: StubReranker) -> Iterator[EndpointRelevance]:
    with EndpointRelevance(endpoint.url, "tiny", SECRET) as relevance:
        yield relevance


def test_scores_come_back_in_the_order_of_the_texts(reranker: EndpointRelevance, endpoint: StubReranker) -> None:
    assert reranker.score(QUESTION, TEXTS).tolist() == [0.0, 1.0, 0.5]
    assert endpoint.paths == ["/v1/rerank"]
    assert endpoint.keys == [f"Bearer {SECRET}"]
    assert endpoint.bodies == [{"model": "tiny", "query": QUESTION, "documents": TEXTS, "top_n": 3}]


def test_no_texts_ask_nothing(reranker: EndpointRelevance, endpoint: StubReranker) -> None:
    assert reranker.score(QUESTION, []).shape == (0,)
    assert endpoint.bodies == []


def test_without_name_and_key_neither_is_sent(endpoint: StubReranker) -> None:
    with EndpointRelevance(f"{endpoint.url}/rerank") as relevance:
        relevance.score(QUESTION, TEXTS)
        assert relevance.name == f"{endpoint.url}/rerank"
    assert endpoint.paths == ["/v1/rerank"]
    assert endpoint.keys == [None]
    assert "model" not in endpoint.bodies[0]


def test_many_texts_go_in_several_requests(
    reranker: EndpointRelevance, endpoint: StubReranker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_DOCUMENTS", 2)
    assert reranker.score(QUESTION, TEXTS).tolist() == [0.0, 1.0, 0.5]
    assert [body["documents"] for body in endpoint.bodies] == [TEXTS[:2], TEXTS[2:]]


@pytest.mark.parametrize("status", [429, 500, 503, 0])
def test_a_busy_endpoint_is_asked_again_with_growing_pauses(
    reranker: EndpointRelevance, endpoint: StubReranker, status: int, no_pauses: list[float]
) -> None:
    endpoint.statuses = [status, status]
    assert reranker.score(QUESTION, TEXTS).tolist() == [0.0, 1.0, 0.5]
    assert no_pauses == [0.5, 1.0]


@pytest.mark.parametrize(
    ("statuses", "kind", "complaint", "requests"),
    [
        ([401], ModelUnavailable, r"refuses the API key \(401\): use a key with access to 'tiny'", 1),
        ([403], ModelUnavailable, "refuses the API key", 1),
        ([404], ModelUnavailable, r"has no reranker 'tiny', or is not the address of one \(404\)", 1),
        ([422], ModelUnsuitable, r"^The endpoint of 'tiny' rejects the request \(422: as told\)\.$", 1),
        ([429] * 3, ModelUnavailable, r"is rate-limiting requests \(429: as told\)", 3),
        ([503] * 3, ModelUnavailable, r"failed \(503: as told\): try again later", 3),
        ([0] * 3, ModelUnavailable, "cannot be reached, or closed the connection", 3),
    ],
)
def test_each_failure_has_its_message_and_none_shows_the_key(
    reranker: EndpointRelevance,
    endpoint: StubReranker,
    statuses: list[int],
    kind: type[SiftRagError],
    complaint: str,
    requests: int,
) -> None:
    endpoint.statuses = statuses
    with pytest.raises(kind, match=complaint) as raised:
        reranker.score(QUESTION, TEXTS)
    assert SECRET not in str(raised.value) + repr(reranker)
    assert len(endpoint.bodies) == requests


@pytest.mark.parametrize("error", [{"error": {"message": "deep"}}, {"detail": "deep"}, {"message": "deep"}])
def test_the_endpoint_s_own_words_are_found_where_servers_put_them(
    reranker: EndpointRelevance, endpoint: StubReranker, error: object
) -> None:
    endpoint.statuses, endpoint.error = [400], error
    with pytest.raises(ModelUnsuitable, match="400: deep"):
        reranker.score(QUESTION, TEXTS)


@pytest.mark.parametrize("score", [7.3, -0.2])
def test_scores_outside_zero_and_one_are_refused(
    reranker: EndpointRelevance, endpoint: StubReranker, score: float
) -> None:
    endpoint.score = lambda text: score
    with pytest.raises(ModelUnsuitable, match=f"'tiny' gave a score of {score}: expected scores in"):
        reranker.score(QUESTION, TEXTS)


@pytest.mark.parametrize(
    "reply",
    [
        b"<html>Welcome to the router</html>",
        b"[]",
        b"{}",
        b'{"results": [{"index": 0, "relevance_score": 0.5}]}',
        b'{"results": [{"index": 0}, {"index": 1}, {"index": 2}]}',
        b'{"results": [[0, 0.5]]}',
        b'{"results": 3}',
        b"\xff\xfe",
        b"[" * 100_000,
        ranking_of((0, 0.1), (0, 0.9), (1, 0.5), (2, 0.4)),
        ranking_of((0, 0.1), (7, 0.9), (1, 0.5), (2, 0.4)),
    ],
)
def test_a_reply_that_is_not_a_ranking_of_the_texts_is_told(
    reranker: EndpointRelevance, endpoint: StubReranker, reply: bytes
) -> None:
    endpoint.reply = reply
    with pytest.raises(ModelUnavailable, match="did not return a ranking of 3 texts"):
        reranker.score(QUESTION, TEXTS)


@pytest.mark.parametrize("value", [None, "high", "0.5", [1], {"a": 1}, 10**400])
def test_a_score_that_is_no_number_is_told(reranker: EndpointRelevance, endpoint: StubReranker, value: Any) -> None:
    results = [{"index": index, "relevance_score": value} for index in range(3)]
    endpoint.reply = json.dumps({"results": results}).encode()
    with pytest.raises(ModelUnsuitable, match="gave"):
        reranker.score(QUESTION, TEXTS)


def test_an_endpoint_that_is_not_there_is_told() -> None:
    with (
        EndpointRelevance("http://127.0.0.1:9/v1", max_retries=0) as relevance,
        pytest.raises(ModelUnavailable, match="cannot be reached"),
    ):
        relevance.score(QUESTION, TEXTS)


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://x", "", "http://", "http://[", "http://localhost:port", "http://local\nhost"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="expected one like http://localhost:8000/v1"):
        EndpointRelevance(url)


def test_a_retriever_takes_it(endpoint: StubReranker) -> None:
    relevance = open_relevance("tiny", base_url=endpoint.url, api_key=SECRET)
    assert isinstance(relevance, EndpointRelevance)
    with relevance:
        found = Retriever.from_texts(TEXTS, HashingEmbedder(), relevance=relevance).retrieve(QUESTION, 1)
    assert found.texts == ["flowers"]
    assert np.allclose([len(body["documents"]) for body in endpoint.bodies], 3)


@pytest.mark.parametrize("key", ["line\n" + SECRET, SECRET + "\r", "\u00e9" + SECRET, " " + SECRET, SECRET + "\x01"])
def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ConfigurationError, match="must be printable ASCII") as raised:
        EndpointRelevance("http://localhost:8000/v1", api_key=key)
    assert SECRET not in str(raised.value)


def test_an_address_with_a_password_is_refused_and_not_shown() -> None:
    with pytest.raises(ValueError, match="holds a user or a password") as raised:
        EndpointRelevance(f"http://me:{SECRET}@localhost:8000/v1")
    assert SECRET not in str(raised.value)


def test_the_parameters_of_an_address_stay_behind_its_path(endpoint: StubReranker) -> None:
    with EndpointRelevance(f"{endpoint.url}/?version=2") as relevance:
        relevance.score(QUESTION, TEXTS)
    assert endpoint.paths == ["/v1/rerank?version=2"]


def test_fewer_than_no_retries_are_refused() -> None:
    with pytest.raises(ValueError, match="max_retries must be >= 0"):
        EndpointRelevance("http://localhost:8000/v1", max_retries=-1)


def test_half_a_surrogate_pair_is_left_out(reranker: EndpointRelevance, endpoint: StubReranker) -> None:
    assert reranker.score("why\ud800", ["flowers\udfff"]).tolist() == [1.0]
    assert (endpoint.bodies[0]["query"], endpoint.bodies[0]["documents"]) == ("why", ["flowers"])


def test_a_reply_that_cannot_be_unpacked_is_told(reranker: EndpointRelevance, endpoint: StubReranker) -> None:
    endpoint.encoding = "gzip"
    with pytest.raises(ModelUnavailable, match="did not return a ranking: check that it is the address"):
        reranker.score(QUESTION, TEXTS)


def test_a_closed_one_says_so(endpoint: StubReranker) -> None:
    relevance = EndpointRelevance(endpoint.url)
    relevance.close()
    relevance.close()
    with pytest.raises(ModelUnavailable, match="was closed: open it again"):
        relevance.score(QUESTION, TEXTS)
