"""Given texts ranked by what each adds, with scores that can be compared with a threshold."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sift_rag import open_reranker
from sift_rag.defaults import SELECTORS
from sift_rag.retrieval.reranker import Reranker, Reranking
from sift_rag.selection import Sift
from tests.doubles import HashingEmbedder
from tests.examples import examples
from tests.oracles import selector as make_selector
from tests.oracles import unit_rows

QUESTION = "how do owls hunt mice at night"
TEXTS = [
    "rain falls in spring and flowers grow",
    "owls hunt mice at night with silent wings",
    "owls hunt mice at night with quiet wings",
    "bees dance to show where flowers grow",
    "mice eat grain and hide from owls",
]
STRICT = make_selector(lengthscale=1.0, noise_variance=0.1, words=0.0)


def scores(reranking: Reranking) -> list[float]:
    return [text.score for text in reranking.ranked]


def order(reranking: Reranking) -> list[int]:
    return [text.index for text in reranking.ranked]


class PlacedEmbedder(HashingEmbedder):
    """An embedder that places the question and each text where the test says."""

    def __init__(self, question: np.ndarray, rows: np.ndarray) -> None:
        super().__init__(dimension=len(question))
        self.places = {"?": question} | {f"text {'abcdefghijklmnopqrstuvwxyz'[i]}": row for i, row in enumerate(rows)}

    def _vector(self, text: str) -> np.ndarray:
        row = self.places[text]
        return (row / np.linalg.norm(row)).astype(np.float32)

    @property
    def texts(self) -> list[str]:
        return [text for text in self.places if text != "?"]


@pytest.fixture
def reranker() -> Reranker:
    return Reranker(HashingEmbedder())


def test_every_text_comes_back_once_and_what_was_picked_comes_first(reranker: Reranker) -> None:
    got = reranker.rerank(QUESTION, TEXTS, k=2)
    assert sorted(order(got)) == [0, 1, 2, 3, 4]
    assert [text.selected for text in got.ranked] == [True, True, False, False, False]
    assert got.questions == (QUESTION,)
    assert [text.posterior_variance is None for text in got.ranked] == [False, False, True, True, True]


def test_a_paraphrase_of_the_first_pick_gives_way_and_says_to_which_pick() -> None:
    got = Reranker(HashingEmbedder(), selector=STRICT).rerank(QUESTION, TEXTS, k=2)
    nearest = Reranker(HashingEmbedder(), selector=make_selector("nearest")).rerank(QUESTION, TEXTS, k=2)
    assert set(order(nearest)[:2]) == {1, 2}
    assert len({1, 2} & set(order(got)[:2])) == 1
    paraphrase = next(text for text in got.ranked[2:] if text.index in {1, 2})
    assert paraphrase.redundant_with == got.ranked[0].index
    assert paraphrase.gain < 0.7 * paraphrase.relevance


@given(seed=st.integers(0, 2**20), n=st.integers(1, 26), k=st.integers(1, 30), targets=st.integers(1, 3))
@settings(max_examples=examples(15), deadline=None)
@pytest.mark.parametrize("name", list(SELECTORS))
def test_scores_fall_strictly_within_zero_and_one_whatever_the_selector(
    name: Any, seed: int, n: int, k: int, targets: int
) -> None:
    rng = np.random.default_rng(seed)
    rows, questions = unit_rows(rng, n, 4, spread=rng.choice([0.05, 1.0])), unit_rows(rng, targets, 4)
    embedder = PlacedEmbedder(questions[0], rows)
    embedder.places |= {f"?{i}": row for i, row in enumerate(questions)}
    reranker = Reranker(embedder, selector=make_selector(name) if seed % 2 else None)
    texts = [text for text in embedder.texts if not text.startswith("?")]
    got = reranker.rerank([f"?{i}" for i in range(targets)], texts, k=k if seed % 3 else None)
    assert sorted(order(got)) == list(range(n))
    read = np.array(json.loads(json.dumps(scores(got))), dtype=np.float32)
    assert (np.diff(read) < 0).all()
    assert 0 < read[-1] <= read[0] <= 1
    assert sorted((text.selected for text in got.ranked), reverse=True) == [text.selected for text in got.ranked]


def test_the_first_score_is_the_cosine_with_the_question_whatever_stands_beside_it(reranker: Reranker) -> None:
    among = reranker.rerank(QUESTION, TEXTS).ranked[0]
    alone = reranker.rerank(QUESTION, [TEXTS[among.index]]).ranked[0]
    assert alone.score == pytest.approx(alone.similarity)
    assert among.score == pytest.approx(alone.score)
    assert 0.5 < alone.score < 1
    unrelated = reranker.rerank(QUESTION, TEXTS[3:4]).ranked[0]
    assert unrelated.score < 0.3
    assert unrelated.selected


def test_other_scores_fall_with_the_root_of_the_gain(reranker: Reranker) -> None:
    got = Reranker(HashingEmbedder(), selector=STRICT).rerank(QUESTION, TEXTS, k=3)
    first = got.ranked[0]
    gains = [text.gain for text in got.ranked[:3]]
    assert gains == sorted(gains, reverse=True)
    for text in got.ranked[1:3]:
        assert text.score == pytest.approx(first.score * math.sqrt(text.gain / first.gain))


def test_a_text_that_points_away_from_the_question_scores_little_and_the_others_keep_their_distances() -> None:
    question = np.array([1.0, 0.0, 0.0])
    rows = np.array([[-0.1, 1.0, 0.0], [-0.8, 0.0, 1.0], [-1.0, 0.0, 0.0]])
    got = Reranker(embedder := PlacedEmbedder(question, rows)).rerank("?", embedder.texts)
    assert order(got) == [0, 1, 2]
    assert 0 < scores(got)[2] < 0.5 * scores(got)[1] < 0.25 * scores(got)[0] < 0.001


def test_all_that_tells_something_is_picked_where_no_number_is_given_in_the_order_of_any_number(
    reranker: Reranker,
) -> None:
    everything = reranker.rerank(QUESTION, TEXTS)
    assert all(text.selected for text in everything.ranked)
    for k in range(1, len(TEXTS) + 1):
        assert order(reranker.rerank(QUESTION, TEXTS, k=k))[:k] == order(everything)[:k]
    assert order(reranker.rerank(QUESTION, TEXTS, k=99)) == order(everything)
    told = everything.prior_variance - (everything.ranked[-1].posterior_variance or 0)
    assert sum(text.gain for text in everything.ranked) == pytest.approx(told, rel=1e-5)
    assert everything.ranked[-1].posterior_variance == pytest.approx(everything.irreducible_variance, abs=1e-6)


def test_what_tells_nothing_is_not_picked_unless_a_number_is_asked_for() -> None:
    question, rows = np.array([1.0, 0.0]), np.array([[0.0, 1.0], [1.0, 0.0]])
    embedder = PlacedEmbedder(question, rows)
    reranker = Reranker(embedder, selector=make_selector(kernel="linear"))
    for k, selected in ((None, [True, False]), (2, [True, True])):
        got = reranker.rerank("?", embedder.texts, k=k)
        assert order(got) == [1, 0]
        assert [text.selected for text in got.ranked] == selected
    nothing = reranker.rerank("?", embedder.texts[:1])
    assert (nothing.ranked[0].selected, nothing.ranked[0].posterior_variance) == (False, None)
    assert 0 < nothing.ranked[0].score < 1e-5


def test_a_copy_counts_once_and_comes_last_with_the_text_that_it_repeats(reranker: Reranker) -> None:
    got = reranker.rerank(QUESTION, [*TEXTS, TEXTS[1].upper(), TEXTS[3]], k=5)
    assert [(text.index, text.copy_of, text.redundant_with) for text in got.ranked[5:]] == [(5, 1, 1), (6, 3, 3)]
    assert all(text.gain == 0 and not text.selected for text in got.ranked[5:])
    assert scores(got)[:5] == pytest.approx(scores(reranker.rerank(QUESTION, TEXTS, k=5)))
    led = next(text for text in got.ranked if text.index == 1)
    assert got.ranked[5].similarity == pytest.approx(led.similarity)


def test_blank_texts_come_last_and_are_not_embedded(reranker: Reranker) -> None:
    got = reranker.rerank(QUESTION, ["", TEXTS[1], " \n"])
    assert order(got) == [1, 0, 2]
    assert [text.selected for text in got.ranked] == [True, False, False]
    assert math.isnan(got.ranked[1].similarity)
    assert reranker.embedder.embedded == [TEXTS[1]]  # type: ignore[attr-defined]
    for texts in ([], ["", ""]):
        empty = reranker.rerank(QUESTION, texts)
        assert order(empty) == list(range(len(texts)))
        assert empty.prior_variance == empty.irreducible_variance == 1.0


def test_given_vectors_are_used_as_they_are_and_only_the_missing_ones_embedded(reranker: Reranker) -> None:
    rows = HashingEmbedder().embed_passages(TEXTS)
    expected = reranker.rerank(QUESTION, TEXTS)
    held = (3.0 * rows).astype(np.float64)
    before = held.copy()
    embedder = HashingEmbedder()
    got = Reranker(embedder).rerank(QUESTION, TEXTS, embeddings=held)
    assert embedder.embedded == []
    assert np.array_equal(held, before)
    assert order(got) == order(expected)
    assert scores(got) == pytest.approx(scores(expected))
    some = Reranker(embedder).rerank(
        QUESTION, TEXTS, embeddings=[row.tolist() if i != 2 else None for i, row in enumerate(rows)]
    )
    assert embedder.embedded == [TEXTS[2]]
    assert order(some) == order(expected)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([[math.nan] * 64] * 5, "not finite"),
        ([[math.inf] * 64] * 5, "not finite"),
        ([[0.0] * 64] * 5, "norm 0"),
        ([[1.0] * 63] * 5, r"\(63,\).*\(64,\)"),
        ([[1.0] * 64] * 4 + [[1.0]], r"\(1,\)"),
        ([["a"] * 64] * 5, "floating-point"),
        ([1.0] * 5, r"shape \(\)"),
        ([[1.0] * 64] * 4, "each of 5 texts, but got 4"),
    ],
)
def test_vectors_that_cannot_be_compared_are_refused(reranker: Reranker, wrong: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        reranker.rerank(QUESTION, TEXTS, embeddings=wrong)


def test_with_all_vectors_given_nothing_is_embedded() -> None:
    other = HashingEmbedder("other", dimension=8)
    embedder = HashingEmbedder()
    question, rows = embedder.embed_queries([QUESTION]), embedder.embed_passages(TEXTS)
    got = Reranker(other).rerank(QUESTION, TEXTS, embeddings=rows, question_embeddings=2 * question)
    assert scores(got) == pytest.approx(scores(Reranker(embedder).rerank(QUESTION, TEXTS)))
    with pytest.raises(ValueError, match=r"embedder's vectors.*\(8,\).*\(64,\)"):
        Reranker(other).rerank(QUESTION, TEXTS, question_embeddings=question)
    with pytest.raises(ValueError, match="one embedding for each of 1 questions"):
        Reranker(other).rerank(QUESTION, TEXTS, question_embeddings=rows)


def test_whole_numbers_are_vectors_too(reranker: Reranker) -> None:
    whole = np.eye(5, 64, dtype=np.int64).tolist()
    assert len(reranker.rerank(QUESTION, TEXTS, embeddings=whole).ranked) == 5


def test_arguments_out_of_range_are_refused(reranker: Reranker) -> None:
    for k in (0, -1):
        with pytest.raises(ValueError, match="k must be >= 1"):
            reranker.rerank(QUESTION, TEXTS, k=k)
    for question in ("", " ", [], ["a", ""]):
        with pytest.raises(ValueError, match="question is empty"):
            reranker.rerank(question, TEXTS)
    with pytest.raises(ValueError, match="one weight for each of 1 questions"):
        reranker.rerank(QUESTION, TEXTS, weights=[1.0, 2.0])
    with pytest.raises(ValueError, match="without repeats"):
        Reranker(HashingEmbedder(), selector=Sift.for_fine_tuning())


def test_several_questions_are_answered_together(reranker: Reranker) -> None:
    questions = ["how do owls hunt mice", "where do flowers grow in spring"]
    got = reranker.rerank(questions, TEXTS, k=2)
    assert got.prior_variance == pytest.approx(2.0)
    assert 0 in order(got)[:2]  # flowers, and one of the three with owls
    assert order(reranker.rerank(questions, TEXTS, k=2, weights=[1e-6, 1.0]))[0] == 0


def test_the_order_of_the_texts_changes_no_choice(reranker: Reranker) -> None:
    there = reranker.rerank(QUESTION, TEXTS, k=3)
    back = reranker.rerank(QUESTION, TEXTS[::-1], k=3)
    assert [4 - index for index in order(back)] == order(there)
    assert scores(back) == pytest.approx(scores(there))


def test_two_texts_are_not_seen_from_their_own_mean() -> None:
    """Half of what a lone text says would be taken off it, and off the question."""
    question = np.array([1.0, 0.0, 0.0])
    rows = np.array([[0.8, 0.6, 0.0], [0.5, -0.5, 0.7]])  # they have nothing in common but the question
    embedder = PlacedEmbedder(question, rows)
    alone = Reranker(embedder).rerank("?", embedder.texts[:1])
    plain = Reranker(embedder, selector=make_selector(centring=0.0)).rerank("?", embedder.texts[:1])
    assert alone.ranked[0].gain == plain.ranked[0].gain


def test_a_reranker_is_opened_by_the_name_of_an_embedder_or_with_one() -> None:
    embedder = HashingEmbedder()
    opened = open_reranker(embedder, selector=STRICT)
    assert (opened.embedder, opened.selector) == (embedder, STRICT)
    assert open_reranker("all-MiniLM-L6-v2").embedder.name == open_reranker().embedder.name == "all-MiniLM-L6-v2"


def test_texts_that_the_reader_knows_already_come_later() -> None:
    reranker = Reranker(HashingEmbedder(), selector=STRICT)
    first = reranker.rerank(QUESTION, TEXTS).ranked[0].index
    known = reranker.rerank(QUESTION, TEXTS, known_texts=[TEXTS[first]])
    assert known.ranked[0].index != first
    assert known.prior_variance < 1.0
