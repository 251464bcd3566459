"""A Gaussian process that is told one point after another: the recurrence behind every method of this package.

After t observations it holds, for each point x, the posterior covariance c_i(x) with each target, the posterior
variance v(x), and the t columns of a Cholesky factor. One more observation, of point j, needs one kernel column and one
product with that factor, so no n x n matrix is ever formed: O(n (d + t + m)) a step, O(n (k + m)) memory. It is a
partially pivoted Cholesky factorisation, as in greedy inference for determinantal point processes.

    g = k(·, x_j) - Σ_s ℓ_s ℓ_s[j]          posterior covariance of every point with x_j
    ℓ = g / √(v[j] + λ)
    c_i <- c_i - ℓ c_i[j] / √(v[j] + λ)      v <- v - ℓ²
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from sift_rag.selection.arrays import Problem
from sift_rag.selection.kernels import kernel_matrix


class Posterior(Protocol):
    """The one mutable thing of this package; lives for one selection. Rows ``n:`` of its points cannot be chosen."""

    prior_variance: float
    """Weighted sum over the targets, before any observation."""

    @property
    def noisy_variances(self) -> Any:
        """``(n,)``: v + λ of the candidates; not to be written to."""

    def gains(self) -> Any:
        """``(n,)``: by how much observing each candidate would lower the targets' variance.

        Valid, and the caller's to write to, until the next call.
        """

    def observe(self, row: int, noise_variance: float | None = None) -> float:
        """Condition on one more observation of point ``row``, with noise λ unless told; by how much it lowered σ²."""


def start(problem: Problem, observations: int) -> Posterior:
    """The process before any observation; ``observations`` is how many there will be at most."""
    if isinstance(problem.points, np.ndarray):
        return ArrayPosterior(problem, observations)
    return TensorPosterior(problem, observations)


class ArrayPosterior:
    """On numpy arrays. Every step writes into buffers made once: at n = 200 allocation and calls are what costs."""

    def __init__(self, problem: Problem, observations: int) -> None:
        points = problem.points
        self._size, self._noise = problem.size, problem.noise_variance
        self._column_of = _array_columns(problem)
        covariance = kernel_matrix(problem.targets, points, problem.kernel, problem.lengthscale)
        self.prior_variance = _weighted_prior(problem)
        if problem.weights is not None:
            covariance *= np.sqrt(problem.weights)[:, None].astype(points.dtype)
        self._covariance = covariance if len(covariance) > 1 else covariance[0]
        self._noisy = problem.diagonal + points.dtype.type(problem.noise_variance)
        self._factor = np.empty((observations, len(points)), dtype=points.dtype)
        self._column, self._scratch = np.empty((2, len(points)), dtype=points.dtype)
        self._product = np.empty_like(covariance) if len(covariance) > 1 else self._scratch
        self._gains = np.empty(problem.size, dtype=points.dtype)
        self._observed = 0

    @property
    def noisy_variances(self) -> Any:
        """See ``Posterior``."""
        return self._noisy[: self._size]

    def gains(self) -> Any:
        """See ``Posterior``."""
        gains = self._gains
        if self._covariance.ndim == 1:
            covariance = self._covariance[: self._size]
            np.multiply(covariance, covariance, out=gains)
        else:
            covariance = self._covariance[:, : self._size]
            np.einsum("mn,mn->n", covariance, covariance, out=gains)
        np.divide(gains, self._noisy[: self._size], out=gains)
        return gains

    def observe(self, row: int, noise_variance: float | None = None) -> float:
        """See ``Posterior``."""
        column, scratch, observed = self._column, self._scratch, self._observed
        self._column_of(row, column)
        if observed:
            factor = self._factor[:observed]
            np.dot(factor[:, row], factor, out=scratch)
            np.subtract(column, scratch, out=column)
        noisy = self._noisy.item(row)
        if noise_variance is not None:
            noisy += noise_variance - self._noise
        covariance = self._covariance
        latest = self._factor[observed]
        np.multiply(column, noisy**-0.5, out=latest)
        if covariance.ndim == 1:
            with_target = covariance.item(row)
            explained = with_target * with_target / noisy
            np.multiply(latest, with_target * noisy**-0.5, out=scratch)
            np.subtract(covariance, scratch, out=covariance)
        else:
            with_targets = covariance[:, row].astype(np.float64)
            explained = float(with_targets @ with_targets) / noisy
            scaled = (with_targets * noisy**-0.5).astype(covariance.dtype)
            np.multiply(scaled[:, None], latest, out=self._product)
            np.subtract(covariance, self._product, out=covariance)
        np.multiply(latest, latest, out=scratch)
        np.subtract(self._noisy, scratch, out=self._noisy)
        np.maximum(self._noisy, self._noise, out=self._noisy)  # v >= 0: rounding must not make it negative
        self._observed = observed + 1
        return float(explained)


class TensorPosterior:
    """The same on torch tensors, for those that live on a GPU. Each ``observe`` waits for the device once."""

    def __init__(self, problem: Problem, observations: int) -> None:
        self._problem = problem
        points = problem.points
        covariance = kernel_matrix(problem.targets, points, problem.kernel, problem.lengthscale)
        self.prior_variance = _weighted_prior(problem)
        if problem.weights is not None:
            covariance = covariance * covariance.new_tensor(problem.weights).sqrt()[:, None]
        self._covariance = covariance
        self._noisy = problem.diagonal + problem.noise_variance
        self._factor = points.new_empty((observations, len(points)))
        self._observed = 0

    @property
    def noisy_variances(self) -> Any:
        """See ``Posterior``."""
        return self._noisy[: self._problem.size]

    def gains(self) -> Any:
        """See ``Posterior``."""
        covariance = self._covariance[:, : self._problem.size]
        return (covariance * covariance).sum(0) / self.noisy_variances

    def observe(self, row: int, noise_variance: float | None = None) -> float:
        """See ``Posterior``."""
        problem, factor = self._problem, self._factor[: self._observed]
        column = kernel_matrix(problem.points, problem.points[row : row + 1], problem.kernel, problem.lengthscale)[:, 0]
        column = column - factor[:, row] @ factor
        noisy = float(self._noisy[row])
        if noise_variance is not None:
            noisy += noise_variance - problem.noise_variance
        latest = column * noisy**-0.5
        with_targets = self._covariance[:, row].clone()
        explained = float((with_targets.double() ** 2).sum()) / noisy
        self._covariance -= (with_targets * noisy**-0.5)[:, None] * latest
        self._noisy = (self._noisy - latest * latest).clamp_min(problem.noise_variance)
        self._factor[self._observed] = latest
        self._observed += 1
        return explained


def _weighted_prior(problem: Problem) -> float:
    prior = np.asarray(problem.prior.tolist())
    return float(prior.sum() if problem.weights is None else problem.weights @ prior)


def _array_columns(problem: Problem) -> Callable[[int, Any], None]:
    """Writes k(·, x_row) into a buffer ``(n,)``; for rbf the lengthscale is put on the one row, not on the column."""
    points, kernel = problem.points, problem.kernel
    if kernel == "linear":

        def linear(row: int, out: Any) -> None:
            np.dot(points, points[row], out=out)

        return linear
    if kernel == "rbf":
        sharpness = 1.0 / problem.lengthscale**2
        scaled = np.empty(points.shape[1], dtype=points.dtype)

        def rbf(row: int, out: Any) -> None:
            np.multiply(points[row], sharpness, out=scaled)
            np.dot(points, scaled, out=out)
            np.subtract(out, sharpness, out=out)
            np.exp(out, out=out)

        return rbf

    def function(row: int, out: Any) -> None:
        out[:] = kernel_matrix(points, points[row : row + 1], kernel, problem.lengthscale)[:, 0]

    return function
