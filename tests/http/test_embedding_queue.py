"""Texts of several requests through one embedder, and their cache."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from sift_rag_server.batching import BATCH, EmbeddingQueue
from sift_rag_server.cache import Embedded, EmbeddingCache, cache_keys
from sift_rag_server.metrics import Metrics
from tests.doubles import HashingEmbedder
from tests.http.gates import FailingEmbedder, GatedEmbedder

MEGABYTE = 2**20


@pytest.fixture
def embedder() -> GatedEmbedder:
    return GatedEmbedder()


@pytest.fixture
def queue(embedder: GatedEmbedder) -> Iterator[EmbeddingQueue]:
    queue = EmbeddingQueue(embedder, EmbeddingCache(MEGABYTE), Metrics())
    yield queue
    embedder.open.set()
    queue.close()


def rows(embedded: list[Embedded]) -> list[list[float]]:
    return [entry.row.tolist() for entry in embedded]


def test_each_text_gets_its_own_vector_in_order(queue: EmbeddingQueue, embedder: GatedEmbedder) -> None:
    embedder.open.set()
    texts = [f"text {number % 70}" for number in range(200)]
    found = queue.embed(texts, "passage").result(30)
    assert rows(found) == HashingEmbedder().embed_queries(texts).tolist()
    assert [entry.tokens for entry in found] == [2] * 200


def test_no_texts_are_no_vectors(queue: EmbeddingQueue) -> None:
    assert queue.embed([], "passage").result(30) == []


def test_what_waits_is_embedded_together_and_each_text_once(queue: EmbeddingQueue, embedder: GatedEmbedder) -> None:
    first = queue.embed(["first"], "passage")
    assert embedder.arrived.wait(30)
    waiting = [queue.embed([f"own {number}", "shared"], "passage") for number in range(5)]
    embedder.open.set()
    results = [future.result(30) for future in [first, *waiting]]
    assert embedder.calls[0] == ["first"]
    assert sorted(embedder.calls[1]) == [*(f"own {number}" for number in range(5)), "shared"]
    assert len(embedder.calls) == 2
    assert rows(results[3]) == HashingEmbedder().embed_queries(["own 2", "shared"]).tolist()


def test_a_short_request_is_in_the_next_batch_whatever_waits_before_it(
    queue: EmbeddingQueue, embedder: GatedEmbedder
) -> None:
    queue.embed(["first"], "passage")
    assert embedder.arrived.wait(30)
    long = queue.embed([f"long {number}" for number in range(1000)], "passage")
    short = queue.embed(["short"], "passage")
    embedder.open.set()
    assert len(short.result(30)) == 1
    assert len(long.result(30)) == 1000
    assert "short" in embedder.calls[1]
    assert len(embedder.calls[1]) == BATCH


def test_more_requests_than_places_take_turns(queue: EmbeddingQueue, embedder: GatedEmbedder) -> None:
    queue.embed(["first"], "passage")
    assert embedder.arrived.wait(30)
    futures = [queue.embed([f"{number} a", f"{number} b"], "passage") for number in range(BATCH + 10)]
    embedder.open.set()
    for future in futures:
        assert len(future.result(30)) == 2
    assert {text.split()[0] for text in embedder.calls[1]} == {str(number) for number in range(BATCH)}
    assert {text.split()[0] for text in embedder.calls[2]} >= {str(number) for number in range(BATCH, BATCH + 10)}


def test_questions_go_before_passages(queue: EmbeddingQueue, embedder: GatedEmbedder) -> None:
    queue.embed(["first"], "passage")
    assert embedder.arrived.wait(30)
    queue.embed(["a passage"], "passage")
    question = queue.embed(["a question"], "query")
    embedder.open.set()
    question.result(30)
    assert embedder.calls[1] == ["a question"]


def test_a_text_that_was_embedded_is_not_embedded_again(queue: EmbeddingQueue, embedder: GatedEmbedder) -> None:
    embedder.open.set()
    made = queue.embed(["a", "b"], "passage").result(30)
    again = queue.embed(["b", "c", "a"], "passage").result(30)
    assert embedder.calls == [["a", "b"], ["c"]]
    assert rows(again)[::2] == rows(made)[::-1]


def test_a_text_that_waited_while_another_request_had_it_embedded_is_not_embedded_again(
    queue: EmbeddingQueue, embedder: GatedEmbedder
) -> None:
    first = queue.embed(["shared"], "passage")
    assert embedder.arrived.wait(30)
    second = queue.embed(["shared"], "passage")
    embedder.open.set()
    assert rows(first.result(30)) == rows(second.result(30))
    assert [text for call in embedder.calls for text in call] == ["shared"]


def test_a_text_is_kept_as_a_question_and_as_a_passage_apart(queue: EmbeddingQueue, embedder: GatedEmbedder) -> None:
    embedder.open.set()
    queue.embed(["a"], "passage").result(30)
    queue.embed(["a"], "query").result(30)
    assert embedder.calls == [["a"], ["a"]]


def test_what_nobody_waits_for_any_more_is_left_out(queue: EmbeddingQueue, embedder: GatedEmbedder) -> None:
    queue.embed(["first"], "passage")
    assert embedder.arrived.wait(30)
    assert queue.embed(["unwanted"], "passage").cancel()
    wanted = queue.embed(["wanted"], "passage")
    embedder.open.set()
    wanted.result(30)
    assert embedder.calls == [["first"], ["wanted"]]


def test_a_failure_is_told_to_who_waited_and_the_next_request_is_served() -> None:
    embedder = FailingEmbedder(ValueError("no"))
    queue = EmbeddingQueue(embedder, EmbeddingCache(MEGABYTE), Metrics())
    with pytest.raises(ValueError, match="no"):
        queue.embed(["a"] * 3, "passage").result(30)
    assert len(queue.embed(["a"], "query").result(30)) == 1
    queue.close()


def test_closing_cancels_what_waits() -> None:
    embedder = GatedEmbedder()
    queue = EmbeddingQueue(embedder, EmbeddingCache(MEGABYTE), Metrics())
    queue.embed(["first"], "passage")
    assert embedder.arrived.wait(30)
    waiting = queue.embed(["second"], "passage")
    embedder.open.set()
    queue.close()
    assert waiting.cancelled() or waiting.result(30)


def entry(dimension: int = 384) -> Embedded:
    return Embedded(np.zeros(dimension, dtype=np.float32), 1)


def test_the_cache_lets_go_of_what_was_not_used_for_longest() -> None:
    cache = EmbeddingCache(3 * (384 * 4 + 400))
    for name in (b"a", b"b", b"c"):
        cache.put(name, entry())
    cache.get([b"a"])
    cache.put(b"d", entry())
    assert [found is not None for found in cache.get([b"a", b"b", b"c", b"d"])] == [True, False, True, True]


def test_the_cache_holds_no_more_than_it_may() -> None:
    limit = 4 * MEGABYTE
    cache = EmbeddingCache(limit)
    tracemalloc.start()
    try:
        for key in cache_keys("space", "passage", list(map(str, range(10_000)))):
            cache.put(key, entry())
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert cache.size <= limit
    assert 0.7 * limit < held < 1.1 * limit


def test_putting_a_text_again_counts_it_once() -> None:
    cache = EmbeddingCache(MEGABYTE)
    cache.put(b"a", entry())
    size = cache.size
    cache.put(b"a", entry())
    assert (len(cache), cache.size) == (1, size)


def test_a_cache_of_no_bytes_keeps_nothing() -> None:
    cache = EmbeddingCache(0)
    cache.put(b"a", entry())
    assert (len(cache), cache.size) == (0, 0)


def test_keys_differ_in_every_part_and_do_not_run_together() -> None:
    triples = [("ab", "c", "d"), ("a", "bc", "d"), ("a", "b", "cd"), ("ab", "c", "D"), ("ab", "", "cd")]
    assert len({cache_keys(space, role, [text])[0] for space, role, text in triples}) == len(triples)
