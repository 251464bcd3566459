"""Words as columns: their inner products are the cosines of weighted words, by definition."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sift_rag import defaults
from sift_rag.selection import Features, GaussianProcess, Linear, Pool, Sift, Texts, select_sift
from sift_rag.selection.lexical import Vocabulary, WordRows, bm25
from sift_rag.words import UNSTEMMED, bag_of, words_of
from tests.oracles import unit_rows

WORDS = ["ape", "bee", "cat", "dog", "eel", "fox", "gnu", "hen"]
texts = st.lists(st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join), min_size=1, max_size=7)


def idf(word: str, candidates: list[str]) -> float:
    held = sum(word in words_of(text) for text in candidates)
    return math.log(1 + (len(candidates) - held + 0.5) / (held + 0.5))


def weighted(text: str, candidates: list[str], kept: set[str] | None = None) -> dict[str, float]:
    """Return the words of a text with their weights, of norm 1, by the formula."""
    counts = Counter(word for word in words_of(text) if kept is None or word in kept)
    row = {word: idf(word, candidates) * n * 2.2 / (n + 1.2) for word, n in counts.items()}
    norm = math.sqrt(sum(value**2 for value in row.values()))
    return {word: value / norm for word, value in row.items()}


def cosine(one: dict[str, float], other: dict[str, float]) -> float:
    return sum(value * other.get(word, 0.0) for word, value in one.items())


@given(asked=texts, candidates=texts, known=st.lists(st.just("ape zebra"), max_size=1))
@settings(deadline=None)
def test_inner_products_are_cosines_of_weighted_words(
    asked: list[str], candidates: list[str], known: list[str]
) -> None:
    points = [*candidates, *known]
    words = WordRows([bag_of(text) for text in points], Vocabulary.of([bag_of(text) for text in candidates]))
    held = {word for text in points for word in words_of(text)}
    theirs = [weighted(text, candidates) for text in points]
    ours = [weighted(text, candidates, held) for text in asked]
    rows = words.targets([bag_of(text) for text in asked])
    n = len(points)
    np.testing.assert_allclose(rows[:, :n] @ words.columns.T, [[cosine(a, b) for b in theirs] for a in ours], atol=1e-5)
    apart = np.array([[cosine(a, b) for b in ours] for a in ours])
    np.fill_diagonal(apart, 1.0)
    np.testing.assert_allclose(rows @ rows.T, apart, atol=1e-5)
    among = np.array([[cosine(a, b) for b in theirs] for a in theirs])
    np.fill_diagonal(among, 1.0)  # of a row without words too
    np.testing.assert_allclose(words.columns @ words.columns.T, among, atol=1e-5)


@given(asked=texts, candidates=texts)
@settings(deadline=None)
def test_bm25_is_the_formula(asked: list[str], candidates: list[str]) -> None:
    lengths = [len(words_of(text)) for text in candidates]
    mean = max(sum(lengths) / len(lengths), 1.0)
    wanted = [
        [
            sum(
                idf(word, candidates) * n * 2.2 / (n + 1.2 * (0.25 + 0.75 * length / mean))
                for word in words_of(question)
                if (n := words_of(text).count(word))
            )
            for text, length in zip(candidates, lengths, strict=True)
        ]
        for question in asked
    ]
    got = bm25([bag_of(text) for text in asked], [bag_of(text) for text in candidates])
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-9)


def some(rng: np.random.Generator, n: int = 30) -> tuple[np.ndarray, np.ndarray, Texts]:
    candidates = unit_rows(rng, n, 8, dtype=np.float64)
    said = [" ".join(rng.choice(WORDS, 5)) for _ in range(n)]
    return unit_rows(rng, 1, 8, dtype=np.float64), candidates, Texts(["ape eel nothing"], said)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_the_choice_is_that_of_the_mixed_kernel(share: float) -> None:
    """The oracle: a kernel matrix from both cosines, and the greedy recurrence on it."""
    rng = np.random.default_rng(5)
    query, candidates, texts = some(rng)
    said = list(texts.candidates)
    held = {word for text in said for word in words_of(text)}
    rows = [weighted(texts.targets[0], said, held), *(weighted(text, said) for text in said)]
    words = np.array([[cosine(a, b) for b in rows] for a in rows])
    points = np.vstack([query, candidates])
    kernel = np.exp(((1 - share) * points @ points.T + share * words - 1) / 0.25)
    chosen: list[int] = []
    for _ in range(8):
        left = [i for i in range(1, 31) if i not in chosen]

        def told(i: int) -> float:
            seen = [*chosen, i]
            noisy = kernel[np.ix_(seen, seen)] + 5.0 * np.eye(len(seen))
            return float(kernel[0, seen] @ np.linalg.solve(noisy, kernel[seen, 0]))

        chosen.append(max(left, key=told))
    got = select_sift(query, candidates, 8, texts=texts, words=share, centring=0)
    assert (got.indices + 1).tolist() == chosen


def test_without_words_in_common_texts_change_nothing() -> None:
    query, candidates, texts = some(np.random.default_rng(1))
    plain = select_sift(query, candidates, 6)
    for nothing in ("zebra", "the of and", "", "?"):
        got = select_sift(query, candidates, 6, texts=texts._replace(targets=[nothing]))
        assert got.indices.tolist() == plain.indices.tolist()
        assert got.posterior_variances.tolist() == plain.posterior_variances.tolist()
    empty = select_sift(query, candidates, 6, texts=Texts(["ape"], [""] * 30))
    assert empty.indices.tolist() == plain.indices.tolist()
    off = select_sift(query, candidates, 6, texts=texts, words=0)
    assert off.indices.tolist() == plain.indices.tolist()


def test_a_rare_word_of_the_question_leads_whatever_the_embeddings_say() -> None:
    rng = np.random.default_rng(2)
    query, candidates, _ = some(rng)
    said = [f"error E{4500 + n} of the relay" for n in range(30)]
    far = int(np.argmin(candidates @ query[0]))
    got = select_sift(query, candidates, 1, texts=Texts([f"E{4500 + far}"], said), words=0.7)
    assert got.indices.tolist() == [far]


def test_tensors_and_arrays_choose_the_same() -> None:
    query, candidates, texts = some(np.random.default_rng(3))
    process = GaussianProcess()
    wanted = Sift(process).select(Pool(query, candidates, texts=texts), 8).selection
    tensors = Pool(torch.from_numpy(query), torch.from_numpy(candidates), texts=texts)
    got: Any = Sift(process).select(tensors, 8).selection
    assert got.indices.tolist() == wanted.indices.tolist()


def test_words_count_under_the_rbf_kernel_only() -> None:
    query, candidates, texts = some(np.random.default_rng(4))
    got = Sift(GaussianProcess(Linear())).select(Pool(query, candidates, texts=texts), 6).selection
    assert got.indices.tolist() == select_sift(query, candidates, 6, kernel="linear").indices.tolist()
    assert not GaussianProcess(Linear()).reads_words
    assert not GaussianProcess(features=Features(words=0)).reads_words


def test_equal_texts_are_no_harm() -> None:
    query, candidates, _ = some(np.random.default_rng(6))
    got = select_sift(query, candidates, 30, texts=Texts(["ape"], ["ape bee"] * 30))
    assert sorted(got.indices.tolist()) == list(range(30))
    assert np.isfinite(got.posterior_variances).all()


def test_what_words_brought_does_not_make_them_common() -> None:
    """Document frequencies are counted over the first candidates alone."""
    query, candidates, _ = some(np.random.default_rng(7))
    said = ["bee cat"] * 10 + ["ape dog"] * 20
    texts = Texts(["ape bee"], said)
    process = GaussianProcess()
    counted = process.problem(Pool(query, candidates, texts=texts, reference=10)).view.vocabulary
    assert counted is not None
    [ape], [bee] = (bag_of(word).ids for word in ("ape", "bee"))
    assert counted.weights(np.array([ape, bee])).tolist() == pytest.approx(
        [math.log1p(10.5 / 0.5), math.log1p(0.5 / 10.5)]
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"targets": []}, "list of 1 texts, one for each target, but got 0"),
        ({"targets": "ape"}, "list of 1 texts, one for each target, but got one"),
        ({"candidates": ["ape"]}, "list of 30 texts, one for each candidate, but got 1"),
        ({"known": ["ape"]}, "list of 0 texts, one for each known row, but got 1"),
    ],
)
def test_texts_must_be_one_for_each_row(changed: dict[str, Any], message: str) -> None:
    query, candidates, texts = some(np.random.default_rng(8))
    with pytest.raises(ValueError, match=message):
        select_sift(query, candidates, 3, texts=texts._replace(**changed))


@pytest.mark.parametrize("value", [-0.1, 1.0, math.nan])
def test_a_share_of_words_out_of_range_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"words must be in \[0, 1\)"):
        Features(words=value)


def test_an_unknown_language_is_refused_when_words_are_read() -> None:
    query, candidates, texts = some(np.random.default_rng(9))
    with pytest.raises(ValueError, match="Unknown language"):
        select_sift(query, candidates, 3, texts=texts, language="klingon")
    select_sift(query, candidates, 3, texts=texts, language=UNSTEMMED)


def test_the_defaults_are_where_they_are_said_to_be() -> None:
    assert (Features().words, Features().language) == (defaults.WORDS, defaults.LANGUAGE)


def test_a_question_that_names_a_rare_identifier_goes_by_words() -> None:
    query, candidates, _ = some(np.random.default_rng(10))
    said = [f"error E{4500 + n} of the relay and more" for n in range(30)]
    process = GaussianProcess()

    def share(question: str, texts: list[str] = said) -> float:
        return process.problem(Pool(query, candidates, texts=Texts([question], texts))).view.share

    assert share("What does E4506 mean?") == defaults.IDENTIFIER_WORDS
    assert share("What does E9999 mean for the relay?") == defaults.WORDS  # no passage holds it
    assert share("error of the relay") == defaults.WORDS
    assert share("E4506", ["E4506 everywhere"] * 30) == defaults.WORDS  # not rare
    far = int(np.argmin(candidates @ query[0]))
    got = select_sift(query, candidates, 1, texts=Texts([f"E{4500 + far}"], said))
    assert got.indices.tolist() == [far]


def test_information_counts_the_words_that_targets_share() -> None:
    """The log determinant of the targets' posterior covariance under the mixed kernel, by definition."""
    rng = np.random.default_rng(11)
    queries, candidates = unit_rows(rng, 2, 8, dtype=np.float64), unit_rows(rng, 4, 8, dtype=np.float64)
    said = ["ape bee eel", "cat dog fox", "gnu hen", "eel fox hen"]  # fewer than words: they span a part of them
    asked = ["ape cat", "ape cat dog"]
    held = {word for text in said for word in words_of(text)}
    rows = [*(weighted(text, said, held) for text in asked), *(weighted(text, said) for text in said)]
    words = np.array([[cosine(a, b) for b in rows] for a in rows])
    points = np.vstack([queries, candidates])
    kernel = np.exp((0.5 * points @ points.T + 0.5 * words - 1) / 0.25)

    def left(chosen: list[int]) -> float:
        noisy = kernel[np.ix_(chosen, chosen)] + 0.5 * np.eye(len(chosen))
        told = kernel[:2, chosen] @ np.linalg.solve(noisy, kernel[chosen, :2])
        return float(np.linalg.slogdet(kernel[:2, :2] - told)[1])

    order: list[int] = []
    while len(order) < 3:
        order.append(min((i for i in range(2, 6) if i not in order), key=lambda i: left([*order, i])))
    got = select_sift(
        queries, candidates, 3, texts=Texts(asked, said), centring=0, noise_variance=0.5, objective="information"
    )
    assert (got.indices + 2).tolist() == order
    determinants = [np.exp(left(order[: n + 1])) for n in range(3)]
    assert np.exp(-2 * np.cumsum(got.gains)) * np.linalg.det(kernel[:2, :2]) == pytest.approx(determinants, rel=1e-3)
