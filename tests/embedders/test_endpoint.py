from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from time import time
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sift_rag.embedders.endpoint import EmbedderEndpoint, EndpointEmbedder
from sift_rag.errors import ConfigurationError, ModelError, ModelUnavailable, ModelUnsuitable
from tests.embedders.stub_embeddings import DIMENSION, StubEmbeddings, stub_embeddings, vector_of


@pytest.fixture
def stub() -> Iterator[StubEmbeddings]:
    with stub_embeddings() as running:
        yield running


def opened(stub: StubEmbeddings, dimension: int | None = None, **fields: Any) -> EndpointEmbedder:
    return EmbedderEndpoint(stub.url, "stub", **{"patience": 0.2, **fields}).open(dimension=dimension)


def unit(text: str) -> np.ndarray:
    vector = np.asarray(vector_of(text))
    return vector / np.linalg.norm(vector)


def test_vectors_are_unit_rows_in_the_order_of_the_texts(stub: StubEmbeddings) -> None:
    texts = [f"text number {number}" for number in range(50)]
    rows = opened(stub, batch_size=4, concurrency=3).embed_passages(texts)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, [unit(text) for text in texts], atol=1e-6)


def test_the_order_holds_when_later_batches_answer_first(stub: StubEmbeddings) -> None:
    texts = [f"text {number}" for number in range(8)]
    stub.pause = lambda body: 0.2 if body["input"][0] == "text 0" else 0.0
    rows = opened(stub, batch_size=1, concurrency=8).embed_passages(texts)
    np.testing.assert_allclose(rows, [unit(text) for text in texts], atol=1e-6)


def test_no_more_requests_at_once_and_no_more_texts_in_one_than_allowed(stub: StubEmbeddings) -> None:
    stub.pause = lambda _: 0.02
    opened(stub, batch_size=3, concurrency=2).embed_passages([f"text {number}" for number in range(20)])
    assert stub.busiest <= 2
    assert max(len(body["input"]) for body in stub.bodies) <= 3


def test_a_request_is_bounded_in_size_too(stub: StubEmbeddings) -> None:
    opened(stub, dimension=DIMENSION, max_tokens=100_000).embed_passages(["word " * 10_000 for _ in range(6)])
    assert max(sum(map(len, body["input"])) for body in stub.bodies) <= 100_000


def test_no_texts_are_no_vectors(stub: StubEmbeddings) -> None:
    assert opened(stub, dimension=DIMENSION).embed_queries([]).shape == (0, DIMENSION)
    assert not stub.bodies


def test_the_dimension_is_detected_once(stub: StubEmbeddings) -> None:
    embedder = opened(stub)
    assert (embedder.dimension, embedder.dimension) == (DIMENSION, DIMENSION)
    assert len(stub.bodies) == 1


def test_nothing_is_sent_before_it_is_needed(stub: StubEmbeddings) -> None:
    embedder = opened(stub, dimension=DIMENSION)
    assert embedder.dimension == DIMENSION
    assert embedder.max_tokens > 0
    assert not stub.bodies


def test_the_index_decides_the_order(stub: StubEmbeddings) -> None:
    stub.edit = lambda body: {**body, "data": body["data"][::-1]}
    texts = ["one", "two", "three"]
    np.testing.assert_allclose(opened(stub).embed_passages(texts), [unit(text) for text in texts], atol=1e-6)


def test_without_an_index_the_order_of_the_reply_counts(stub: StubEmbeddings) -> None:
    stub.edit = lambda body: {**body, "data": [{"embedding": item["embedding"]} for item in body["data"]]}
    texts = ["one", "two", "three"]
    np.testing.assert_allclose(opened(stub).embed_passages(texts), [unit(text) for text in texts], atol=1e-6)


def test_prefixes_are_sent_and_the_room_for_them_is_kept(stub: StubEmbeddings) -> None:
    embedder = opened(stub, dimension=DIMENSION, query_prefix="query: ", passage_prefix="passage: ")
    embedder.embed_queries(["a"])
    embedder.embed_passages(["b"])
    assert stub.texts == ["query: a", "passage: b"]
    assert embedder.max_tokens < opened(stub).max_tokens


def test_the_key_is_sent_and_never_shown(stub: StubEmbeddings) -> None:
    endpoint = EmbedderEndpoint(stub.url, "stub", "secret-key")
    endpoint.open().embed_queries(["a"])
    assert stub.keys == ["Bearer secret-key"]
    assert "secret-key" not in f"{endpoint!r} {endpoint.open()!r}"


def test_the_environment_changes_neither_key_nor_account(stub: StubEmbeddings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "meant for another")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    opened(stub).embed_queries(["a"])
    assert stub.keys == ["Bearer none"]


def test_texts_are_cut_to_what_the_model_reads(stub: StubEmbeddings) -> None:
    embedder = opened(stub, dimension=DIMENSION, max_tokens=32)
    embedder.embed_passages(["word " * 500])
    assert len(embedder.tokenizer.encode(stub.texts[0])) == embedder.max_tokens


@pytest.mark.parametrize("text", ["", "  \n", "\ud800"])
def test_a_text_without_characters_has_a_vector_too(stub: StubEmbeddings, text: str) -> None:
    assert opened(stub).embed_passages([text]).shape == (1, DIMENSION)
    assert stub.texts[0].strip()


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(max_size=40), max_size=9), st.integers(1, 4), st.integers(1, 4))
def test_batches_and_threads_change_no_vector(
    stub: StubEmbeddings, texts: list[str], batch_size: int, concurrency: int
) -> None:
    whole = opened(stub, dimension=DIMENSION, concurrency=1).embed_passages(texts)
    parts = opened(stub, dimension=DIMENSION, batch_size=batch_size, concurrency=concurrency).embed_passages(texts)
    assert np.array_equal(whole, parts)


# Limits


def test_a_batch_that_is_too_large_is_halved_and_the_size_remembered(stub: StubEmbeddings) -> None:
    stub.most = 5
    embedder = opened(stub, dimension=DIMENSION, batch_size=16, concurrency=1)
    texts = [f"text {number}" for number in range(16)]
    np.testing.assert_allclose(embedder.embed_passages(texts), [unit(text) for text in texts], atol=1e-6)
    stub.bodies.clear()
    embedder.embed_passages(texts)
    assert [len(body["input"]) for body in stub.bodies] == [4, 4, 4, 4]


def test_a_text_that_is_too_long_for_the_endpoint_is_shortened_alone(stub: StubEmbeddings) -> None:
    stub.longest = 400
    embedder = opened(stub, dimension=DIMENSION, batch_size=4, concurrency=1)
    long = "letters " * 100
    rows = embedder.embed_passages(["a", "b", long, "c"])
    np.testing.assert_allclose(rows[[0, 1, 3]], [unit("a"), unit("b"), unit("c")], atol=1e-6)
    assert np.isfinite(rows).all()


def test_a_refusal_that_is_not_for_size_is_one_error(stub: StubEmbeddings) -> None:
    stub.always, stub.error = 400, {"error": {"message": "no such pooling"}}
    with pytest.raises(ModelUnsuitable, match="no such pooling"):
        opened(stub).embed_passages([f"text {number}" for number in range(32)])
    assert len(stub.bodies) < 10


def test_an_endpoint_that_finds_every_text_too_long_is_one_error(stub: StubEmbeddings) -> None:
    stub.longest = 0
    with pytest.raises(ModelUnsuitable, match="context length"):
        opened(stub).embed_passages(["word " * 300])
    assert len(stub.bodies) < 20


# Faults


@pytest.mark.slow
@pytest.mark.parametrize("statuses", [[429], [429, 429], [503], [500], [502], [0], [0, 0]])
def test_transient_failures_are_retried(stub: StubEmbeddings, statuses: list[int]) -> None:
    stub.statuses = statuses
    rows = opened(stub, dimension=DIMENSION, patience=60.0).embed_passages(["a"])
    np.testing.assert_allclose(rows, [unit("a")], atol=1e-6)


@pytest.mark.parametrize("status", [429, 503])
def test_an_endpoint_that_stays_busy_is_one_error(stub: StubEmbeddings, status: int) -> None:
    stub.always = status
    with pytest.raises(ModelUnavailable, match=f"{status}.*as told.*try again later"):
        opened(stub, batch_size=1).embed_passages([f"text {number}" for number in range(40)])
    assert len(stub.bodies) <= 8, "the other batches are given up"


@pytest.mark.parametrize("named", ["3600", "in an hour"])
def test_the_wait_that_a_busy_endpoint_names_is_not_begun_if_it_is_too_long(stub: StubEmbeddings, named: str) -> None:
    stub.always = 429
    stub.retry_after = formatdate(time() + 3600, usegmt=True) if named == "in an hour" else named
    with pytest.raises(ModelUnavailable, match="429"):
        opened(stub, patience=60.0).embed_passages(["a"])
    assert len(stub.bodies) == 1


@pytest.mark.parametrize("named", ["0", "-1", "nan", "inf", "soon", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_a_wait_that_makes_no_sense_is_not_taken_at_its_word(stub: StubEmbeddings, named: str) -> None:
    stub.statuses, stub.retry_after = [429], named
    assert opened(stub, patience=60.0).embed_passages(["a"]).shape == (1, DIMENSION)


def test_a_spent_quota_is_not_waited_for(stub: StubEmbeddings) -> None:
    stub.always, stub.error = 429, {"error": {"message": "You exceeded your current quota"}}
    with pytest.raises(ModelUnavailable, match="quota"):
        opened(stub, patience=60.0).embed_passages(["a"])
    assert len(stub.bodies) == 1


def edited(change: Callable[[list[dict[str, Any]]], Any]) -> Callable[[dict[str, Any]], Any]:
    return lambda body: {**body, "data": change(body["data"])}


def with_vectors(*vectors: object) -> Callable[[dict[str, Any]], Any]:
    return edited(lambda data: [{**item, "embedding": vector} for item, vector in zip(data, vectors, strict=True)])


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (edited(lambda data: data[:1]), "1 vectors for 2 texts"),
        (edited(lambda data: [*data, data[0]]), "3 vectors for 2 texts"),
        (edited(lambda data: [{**item, "index": 0} for item in data]), "index"),
        (edited(lambda data: [{**item, "index": item["index"] + 1} for item in data]), "index"),
        (edited(lambda data: [{**data[0], "index": "first"}, data[1]]), "index"),
        (edited(lambda _: None), "no list of vectors|No embedding data"),
        (edited(lambda _: {}), "no list of vectors|No embedding data"),
        (edited(lambda _: [1, 2]), "index|not a list of numbers"),
        (with_vectors([1.0, float("nan")], [1.0, 2.0]), "not finite"),
        (with_vectors([1.0, float("inf")], [1.0, 2.0]), "not finite"),
        (with_vectors([0.0, 0.0], [1.0, 2.0]), "norm 0"),
        (with_vectors([1.0, 2.0, 3.0], [1.0, 2.0]), "dimensions"),
        (with_vectors([], [1.0, 2.0]), "not a list of numbers"),
        (with_vectors([None, 1.0], [1.0, 2.0]), "not finite|not a list of numbers"),
        (with_vectors(["a", "b"], [1.0, 2.0]), "not a list of numbers"),
        (with_vectors("AACAPwAAAEA=", [1.0, 2.0]), "not a list of numbers"),
        (with_vectors([[1.0], [2.0]], [1.0, 2.0]), "not a list of numbers"),
        (lambda _: [], "no list of vectors|not embeddings"),
        (lambda _: None, "no list of vectors|not embeddings"),
        (lambda _: {"error": "model not loaded"}, "no list of vectors|No embedding data"),
    ],
)
def test_a_reply_that_is_not_a_vector_for_each_text_is_one_error(
    stub: StubEmbeddings, edit: Callable[[dict[str, Any]], Any], words: str
) -> None:
    stub.edit = edit
    with pytest.raises(ModelError, match=words) as caught:
        opened(stub).embed_passages(["one", "two"])
    assert stub.url in str(caught.value)


@pytest.mark.parametrize(
    "reply", [("text/html", b"<html>Welcome</html>"), ("application/json", b"{"), ("application/json", b"[" * 100_000)]
)
def test_a_reply_that_is_not_json_is_one_error(stub: StubEmbeddings, reply: tuple[str, bytes]) -> None:
    stub.reply = reply
    with pytest.raises(ModelUnavailable, match="not embeddings"):
        opened(stub).embed_passages(["one"])


def test_another_dimension_than_before_is_one_error(stub: StubEmbeddings) -> None:
    embedder = opened(stub, batch_size=1)
    assert embedder.dimension == DIMENSION
    stub.vector = lambda text: vector_of(text, 5)
    with pytest.raises(ModelUnsuitable, match=r"5 dimensions.*expected 8"):
        embedder.embed_passages(["a", "b"])


@pytest.mark.parametrize(("status", "words"), [(401, "API key"), (403, "API key"), (404, "no model 'stub'")])
def test_a_refused_key_and_an_unknown_model_are_not_retried(stub: StubEmbeddings, status: int, words: str) -> None:
    stub.always, stub.error = status, {"error": {"message": "bad key secret-key"}}
    with pytest.raises(ModelUnavailable, match=words) as caught:
        EmbedderEndpoint(stub.url, "stub", "secret-key").open().embed_passages(["a"])
    assert len(stub.bodies) == 1
    assert "secret-key" not in str(caught.value)


@pytest.mark.slow
def test_nobody_at_the_address_is_one_error(stub: StubEmbeddings) -> None:
    with pytest.raises(ModelUnavailable, match="cannot be reached"):
        EmbedderEndpoint("http://127.0.0.1:9/v1", "stub").open().embed_passages(["a"])


# The description


def test_the_name_is_that_of_the_same_model_on_this_machine(stub: StubEmbeddings) -> None:
    embedder = EmbedderEndpoint(stub.url, "sentence-transformers/all-MiniLM-L6-v2").open()
    embedder.embed_queries(["a"])
    assert embedder.name == "all-MiniLM-L6-v2"
    assert stub.bodies[0]["model"] == "sentence-transformers/all-MiniLM-L6-v2"


def test_a_name_is_needed() -> None:
    endpoint = EmbedderEndpoint("http://localhost:1/v1")
    with pytest.raises(ConfigurationError, match="needs the name of a model"):
        endpoint.open()
    assert endpoint.open("recorded").name == "recorded"
    assert replace(endpoint, name="own").open("recorded").name == "own"


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://x/v1", "http://", "http://me:secret@localhost/v1"])
def test_an_address_is_one_of_http_without_a_password(url: str) -> None:
    with pytest.raises(ValueError, match="The embedder's address") as caught:
        EmbedderEndpoint(url, "stub")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "fields", [{"max_tokens": 8}, {"batch_size": 0}, {"concurrency": 0}, {"patience": -1.0}, {"patience": float("nan")}]
)
def test_numbers_out_of_range_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(fields))):
        EmbedderEndpoint("http://localhost:1/v1", "stub", **fields)


def test_a_tokenizer_from_a_file_counts_exactly(stub: StubEmbeddings, tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    for named in (tmp_path, tmp_path / "tokenizer.json"):
        embedder = opened(stub, dimension=DIMENSION, tokenizer=str(named), max_tokens=100)
        assert len(embedder.tokenizer.encode("internationalisation matters").ids) == 2
        assert embedder.max_tokens == 100


def test_a_file_that_is_no_tokenizer_is_one_error(stub: StubEmbeddings, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelUnsuitable, match="is not a tokenizer"):
        _ = opened(stub, tokenizer=str(tmp_path)).tokenizer
    with pytest.raises(ModelUnavailable, match="There is no file"):
        _ = opened(stub, tokenizer=str(tmp_path / "none.json")).tokenizer
