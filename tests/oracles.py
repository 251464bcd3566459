"""Slow and obvious versions of what the library does fast, and random data to compare them on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sift_rag.selection import posterior_variance
from sift_rag.selection.kernels import Kernel, kernel_matrix


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


def greedy_by_definition(
    query: np.ndarray,
    candidates: np.ndarray,
    k: int,
    *,
    kernel: Kernel,
    lengthscale: float,
    noise_variance: float,
    with_repeats: bool = False,
    given: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> tuple[list[int], list[float]]:
    """The greedy choice by one linear solve for every candidate at every step, in float64."""
    known = candidates[:0] if given is None else given

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
    kernel: Kernel,
    lengthscale: float,
    noise_variance: float,
    jitter: float,
) -> float:
    """Nats that noisy observations at ``observed`` tell about the values at the targets, by three log determinants."""
    rows = np.concatenate([query, observed]).astype(np.float64)
    m = len(query)
    noise = np.diag([jitter] * m + [noise_variance] * len(observed))
    joint = kernel_matrix(rows, rows, kernel, lengthscale) + noise

    def log_determinant(matrix: np.ndarray) -> float:
        return float(np.linalg.slogdet(matrix)[1])

    return 0.5 * (log_determinant(joint[:m, :m]) + log_determinant(joint[m:, m:]) - log_determinant(joint))


def greedy_argmax(n: int, k: int, score: Callable[[list[int], int], float]) -> list[int]:
    """Take the best ``score(chosen, i)`` k times without repeats, ties to the lowest index."""
    chosen: list[int] = []
    for _ in range(min(k, n)):
        chosen.append(max((i for i in range(n) if i not in chosen), key=lambda i: (score(chosen, i), -i)))
    return chosen
