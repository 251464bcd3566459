from __future__ import annotations

import numpy as np
import pytest

from benchmarks.common.datasets import RetrievalTask
from research.answerable import (
    GOLD_REMOVED,
    OWN,
    corpora_of,
    explained_by_all,
    explained_by_chosen,
    mean_cosine,
    score_all,
    scores,
)
from sift_rag.selection import GaussianProcess, Pool, Rbf, Sift


def on_the_sphere(rows: int, dimension: int, seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(rows, dimension))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def test_what_all_candidates_explain_is_what_the_product_reports() -> None:
    targets, candidates = on_the_sphere(1, 6, seed=1), on_the_sphere(40, 6, seed=2)
    process = GaussianProcess(Rbf(0.7), noise_variance=0.5)
    selection = Sift(process).select(Pool(targets, candidates), 5).selection
    assert selection.irreducible_variance is not None
    explained = explained_by_all(targets, candidates, process=process)
    assert explained == pytest.approx(1 - selection.irreducible_variance / selection.prior_variance, rel=1e-6)


def test_every_score_is_higher_where_a_candidate_says_what_is_asked() -> None:
    generator = np.random.default_rng(0)
    candidates = on_the_sphere(40, 16, seed=2)
    target = on_the_sphere(1, 16, seed=3)
    near = target + 0.1 * generator.normal(size=(1, 16))
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    for name, score in scores().items():
        assert score(target, np.vstack([near, candidates[1:]])) > score(target, candidates), name


def test_a_mean_cosine_is_of_the_nearest() -> None:
    candidates = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    target = np.array([[1.0, 0.0]])
    assert mean_cosine(target, candidates, count=1) == pytest.approx(1.0)
    assert mean_cosine(target, candidates, count=2) == pytest.approx(0.8)


def test_gold_is_asked_for_in_its_own_corpus_and_missing_where_it_was_removed() -> None:
    passages = on_the_sphere(6, 4, seed=1)
    task = RetrievalTask(
        name="small",
        passages=tuple("abcdef"),
        holds=(frozenset({0}), frozenset({0, 1}), frozenset({2}), frozenset(), frozenset({1}), frozenset()),
        questions=(("q",),),
        needs=(frozenset({0, 1}),),
    )
    foreign = on_the_sphere(3, 4, seed=2)
    corpora = corpora_of(task, passages[:1], passages, {"foreign": foreign})
    assert sorted(corpora[OWN].pools[0]) == [0, 1, 2, 3, 4, 5]
    assert sorted(corpora[GOLD_REMOVED].pools[0]) == [2, 3, 5]
    assert sorted(corpora["foreign"].pools[0]) == [0, 1, 2]
    largest = score_all(lambda t, c: float((t @ c.T).max()), passages[:1], corpora[OWN])
    assert largest.tolist() == pytest.approx([1.0])


def test_what_the_chosen_explain_is_less_than_what_all_do() -> None:
    targets, candidates = on_the_sphere(1, 6, seed=1), on_the_sphere(40, 6, seed=2)
    by_all = explained_by_all(targets, candidates, process=GaussianProcess())
    assert 0 < explained_by_chosen(targets, candidates) < by_all
