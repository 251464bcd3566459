"""What a selector with bound parameters adds to the functions: centring, balance, one way to measure and to stop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from sift_rag.selection import SELECTORS, SelectorSettings, Stopping, posterior_variance, select_sift
from tests.oracles import unit_rows


def as_seen(rows: np.ndarray, candidates: np.ndarray, share: float) -> np.ndarray:
    """By hand: the share of the candidates' mean taken off, back on the sphere."""
    shifted = rows - share * candidates.mean(axis=0)
    return np.array([row / np.sqrt(row @ row) for row in shifted])


def problem(seed: int, *, targets: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    drift = 0.8 * unit_rows(rng, 1, 8)  # candidates of one subject, as a pool is
    near = [unit_rows(rng, n, 8, dtype=np.float64) + drift for n in (targets, 20, 2)]
    first, second, third = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in near)
    return first, second, third


def test_sift_chooses_by_what_the_candidates_do_not_have_in_common() -> None:
    asked, candidates, given = problem(0, targets=1)
    settings = SelectorSettings(lengthscale=0.5, noise_variance=0.2, centring=0.6)
    got = settings.select(asked, candidates, 6, given=given).selection
    seen = [as_seen(rows, candidates, 0.6) for rows in (asked, candidates, given)]
    wanted = select_sift(seen[0], seen[1], 6, given=seen[2], lengthscale=0.5, noise_variance=0.2)
    assert got.indices.tolist() == wanted.indices.tolist()
    plain = select_sift(asked, candidates, 6, given=given, lengthscale=0.5, noise_variance=0.2)
    assert got.indices.tolist() != plain.indices.tolist()
    uncentred = SelectorSettings(lengthscale=0.5, noise_variance=0.2, centring=0.0)
    assert uncentred.select(asked, candidates, 6, given=given).selection.indices.tolist() == plain.indices.tolist()


def test_the_linear_kernel_is_the_paper_without_centring_or_balance() -> None:
    asked, candidates, given = problem(1)
    got = SelectorSettings(kernel="linear", noise_variance=0.3).select(asked, candidates, 6, given=given).selection
    wanted = select_sift(asked, candidates, 6, given=given, kernel="linear", noise_variance=0.3)
    assert got.indices.tolist() == wanted.indices.tolist()
    assert got.prior_variance == wanted.prior_variance


@pytest.mark.parametrize("name", SELECTORS)
def test_every_method_is_measured_on_one_scale(name: Any) -> None:
    asked, candidates, given = problem(2)
    weights = [0.5, 1.5]
    settings = SelectorSettings(name, lengthscale=0.6, noise_variance=0.3, centring=0.4)
    choice = settings.select(asked, candidates, 5, given=given, weights=weights)
    got = choice.selection
    seen = [as_seen(rows, candidates, 0.4) for rows in (asked, candidates, given)]

    def left(rows: np.ndarray) -> float:
        known = np.concatenate([seen[2], rows])
        return posterior_variance(seen[0], known, lengthscale=0.6, noise_variance=0.3, weights=weights)

    assert len(set(got.indices.tolist())) == 5
    assert got.prior_variance == pytest.approx(left(seen[1][:0]), rel=1e-8)
    for t in range(1, 6):
        assert got.posterior_variances[t - 1] == pytest.approx(left(seen[1][got.indices[:t]]), rel=1e-8)
    assert got.irreducible_variance == pytest.approx(left(seen[1]), rel=1e-8)
    unchosen = next(i for i in range(20) if i not in got.indices.tolist())
    alone, after = got.prior_variance, left(seen[1][got.indices])
    assert choice.redundancy.relevance[unchosen] == pytest.approx(alone - left(seen[1][[unchosen]]), rel=1e-6)
    assert choice.redundancy.gains[unchosen] == pytest.approx(after - left(seen[1][[*got.indices, unchosen]]), rel=1e-6)


@pytest.mark.parametrize("name", [name for name in SELECTORS if name != "sift"])
def test_a_baseline_chooses_by_its_own_definition(name: Any) -> None:
    asked, candidates, _ = problem(3)
    got = SelectorSettings(name).select(asked, candidates, 6).selection
    settings: Any = SelectorSettings()
    wanted = SELECTORS[name](
        asked, candidates, 6, lengthscale=settings.lengthscale, noise_variance=settings.noise_variance
    )
    assert got.indices.tolist() == wanted.indices.tolist()


@pytest.mark.parametrize("name", SELECTORS)
def test_rules_end_any_method_at_a_prefix_of_its_choice(name: Any) -> None:
    asked, candidates, _ = problem(4, targets=1)
    settings = SelectorSettings(name, noise_variance=0.5)
    whole = settings.select(asked, candidates, 10).selection
    variance, left = whole.posterior_variances[4], whole.irreducible_variance
    assert left is not None
    share = (whole.prior_variance - variance) / (whole.prior_variance - left)
    for stopping in (Stopping(explained=0.999 * share), Stopping(variance=variance)):
        got = settings.select(asked, candidates, 10, stopping=stopping).selection
        assert 0 < len(got) < 10
        assert got.indices.tolist() == whole.indices[: len(got)].tolist()
        assert got.stopped in {"explained", "variance"}
    counts = np.full(20, 7)
    got = settings.select(asked, candidates, 10, stopping=Stopping(tokens=30), token_counts=counts).selection
    assert (len(got), got.stopped) == (4, "tokens")


@pytest.mark.parametrize("name", SELECTORS)
def test_no_method_chooses_a_candidate_twice_or_fails_on_copies(name: Any) -> None:
    rng = np.random.default_rng(4)
    candidates = np.repeat(unit_rows(rng, 4, 8), 5, axis=0)
    got = SelectorSettings(name).select(unit_rows(rng, 1, 8), candidates, 20).selection
    assert sorted(got.indices.tolist()) == list(range(20))
    assert np.isfinite(got.posterior_variances).all()


def test_a_question_whose_passages_are_far_gets_one_before_the_other_gets_its_second() -> None:
    def at(*degrees: float) -> np.ndarray:
        angles = np.radians(degrees)
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)

    asked = at(0, 180)
    candidates = at(2, -25, 130)  # two near the first question, the nearest to the second at 50 degrees
    settings = SelectorSettings(noise_variance=1.0, centring=0.0)
    assert settings.select(asked, candidates, 2).selection.indices.tolist() == [0, 2]
    alike = settings.select(asked, candidates, 2, weights=[1.0, 1.0]).selection
    assert alike.indices.tolist() == [0, 1]
    balanced = settings.select(asked, candidates, 2).selection
    assert balanced.prior_variance == pytest.approx(2)  # weights of mean 1: a sum over the questions still


def test_tensors_are_centred_like_arrays() -> None:
    asked, candidates, given = problem(5)
    wanted = SelectorSettings().select(asked, candidates, 6, given=given).selection
    got = SelectorSettings().select(*map(torch.from_numpy, (asked, candidates)), 6, given=torch.from_numpy(given))
    assert got.selection.indices.tolist() == wanted.indices.tolist()
    np.testing.assert_allclose(got.selection.posterior_variances, wanted.posterior_variances)


def test_repeats_are_steps_of_their_own_where_a_method_knows_them() -> None:
    asked, candidates, _ = problem(6, targets=1)
    paper = SelectorSettings(kernel="linear", noise_variance=1.0, with_repeats=True)
    got = paper.select(asked, candidates, 30).selection
    wanted = select_sift(asked, candidates, 30, kernel="linear", noise_variance=1.0, with_repeats=True)
    assert got.indices.tolist() == wanted.indices.tolist()
    assert len(set(got.indices.tolist())) < len(got) == 30
    again = SelectorSettings("nearest", with_repeats=True).select(asked, candidates, 5).selection
    assert again.indices.tolist() == [int((candidates @ asked[0]).argmax())] * 5
    assert (np.diff(again.posterior_variances) < 0).all()
    hull = SelectorSettings("hull", with_repeats=True).select(asked, candidates, 30).selection
    assert len(hull) == 30
    with pytest.raises(ValueError, match="'mmr' cannot repeat a candidate: with_repeats is for sift, hull, nearest"):
        SelectorSettings("mmr", with_repeats=True)


def test_no_candidates_leave_everything_open() -> None:
    choice = SelectorSettings().select(np.eye(2, dtype=np.float32), np.zeros((0, 2), np.float32), 3)
    assert (len(choice.selection), choice.selection.prior_variance) == (0, 2)


@pytest.mark.parametrize(
    "change", [{"kernel": "cubic"}, {"lengthscale": 0}, {"noise_variance": -1}, {"centring": 1.0}, {"centring": -0.1}]
)
def test_settings_out_of_range_are_refused_when_made(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        SelectorSettings(**change)


def test_an_unknown_method_is_refused_when_made() -> None:
    with pytest.raises(ValueError, match=r"Unknown selector 'best': expected one of sift, "):
        SelectorSettings("best")  # type: ignore[arg-type]
