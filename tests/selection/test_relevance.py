"""Relevance scores as covariances with the targets: an oracle, and invariants."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sift_rag import defaults
from sift_rag.selection import (
    Dpp,
    FacilityLocation,
    Features,
    GaussianProcess,
    Hull,
    Hybrid,
    Linear,
    Mmr,
    Nearest,
    Pool,
    Random,
    Rbf,
    Sift,
    Stopping,
    Target,
    Texts,
    Uncertainty,
    select_sift,
)
from tests.examples import examples
from tests.oracles import unit_rows

NOISE = 0.5
PLAIN = GaussianProcess(noise_variance=NOISE, features=Features(centring=0.0))


def rows_of(seed: int, *sizes: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [unit_rows(rng, n, 6, dtype=np.float64) for n in sizes]


def scores_of(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).random(shape)


def covariance_of(scores: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp((scores - 1.0) / 0.5))


def kernel_of(rows: np.ndarray, points: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp((rows @ points.T - 1.0) / defaults.LENGTHSCALE**2))


def greedy_by_covariances(cross: np.ndarray, among: np.ndarray, k: int, given: list[int]) -> tuple[list[int], list]:
    """Greedy selection of a Gaussian process with these prior covariances, by one solve per candidate."""

    def explained(rows: list[int]) -> float:
        noisy = among[np.ix_(rows, rows)] + NOISE * np.eye(len(rows))
        return float(sum(row[rows] @ np.linalg.solve(noisy, row[rows]) for row in cross))

    order: list[int] = []
    told = [explained(given)]
    free = [i for i in range(cross.shape[1]) if i not in given]
    for _ in range(k):
        order.append(max((i for i in free if i not in order), key=lambda i: explained([*given, *order, i])))
        told.append(explained([*given, *order]))
    return order, np.diff(told).tolist()


@given(seed=st.integers(0, 2**20), targets=st.integers(1, 3), known=st.integers(0, 3))
@settings(max_examples=examples(25), deadline=None)
def test_picks_and_gains_are_those_of_a_gaussian_process_with_these_covariances(
    seed: int, targets: int, known: int
) -> None:
    queries, candidates, others = rows_of(seed, targets, 15, known)
    scores = scores_of(seed, targets, 15)
    points = np.vstack([candidates, others])
    cross = np.hstack([covariance_of(scores), kernel_of(queries, others)])
    order, gains = greedy_by_covariances(cross, kernel_of(points, points), 8, list(range(15, 15 + known)))
    got = select_sift(
        queries, candidates, 8, relevance=scores, known=others, centring=0, noise_variance=NOISE, weights=[1] * targets
    )
    assert got.indices.tolist() == order
    np.testing.assert_allclose(got.gains, gains, rtol=1e-9, atol=1e-12)


@given(seed=st.integers(0, 2**20), targets=st.integers(1, 3), known=st.integers(0, 3))
@settings(max_examples=examples(25), deadline=None)
def test_scores_that_are_the_kernel_s_covariances_give_the_usual_choice(seed: int, targets: int, known: int) -> None:
    queries, candidates, others = rows_of(seed, targets, 20, known)
    process = GaussianProcess(Rbf(1.0), NOISE)  # its covariances are at least exp(-2), which is a score of 0
    usually = Pool(queries, candidates, known=others)
    scores = 1.0 + defaults.RELEVANCE_SCALE * np.log(process.problem(usually).covariances()[:, :20])
    scored = Pool(queries, candidates, known=others, relevance=scores)
    for selector in (Sift(process, follow=0), Sift(process)):
        usual, got = selector.select(usually, 6).selection, selector.select(scored, 6).selection
        assert got.indices.tolist() == usual.indices.tolist()
        np.testing.assert_allclose(got.gains, usual.gains, rtol=1e-6, atol=1e-12)
        np.testing.assert_allclose(got.posterior_variances, usual.posterior_variances, rtol=1e-6)
        assert got.irreducible_variance == pytest.approx(usual.irreducible_variance, rel=1e-6)


@given(seed=st.integers(0, 2**20), n=st.integers(1, 60), noise=st.sampled_from([0.01, 0.5, 5.0]))
@settings(max_examples=examples(25), deadline=None)
def test_every_variance_stays_positive_however_high_the_scores_are(seed: int, n: int, noise: float) -> None:
    rng = np.random.default_rng(seed)
    query, candidates = unit_rows(rng, 1, 30, spread=3.0), unit_rows(rng, n, 30, spread=3.0)
    asked = Pool(query, candidates, relevance=1.0 - 0.1 * rng.random(n))
    got = Sift(GaussianProcess(noise_variance=noise)).select(asked, n).selection
    variances = [got.prior_variance, *got.posterior_variances]
    assert variances == sorted(variances, reverse=True)
    assert got.irreducible_variance is not None
    assert 0 < got.irreducible_variance <= variances[-1] * (1 + 1e-3)


def test_the_first_choice_is_the_best_scored_and_a_copy_of_it_gives_way() -> None:
    query, candidates = rows_of(1, 1, 8)
    candidates[3] = candidates[5]
    scores = np.array([0.1, 0.2, 0.3, 0.89, 0.5, 0.9, 0.85, 0.1])
    got = Sift(PLAIN).select(Pool(query, candidates, relevance=scores), 2)
    assert got.selection.indices.tolist() == [5, 6]
    assert got.redundancy.picks[3] == 0


def test_one_row_of_scores_stands_for_every_target() -> None:
    queries, candidates = rows_of(2, 3, 12)
    scores = scores_of(2, 12)
    one, each = (
        Sift(PLAIN).select(Pool(queries, candidates, relevance=relevance), 6).selection
        for relevance in (scores, np.tile(scores, (3, 1)))
    )
    assert one.indices.tolist() == each.indices.tolist()
    assert one.gains.tolist() == each.gains.tolist()


def test_several_targets_are_balanced_by_their_largest_covariance() -> None:
    queries, candidates = rows_of(3, 2, 10)
    scores = scores_of(3, 2, 10)
    scores[1] *= 0.4
    weights = PLAIN.problem(Pool(queries, candidates, relevance=scores)).weights
    assert weights is not None
    assert weights.mean() == pytest.approx(1.0)
    heard = weights * covariance_of(scores).max(axis=1)
    assert heard[0] == pytest.approx(heard[1])
    asked = Pool(queries, candidates, relevance=scores, weights=[3.0, 1.0])
    assert PLAIN.problem(asked).weights.tolist() == [3.0, 1.0]
    assert PLAIN.problem(Pool(queries, candidates, relevance=scores, reference=4)).weights.tolist() != weights.tolist()


def test_tensors_choose_the_same() -> None:
    query, candidates = rows_of(4, 2, 12)
    scores = scores_of(4, 2, 12)
    arrays = Sift(PLAIN).select(Pool(query, candidates, relevance=scores), 9).selection
    on_tensors = Pool(torch.from_numpy(query), torch.from_numpy(candidates), relevance=torch.from_numpy(scores))
    assert Sift(PLAIN).select(on_tensors, 9).selection.indices.tolist() == arrays.indices.tolist()

    def kernel(rows: Any, points: Any) -> Any:
        return ((rows @ points.T - 1.0) / defaults.LENGTHSCALE**2).exp()

    custom = GaussianProcess(kernel, NOISE)
    got = Sift(custom).select(on_tensors, 9).selection
    weighed = Pool(query, candidates, relevance=scores, weights=[1.0, 1.0])
    wanted = Sift(PLAIN, follow=0).select(weighed, 9).selection
    assert got.indices.tolist() == wanted.indices.tolist()
    assert got.irreducible_variance == pytest.approx(wanted.irreducible_variance)


def test_the_linear_kernel_serves_for_redundancy_too() -> None:
    query, candidates = rows_of(5, 1, 12)
    scores = scores_of(5, 12)
    got = Sift(GaussianProcess(Linear(), 1.0)).select(Pool(query, candidates, relevance=scores), 12).selection
    assert got.indices.tolist()[0] == int(scores.argmax())
    assert len(set(got.indices.tolist())) == 12


def test_no_candidates_give_an_empty_choice() -> None:
    queries, candidates = rows_of(6, 2, 0)
    got = Sift().select(Pool(queries, candidates, relevance=np.zeros((2, 0))), 3).selection
    assert (len(got), got.prior_variance) == (0, 2.0)


# Following


def test_a_further_target_has_the_kernel_s_covariances_and_the_question_the_scores() -> None:
    query, candidates = rows_of(7, 1, 25)
    scores = scores_of(7, 25)
    got = Sift(PLAIN, follow=0.8).select(Pool(query, candidates, relevance=scores), 8)
    order = Sift(PLAIN, follow=0).select(Pool(query, candidates, relevance=scores), 3).selection.indices.tolist()
    further = query[0] + candidates[order[0]]
    further /= np.linalg.norm(further)
    cross = np.vstack([covariance_of(scores), np.sqrt(0.8) * kernel_of(further[None], candidates)])
    among = kernel_of(candidates, candidates)

    def explained(rows: list[int]) -> float:
        noisy = among[np.ix_(rows, rows)] + NOISE * np.eye(len(rows))
        return float(sum(row[rows] @ np.linalg.solve(noisy, row[rows]) for row in cross))

    while len(order) < 8:
        order.append(max((i for i in range(25) if i not in order), key=lambda i: explained([*order, i])))
    assert got.selection.indices.tolist() == order
    assert got.followed is not None
    assert got.followed.first == order[0]


def test_what_the_second_search_finds_is_scored_too_or_it_is_an_error() -> None:
    query, candidates = rows_of(8, 1, 14)
    scores = scores_of(8, 14) * 0.5

    def extended(relevance: np.ndarray | None) -> Any:
        def extend(target: Target) -> Pool:
            return Pool(query, candidates, relevance=relevance)

        return Pool(query, candidates[:10], relevance=scores[:10], extend=extend)

    scores[12] = 1.0
    assert 12 in Sift(PLAIN).select(extended(scores), 5).selection.indices
    with pytest.raises(ValueError, match="its extension has none"):
        Sift(PLAIN).select(extended(None), 5)


# Rules


def test_a_share_of_what_can_be_explained_and_a_budget_end_a_choice() -> None:
    query, candidates = rows_of(9, 1, 20)
    asked = Pool(query, candidates, relevance=scores_of(9, 20), token_counts=[5] * 20)
    whole = Sift(PLAIN).select(asked, 20).selection
    assert whole.irreducible_variance is not None
    reducible = whole.prior_variance - whole.irreducible_variance
    assert whole.gains.sum() == pytest.approx(reducible, rel=1e-9)
    half = Sift(PLAIN).select(asked, 20, stopping=Stopping(explained=0.5)).selection
    assert half.stopped == "explained"
    assert half.gains.sum() >= 0.5 * reducible > half.gains[:-1].sum()
    assert len(Sift(PLAIN).select(asked, 20, stopping=Stopping(tokens=22)).selection) == 4


# Baselines


def test_baselines_take_the_scores_for_similarity() -> None:
    query, candidates = rows_of(10, 1, 12)
    scores = scores_of(10, 12)
    asked = Pool(query, candidates, relevance=scores)
    best = np.argsort(-scores).tolist()
    for selector in (Nearest(), Mmr(relevance=1.0), Hybrid(), Dpp(quality_scale=1e6)):
        assert selector.select(asked, 12).selection.indices.tolist() == best
    first = FacilityLocation().select(asked, 1).selection.indices.tolist()
    assert first == [int(((candidates @ candidates.T).clip(0) @ scores).argmax())]
    for selector in (Random(), Uncertainty()):
        plain = selector.select(Pool(query, candidates), 12).selection.indices.tolist()
        assert selector.select(asked, 12).selection.indices.tolist() == plain


def test_hybrid_fuses_scores_with_words() -> None:
    query, candidates = rows_of(11, 1, 3)
    texts = Texts(["owls"], ["rain", "owls hunt", "bees"])
    asked = Pool(query, candidates, relevance=[0.9, 0.8, 0.1], texts=texts)
    assert Hybrid().select(asked, 3).selection.indices.tolist() == [1, 0, 2]


def test_mmr_weighs_a_score_against_similarity_with_what_was_chosen() -> None:
    query, candidates = rows_of(12, 1, 3)
    candidates[1] = candidates[0]
    asked = Pool(query, candidates, relevance=[0.9, 0.8, 0.1])
    assert Mmr(relevance=0.3).select(asked, 3).selection.indices.tolist() == [0, 2, 1]


def test_hull_refuses_scores() -> None:
    query, candidates = rows_of(13, 1, 3)
    with pytest.raises(ValueError, match="'hull' mixes the query"):
        Hull().select(Pool(query, candidates, relevance=[0.1, 0.2, 0.3]), 2)


# Bad input


@pytest.mark.parametrize(
    ("relevance", "complaint"),
    [
        ([0.1, math.nan, 0.2], "in \\[0, 1\\], but number 1 of the candidates has nan"),
        ([0.1, 0.2, math.inf], "number 2 of the candidates has inf"),
        ([0.1, 0.2, -0.01], "has -0.01"),
        ([7.3, 0.2, 0.1], "number 0 of the candidates has 7.3. Rescale the scores first"),
        ([0.1, 0.2], r"one score for each of 3 candidates, but its shape is \(2,\)"),
        ([[0.1, 0.2, 0.3]] * 2, r"shape is \(2, 3\)"),
        (["much", "less", "none"], "must be numbers, one for each of 3 candidates"),
        (["0.1", "0.2", "0.3"], "must be numbers"),
        ([0.1, None, 0.3], "must be numbers"),
        ([0.1, 10**400, 0.3], "must be numbers"),
        ([[0.1], [0.2, 0.3]], "must be numbers"),
        (0.5, r"shape is \(\)"),
        ([], r"shape is \(0,\)"),
    ],
)
def test_scores_that_cannot_be_used_are_refused(relevance: Any, complaint: str) -> None:
    query, candidates = rows_of(14, 1, 3)
    with pytest.raises(ValueError, match=complaint):
        select_sift(query, candidates, 2, relevance=relevance)
    for selector in (Sift(), Nearest(), Random()):
        with pytest.raises(ValueError, match=complaint):
            selector.select(Pool(query, candidates, relevance=relevance), 2)


def test_what_cannot_use_scores_says_so() -> None:
    query, candidates = rows_of(15, 1, 3)
    scores = [0.1, 0.2, 0.3]
    with pytest.raises(ValueError, match="'information' cannot use relevance"):
        select_sift(query, candidates, 2, relevance=scores, objective="information")
    with pytest.raises(ValueError, match="with repeats cannot use relevance"):
        select_sift(query, candidates, 2, relevance=scores, with_repeats=True)
    with pytest.raises(ValueError, match="with repeats cannot use relevance"):
        Sift.for_fine_tuning().select(Pool(query, candidates, relevance=scores), 2)
