"""Slow and plain versions of what the library does fast, and random data to compare them on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sift_rag import defaults
from sift_rag.selection import (
    BatchSelection,
    Choice,
    Features,
    GaussianProcess,
    GreedySelection,
    Stopping,
    batch,
    posterior_variance,
    select_sift,
    select_sift_batch,
    selector_from,
)
from sift_rag.selection.greedy import Rules
from sift_rag.selection.kernels import Kernel, kernel_named, prepared
from sift_rag.selection.pool import Pool
from sift_rag.selection.problem import Problem, read_problem
from sift_rag.selection.process import measure


def unit_rows(rng: np.random.Generator, n: int, d: int, *, spread: float = 1.0, dtype: type = np.float32) -> np.ndarray:
    """``(n, d)`` unit rows around a common direction; the smaller ``spread``, the closer together."""
    rows = np.eye(d)[0] + spread * rng.normal(size=(n, d)) / np.sqrt(d)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(dtype)


def pool_with_copies(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """1 to 3 targets ``(m, d)`` and 30 to 400 candidates ``(n, d)`` for them, a fifth of which are copies of others."""
    rng = np.random.default_rng(seed)
    m, n, d = rng.integers(1, 4), rng.integers(30, 401), rng.integers(8, 65)
    targets, candidates = unit_rows(rng, m, d), unit_rows(rng, n, d)
    copies = rng.choice(n, n // 5, replace=False)
    candidates[copies] = candidates[rng.integers(0, n, n // 5)]
    return targets, candidates


def raw_sift(query: Any, candidates: Any, k: int, **options: Any) -> GreedySelection:
    """``select_sift`` on rows as they are, every target of weight 1: what the definition says."""
    if options.get("weights") is None and options.get("objective") != "information":
        options["weights"] = np.ones(len(query) if query.ndim == 2 else 1)
    return select_sift(query, candidates, k, **{"centring": 0.0} | options)


def raw_batch(queries: Any, candidates: Any, k: int, **options: Any) -> BatchSelection:
    """``select_sift_batch`` on rows as they are, every target of weight 1."""
    if options.get("weights") is None:
        options["weights"] = np.ones(queries.shape[1] if queries.ndim == 3 else 1)
    return select_sift_batch(queries, candidates, k, **{"centring": 0.0} | options)


def raw_block(queries: Any, candidates: Any, k: int, *, tensors: bool = True, **options: Any) -> BatchSelection:
    """The arithmetic of one block of a batch, on rows as they are; for a device unless ``tensors`` is false."""
    process = raw_process(**{name: options.pop(name) for name in KERNEL_OPTIONS & set(options)})
    weights = np.ones(queries.shape[1]) if options.get("weights") is None else options["weights"]
    known, mask, repeats = options.get("known"), options.get("mask"), options.get("with_repeats", False)
    block = batch._Block(process, queries, candidates, k, known, mask, weights, repeats)
    return batch._select_block(block, tensors=tensors)


KERNEL_OPTIONS = {"kernel", "lengthscale", "noise_variance", "centring"}


def raw_process(
    kernel: str | Kernel = defaults.KERNEL,
    lengthscale: float = defaults.LENGTHSCALE,
    noise_variance: float = defaults.NOISE_VARIANCE,
    centring: float = 0.0,
) -> GaussianProcess:
    """The process that sees rows as they are."""
    return GaussianProcess(kernel_named(kernel, lengthscale), noise_variance, Features(centring))


def selector(name: str = defaults.SELECTOR, **settings: Any) -> Any:
    """A selector by name, with flat settings."""
    return selector_from(name, settings)


def raw_problem(query: Any, candidates: Any, **options: Any) -> Problem:
    """The checked arrays of a selection on rows as they are."""
    process = raw_process(**{name: options.pop(name) for name in KERNEL_OPTIONS & set(options)})
    pool = Pool(query, candidates, **{name: options.pop(name) for name in ("known", "weights") if name in options})
    return read_problem(pool, prepared(process.kernel), process.noise_variance, **options)


def raw_measure(
    query: Any,
    candidates: Any,
    order: Any,
    *,
    stopping: Stopping | None = None,
    token_counts: Any = None,
    **options: Any,
) -> Choice:
    """The rows of an order as a choice, measured on rows as they are."""
    problem = raw_problem(query, candidates, **options)
    return measure(problem, order, len(order), Rules(stopping=stopping, token_counts=token_counts))


def kernel_values(rows: Any, points: Any, kernel: str | Kernel, lengthscale: float) -> Any:
    """Return the kernel values ``(n, p)``."""
    return prepared(kernel_named(kernel, lengthscale)).matrix(rows, points)


def greedy_by_definition(
    query: np.ndarray,
    candidates: np.ndarray,
    k: int,
    *,
    kernel: str | Kernel,
    lengthscale: float,
    noise_variance: float,
    with_repeats: bool = False,
    known: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> tuple[list[int], list[float]]:
    """The greedy choice by one linear solve for every candidate at every step, in float64."""
    known = candidates[:0] if known is None else known

    def variance(chosen: list[int]) -> float:
        return posterior_variance(
            query,
            np.concatenate([known, candidates[chosen]]),
            kernel=kernel,
            lengthscale=lengthscale,
            noise_variance=noise_variance,
            weights=weights,
        )

    chosen: list[int] = []
    variances: list[float] = []
    for _ in range(k if with_repeats else min(k, len(candidates))):
        allowed = [i for i in range(len(candidates)) if with_repeats or i not in chosen]
        chosen.append(min(allowed, key=lambda i: variance([*chosen, i])))
        variances.append(variance(chosen))
    return chosen, variances


def information(
    query: np.ndarray,
    observed: np.ndarray,
    *,
    kernel: str | Kernel,
    lengthscale: float,
    noise_variance: float,
    jitter: float,
) -> float:
    """Nats that noisy observations at ``observed`` tell about the values at the targets, by three log determinants."""
    rows = np.concatenate([query, observed]).astype(np.float64)
    m = len(query)
    noise = np.diag([jitter] * m + [noise_variance] * len(observed))
    joint = np.asarray(kernel_values(rows, rows, kernel, lengthscale)) + noise

    def log_determinant(matrix: np.ndarray) -> float:
        return float(np.linalg.slogdet(matrix)[1])

    return 0.5 * (log_determinant(joint[:m, :m]) + log_determinant(joint[m:, m:]) - log_determinant(joint))


def greedy_argmax(n: int, k: int, score: Callable[[list[int], int], float]) -> list[int]:
    """Take the best ``score(chosen, i)`` k times without repeats, ties to the lowest index."""
    chosen: list[int] = []
    for _ in range(min(k, n)):
        chosen.append(max((i for i in range(n) if i not in chosen), key=lambda i: (score(chosen, i), -i)))
    return chosen
