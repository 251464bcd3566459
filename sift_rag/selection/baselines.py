"""Other ways to choose k of n, with the signature of ``select_sift``, for comparison.

Each returns the same value as SIFT, its variances measured with the same kernel and noise, so that the rows of a table
can be compared. Directions are fixed here and tested: ``relevance`` = 1 is relevance alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sift_rag.selection.kernels import DEFAULT_LENGTHSCALE, KernelName
from sift_rag.selection.sift import GreedySelection, Posterior

DPP_JITTER = 1e-4
"""Added to the diagonal: keeps the residual of an exact duplicate at a positive value above float32 rounding."""


def select_nearest(
    query: Any,
    candidates: Any,
    k: int,
    *,
    kernel: KernelName = "rbf",
    lengthscale: float = DEFAULT_LENGTHSCALE,
    noise_variance: float = 1.0,
    given: Any = None,
) -> GreedySelection:
    """The k candidates of largest inner product with the query (with several targets, the largest over them)."""
    surrogate = Posterior.prior(
        query, candidates, k, kernel=kernel, lengthscale=lengthscale, noise_variance=noise_variance, given=given
    )
    similarity = _similarity(query, candidates)
    return _select(surrogate, k, lambda _: similarity.copy(), lambda _: None)


def select_mmr(
    query: Any,
    candidates: Any,
    k: int,
    *,
    relevance: float = 0.9,
    kernel: KernelName = "rbf",
    lengthscale: float = DEFAULT_LENGTHSCALE,
    noise_variance: float = 1.0,
    given: Any = None,
) -> GreedySelection:
    """Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998).

    Each step takes argmax_x r·s(x*, x) - (1 - r)·max_{y in S} s(x, y), with s the inner product, S what was chosen
    before or ``given``, and the second term 0 while S is empty. ``relevance`` r in [0, 1].
    """
    if not 0.0 <= relevance <= 1.0:
        raise ValueError(f"relevance must be in [0, 1], but got {relevance}.")
    surrogate = Posterior.prior(
        query, candidates, k, kernel=kernel, lengthscale=lengthscale, noise_variance=noise_variance, given=given
    )
    points, similarity = _rows(candidates), _similarity(query, candidates)
    redundancy = np.full(len(points), -np.inf, dtype=points.dtype)
    known = False
    if given is not None and len(given):
        redundancy, known = (points @ _rows(given).T).max(axis=1), True

    def score(_: int) -> Any:
        return relevance * similarity - (1.0 - relevance) * redundancy if known else relevance * similarity

    def observe(index: int) -> None:
        nonlocal known
        known = True
        np.maximum(redundancy, points @ points[index], out=redundancy)

    return _select(surrogate, k, score, observe)


def select_dpp(
    query: Any,
    candidates: Any,
    k: int,
    *,
    quality_scale: float = 12.0,
    kernel: KernelName = "rbf",
    lengthscale: float = DEFAULT_LENGTHSCALE,
    noise_variance: float = 1.0,
    given: Any = None,
) -> GreedySelection:
    """Greedy MAP of a determinantal point process (Chen, Zhang and Zhou, NeurIPS 2018).

    L_ij = q_i q_j x_i·x_j with quality q_i = exp(``quality_scale`` · s(x*, x_i)). Each step takes the candidate of
    largest residual L_ii: its squared quality times the posterior variance of x_i given the choice so far, for the
    linear kernel with a noise that is only a jitter.
    """
    surrogate = Posterior.prior(
        query, candidates, k, kernel=kernel, lengthscale=lengthscale, noise_variance=noise_variance, given=given
    )
    residual = Posterior.prior(
        query, candidates, k, kernel="linear", lengthscale=1.0, noise_variance=DPP_JITTER, given=given
    )
    log_quality = 2.0 * quality_scale * _similarity(query, candidates)

    def score(_: int) -> Any:
        return log_quality + np.log(_rows(residual.candidate_variances) + DPP_JITTER)

    return _select(surrogate, k, score, residual.observe)


def _select(
    surrogate: Posterior, k: int, score: Callable[[int], Any], observe: Callable[[int], None]
) -> GreedySelection:
    """Take the best ``score`` k times without repeats, ties to the lowest index, and measure it with ``surrogate``."""
    prior_variance = surrogate.target_variance
    chosen: list[int] = []
    variances: list[float] = []
    for step in range(min(k, surrogate.size)):
        scores = score(step)
        scores[chosen] = -np.inf
        chosen.append(int(scores.argmax()))
        observe(chosen[-1])
        surrogate.observe(chosen[-1])
        variances.append(surrogate.target_variance)
    return surrogate.selection(chosen, variances, prior_variance)


def _rows(array: Any) -> np.ndarray:
    array = array.detach().float().cpu().numpy() if hasattr(array, "detach") else np.asarray(array)
    return np.asarray(array, dtype=np.float64 if array.dtype == np.float64 else np.float32)


def _similarity(query: Any, candidates: Any) -> np.ndarray:
    """``(n,)``: the largest inner product over the targets."""
    points = _rows(candidates)
    return np.asarray((np.atleast_2d(_rows(query)).astype(points.dtype) @ points.T).max(axis=0))
