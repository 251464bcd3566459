"""Use a reranker's scores as the covariances of candidates and targets.

A cross-encoder reads question and passage together, so it judges relevance better than a kernel over embeddings;
redundancy between passages is still the kernel's. A score s in [0, 1] becomes the prior covariance

    c(x) = exp((s(x) - 1) / 0.5)

and the recurrence of ``conditioning.py`` starts from it. Rationale: docs/decisions/0013.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sift_rag import defaults
from sift_rag.selection.arrays import Array, as_numbers, import_torch
from sift_rag.selection.kernels import Rbf
from sift_rag.selection.pool import Pool
from sift_rag.selection.posterior import explained
from sift_rag.selection.problem import Problem

MARGIN = 1.01
"""Minimum prior variance of a target, as a multiple of the variance that all points together explain."""


def check_relevance(relevance: Any, targets: int, candidates: int, *, what: str = "candidates") -> np.ndarray:
    """Return scores as ``(m, n)`` float64; a single row applies to every target.

    Args:
        relevance: ``(n,)`` or ``(m, n)``, numpy, torch or lists.
        targets: m.
        candidates: n.
        what: what the caller calls the candidates.

    Raises:
        ValueError: wrong shape, or a score that is not finite or outside [0, 1].
    """
    try:
        scores = as_numbers(relevance)
    except ValueError:
        raise ValueError(f"relevance must be numbers, one for each of {candidates} {what}.") from None
    if scores.shape not in {(candidates,), (targets, candidates)}:
        rows = f", or {targets} rows of them" if targets > 1 else ""
        raise ValueError(
            f"relevance must have one score for each of {candidates} {what}{rows}, but its shape is {scores.shape}."
        )
    off = ~((scores >= 0) & (scores <= 1))
    if off.any():
        place = np.argwhere(off)[0]
        raise ValueError(
            f"relevance must be scores in [0, 1], but number {place[-1]} of the {what} has {scores[tuple(place)]:g}. "
            "Rescale the scores first: for logits, apply a sigmoid."
        )
    return np.broadcast_to(scores, (targets, candidates))


def with_relevance(problem: Problem, pool: Pool, *, balanced: bool) -> Problem:
    """Return the problem with the pool's scores as covariances of targets and candidates.

    Known passages keep the kernel's covariances. The prior variance of a target is the kernel's, raised where the
    scores require it: scores and kernel form a Gaussian process only if it is at least c (K + λI)⁻¹ c, the variance
    that all points together explain. This keeps every variance positive and changes no selection, since gains do not
    depend on it. Scores equal to the kernel's covariances leave it unchanged. Costs O(n² (n + d)).

    Args:
        problem: the pool's problem.
        pool: a pool with scores.
        balanced: weigh several targets by the inverse of each one's largest covariance, as ``balanced_weights`` does;
            under the rbf kernel, where the pool has no weights.

    Raises:
        ValueError: see ``check_relevance``.
    """
    if pool.relevance is None:
        return problem
    scores = check_relevance(pool.relevance, len(problem.targets), problem.size)
    told = np.exp((scores - 1.0) / defaults.RELEVANCE_SCALE)
    problem = problem._replace(told=_like(problem.points, told))
    several = len(problem.targets) > 1 and problem.size > 0
    if balanced and several and pool.weights is None and isinstance(problem.kernel, Rbf):
        counted = problem.size if pool.reference is None else min(pool.reference, problem.size)
        inverse = 1.0 / told[:, :counted].max(axis=1)
        problem = problem._replace(view=problem.view._replace(weights=inverse / inverse.mean()))
    prior = np.maximum(np.asarray(problem.prior.tolist()), MARGIN * explained(problem))
    return problem._replace(prior=prior if isinstance(problem.prior, np.ndarray) else problem.prior.new_tensor(prior))


def _like(points: Array, values: np.ndarray) -> Array:
    """Return values as an array with the points' type and dtype."""
    if isinstance(points, np.ndarray):
        return values.astype(points.dtype)
    tensor: Array = import_torch().as_tensor(values, dtype=points.dtype, device=points.device)
    return tensor
