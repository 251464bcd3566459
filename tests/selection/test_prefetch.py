"""Guessing the next picks saves time on large problems and changes no choice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sift_rag.selection import prefetch
from tests.examples import examples
from tests.oracles import kernel_values, raw_problem, raw_sift, unit_rows


@given(
    seed=st.integers(0, 2**32),
    kernel=st.sampled_from(["rbf", "linear"]),
    targets=st.integers(1, 3),
    known=st.integers(0, 2),
    n=st.sampled_from([1, 2, 20, 300]),
    with_repeats=st.booleans(),
    noise_variance=st.sampled_from([1e-3, 0.1, 3.0]),
)
@settings(deadline=None, max_examples=examples(60))
def test_the_choice_is_the_one_without_guessing(
    seed: int, kernel: Any, targets: int, known: int, n: int, with_repeats: bool, noise_variance: float
) -> None:
    rng = np.random.default_rng(seed)
    query, candidates, given_rows = (unit_rows(rng, rows, 16).astype(float) for rows in (targets, n, known))
    arguments: Any = {"kernel": kernel, "noise_variance": noise_variance, "with_repeats": with_repeats}
    arguments["known"] = given_rows
    plain = raw_sift(query, candidates, 25, **arguments)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prefetch, "WORTHWHILE_BYTES", 0)
        patch.setattr(prefetch, "SHORTLIST", 12)  # so that guesses fail too
        guessed = raw_sift(query, candidates, 25, **arguments)
    assert guessed.indices.tolist() == plain.indices.tolist()
    np.testing.assert_allclose(guessed.posterior_variances, plain.posterior_variances, rtol=1e-9)


def test_small_problems_and_kernel_functions_are_not_guessed() -> None:
    rows = np.eye(4, dtype=np.float32)
    arguments: Any = {"lengthscale": 1.0, "noise_variance": 1.0}
    large = np.broadcast_to(rows[:1], (prefetch.WORTHWHILE_BYTES // 16, 4))
    assert not prefetch.worthwhile(raw_problem(rows, rows, kernel="rbf", **arguments))
    assert prefetch.worthwhile(raw_problem(rows, large, kernel="rbf", **arguments))
    by_function = raw_problem(rows, large[:64], kernel=lambda a, b: a @ b.T, **arguments)
    assert not prefetch.worthwhile(by_function._replace(points=large))


@pytest.mark.parametrize("kernel", ["rbf", "linear"])
def test_guesses_among_all_candidates_are_the_greedy_picks(kernel: Any) -> None:
    rng = np.random.default_rng(3)
    query, candidates = unit_rows(rng, 2, 16).astype(float), unit_rows(rng, 60, 16).astype(float)
    problem = raw_problem(query, candidates, kernel=kernel, lengthscale=0.5, noise_variance=0.3)
    wanted = raw_sift(query, candidates, 9, kernel=kernel, lengthscale=0.5, noise_variance=0.3).indices.tolist()
    covariance = kernel_values(query, candidates, kernel, 0.5)
    noisy = problem.diagonal + 0.3
    gains = (covariance**2).sum(0) / noisy
    assert prefetch.next_picks(problem, wanted[0], 8, gains, covariance, noisy, np.empty((0, 60))) == wanted[1:]


def test_columns_are_those_of_the_kernel_whatever_was_guessed() -> None:
    rng = np.random.default_rng(4)
    candidates = unit_rows(rng, 30, 8)
    problem = raw_problem(candidates[0], candidates, kernel="rbf", lengthscale=0.5, noise_variance=1.0)
    asked: list[int] = []

    def guess(row: int, count: int) -> list[int]:
        asked.append(count)
        return [(row + 1 + i) % 30 for i in range(count)]

    column_of = prefetch.prefetched_columns(problem, guess)
    out = np.empty(30, dtype=np.float32)
    whole = kernel_values(candidates, candidates, "rbf", 0.5)
    for row in [*range(30), *range(30, 0, -7), 3, 3]:
        np.testing.assert_allclose(column_of(row % 30, out), whole[row % 30], rtol=1e-5)
    assert max(asked) == prefetch.MOST_COLUMNS - 1
    assert len(asked) < 15
