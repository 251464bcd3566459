"""Each baseline compared with its definition, written the slow way."""

from __future__ import annotations

import numpy as np
import pytest

from sift_rag.selection import (
    Dpp,
    FacilityLocation,
    Hull,
    Mmr,
    Nearest,
    Pool,
    Random,
    Uncertainty,
    posterior_variance,
)
from sift_rag.selection.hull import hull_weights, whole_multiplicities
from sift_rag.selection.selectors import DPP_JITTER, Baseline
from tests.oracles import greedy_argmax, raw_measure, raw_process, raw_sift, unit_rows


def order(
    selector: Baseline, query: np.ndarray, candidates: np.ndarray, k: int, known: np.ndarray | None = None
) -> list[int]:
    """Return the rows that a baseline chooses."""
    return list(selector.select(Pool(query, candidates, known=known), k).selection.indices)


@pytest.fixture
def rows() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(42)
    return unit_rows(rng, 1, 12)[0].astype(float), unit_rows(rng, 30, 12).astype(float)


def test_nearest_is_the_order_of_cosine(rows: tuple[np.ndarray, np.ndarray]) -> None:
    query, candidates = rows
    assert order(Nearest(), query, candidates, 6) == np.argsort(-(candidates @ query))[:6].tolist()


def test_nearest_to_several_targets_is_the_order_of_the_largest_cosine() -> None:
    rng = np.random.default_rng(1)
    targets, candidates = unit_rows(rng, 3, 8), unit_rows(rng, 20, 8)
    wanted = np.argsort(-(candidates @ targets.T).max(axis=1))[:6].tolist()
    assert order(Nearest(), targets, candidates, 6) == wanted


@pytest.mark.parametrize("relevance", [0.3, 0.7, 0.9])
@pytest.mark.parametrize("known", [0, 3])
def test_mmr_is_its_definition(rows: tuple[np.ndarray, np.ndarray], relevance: float, known: int) -> None:
    query, candidates = rows
    given = unit_rows(np.random.default_rng(7), known, 12).astype(float)

    def score(chosen: list[int], i: int) -> float:
        others = np.concatenate([given, candidates[chosen]])
        redundancy = float((others @ candidates[i]).max()) if len(others) else 0.0
        return float(relevance * (query @ candidates[i]) - (1 - relevance) * redundancy)

    assert order(Mmr(relevance=relevance), query, candidates, 10, given) == greedy_argmax(30, 10, score)


def test_mmr_with_relevance_one_is_nearest(rows: tuple[np.ndarray, np.ndarray]) -> None:
    query, candidates = rows
    wanted = order(Nearest(), query, candidates, 10)
    assert order(Mmr(relevance=1.0), query, candidates, 10) == wanted
    with pytest.raises(ValueError, match="relevance"):
        Mmr(relevance=1.1)


@pytest.mark.parametrize("quality_scale", [0.0, 2.0, 12.0])
def test_dpp_is_the_greedy_largest_determinant(rows: tuple[np.ndarray, np.ndarray], quality_scale: float) -> None:
    query, candidates = rows
    quality = np.exp(quality_scale * (candidates @ query))
    matrix = candidates @ candidates.T + DPP_JITTER * np.eye(30)
    likelihood = quality[:, None] * matrix * quality

    def score(chosen: list[int], i: int) -> float:
        among = [*chosen, i]
        return float(np.linalg.slogdet(likelihood[np.ix_(among, among)])[1])

    assert order(Dpp(quality_scale=quality_scale), query, candidates, 8) == greedy_argmax(30, 8, score)


@pytest.mark.parametrize("known", [0, 3])
def test_facility_location_is_its_definition(rows: tuple[np.ndarray, np.ndarray], known: int) -> None:
    query, candidates = rows
    given = unit_rows(np.random.default_rng(7), known, 12).astype(float)

    def covered(chosen: list[int], i: int) -> float:
        facilities = [*given, *candidates[[*chosen, i]]]
        return sum(max(query @ x, 0) * max(max(x @ y, 0) for y in facilities) for x in candidates)

    assert order(FacilityLocation(), query, candidates, 8, given) == greedy_argmax(30, 8, covered)


@pytest.mark.parametrize("kernel", ["rbf", "linear"])
@pytest.mark.parametrize("noise_variance", [1e-3, 1.0, 1e6])
def test_uncertainty_sampling_takes_what_is_least_known_of_itself(
    rows: tuple[np.ndarray, np.ndarray], kernel: str, noise_variance: float
) -> None:
    query, candidates = rows
    candidates = candidates * (1.0 if kernel == "rbf" else np.linspace(0.5, 1.5, 30)[:, None])

    def own_variance(chosen: list[int], i: int) -> float:
        return posterior_variance(candidates[i], candidates[chosen], kernel=kernel, noise_variance=noise_variance)

    wanted = greedy_argmax(30, 8, lambda chosen, i: round(own_variance(chosen, i), 9))
    rows32 = candidates.astype(np.float32)
    got = order(Uncertainty(raw_process(kernel, noise_variance=noise_variance)), query, rows32, 8)
    if noise_variance < 1e6:  # there every difference is below what the oracle resolves
        assert got == wanted
    selector = Uncertainty(raw_process(kernel))
    assert order(selector, -query, rows32, 8) == order(selector, query, rows32, 8)


def test_random_is_the_same_for_a_seed_and_takes_every_candidate_equally_often(
    rows: tuple[np.ndarray, np.ndarray],
) -> None:
    query, candidates = rows
    assert order(Random(seed=3), query, candidates, 5) == order(Random(seed=3), query, candidates, 5)
    taken = np.zeros(30)
    for seed in range(600):
        taken[order(Random(seed=seed), query, candidates, 5)] += 1
    assert taken.min() > 60  # 100 expected, standard deviation 9
    assert taken.max() < 140


class TestHull:
    def test_a_query_inside_is_mixed_exactly(self) -> None:
        corners = np.array([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])
        target = np.array([0.3, 0.2])
        weights = hull_weights(target, corners, iterations=2000, tolerance=1e-9)
        assert weights.sum() == pytest.approx(1.0)
        assert (weights >= 0).all()
        np.testing.assert_allclose(weights @ corners, target, atol=1e-3)

    @pytest.mark.parametrize("seed", range(3))
    def test_weights_come_within_the_tolerance_of_the_best_mixture(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        target, points = rng.normal(size=4) * 2, rng.normal(size=(12, 4))

        def distance(weights: np.ndarray) -> float:
            return 0.5 * float(((target - weights @ points) ** 2).sum())

        # by another method: exponentiated gradient descent on the simplex
        best = np.full(12, 1 / 12)
        for _ in range(20_000):
            best = best * np.exp(-0.02 * points @ (best @ points - target))
            best /= best.sum()
        got = hull_weights(target, points, iterations=20_000, tolerance=1e-4)
        assert distance(got) <= distance(best) + 1.1e-4

    def test_an_outside_query_is_its_nearest_corner_alone(self) -> None:
        corners = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
        assert hull_weights(np.array([0.0, 5.0]), corners).tolist() == [0, 1, 0]

    @pytest.mark.parametrize("seed", range(5))
    def test_multiplicities_sum_to_k_stay_near_the_weights_and_mix_no_worse_than_plain_rounding(
        self, seed: int
    ) -> None:
        rng = np.random.default_rng(seed)
        target, points = rng.normal(size=3) * 0.3, rng.normal(size=(10, 3))
        weights = hull_weights(target, points)
        for k in (1, 4, 7, 50):
            counts = whole_multiplicities(target, points, weights, k)
            assert counts.sum() == k
            assert (counts >= np.floor(k * weights + 1e-9)).all()
            assert (counts[weights == 0] == 0).all()
            down = np.floor(k * weights + 1e-9)
            largest = np.argsort(down - k * weights, kind="stable")[: k - int(down.sum())]
            plain = down + np.bincount(largest, minlength=10)
            if k - down.sum() <= 1:  # one to place: the nearest mixture is taken, by definition
                assert (
                    np.linalg.norm(target - counts @ points / k) <= np.linalg.norm(target - plain @ points / k) + 1e-12
                )

    def test_repeats_are_the_multiplicities_and_without_them_the_heaviest_come_first(
        self, rows: tuple[np.ndarray, np.ndarray]
    ) -> None:
        query, candidates = rows
        weights = hull_weights(query, candidates)
        repeated = order(Hull(with_repeats=True), query, candidates, 20)
        counts = np.bincount(repeated, minlength=30)
        assert counts.tolist() == whole_multiplicities(query, candidates, weights, 20).tolist()
        assert counts.max() > 1
        once = order(Hull(), query, candidates, 30)
        support = int((weights > 0).sum())
        assert (np.diff(weights[once]) <= 0).all()
        assert (np.diff((candidates @ query)[once[support:]]) <= 0).all()

    def test_a_copy_of_a_corner_gets_no_weight(self) -> None:
        corners = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        assert hull_weights(np.array([0.4, 0.6]), corners)[1] == 0

    def test_no_candidates_give_no_choice(self) -> None:
        assert order(Hull(with_repeats=True), np.ones(3) / 3**0.5, np.zeros((0, 3)), 4) == []


def test_sift_leaves_no_more_variance_than_any_baseline_after_one_choice_and_less_among_copies() -> None:
    rng = np.random.default_rng(6)
    query, candidates = unit_rows(rng, 1, 8), np.repeat(unit_rows(rng, 6, 8), 4, axis=0)
    sift = raw_sift(query, candidates, 4, noise_variance=0.1)
    nearest = raw_measure(query, candidates, order(Nearest(), query, candidates, 4), noise_variance=0.1).selection
    assert sift.posterior_variances[0] == pytest.approx(nearest.posterior_variances[0])
    assert sift.posterior_variances[-1] < nearest.posterior_variances[-1]
