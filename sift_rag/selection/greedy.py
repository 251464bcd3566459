"""The loop that all methods share: score, take the best, observe it, until something says stop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sift_rag.selection.arrays import Problem, check_token_counts
from sift_rag.selection.conditioning import Posterior
from sift_rag.selection.posterior import irreducible_variance
from sift_rag.selection.result import GreedySelection, StopReason
from sift_rag.selection.stopping import Stopping

TIE = 8
"""Scores this many units in the last place apart are equal: copies differ so little by where they stand in an array."""


def steps(problem: Problem, k: int, *, with_repeats: bool = False) -> int:
    """How many choices can be made at most."""
    return k if with_repeats and problem.size else min(k, problem.size)


def first_largest(scores: Any) -> int:
    """Index of the largest of ``(n,)`` scores, n > 0; of those within ``TIE`` units of it, the first."""
    if isinstance(scores, np.ndarray):
        best = scores.item(scores.argmax())
        return int((scores >= best - TIE * np.finfo(scores.dtype).eps * abs(best)).argmax())
    best = float(scores.max())
    return int((scores >= best - TIE * np.finfo(str(scores.dtype)[6:]).eps * abs(best)).nonzero()[0, 0])


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
    stopping = stopping or Stopping()
    tokens = check_token_counts(token_counts, problem, required=stopping.tokens is not None)
    left = irreducible_variance(problem) if irreducible or stopping.explained is not None else None
    prior_variance = posterior.prior_variance
    for row in range(problem.size, len(problem.points)):
        prior_variance = max(prior_variance - posterior.observe(row), 0.0)

    wanted = steps(problem, k, with_repeats=with_repeats)
    stopped: StopReason = "k" if wanted == k else "exhausted"
    indices = np.empty(wanted, dtype=np.int64)
    variances, gains, relevance = np.empty((3, wanted))
    at_first = posterior.gains() * 1.0  # a copy
    variance, kept, spent = prior_variance, 0, 0.0
    for step in range(wanted):
        if (reason := stopping.enough(variance, prior_variance, left)) is not None:
            stopped = reason
            break
        told = posterior.gains()
        scores = told if score is None else score()
        if tokens is not None:
            scores = scores / tokens
        if step and not with_repeats:
            scores[indices[:step]] = -np.inf
        pick = first_largest(scores)
        if tokens is not None:
            spent += float(tokens[pick])
            if not stopping.affords(spent):
                stopped = "tokens"
                break
        gains[step] = told[pick]  # before observing it: the array is the posterior's buffer
        variance = max(variance - posterior.observe(pick), 0.0)
        if not stopping.justifies(step + 1, variance):
            stopped = "alpha"
            break
        if chosen is not None:
            chosen(pick)
        indices[step], variances[step], relevance[step] = pick, variance, at_first[pick]
        kept = step + 1
    return GreedySelection(
        indices=problem.as_given(indices[:kept]),
        posterior_variances=problem.as_given(variances[:kept]),
        prior_variance=prior_variance,
        gains=problem.as_given(gains[:kept]),
        relevance=problem.as_given(relevance[:kept]),
        stopped=stopped,
        irreducible_variance=left,
    )
