"""SIFT: the greedy choice that leaves the least posterior variance, one column of a Cholesky factor a step.

The step of the paper (arXiv 2410.08020, equation 5; several targets: arXiv 2402.15898, VTL)

    x_{n+1} = argmin_x σ²_{X ∪ {x}}(x*) = argmax_x Σ_i c_i(x)² / (v(x) + λ)

needs only the posterior covariance c_i(x) of every candidate with each target and its posterior variance v(x).
Observing a point changes both by one column, so no n x n matrix is ever formed: O(k n (d + k + m)) time, O(n (k + m))
memory. It is the recurrence of a partially pivoted Cholesky factorisation, as in greedy DPP inference, with another
pivot rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sift_rag.selection.kernels import (
    DEFAULT_LENGTHSCALE,
    KernelName,
    check_kernel,
    kernel_diagonal,
    kernel_of_products,
)


@dataclass(frozen=True, eq=False)
class GreedySelection:
    """What was chosen, in order, and how much doubt each choice left.

    Arrays are of the kind given (numpy, or torch on the same device). A selection of k' < k is its first k' entries.
    """

    indices: Any
    """``(k,)`` int64, rows of the candidates in the order chosen."""
    posterior_variances: Any
    """``(k,)`` float64, after each choice, summed over the targets. Never rises."""
    prior_variance: float
    """Before the first choice (after ``given``), summed over the targets."""

    def __len__(self) -> int:
        return len(self.indices)


def select_sift(
    query: Any,
    candidates: Any,
    k: int,
    *,
    kernel: KernelName = "rbf",
    lengthscale: float = DEFAULT_LENGTHSCALE,
    noise_variance: float = 1.0,
    with_repeats: bool = False,
    given: Any = None,
) -> GreedySelection:
    """Choose k candidates that together tell most about the query.

    Args:
        query: one target ``(d,)``, or m of them ``(m, d)`` whose posterior variances are summed. numpy or torch.
        candidates: ``(n, d)``, of the same kind; float32 arithmetic, or float64 where the candidates are.
        k: how many, >= 0. Without repeats at most n are chosen.
        kernel: ``rbf`` for a context window (needs unit-norm rows), ``linear`` for the paper's fine-tuning.
        lengthscale: ℓ of the rbf kernel, > 0.
        noise_variance: λ > 0. Towards infinity the order is that of the squared kernel value with the query (relevance
            alone); towards 0 what is known already is worth nothing.
        with_repeats: whether a candidate may be chosen again, as in the paper (a repeat counts as another step).
        given: ``(g, d)``, what the reader knows already: observed before the first choice.

    Returns:
        The choice. Ties go to the lowest index; k = 0 or n = 0 give an empty one.

    Raises:
        ValueError: shapes disagree, a value is not finite, a parameter is out of range, or rbf rows are not unit-norm.
    """
    posterior = Posterior.prior(
        query, candidates, k, kernel=kernel, lengthscale=lengthscale, noise_variance=noise_variance, given=given
    )
    steps = k if with_repeats else min(k, posterior.size)
    prior_variance = posterior.target_variance
    chosen: list[int] = []
    variances: list[float] = []
    for _ in range(steps if posterior.size else 0):
        gains = posterior.gains()
        if not with_repeats:
            gains[chosen] = -1.0
        chosen.append(int(gains.argmax()))
        posterior.observe(chosen[-1])
        variances.append(posterior.target_variance)
    return posterior.selection(chosen, variances, prior_variance)


class Posterior:
    """A Gaussian process at n candidates and m targets, given the points observed so far.

    The one mutable thing of this package; lives for one selection. Rows ``n:`` of ``points`` are ``given`` ones.
    """

    @classmethod
    def prior(
        cls,
        query: Any,
        candidates: Any,
        observations: int,
        *,
        kernel: KernelName,
        lengthscale: float,
        noise_variance: float,
        given: Any = None,
    ) -> Posterior:
        """Check the arguments (see ``select_sift``), then observe what is ``given``.

        ``observations`` is how many more will be observed at most.
        """
        check_kernel(kernel, lengthscale)
        if not (np.isfinite(noise_variance) and noise_variance > 0):
            raise ValueError(f"noise_variance must be a positive number, but got {noise_variance}.")
        if observations < 0:
            raise ValueError(f"k must be >= 0, but got {observations}.")
        targets, points, given_points, as_given = _arrays(query, candidates, given)
        posterior = cls()
        posterior.size = len(points)
        posterior._as_given = as_given
        posterior._kernel, posterior._lengthscale, posterior._noise = kernel, lengthscale, noise_variance
        if len(given_points):
            joined = (points, given_points)
            points = np.concatenate(joined) if isinstance(points, np.ndarray) else _torch().cat(joined)
        posterior._points = points
        posterior._start(targets, capacity=observations + len(given_points))
        for row in range(posterior.size, len(points)):
            posterior.observe(row)
        return posterior

    size: int
    _points: Any  # (n + g, d)
    _covariance: Any  # (m, n + g): of each point with each target
    _variance: Any  # (n + g,): of each point
    _columns: Any  # (capacity, n + g): row t is the Cholesky column of observation t
    _observed: int
    _target_variances: Any  # (m,) float64
    _kernel: KernelName
    _lengthscale: float
    _noise: float
    _as_given: Any

    def _start(self, targets: Any, *, capacity: int) -> None:
        points = self._points
        with np.errstate(invalid="ignore"):  # said in words on the next line
            products = targets @ points.T
        if not bool(_isfinite(products).all()):  # a NaN or infinity in a row of either side shows here
            raise ValueError("Query and candidates must be finite, but a NaN or an infinity is among them.")
        self._covariance = kernel_of_products(products, self._kernel, self._lengthscale)
        self._variance = kernel_diagonal(_squared_norms(points), self._kernel, "candidates")
        prior = kernel_diagonal(_squared_norms(targets), self._kernel, "queries")
        if not bool(_isfinite(prior).all()):
            raise ValueError("The query must be finite, but a NaN or an infinity is in it.")
        self._target_variances = np.asarray(prior.tolist(), dtype=np.float64)
        empty = np.empty if isinstance(points, np.ndarray) else points.new_empty
        self._columns = empty((capacity, len(points)), dtype=points.dtype)
        self._observed = 0

    @property
    def target_variance(self) -> float:
        """σ², summed over the targets."""
        return float(self._target_variances.sum())

    @property
    def candidate_variances(self) -> Any:
        """``(n,)``: v, what is still unknown of each candidate itself."""
        return self._variance[: self.size]

    def gains(self) -> Any:
        """``(n,)``: by how much observing each candidate would lower ``target_variance``; a fresh array."""
        covariance = self._covariance[:, : self.size]
        explained = covariance[0] * covariance[0] if len(covariance) == 1 else (covariance * covariance).sum(0)
        return explained / (self._variance[: self.size] + self._noise)

    def observe(self, row: int) -> None:
        """Condition on one more noisy observation, of row ``row``: O(n (d + t + m))."""
        t, columns = self._observed, self._columns
        column = kernel_of_products(self._points @ self._points[row], self._kernel, self._lengthscale)
        if t:
            column = column - columns[:t, row] @ columns[:t]
        scale = float(self._variance[row]) + self._noise
        towards_targets = self._covariance[:, row] / scale
        self._target_variances -= np.asarray((self._covariance[:, row] * towards_targets).tolist())
        np.maximum(self._target_variances, 0.0, out=self._target_variances)  # rounding must not make it negative
        if len(self._covariance) == 1:
            self._covariance -= column * towards_targets[0]
        else:
            self._covariance -= towards_targets[:, None] * column
        column = column / scale**0.5
        self._variance = (self._variance - column * column).clip(0.0)
        columns[t] = column
        self._observed = t + 1

    def selection(self, chosen: list[int], variances: list[float], prior_variance: float) -> GreedySelection:
        """The result value, its arrays of the kind that was given."""
        return GreedySelection(
            indices=self._as_given(np.asarray(chosen, dtype=np.int64)),
            posterior_variances=self._as_given(np.asarray(variances, dtype=np.float64)),
            prior_variance=prior_variance,
        )


def _arrays(query: Any, candidates: Any, given: Any) -> tuple[Any, Any, Any, Any]:
    """Targets ``(m, d)``, points ``(n, d)``, given ``(g, d)``, and how a numpy result becomes what the caller gave.

    torch tensors on the CPU are worked on as numpy (no copy; at these sizes two to four times faster).
    """
    as_given: Any = lambda array: array  # noqa: E731 - a def for the identity is longer, not clearer
    if hasattr(candidates, "device") and not isinstance(candidates, np.ndarray):
        torch, device = _torch(), candidates.device

        def to_device(array: np.ndarray) -> Any:
            return torch.from_numpy(array).to(device)

        as_given = to_device
        dtype = torch.float64 if candidates.dtype == torch.float64 else torch.float32
        tensors = [
            torch.as_tensor(array, device=device).detach().to(dtype)
            for array in (query, candidates, candidates[:0] if given is None else given)
        ]
        targets, points, known = [t.numpy() for t in tensors] if device.type == "cpu" else tensors
    else:
        points = np.asarray(candidates)
        points = points.astype(np.float64 if points.dtype == np.float64 else np.float32, copy=False)
        targets = np.asarray(query, dtype=points.dtype)
        known = np.asarray(points[:0] if given is None else given, dtype=points.dtype)
    if targets.ndim == 1:
        targets = targets[None]
    if known.ndim == 1:
        known = known[None]
    shapes = f"query {tuple(targets.shape)}, candidates {tuple(points.shape)}, given {tuple(known.shape)}"
    if not (targets.ndim == points.ndim == known.ndim == 2):
        raise ValueError(f"Expected query (d,) or (m, d), candidates (n, d) and given (g, d), but got {shapes}.")
    if not targets.shape[1] == points.shape[1] == known.shape[1]:
        raise ValueError(f"Dimensions disagree: {shapes}.")
    if len(targets) == 0:
        raise ValueError("At least one target is needed, but the query is empty.")
    return targets, points, known, as_given


def _squared_norms(rows: Any) -> Any:
    return np.einsum("nd,nd->n", rows, rows) if isinstance(rows, np.ndarray) else (rows * rows).sum(1)


def _isfinite(array: Any) -> Any:
    return np.isfinite(array) if isinstance(array, np.ndarray) else array.isfinite()


def _torch() -> Any:
    import torch  # only callers that hold tensors pay for it

    return torch
