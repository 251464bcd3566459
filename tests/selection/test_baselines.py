"""Each baseline against its definition, written the slow way."""

from __future__ import annotations

import numpy as np
import pytest

from sift_rag.selection import (
    SELECTORS,
    SelectorSettings,
    posterior_variance,
    select_dpp,
    select_mmr,
    select_nearest,
    select_sift,
)
from sift_rag.selection.baselines import DPP_JITTER
from tests.oracles import greedy_argmax, unit_rows


@pytest.fixture
def rows() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(42)
    return unit_rows(rng, 1, 12)[0].astype(float), unit_rows(rng, 30, 12).astype(float)


def test_nearest_is_the_order_of_cosine(rows: tuple[np.ndarray, np.ndarray]) -> None:
    query, candidates = rows
    assert select_nearest(query, candidates, 6).indices.tolist() == np.argsort(-(candidates @ query))[:6].tolist()


def test_nearest_to_several_targets_is_the_order_of_the_largest_cosine() -> None:
    rng = np.random.default_rng(1)
    targets, candidates = unit_rows(rng, 3, 8), unit_rows(rng, 20, 8)
    wanted = np.argsort(-(candidates @ targets.T).max(axis=1))[:6].tolist()
    assert select_nearest(targets, candidates, 6).indices.tolist() == wanted


@pytest.mark.parametrize("relevance", [0.3, 0.7, 0.9])
@pytest.mark.parametrize("known", [0, 3])
def test_mmr_is_its_definition(rows: tuple[np.ndarray, np.ndarray], relevance: float, known: int) -> None:
    query, candidates = rows
    given = unit_rows(np.random.default_rng(7), known, 12).astype(float)

    def score(chosen: list[int], i: int) -> float:
        others = np.concatenate([given, candidates[chosen]])
        redundancy = float((others @ candidates[i]).max()) if len(others) else 0.0
        return float(relevance * (query @ candidates[i]) - (1 - relevance) * redundancy)

    got = select_mmr(query, candidates, 10, relevance=relevance, given=given)
    assert got.indices.tolist() == greedy_argmax(30, 10, score)


def test_mmr_with_relevance_one_is_nearest(rows: tuple[np.ndarray, np.ndarray]) -> None:
    query, candidates = rows
    wanted = select_nearest(query, candidates, 10).indices.tolist()
    assert select_mmr(query, candidates, 10, relevance=1.0).indices.tolist() == wanted
    with pytest.raises(ValueError, match="relevance"):
        select_mmr(query, candidates, 10, relevance=1.1)


@pytest.mark.parametrize("quality_scale", [0.0, 2.0, 12.0])
def test_dpp_is_the_greedy_largest_determinant(rows: tuple[np.ndarray, np.ndarray], quality_scale: float) -> None:
    query, candidates = rows
    quality = np.exp(quality_scale * (candidates @ query))
    matrix = candidates @ candidates.T + DPP_JITTER * np.eye(30)
    likelihood = quality[:, None] * matrix * quality

    def score(chosen: list[int], i: int) -> float:
        among = [*chosen, i]
        return float(np.linalg.slogdet(likelihood[np.ix_(among, among)])[1])

    got = select_dpp(query, candidates, 8, quality_scale=quality_scale)
    assert got.indices.tolist() == greedy_argmax(30, 8, score)


@pytest.mark.parametrize("name", SELECTORS)
def test_every_selector_reports_the_posterior_variance_of_its_own_choice(name: str) -> None:
    rng = np.random.default_rng(2)
    targets, candidates, given = unit_rows(rng, 2, 8), unit_rows(rng, 20, 8), unit_rows(rng, 2, 8)
    got = SelectorSettings(name=name, lengthscale=0.6, noise_variance=0.3).select(targets, candidates, 5, given=given)
    assert len(set(got.indices.tolist())) == 5
    for t in range(6):
        known = np.concatenate([given, candidates[got.indices[:t]]])
        wanted = posterior_variance(targets, known, lengthscale=0.6, noise_variance=0.3)
        reported = got.prior_variance if t == 0 else got.posterior_variances[t - 1]
        assert reported == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("name", SELECTORS)
def test_no_selector_chooses_a_candidate_twice_or_fails_on_copies(name: str) -> None:
    rng = np.random.default_rng(4)
    candidates = np.repeat(unit_rows(rng, 4, 8), 5, axis=0)
    got = SelectorSettings(name=name).select(unit_rows(rng, 1, 8), candidates, 20)
    assert sorted(got.indices.tolist()) == list(range(20))
    assert np.isfinite(got.posterior_variances).all()


def test_sift_leaves_no_more_variance_than_any_baseline_after_one_choice_and_less_among_copies() -> None:
    rng = np.random.default_rng(6)
    query, candidates = unit_rows(rng, 1, 8), np.repeat(unit_rows(rng, 6, 8), 4, axis=0)
    sift = select_sift(query, candidates, 4, noise_variance=0.1)
    nearest = select_nearest(query, candidates, 4, noise_variance=0.1)
    assert sift.posterior_variances[0] == pytest.approx(nearest.posterior_variances[0])
    assert sift.posterior_variances[-1] < nearest.posterior_variances[-1]


@pytest.mark.parametrize("change", [{"name": "best"}, {"kernel": "cubic"}, {"lengthscale": 0}, {"noise_variance": -1}])
def test_settings_out_of_range_are_refused_when_made(change: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(change)) if "name" not in change else "selector"):
        SelectorSettings(**change)
