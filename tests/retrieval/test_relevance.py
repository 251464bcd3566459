"""Reranker scores in retrieval and reranking: their effect, and that each pair is scored once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from sift_rag import (
    Mmr,
    ModelUnsuitable,
    Nearest,
    Query,
    Reranker,
    Retriever,
    SearchOptions,
    Sift,
    open_reranker,
    open_retriever,
)
from sift_rag.protocols import Relevance
from tests.doubles import HashingEmbedder, WordRelevance

TEXTS = [
    "owls hunt mice at night with silent wings",
    "owls hunt mice at night with quiet wings",
    "bees dance to show where flowers grow",
    "rain falls in spring and flowers grow",
    "mice eat grain and hide from owls",
    "flowers flowers need rain in spring",
]
QUESTION = "how do owls hunt mice"


def retriever(relevance: Relevance | None, texts: Sequence[str] = TEXTS, **options: Any) -> Retriever:
    return Retriever.from_texts(texts, HashingEmbedder(), relevance=relevance, **options)


def test_the_reranker_decides_what_is_relevant_and_the_kernel_what_is_redundant() -> None:
    plain = retriever(None).retrieve(QUESTION, 2)
    got = retriever(WordRelevance("flowers")).retrieve(QUESTION, 3)
    assert "owls" in plain.texts[0]
    assert got.texts[0] == TEXTS[5]
    assert all("flowers" in text for text in got.texts)
    both = retriever(WordRelevance("wings"), selector=Sift(follow=0)).retrieve(QUESTION, 6)
    assert len({TEXTS[0], TEXTS[1]} & set(both.texts[:1])) == 1
    again = next(hit for hit in both.hits[1:] if hit.passage.text in TEXTS[:2])
    assert again.gain < again.relevance


@pytest.mark.parametrize("selector", [Sift(follow=0), Nearest(), Mmr(relevance=1.0)])
def test_the_first_hit_is_the_best_scored_whatever_the_selector(selector: Any) -> None:
    got = retriever(WordRelevance("flowers"), selector=selector).retrieve(QUESTION, 6)
    assert got.texts[0] == TEXTS[5]
    assert got.irreducible_variance > 0
    variances = [got.prior_variance, *(hit.posterior_variance for hit in got.hits)]
    assert variances == sorted(variances, reverse=True)


def test_each_pair_is_scored_once_also_what_the_second_search_finds() -> None:
    texts = [f"{word} {number} grows near the river" for number in range(40) for word in ("oak", "elm", "ash")]
    reranker = WordRelevance("elm")
    found = retriever(reranker, texts, candidate_limit=5, keep_copies=True).retrieve(
        ["oak 3 grows", "where is ash 7"], 8
    )
    counts = Counter(reranker.scored)
    assert set(counts.values()) == {1}
    assert {question for question, _ in counts} == {"oak 3 grows", "where is ash 7"}
    assert len(counts) == 2 * found.candidates
    assert found.candidates > 10  # the second search found more


def test_the_same_question_twice_is_scored_once() -> None:
    reranker = WordRelevance("flowers")
    retriever(reranker).retrieve([QUESTION, QUESTION], 2)
    assert set(Counter(reranker.scored).values()) == {1}


def test_a_long_question_is_scored_as_a_whole() -> None:
    reranker = WordRelevance("flowers")
    question = "owls " * 150
    found = retriever(reranker).retrieve(question, 2)
    assert found.targets == 3
    assert {asked for asked, _ in reranker.scored} == {question}
    assert set(Counter(reranker.scored).values()) == {1}


def test_what_is_known_is_not_scored_and_tells_by_the_kernel() -> None:
    reranker = WordRelevance("flowers")
    found = retriever(reranker, selector=Sift(follow=0)).retrieve(Query(QUESTION, 2, known_texts=(TEXTS[0],)))
    assert TEXTS[0] not in {text for _, text in reranker.scored}
    alone = retriever(reranker, selector=Sift(follow=0)).retrieve(Query(QUESTION, 2))
    assert found.prior_variance < alone.prior_variance


def test_an_exact_selection_with_a_reranker_is_refused() -> None:
    with pytest.raises(ValueError, match="leave out one of the two"):
        retriever(WordRelevance("flowers")).retrieve(Query(QUESTION, 2, exact=True))


def test_a_reranker_without_relevant_candidates_leaves_much_variance() -> None:
    none, some = (retriever(WordRelevance(word)).retrieve(QUESTION, 2) for word in ("zebra", "flowers"))
    assert none.irreducible_variance / none.prior_variance > some.irreducible_variance / some.prior_variance


class Faulty:
    name = "faulty"

    def __init__(self, scores: Any) -> None:
        self._scores = scores

    def score(self, question: str, texts: Sequence[str]) -> Any:
        return self._scores(len(texts))


@pytest.mark.parametrize(
    ("scores", "complaint"),
    [
        (lambda n: np.full(n, math.nan), "'faulty' gave a score of nan: expected scores in"),
        (lambda n: np.full(n, 3.2), "gave a score of 3.2"),
        (lambda n: np.zeros(n + 1), "expected one for each of"),
        (lambda n: np.zeros((n, 2)), "expected one for each of"),
        (lambda n: ["high"] * n, "other than a list of numbers"),
    ],
)
def test_a_reranker_that_gives_no_scores_is_named(scores: Any, complaint: str) -> None:
    with pytest.raises(ModelUnsuitable, match=complaint):
        retriever(Faulty(scores)).retrieve(QUESTION, 2)
    with pytest.raises(ModelUnsuitable, match=complaint):
        Reranker(HashingEmbedder(), relevance=Faulty(scores)).rerank(QUESTION, TEXTS)


def test_it_is_opened_with_the_collection_and_by_options() -> None:
    store = retriever(None).store
    reranker = WordRelevance("flowers")
    assert open_retriever(store, embedder=HashingEmbedder(), relevance=reranker).relevance is reranker
    assert SearchOptions().retriever(HashingEmbedder(), store, reranker).relevance is reranker
    assert open_reranker(HashingEmbedder(), relevance=reranker).relevance is reranker


# Reranking


def test_given_scores_order_the_texts_and_the_first_score_is_the_first_text_s_own() -> None:
    relevance = [0.2, 0.1, 0.3, 0.9, 0.4, 0.15]
    got = Reranker(HashingEmbedder()).rerank(QUESTION, TEXTS, relevance=relevance)
    assert got.ranked[0].index == 3
    assert got.ranked[0].score == pytest.approx(0.9)
    scores = [text.score for text in got.ranked]
    assert all(before > after > 0 for before, after in pairwise(scores))
    nearest = Reranker(HashingEmbedder(), selector=Nearest()).rerank(QUESTION, TEXTS, relevance=relevance)
    assert [text.index for text in nearest.ranked] == [3, 4, 2, 0, 5, 1]


def test_scores_belong_to_the_texts_as_they_came_in_whatever_is_blank_or_a_copy() -> None:
    texts = ["", TEXTS[2], TEXTS[2], TEXTS[3], " "]
    got = Reranker(HashingEmbedder()).rerank(QUESTION, texts, relevance=[1.0, 0.1, 0.1, 0.8, 1.0])
    assert [text.index for text in got.ranked] == [3, 1, 2, 0, 4]
    assert got.ranked[2].copy_of == 1


def test_a_row_of_scores_for_each_of_several_questions() -> None:
    rows = np.array([[0.9, 0.1, 0.1, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.8, 0.1, 0.1]])
    got = Reranker(HashingEmbedder()).rerank(["owls?", "rain?"], TEXTS, k=2, relevance=rows)
    assert {text.index for text in got.ranked[:2]} == {0, 3}


def test_a_reranker_of_its_own_is_asked_once_for_each_distinct_text_and_given_scores_win() -> None:
    reranker = WordRelevance("flowers")
    own = Reranker(HashingEmbedder(), relevance=reranker)
    texts = [*TEXTS, TEXTS[0], " "]
    got = own.rerank(QUESTION, texts)
    assert got.ranked[0].index == 5
    assert sorted(text for _, text in reranker.scored) == sorted(TEXTS)
    reranker.scored.clear()
    assert own.rerank(QUESTION, TEXTS, relevance=[0.1, 0.9, 0.1, 0.1, 0.1, 0.1]).ranked[0].index == 1
    assert reranker.scored == []


@pytest.mark.parametrize(
    ("relevance", "complaint"),
    [
        ([0.1] * 5, r"one score for each of 6 texts, but its shape is \(5,\)"),
        ([], "one score for each of 6 texts"),
        ([0.1, 0.1, math.nan, 0.1, 0.1, 0.1], "number 2 of the texts has nan"),
        ([0.1, 0.1, 0.1, 0.1, 0.1, 1.5], "number 5 of the texts has 1.5"),
        ([[0.1] * 6] * 2, r"shape is \(2, 6\)"),
    ],
)
def test_scores_that_cannot_be_used_are_refused(relevance: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Reranker(HashingEmbedder()).rerank(QUESTION, TEXTS, relevance=relevance)


def test_no_texts_give_an_empty_ranking() -> None:
    reranker = Reranker(HashingEmbedder(), relevance=WordRelevance("flowers"))
    assert reranker.rerank(QUESTION, []).ranked == ()
    assert reranker.rerank(QUESTION, [], relevance=[]).ranked == ()


@pytest.mark.parametrize("make", [lambda: Reranker(HashingEmbedder(), relevance="tiny"), lambda: retriever("tiny")])  # type: ignore[arg-type]
def test_the_name_of_a_reranker_is_none(make: Any) -> None:
    with pytest.raises(TypeError, match="relevance must be a Relevance, but got 'tiny': open_relevance"):
        make()
