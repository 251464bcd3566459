"""The loop that all methods share: score, take the best, observe it, until something says stop."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from sift_rag.selection.arrays import Problem, check_token_counts
from sift_rag.selection.conditioning import Posterior
from sift_rag.selection.posterior import irreducible_variance
from sift_rag.selection.result import GreedySelection, StopReason
from sift_rag.selection.stopping import Stopping

TIE = 4
"""Units in the last place within which scores are equal. Copies differ by that, by where they stand in an array."""

WIDEST_TIE = 2.0**-7
"""Scores that differ by this share are never equal, whatever their rounding."""


def steps(problem: Problem, k: int, *, with_repeats: bool = False) -> int:
    """How many choices can be made at most."""
    return k if with_repeats and problem.size else min(k, problem.size)


def first_largest(scores: Any, rounding: Callable[[int, float], float] | None = None) -> int:
    """Index of the largest of ``(n,)`` scores, n > 0; of those that equal it to rounding, the first.

    ``rounding`` tells, of the largest score and its index, how much a unit in the last place of 1 makes there.
    """
    on_arrays = isinstance(scores, np.ndarray)
    index = int(scores.argmax())
    best = float(scores[index])
    widest, second = abs(best) * WIDEST_TIE, best
    if on_arrays:
        scores[index] = -np.inf  # looking for the second largest costs less than comparing all
        second = scores.item(scores.argmax())
        scores[index] = best
        if second < best - widest:
            return index
    unit = TIE * (2.0**-23 if scores.itemsize == 4 else 2.0**-52)
    lowest = best - min(widest, unit * (abs(best) if rounding is None else rounding(index, best)))
    if second < lowest:
        return index
    equal = scores >= lowest
    return int(equal.argmax() if on_arrays else equal.nonzero()[0, 0])


def rounding_of_kernel(problem: Problem) -> float:
    """By how much a kernel magnifies the rounding of an inner product: the exponent of rbf by 1/ℓ²."""
    return 1.0 + problem.lengthscale**-2 if problem.kernel == "rbf" else 1.0


def rounding_of_gains(posterior: Posterior, problem: Problem) -> Callable[[int, float], float]:
    """How uncertain a gain c² / (v + λ) is, in units in its last place: made from the state before any observation.

    What was subtracted from c and from v has left its rounding there: a gain is the less certain the larger gains once
    were, and the more of v + λ is gone. An inner product is uncertain by a share of both norms, however small it is
    itself; for the linear kernel the gain that they allow stands for the largest. A gain in nats is the difference of
    two logarithms, each uncertain by the share by which its argument is.
    """
    magnified, divisors, in_nats = rounding_of_kernel(problem), posterior.divisors, posterior.in_nats
    noisy_at_first = posterior.noisy_variances * 1.0
    largest = float(posterior.gains().max())
    allowed = posterior.prior_variance if problem.kernel == "linear" else 0.0

    def rounding(index: int, gain: float) -> float:
        noisy_once = float(noisy_at_first[index])
        lost = magnified * noisy_once / float(divisors[index])
        if in_nats:
            return lost
        gain = max(gain, 0.0)
        return lost * math.sqrt(max(largest, gain, allowed * (1.0 - problem.noise_variance / noisy_once)) * gain)

    return rounding


def select_greedily(
    posterior: Posterior,
    problem: Problem,
    k: int,
    *,
    score: Callable[[], Any] | None = None,
    chosen: Callable[[int], object] | None = None,
    with_repeats: bool = False,
    stopping: Stopping | None = None,
    token_counts: Any = None,
    irreducible: bool = False,
) -> GreedySelection:
    """Observe what is given, then take the largest score up to k times.

    ``posterior``, fresh, measures every choice; it also scores them, unless ``score`` gives an ``(n,)`` array of its
    own, which may be written to. ``chosen`` is told every choice. The rest: see ``select_sift``.
    """
    ruled, stopping = stopping is not None, stopping or Stopping()
    tokens = check_token_counts(token_counts, problem, required=stopping.tokens is not None)
    left = irreducible_variance(problem) if irreducible or stopping.explained is not None else None
    rounding = rounding_of_gains(posterior, problem) if score is None and tokens is None and problem.size else None
    prior_variance = posterior.prior_variance
    for row in range(problem.size, len(problem.points)):
        prior_variance = max(prior_variance - posterior.observe(row), 0.0)

    wanted = steps(problem, k, with_repeats=with_repeats)
    stopped: StopReason = "k" if wanted == k else "exhausted"
    taken = np.empty(wanted, dtype=np.int64)
    at_first = posterior.gains() * 1.0  # a copy
    gains: list[float] = []
    variances: list[float] = []
    variance, spent = prior_variance, 0.0
    gains_now, observe = posterior.gains, posterior.observe
    for step in range(wanted):
        if ruled and (reason := stopping.enough(variance, prior_variance, left)) is not None:
            stopped = reason
            break
        told = gains_now()
        scores = told if score is None else score()
        if tokens is not None:
            scores = scores / tokens
        if step and not with_repeats:
            scores[taken[:step]] = -np.inf
        pick = first_largest(scores, rounding)
        if tokens is not None:
            spent += float(tokens[pick])
            if not stopping.affords(spent):
                stopped = "tokens"
                break
        gain = float(told[pick])  # before observing it: the array is the posterior's buffer
        variance = max(variance - observe(pick), 0.0)
        if ruled and not stopping.justifies(step + 1, variance):
            stopped = "alpha"
            break
        if chosen is not None:
            chosen(pick)
        taken[step] = pick
        gains.append(gain)
        variances.append(variance)
    indices = taken[: len(gains)]
    return GreedySelection(
        indices=problem.as_given(indices),
        posterior_variances=problem.as_given(np.array(variances)),
        prior_variance=prior_variance,
        gains=problem.as_given(np.array(gains)),
        relevance=problem.as_given(np.array(at_first[indices].tolist())),
        stopped=stopped,
        irreducible_variance=left,
    )
