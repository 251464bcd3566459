"""Bad input: the dialect's own error, the right status, never a 500."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest

from sift_rag import defaults
from sift_rag.retrieval.options import SearchOptions
from sift_rag.selection.settings import selector_settings
from sift_rag_server import Limits
from tests.http.serving import Served, serving

TEXT = {"query": "a question", "documents": ["a document", "another"]}


def check_error(reply: Any, status: int, message: str) -> None:
    body = reply.json()
    assert reply.status_code == status
    assert message in body["message"]
    assert body["detail"] == body["error"]["message"] == body["message"]
    assert body["error"]["code"] == status
    assert body["id"] == reply.headers["x-request-id"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'{"query": "\\ud800", "documents": ["a"]}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b"{}", "The field 'query' is missing."),
    ],
)
@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank", "/v1/search"])
def test_a_body_that_is_no_request_is_a_400(served: Served, path: str, body: bytes, message: str) -> None:
    check_error(served.client.post(path, content=body), 400, message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query": None}, "'query'"),
        ({"query": ""}, "'query'"),
        ({"query": " \n"}, "'query'"),
        ({"query": []}, "'query'"),
        ({"query": 3}, "'query'"),
        ({"documents": None}, "'documents'"),
        ({"documents": []}, "'documents'"),
        ({"documents": "a text"}, "'documents'"),
        ({"documents": [3]}, "'documents'"),
        ({"documents": [None]}, "'documents'"),
        ({"documents": [{"title": "no text"}]}, "Document 0 has no text under 'text'"),
        ({"documents": [{"text": 3}]}, "Document 0 has no text"),
        ({"top_n": -1}, "'top_n'"),
        ({"top_n": "three"}, "'top_n'"),
        ({"top_n": True}, "'top_n'"),
        ({"return_documents": "yes"}, "'return_documents'"),
        ({"model": 3}, "'model'"),
        ({"embeddings": [[1.0] * 64]}, "1 embeddings for 2 documents"),
        ({"embeddings": [[1.0] * 64, [1.0] * 3]}, "(3,)"),
        ({"embeddings": [[0.0] * 64, None]}, "norm 0"),
        ({"embeddings": [[float("nan")] * 64, None]}, "not finite"),
        ({"embeddings": [[float("inf")] + [0.0] * 63, None]}, "not finite"),
        ({"embeddings": [["a"] * 64, None]}, "'embeddings'"),
        ({"embeddings": [[], None]}, "(0,)"),
        ({"sift": {"k": 0}}, "'sift.k'"),
        ({"sift": {"settings": {"noise_variance": -1.0}}}, "noise_variance"),
        ({"sift": {"settings": {"centring": 1.0}}}, "centring"),
        ({"sift": {"settings": {"lenghtscale": 1.0}}}, "Did you mean 'lengthscale'?"),
        ({"sift": {"selector": "mrr"}}, "Did you mean 'mmr'?"),
        ({"sift": {"noise_variance": 0.1}}, "Unknown field 'noise_variance'"),
        ({"sift": {"weights": [1.0, 1.0]}}, "1 questions"),
        ({"sift": {"settings": {"with_repeats": True}}}, "repeats"),
        ({"query": "long " * 2000}, "too long"),
    ],
)
def test_a_field_that_cannot_be_used_is_named_in_a_400(served: Served, change: dict[str, object], message: str) -> None:
    check_error(served.client.post("/v2/rerank", content=json.dumps(TEXT | change)), 400, message)


def test_a_huge_number_is_refused_or_taken_and_breaks_nothing(served: Served) -> None:
    vectors = f"[[{'9' * 400}{', 1' * 63}], null]"
    body = json.dumps(TEXT).removesuffix("}") + f', "embeddings": {vectors}}}'
    assert served.client.post("/v2/rerank", content=body).status_code == 400


def test_an_unknown_model_is_a_404_that_names_the_known_ones(served: Served) -> None:
    check_error(served.client.post("/v1/rerank", json={**TEXT, "model": "rerank-v3.5"}), 404, "'sift', 'hashing'")


def test_a_name_that_the_server_was_told_of_is_known() -> None:
    with serving(served_names=("rerank-v3.5",)) as served:
        assert served.rerank(**TEXT, model="rerank-v3.5").json()["model"] == "rerank-v3.5"


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"query": "q", "texts": "a"}, 422, "'texts'"),
        ({"query": "q", "texts": [1]}, 422, "'texts'"),
        ({"query": "q", "texts": []}, 422, "'texts'"),
        ({"texts": ["a"]}, 422, "'query'"),
        ({"query": "q", "texts": ["a"] * 1001}, 413, "1,001 texts"),
    ],
)
def test_tei_errors_have_teis_shape(served: Served, body: dict[str, object], status: int, message: str) -> None:
    reply = served.client.post("/rerank", json=body)
    assert reply.status_code == status
    assert message in reply.json()["error"]
    assert reply.json()["error_type"] == "Validation"


def test_ten_thousand_documents_are_a_413(served: Served) -> None:
    check_error(served.rerank("q", ["a"] * 10_000), 413, "10,000 documents; at most 1,000")


def test_a_body_of_ten_megabytes_is_a_413_declared_or_not(served: Served) -> None:
    body = json.dumps({"query": "q", "documents": ["a" * 10_000_000]}).encode()
    check_error(served.client.post("/rerank", content=body), 413, "larger than 8,388,608 bytes")
    in_chunks = (body[start : start + 65_536] for start in range(0, len(body), 65_536))
    check_error(served.client.post("/rerank", content=in_chunks), 413, "larger than 8,388,608 bytes")


def test_a_text_beyond_the_limit_is_a_413() -> None:
    with serving(limits=Limits(characters=100)) as served:
        check_error(served.rerank("q", ["a" * 101]), 413, "101 characters")
        check_error(served.rerank("q" * 101, ["a"]), 413, "101 characters")
        assert served.rerank("q", ["a" * 100]).status_code == 200


def test_paths_and_methods_that_there_are_not_have_the_same_shape(served: Served) -> None:
    check_error(served.client.get("/v3/rerank"), 404, "Not Found")
    reply = served.client.get("/v1/rerank")
    check_error(reply, 405, "Method Not Allowed")
    assert reply.headers["allow"] == "POST"


def test_an_error_tells_nothing_that_was_sent(served: Served) -> None:
    for body in ({"query": "q", "documents": [{"secret": "s3cr3t"}]}, {"query": "q", "documents": "s3cr3t"}):
        assert "s3cr3t" not in served.client.post("/rerank", json=body).text


NUMBERS = [
    "1e160",
    "1e-160",
    "1e308",
    "5e-324",
    "-1e160",
    "-0.0",
    "0",
    "NaN",
    "Infinity",
    "-Infinity",
    "1e400",
    "9" * 400,
]
SETTINGS = sorted({(name, setting) for name in defaults.SELECTORS for setting in selector_settings(name)})


@pytest.mark.parametrize(("selector", "setting"), SETTINGS)
def test_no_number_in_a_setting_is_a_bug(served: Served, selector: str, setting: str) -> None:
    for number in NUMBERS:
        sift = f'{{"selector": "{selector}", "settings": {{"{setting}": {number}}}}}'
        body = f'{{"query": ["a fox", "a whale"], "documents": ["a fox eats", "whales", "more"], "sift": {sift}}}'
        reply = served.client.post("/rerank", content=body)
        assert reply.status_code in {200, 400}, (number, reply.text)


@pytest.mark.parametrize("option", sorted(field.name for field in fields(SearchOptions)))
def test_no_number_in_an_option_is_a_bug(served: Served, option: str) -> None:
    for number in [*NUMBERS, "[]", "[0, 0]", "[1e308, 1e308]", "[5e-324, 0]", "{}", '""', "null"]:
        reply = served.client.post("/v1/search", content=f'{{"query": ["a fox", "a whale"], "{option}": {number}}}')
        assert reply.status_code in {200, 400, 404}, (number, reply.text)


def test_duplicates_all_come_back(served: Served) -> None:
    results = served.rerank("q", ["the same"] * 50).json()["results"]
    assert sorted(result["index"] for result in results) == list(range(50))
    assert [result["sift"]["copy_of"] for result in results] == [None] + [0] * 49


def test_a_whole_number_may_be_written_with_a_point(served: Served) -> None:
    assert len(served.rerank("q", ["a", "b"], top_n=1.0).json()["results"]) == 1
    check_error(served.rerank("q", ["a", "b"], top_n=1.5), 400, "'top_n'")
