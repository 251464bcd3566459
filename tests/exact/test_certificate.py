"""Bounds hold: whatever was not seen gains less, and no bound is far above the largest possible gain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sift_rag.exact.certificate import (
    Conditioned,
    cap_on_cosine,
    condition,
    gain_of,
    linear_bound,
    proves,
    rbf_bound,
)
from sift_rag.selection import posterior_variance
from sift_rag.selection.features import centred
from sift_rag.selection.kernels import Linear, PreparedKernel, Rbf
from tests.examples import examples
from tests.oracles import unit_rows

SEEDS = st.integers(0, 2**32 - 1)
NOISES = st.sampled_from([1e-3, 0.1, 1.0, 5.0])


def gains(
    state: Conditioned,
    targets: np.ndarray,
    points: np.ndarray,
    rows: np.ndarray,
    kernel: PreparedKernel,
    noise: float,
    weights: np.ndarray,
) -> np.ndarray:
    return np.array(
        [
            gain_of(
                state,
                np.asarray(kernel.matrix(targets, row[None]))[:, 0],
                np.asarray(kernel.matrix(points, row[None]))[:, 0],
                float(kernel.matrix(row[None], row[None])[0, 0]),
                noise,
                weights,
            )
            for row in rows
        ]
    )


@pytest.mark.parametrize("kernel", [Linear(), Rbf(0.6)])
def test_the_conditioned_process_has_the_variances_and_gains_of_the_definition(kernel: Linear | Rbf) -> None:
    rng = np.random.default_rng(0)
    targets, points, rows = (unit_rows(rng, n, 6, dtype=np.float64) for n in (2, 4, 3))
    weights = np.array([0.5, 2.0])
    state = condition(targets, points, kernel, 0.2)
    for row, gain in zip(rows, gains(state, targets, points, rows, kernel, 0.2, weights), strict=True):
        before, after = (
            posterior_variance(targets, known, kernel=kernel, noise_variance=0.2, weights=weights)
            for known in (points, np.concatenate([points, row[None]]))
        )
        assert gain == pytest.approx(before - after, rel=1e-9)
    for target, variance in zip(targets, state.variances, strict=True):
        wanted = posterior_variance(target, points, kernel=kernel, noise_variance=0.2)
        assert variance == pytest.approx(wanted, rel=1e-9)


@settings(max_examples=examples(150), deadline=None)
@given(seed=SEEDS, observed=st.integers(0, 5), spread=st.sampled_from([0.5, 1.0, 4.0]), noise=NOISES)
def test_nothing_unseen_gains_more_than_the_linear_bound(seed: int, observed: int, spread: float, noise: float) -> None:
    rng = np.random.default_rng(seed)
    targets, points, unseen = (unit_rows(rng, n, 5, spread=spread, dtype=np.float64) for n in (2, observed, 40))
    weights = rng.uniform(0.1, 2.0, 2)
    state = condition(targets, points, Linear(), noise)
    deflated = targets - state.coefficients @ points
    bound = linear_bound(state, np.abs(deflated @ unseen.T).max(axis=1), noise, weights)
    largest = gains(state, targets, points, unseen, Linear(), noise, weights).max()
    assert largest <= bound.gain * (1 + 1e-9)


@settings(max_examples=examples(150), deadline=None)
@given(
    seed=SEEDS,
    observed=st.integers(0, 5),
    spread=st.sampled_from([0.5, 1.0, 4.0]),
    noise=NOISES,
    lengthscale=st.sampled_from([0.25, 0.5, 1.0, 3.0]),
)
def test_nothing_unseen_gains_more_than_the_rbf_bound(
    seed: int, observed: int, spread: float, noise: float, lengthscale: float
) -> None:
    rng = np.random.default_rng(seed)
    targets, points, unseen = (unit_rows(rng, n, 5, spread=spread, dtype=np.float64) for n in (2, observed, 40))
    weights = rng.uniform(0.1, 2.0, 2)
    state = condition(targets, points, Rbf(lengthscale), noise)
    caps = (targets @ unseen.T).max(axis=1), (points @ unseen.T).max(axis=1)
    bound = rbf_bound(state, *caps, Rbf(lengthscale), noise, weights)
    largest = gains(state, targets, points, unseen, Rbf(lengthscale), noise, weights).max()
    assert largest <= bound.gain * (1 + 1e-9)


@pytest.mark.parametrize("noise", [1e-3, 0.3])
def test_the_rbf_bound_holds_for_every_lone_point_of_a_circle(noise: float) -> None:
    """Among them points beyond an observation, whose covariance is negative, and beyond two, whose rises again."""
    angles = np.deg2rad(np.arange(0, 360, 15))
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    target, one = circle[:1], np.ones(1)
    for first in range(0, 13, 2):
        for second in range(1, 13, 2):
            points = circle[[first, second]]
            state = condition(target, points, Rbf(0.6), noise)
            told = gains(state, target, points, circle, Rbf(0.6), noise, one)
            for row, gain in zip(circle, told, strict=True):
                assert gain <= rbf_bound(state, target @ row, points @ row, Rbf(0.6), noise, one).gain * (1 + 1e-9)


def test_a_bound_before_any_observation_is_reached_by_what_lies_at_the_cap() -> None:
    rng = np.random.default_rng(3)
    target, unseen, none = unit_rows(rng, 1, 5, dtype=np.float64), unit_rows(rng, 30, 5, dtype=np.float64), np.ones(1)
    state = condition(target, unseen[:0], Rbf(0.5), 0.3)
    bound = rbf_bound(state, (target @ unseen.T).max(axis=1), np.empty(0), Rbf(0.5), 0.3, none)
    assert bound.gain == pytest.approx(gains(state, target, unseen[:0], unseen, Rbf(0.5), 0.3, none).max())


def test_the_cauchy_schwarz_bound_is_reached_in_the_direction_of_the_deflated_query() -> None:
    rng = np.random.default_rng(4)
    target, points = unit_rows(rng, 1, 5, dtype=np.float64), unit_rows(rng, 1, 5, dtype=np.float64)
    state = condition(target, points, Linear(), 1e-9)  # knows one direction exactly
    deflated = target - state.coefficients @ points
    row = deflated / np.linalg.norm(deflated)
    bound = linear_bound(state, np.abs(deflated @ row.T)[:, 0], 0.5, np.ones(1))
    gain = gain_of(state, (target @ row.T)[:, 0], (points @ row.T)[:, 0], 1.0, 0.5, np.ones(1))
    assert gain == pytest.approx(bound.gain, rel=1e-6)


@settings(max_examples=examples(200), deadline=None)
@given(seed=SEEDS, norm=st.floats(0.0, 0.9), pull=st.floats(0.0, 1.5), narrow=st.booleans())
def test_a_cap_on_products_caps_the_cosine_as_seen_from_a_centre(
    seed: int, norm: float, pull: float, narrow: bool
) -> None:
    rng = np.random.default_rng(seed)
    unseen, [u, centre] = unit_rows(rng, 60, 4, spread=2.0, dtype=np.float64), unit_rows(rng, 2, 4, dtype=np.float64)
    centre = norm * centre
    cap = float((unseen @ (u + pull * centre)).max())
    lengths = np.linalg.norm(unseen - centre, axis=1)
    distances = (float(lengths.min()), float(lengths.max())) if narrow else (1 - norm, 1 + norm)
    got = cap_on_cosine(cap, float(u @ centre), pull, float(centre @ centre), distances)
    assert (centred(unseen, centre) @ u).max() <= got + 1e-9


def test_with_a_pull_about_the_cap_a_cosine_is_capped_more_tightly() -> None:
    rng = np.random.default_rng(5)
    unseen, [u, centre] = unit_rows(rng, 4000, 8, dtype=np.float64), unit_rows(rng, 2, 8, dtype=np.float64)
    centre = 0.3 * centre
    lengths = np.linalg.norm(unseen - centre, axis=1)
    true = (centred(unseen, centre) @ u).max()
    capped = {
        pull: cap_on_cosine(
            float((unseen @ (u + pull * centre)).max()),
            float(u @ centre),
            pull,
            0.09,
            (float(lengths.min()), float(lengths.max())),
        )
        for pull in (0.0, true)
    }
    assert true <= capped[true] < capped[0.0]


def test_the_shares_tell_which_search_to_carry_on() -> None:
    target, points = np.eye(3)[:1], np.array([[0.8, 0.6, 0.0], [0.6, 0.0, 0.8]])
    state = condition(target, points, Rbf(0.5), 0.5)
    loose_target = rbf_bound(state, np.array([0.9]), np.array([0.0, 0.0]), Rbf(0.5), 0.5, np.ones(1)).shares
    loose_point = rbf_bound(state, np.array([-0.5]), np.array([0.0, 1.0]), Rbf(0.5), 0.5, np.ones(1)).shares
    assert loose_target.argmax() == 0
    assert loose_point.argmax() == 2


def test_equality_proves_nothing() -> None:
    assert not proves(1.0, 1.0)
    assert not proves(1.0, 1.0 - 1e-7)
    assert proves(1.0, 0.999)
