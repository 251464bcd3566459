"""A Gaussian process that observes one point after another: the recurrence behind every method of this package.

After t observations it holds, for each point x, the posterior covariance c_i(x) with each target, the posterior
variance v(x), and the t columns of a Cholesky factor. One more observation, of point j, needs one kernel column and one
product with that factor, so no n x n matrix is ever formed: O(n (d + t + m)) a step, O(n (k + m)) memory. It is a
partially pivoted Cholesky factorisation, as in greedy inference for determinantal point processes.

    g = k(·, x_j) - Σ_s ℓ_s ℓ_s[j]          posterior covariance of every point with x_j
    ℓ = g / √(v[j] + λ)
    c_i <- c_i - ℓ c_i[j] / √(v[j] + λ)      v <- v - ℓ²
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy import divide, multiply, subtract

from sift_rag.selection.arrays import Array
from sift_rag.selection.prefetch import next_picks, prefetched_columns, worthwhile
from sift_rag.selection.problem import Problem

if TYPE_CHECKING:
    import torch


class Posterior(Protocol):
    """The one mutable thing of this package; lives for one selection. Rows ``n:`` of its points cannot be chosen."""

    prior_variance: float
    """Weighted sum over the targets, before any observation."""
    noisy_variances: Any
    """``(n,)``: v + λ of the candidates, after every observation; not to be written to."""
    divisors: Any
    """``(n,)``: the variances that gains are divided by, after every observation; not to be written to."""
    in_nats: bool
    """True if gains are logarithms, rather than falls of the variance."""

    def gains(self) -> Array:
        """Return ``(n,)``: how much observing each candidate would lower the targets' variance.

        Valid until the next call; the caller may overwrite it.
        """

    def observe(self, row: int, noise_variance: float | None = None) -> float:
        """Condition on one more observation of ``row``, with noise λ by default; return how much it lowered σ²."""


def start(problem: Problem, observations: int, *, greedily: bool = False) -> Posterior:
    """Return the process before any observation; ``observations`` is the maximum number to come.

    ``greedily`` says that mostly the candidate of largest gain will be observed next: large problems profit.
    """
    if isinstance(problem.points, np.ndarray):
        return ArrayPosterior(problem, observations, greedily=greedily)
    return TensorPosterior(problem, observations)


class ArrayPosterior:
    """On numpy arrays. Every step writes into buffers made once: at n = 200 allocation and calls are what costs."""

    in_nats = False

    def __init__(self, problem: Problem, observations: int, *, greedily: bool = False) -> None:
        points, noise = problem.points, problem.noise_variance
        covariance = problem.covariances()
        self.prior_variance = _weighted_prior(problem)
        if problem.weights is not None:
            covariance *= np.sqrt(problem.weights)[:, None].astype(points.dtype)
        self._single = len(covariance) == 1
        self._covariance = covariance[0] if self._single else covariance
        self._noisy = problem.diagonal + points.dtype.type(noise)
        self._noise = noise
        # v + λ stays above 0 by itself where rounding, summed over the observations, is far below λ
        rounding = 64.0 * observations * float(np.finfo(points.dtype).eps) * (problem.largest + noise)
        self._must_clip = noise < rounding
        ahead = greedily and worthwhile(problem)
        self._column_of = prefetched_columns(problem, self._guess) if ahead else problem.kernel.columns(points)
        self._problem = problem
        self._factor = np.empty((observations, len(points)), dtype=points.dtype)
        self._scratch = np.empty(len(points), dtype=points.dtype)
        self._scale = np.empty((), dtype=points.dtype)  # numpy is twice as fast with such a number as with a float
        self._product = self._scratch if self._single else np.empty_like(covariance)
        self._observed = 0
        self._gains = np.empty(problem.size, dtype=points.dtype)
        self.noisy_variances = self.divisors = self._noisy[: problem.size]
        self._covariance_of_candidates = self._covariance[..., : problem.size]

    def gains(self) -> np.ndarray:
        """Return the gains ``(n,)``; valid until the next call."""
        gains, covariance = self._gains, self._covariance_of_candidates
        if self._single:
            multiply(covariance, covariance, gains)
        else:
            np.einsum("mn,mn->n", covariance, covariance, out=gains)
        result: np.ndarray = divide(gains, self.noisy_variances, gains)
        return result

    def observe(self, row: int, noise_variance: float | None = None) -> float:
        """Condition on one more observation; return the fall of the variance."""
        observed, scratch, covariance, all_noisy = self._observed, self._scratch, self._covariance, self._noisy
        latest, scale = self._factor[observed], self._scale
        column = self._column_of(row, latest)
        if observed:
            factor = self._factor[:observed]
            factor[:, row].dot(factor, scratch)
            column = subtract(column, scratch, latest)
        noisy = all_noisy.item(row)
        if noise_variance is not None:
            noisy += noise_variance - self._noise
        precision = noisy**-0.5
        scale[()] = precision
        multiply(column, scale, latest)
        if self._single:
            told = covariance.item(row) * precision
            explained = told * told
            scale[()] = told
            multiply(latest, scale, scratch)
            subtract(covariance, scratch, covariance)
        else:
            with_targets = covariance[:, row] * precision
            explained = float(with_targets @ with_targets)
            multiply(with_targets[:, None], latest, self._product)
            subtract(covariance, self._product, covariance)
        multiply(latest, latest, scratch)
        subtract(all_noisy, scratch, all_noisy)
        if self._must_clip:
            np.maximum(all_noisy, self._noise, out=all_noisy)
        self._observed = observed + 1
        return float(explained)

    def _guess(self, row: int, count: int) -> list[int]:
        if row >= self._problem.size:  # what is known is observed in order
            return list(range(row + 1, min(row + 1 + count, len(self._problem.points))))
        covariance = self._covariance[None] if self._single else self._covariance
        factor = self._factor[: self._observed]
        return next_picks(self._problem, row, count, self._gains, covariance, self._noisy, factor)


class TensorPosterior:
    """The same on torch tensors, for those that live on a GPU. Each ``observe`` waits for the device once."""

    in_nats = False

    def __init__(self, problem: Problem, observations: int) -> None:
        self._problem = problem
        points = problem.points
        covariance = problem.covariances()
        self.prior_variance = _weighted_prior(problem)
        if problem.weights is not None:
            covariance = covariance * covariance.new_tensor(problem.weights).sqrt()[:, None]
        self._covariance = covariance
        self._noisy = problem.diagonal + problem.noise_variance
        self.noisy_variances = self.divisors = self._noisy[: problem.size]
        self._factor = points.new_empty((observations, len(points)))
        self._observed = 0

    def gains(self) -> torch.Tensor:
        """Return the gains ``(n,)``; valid until the next call."""
        covariance = self._covariance[:, : self._problem.size]
        result: torch.Tensor = (covariance * covariance).sum(0) / self.noisy_variances
        return result

    def observe(self, row: int, noise_variance: float | None = None) -> float:
        """Condition on one more observation; return the fall of the variance."""
        problem, factor = self._problem, self._factor[: self._observed]
        column = problem.kernel.matrix(problem.points, problem.points[row : row + 1])[:, 0]
        column = column - factor[:, row] @ factor
        noisy = float(self._noisy[row])
        if noise_variance is not None:
            noisy += noise_variance - problem.noise_variance
        latest = column * noisy**-0.5
        with_targets = self._covariance[:, row].clone()
        explained = float((with_targets.double() ** 2).sum()) / noisy
        self._covariance -= (with_targets * noisy**-0.5)[:, None] * latest
        self._noisy.sub_(latest * latest).clamp_min_(problem.noise_variance)
        self._factor[self._observed] = latest
        self._observed += 1
        return float(explained)


def _weighted_prior(problem: Problem) -> float:
    prior = np.asarray(problem.prior.tolist())
    return float(prior.sum() if problem.weights is None else problem.weights @ prior)
