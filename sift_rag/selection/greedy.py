"""The loop that all methods share: score, pick the best, observe it, until a rule says stop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from sift_rag.selection.arrays import Array
from sift_rag.selection.conditioning import Posterior
from sift_rag.selection.posterior import irreducible_variance
from sift_rag.selection.problem import Problem, check_token_counts
from sift_rag.selection.redundancy import RedundancyWatch
from sift_rag.selection.result import GreedySelection, StopReason
from sift_rag.selection.stopping import Stopping

TIE = 4
"""Units in the last place within which scores are equal. Copies differ by that, by where they stand in an array."""

WIDEST_TIE = 2.0**-7
"""Scores that differ by this share are never equal, whatever their rounding."""


def steps(problem: Problem, k: int, *, with_repeats: bool = False) -> int:
    """Return the largest number of choices that can be made."""
    return k if with_repeats and problem.size else min(k, problem.size)


def first_largest(values: Array, rounding: Callable[[int, float], float] | None = None) -> int:
    """Return the index of the largest of ``(n,)`` scores, n > 0; of those that equal it to rounding, the first.

    ``rounding`` tells, of the largest score and its index, how much a unit in the last place of 1 makes there.
    """
    scores: Any = values
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


def rounding_of_gains(posterior: Posterior, problem: Problem) -> Callable[[int, float], float]:
    """Return the uncertainty of a gain c² / (v + λ), in units in its last place; made before any observation.

    What was subtracted from c and from v has left its rounding there: a gain is the less certain the larger gains once
    were, and the more of v + λ is gone. An inner product is uncertain by a share of both norms, however small it is
    itself; for the linear kernel the gain that they allow stands for the largest. A gain in nats is the difference of
    two logarithms, each uncertain by the share by which its argument is.
    """
    magnified, divisors, in_nats = problem.kernel.rounding, posterior.divisors, posterior.in_nats
    noisy_at_first = posterior.noisy_variances * 1.0
    largest = float(posterior.gains().max())
    allowed = posterior.prior_variance if problem.kernel.of_norms else 0.0

    def rounding(index: int, gain: float) -> float:
        noisy_once = float(noisy_at_first[index])
        lost = magnified * noisy_once / float(divisors[index])
        if in_nats:
            return lost
        gain = max(gain, 0.0)
        return lost * math.sqrt(max(largest, gain, allowed * (1.0 - problem.noise_variance / noisy_once)) * gain)

    return rounding


class Accept(Protocol):
    """A check of each pick, which accepts or refuses it: for rows whose texts are not loaded."""

    def __call__(self, row: int, /) -> Sequence[int]:
        """Return the rows to close: copies of ``row``, or ``row`` itself to refuse it."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one selection, whichever rows it selects."""

    with_repeats: bool = False
    stopping: Stopping | None = None
    token_counts: Any = None
    """``(n,)``, > 0; None for no budget."""
    accept: Accept | None = None
    irreducible: bool = False
    """True to compute the variance that all the candidates together would leave."""
    first: tuple[int, ...] = ()
    """Rows taken before any other, in this order; they must fit a budget."""


def select_greedily(
    posterior: Posterior,
    problem: Problem,
    k: int,
    rules: Rules,
    *,
    order: Sequence[int] | None = None,
    watch: RedundancyWatch | None = None,
) -> GreedySelection:
    """Observe what is known, then take the largest gain up to k times, or the rows of ``order`` as they come.

    ``posterior``, fresh, both scores and measures: one is built per choice. ``watch`` is shown the gains before the
    first pick and after each. See ``select_sift`` for the rules.
    """
    stopping = rules.stopping or Stopping()
    tokens = check_token_counts(rules.token_counts, problem, required=stopping.tokens is not None)
    left = irreducible_variance(problem) if rules.irreducible or stopping.explained is not None else None
    scorer = _Scorer(posterior, problem, rules, tokens, order)
    prior_variance = posterior.prior_variance
    for row in problem.known:
        prior_variance = max(prior_variance - posterior.observe(row), 0.0)

    wanted = min(k, len(order)) if order is not None else steps(problem, k, with_repeats=rules.with_repeats)
    stopped: StopReason = "k" if wanted == k else "exhausted"
    at_first = posterior.gains() * 1.0  # a copy
    if watch is not None:
        watch.see(at_first)
    taken: list[int] = []
    gains: list[float] = []
    variances: list[float] = []
    variance, spent = prior_variance, 0.0
    for step in range(wanted):
        told = posterior.gains()
        if watch is not None and step:
            watch.see(told)
        if rules.stopping is not None and (reason := stopping.enough(variance, prior_variance, left)) is not None:
            stopped = reason
            break
        pick = scorer.next(told, spent)
        if pick is None:
            stopped = "tokens" if stopping.fill else "exhausted"
            break
        if tokens is not None:
            spent += float(tokens[pick])
            if not stopping.affords(spent):
                stopped = "tokens"
                break
        gain = float(told[pick])  # before observing it: the array is the posterior's buffer
        variance = max(variance - posterior.observe(pick), 0.0)
        if rules.stopping is not None and not stopping.justifies(step + 1, variance):
            stopped = "alpha"
            break
        taken.append(pick)
        gains.append(gain)
        variances.append(variance)
    else:
        if watch is not None and taken:
            watch.see(posterior.gains())
    indices = np.array(taken, dtype=np.int64)
    return GreedySelection(
        indices=problem.as_given(indices),
        posterior_variances=problem.as_given(np.array(variances)),
        prior_variance=prior_variance,
        gains=problem.as_given(np.array(gains)),
        relevance=problem.as_given(np.array(at_first[indices].tolist())),
        stopped=stopped,
        irreducible_variance=left,
    )


class _Scorer:
    """Selects the next row: that of largest gain among those still eligible, or the next of an order."""

    def __init__(
        self, posterior: Posterior, problem: Problem, rules: Rules, tokens: Array | None, order: Sequence[int] | None
    ) -> None:
        stopping = rules.stopping
        self._fill = stopping is not None and stopping.fill
        budget = (stopping.tokens or 0) if stopping is not None else 0
        self._budget = float(min(budget, 2**63))  # an integer may be larger than any float
        self._tokens: Any = tokens
        self._per_token = tokens is not None and not self._fill
        self._order: Iterator[int] | None = None if order is None else iter(order)
        self._first = iter(rules.first)
        self._accept = rules.accept
        self._repeats = rules.with_repeats
        greedy = order is None and not self._per_token and problem.size
        self._rounding = rounding_of_gains(posterior, problem) if greedy else None
        self._taken = np.empty(0 if self._repeats else problem.size, dtype=np.int64)
        self._count = 0
        self._refused: list[int] = []

    def next(self, told: Array, spent: float) -> int | None:
        """Return the row to select, given the gains ``(n,)``, which may be written to; None if none is left."""
        if self._order is not None:
            return next((row for row in self._order if not self._fill or self._fits(row, spent)), None)
        pick = next(self._first, None)
        if pick is not None:
            self._take(pick)
            return pick
        scores: Any = told / self._tokens if self._per_token else told
        if self._fill:
            scores[self._tokens > self._budget - spent] = -np.inf
        while True:
            if self._count:
                scores[self._taken[: self._count]] = -np.inf  # by an array: a list costs three times as much
            if self._refused:
                scores[self._refused] = -np.inf
            pick = first_largest(scores, self._rounding)
            if scores[pick] == -np.inf:
                return None
            self._take(pick)
            if self._accept is None:
                return pick
            refused = self._accept(pick)
            self._refused += refused
            if pick not in refused:
                return pick

    def _take(self, row: int) -> None:
        if not self._repeats:
            self._taken[self._count] = row
            self._count += 1

    def _fits(self, row: int, spent: float) -> bool:
        return bool(float(self._tokens[row]) <= self._budget - spent)
