"""Other ways to choose k of n, with the signature of ``select_sift``, for comparison.

Each returns the same value as SIFT, its gains and variances measured with the same kernel and noise, so that the rows
of a table can be compared. Similarity is the inner product throughout; directions are fixed here and tested.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from sift_rag.selection.arrays import Problem, check_k, read_problem
from sift_rag.selection.conditioning import Posterior, start
from sift_rag.selection.greedy import select_greedily, steps
from sift_rag.selection.kernels import DEFAULT_LENGTHSCALE, DEFAULT_NOISE_VARIANCE, Kernel
from sift_rag.selection.result import GreedySelection
from sift_rag.selection.stopping import Stopping

DPP_JITTER = 1e-4
"""Added to the diagonal: keeps the residual of an exact duplicate at a positive value above float32 rounding."""


class SelectFunction(Protocol):
    """The signature that all methods share."""

    def __call__(
        self,
        query: Any,
        candidates: Any,
        k: int,
        *,
        kernel: Kernel = "rbf",
        lengthscale: float = DEFAULT_LENGTHSCALE,
        noise_variance: float = DEFAULT_NOISE_VARIANCE,
        given: Any = None,
        weights: Any = None,
    ) -> GreedySelection:
        """See ``select_sift``."""


def select_nearest(
    query: Any,
    candidates: Any,
    k: int,
    *,
    kernel: Kernel = "rbf",
    lengthscale: float = DEFAULT_LENGTHSCALE,
    noise_variance: float = DEFAULT_NOISE_VARIANCE,
    given: Any = None,
    weights: Any = None,
) -> GreedySelection:
    """The k candidates of largest inner product with the query (with several targets, the largest over them)."""
    problem, posterior = start_baseline(query, candidates, k, kernel, lengthscale, noise_variance, given, weights)
    similarity = _similarity(query, candidates)
    return select_greedily(posterior, problem, k, score=similarity.copy)


def select_mmr(
    query: Any,
    candidates: Any,
    k: int,
    *,
    relevance: float = 0.9,
    kernel: Kernel = "rbf",
    lengthscale: float = DEFAULT_LENGTHSCALE,
    noise_variance: float = DEFAULT_NOISE_VARIANCE,
    given: Any = None,
    weights: Any = None,
) -> GreedySelection:
    """Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998).

    Each step takes argmax_x r·s(x*, x) - (1 - r)·max_{y in S} s(x, y), with s the inner product, S what was chosen
    before or ``given``, and the second term 0 while S is empty. ``relevance`` r in [0, 1]: 1 is relevance alone.
    """
    if not 0.0 <= relevance <= 1.0:
        raise ValueError(f"relevance must be in [0, 1], but got {relevance}.")
    problem, posterior = start_baseline(query, candidates, k, kernel, lengthscale, noise_variance, given, weights)
    points, known = to_numpy(candidates), _given_rows(given, candidates)
    relevant = relevance * _similarity(query, candidates)
    redundancy = (points @ known.T).max(axis=1) if len(known) else np.full(len(points), -np.inf, dtype=points.dtype)

    def score() -> Any:
        return relevant - (1.0 - relevance) * redundancy if np.isfinite(redundancy[:1]).any() else relevant.copy()

    def chosen(index: int) -> None:
        np.maximum(redundancy, points @ points[index], out=redundancy)

    return select_greedily(posterior, problem, k, score=score, chosen=chosen)


def select_dpp(
    query: Any,
    candidates: Any,
    k: int,
    *,
    quality_scale: float = 12.0,
    kernel: Kernel = "rbf",
    lengthscale: float = DEFAULT_LENGTHSCALE,
    noise_variance: float = DEFAULT_NOISE_VARIANCE,
    given: Any = None,
    weights: Any = None,
) -> GreedySelection:
    """Greedy MAP of a determinantal point process (Chen, Zhang and Zhou, NeurIPS 2018).

    L_ij = q_i q_j x_i·x_j with quality q_i = exp(``quality_scale`` · s(x*, x_i)). Each step takes the candidate of
    largest residual L_ii: its squared quality times the posterior variance of x_i given the choice so far, for the
    linear kernel with a noise that is only a jitter.
    """
    problem, posterior = start_baseline(query, candidates, k, kernel, lengthscale, noise_variance, given, weights)
    _, residual = start_baseline(
        to_numpy(query), to_numpy(candidates), k, "linear", 1.0, DPP_JITTER, to_numpy(given), None
    )
    for row in range(problem.size, len(problem.points)):
        residual.observe(row)
    log_quality = 2.0 * quality_scale * _similarity(query, candidates)
    return select_greedily(
        posterior,
        problem,
        k,
        score=lambda: log_quality + np.log(residual.noisy_variances),
        chosen=residual.observe,
    )


def select_facility_location(
    query: Any,
    candidates: Any,
    k: int,
    *,
    kernel: Kernel = "rbf",
    lengthscale: float = DEFAULT_LENGTHSCALE,
    noise_variance: float = DEFAULT_NOISE_VARIANCE,
    given: Any = None,
    weights: Any = None,
) -> GreedySelection:
    """The candidates that stand for the others best, each counted by how relevant it is.

    Greedy maximisation of f(S) = Σ_x max(s(x*, x), 0) · max_{y in S} max(s(x, y), 0) over the candidates x, S with what
    is ``given``: monotone and submodular. Costs O(n² (d + k)) time and O(n²) memory.
    """
    problem, posterior = start_baseline(query, candidates, k, kernel, lengthscale, noise_variance, given, weights)
    points, known = to_numpy(candidates), _given_rows(given, candidates)
    relevant = _similarity(query, candidates).clip(0.0)
    similar = (points @ points.T).clip(0.0)
    covered = (points @ known.T).clip(0.0).max(axis=1) if len(known) else np.zeros(len(points), dtype=points.dtype)

    def chosen(index: int) -> None:
        np.maximum(covered, similar[index], out=covered)

    return select_greedily(posterior, problem, k, score=lambda: (similar - covered).clip(0.0) @ relevant, chosen=chosen)


def select_uncertain(
    query: Any,
    candidates: Any,
    k: int,
    *,
    kernel: Kernel = "rbf",
    lengthscale: float = DEFAULT_LENGTHSCALE,
    noise_variance: float = DEFAULT_NOISE_VARIANCE,
    given: Any = None,
    weights: Any = None,
) -> GreedySelection:
    """Uncertainty sampling: the candidate of largest posterior variance of its own, whatever the query is."""
    problem, posterior = start_baseline(
        query, candidates, k, kernel, lengthscale, noise_variance, given, weights, double=True
    )
    return select_greedily(posterior, problem, k, score=lambda: posterior.noisy_variances * 1.0)


def select_random(
    query: Any,
    candidates: Any,
    k: int,
    *,
    seed: int = 0,
    kernel: Kernel = "rbf",
    lengthscale: float = DEFAULT_LENGTHSCALE,
    noise_variance: float = DEFAULT_NOISE_VARIANCE,
    given: Any = None,
    weights: Any = None,
) -> GreedySelection:
    """Any k candidates, each order equally likely; the same for the same ``seed`` and n."""
    problem, posterior = start_baseline(query, candidates, k, kernel, lengthscale, noise_variance, given, weights)
    order = np.random.default_rng(seed).permutation(problem.size)
    return select_greedily(posterior, problem, k, score=in_sequence(order, problem.size))


def select_in_sequence(
    query: Any,
    candidates: Any,
    sequence: Any,
    *,
    kernel: Kernel = "rbf",
    lengthscale: float = DEFAULT_LENGTHSCALE,
    noise_variance: float = DEFAULT_NOISE_VARIANCE,
    given: Any = None,
    weights: Any = None,
    stopping: Stopping | None = None,
    token_counts: Any = None,
    irreducible: bool = False,
) -> GreedySelection:
    """The rows of ``sequence`` ``(k,)`` in that order, measured; rules may end it sooner. Repeats are allowed."""
    order = [int(row) for row in sequence]
    if stopping is not None and stopping.fill and token_counts is not None:
        return _select_what_fits(
            query,
            candidates,
            order,
            stopping,
            [float(count) for count in token_counts],
            kernel=kernel,
            lengthscale=lengthscale,
            noise_variance=noise_variance,
            given=given,
            weights=weights,
            irreducible=irreducible,
        )
    problem, posterior = start_baseline(
        query, candidates, len(order), kernel, lengthscale, noise_variance, given, weights, with_repeats=True
    )
    if any(not 0 <= row < problem.size for row in order):
        raise ValueError(f"Indices must be in [0, {problem.size}), but got {order}.")
    return select_greedily(
        posterior,
        problem,
        len(order),
        score=in_sequence(order, problem.size),
        with_repeats=True,
        stopping=stopping,
        token_counts=token_counts,
        irreducible=irreducible,
    )


def _select_what_fits(
    query: Any, candidates: Any, order: list[int], stopping: Stopping, counts: list[float], **surrogate: Any
) -> GreedySelection:
    """Those of ``order`` that fit when their turn comes."""
    fitting: list[int] = []
    left = float(stopping.tokens or 0)
    for row in order:
        if counts[row] <= left:
            left -= counts[row]
            fitting.append(row)
    rules = replace(stopping, tokens=None, fill=False)
    got = select_in_sequence(query, candidates, fitting, stopping=rules, **surrogate)
    return replace(got, stopped="tokens") if got.stopped == "k" and len(fitting) < len(order) else got


def in_sequence(sequence: Any, size: int) -> Callable[[], Any]:
    """A score by which the rows of ``sequence`` are taken as they come."""
    rows = iter(sequence)

    def score() -> Any:
        scores = np.zeros(size)
        scores[next(rows)] = 1.0
        return scores

    return score


def to_numpy(array: Any) -> Any:
    """Rows as float32 or float64 numpy; None stays None."""
    if array is None:
        return None
    if hasattr(array, "detach"):
        array = array.detach().cpu()
        array = array.numpy() if str(array.dtype) == "torch.float64" else array.float().numpy()
    array = np.asarray(array)
    return array.astype(np.float64 if array.dtype == np.float64 else np.float32, copy=False)


def start_baseline(
    query: Any,
    candidates: Any,
    k: int,
    kernel: Kernel,
    lengthscale: float,
    noise_variance: float,
    given: Any,
    weights: Any,
    *,
    with_repeats: bool = False,
    double: bool = False,
) -> tuple[Problem, Posterior]:
    """The problem, and the posterior that measures a choice of at most k."""
    check_k(k)
    problem = read_problem(
        query,
        candidates,
        kernel=kernel,
        lengthscale=lengthscale,
        noise_variance=noise_variance,
        given=given,
        weights=weights,
        double=double,
    )
    return problem, start(problem, steps(problem, k, with_repeats=with_repeats) + len(problem.points) - problem.size)


def _similarity(query: Any, candidates: Any) -> Any:
    """``(n,)``: the largest inner product over the targets."""
    points = to_numpy(candidates)
    return (np.atleast_2d(to_numpy(query)).astype(points.dtype) @ points.T).max(axis=0)


def _given_rows(given: Any, candidates: Any) -> Any:
    points = to_numpy(candidates)
    return points[:0] if given is None else np.atleast_2d(to_numpy(given)).astype(points.dtype)
