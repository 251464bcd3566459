"""The posterior variance of a question's answer, by its definition. Slow and plain: the oracle for the fast code.

A Gaussian process over the embedding space with kernel k, observed with noise variance λ at the selected points
X = (x_1, ..., x_n), leaves at the query x* the variance (arXiv 2410.08020, section 3)

    σ²_X(x*) = k(x*, x*) - k(x*, X) (k(X, X) + λI)⁻¹ k(X, x*)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sift_rag import defaults
from sift_rag.selection.arrays import is_finite, squared_norms
from sift_rag.selection.kernels import Custom, Kernel, Linear, PreparedKernel, kernel_named, on_sphere, prepared
from sift_rag.selection.problem import Problem


def posterior_variance(
    query: ArrayLike,
    selected: ArrayLike,
    *,
    kernel: str | Kernel = defaults.KERNEL,
    lengthscale: float = defaults.LENGTHSCALE,
    noise_variance: float = defaults.NOISE_VARIANCE,
    weights: ArrayLike | None = None,
) -> float:
    """Return σ²_X(x*) in float64, summed over the targets. Costs O(n² d + n³), or O(n d² + d³) for the linear kernel.

    Rows are taken as they are: no centring, no balancing of targets. Observing *all* candidates leaves the irreducible
    variance: what they cannot tell, however many are taken.

    Args:
        query: ``(d,)``, or several targets ``(m, d)``.
        selected: ``(n, d)``, in any order, repeats allowed; n = 0 gives the prior variance.
        kernel: ``rbf``, ``linear`` or a kernel: see ``sift_rag.selection.kernels``.
        lengthscale: ℓ of ``rbf``, > 0.
        noise_variance: λ > 0.
        weights: ``(m,)``, each target's share of the sum; 1 each by default.

    Raises:
        ValueError: shapes disagree, a value is not finite, a parameter is out of range, or rbf rows are not unit-norm.
    """
    chosen = prepared(kernel_named(kernel, lengthscale))
    targets = np.atleast_2d(np.asarray(query, dtype=np.float64))
    points = np.atleast_2d(np.asarray(selected, dtype=np.float64))
    points = points if points.size else np.empty((0, targets.shape[1]))
    if not (targets.ndim == points.ndim == 2 and targets.shape[1] == points.shape[1]):
        raise ValueError(
            "Expected query (d,) or (m, d) and selected (n, d), "
            f"but got query {np.shape(query)} and selected {np.shape(selected)}."
        )
    if not (is_finite(targets) and is_finite(points)):
        raise ValueError("Query and selected rows must be finite, but a NaN or an infinity is among them.")
    return _variance(targets, points, chosen, noise_variance, weights)


def irreducible_variance(problem: Problem) -> float:
    """Return the targets' variance after observing every point once: ``posterior_variance`` of all."""
    if problem.told is not None:
        left = np.asarray(problem.prior.tolist()) - explained(problem)
        return float(left.sum() if problem.weights is None else problem.weights @ left)
    targets, points, kernel = _in_double(problem)
    return _variance(targets, points, kernel, problem.noise_variance, problem.weights)


def explained(problem: Problem) -> np.ndarray:
    """Return ``(m,)``: c (K + λI)⁻¹ c, the variance of each target that all points together explain."""
    targets, points, kernel = _in_double(problem)
    cross = problem._replace(targets=targets, points=points, kernel=kernel, told=_double(problem.told)).covariances()
    noisy = np.asarray(kernel.matrix(points, points)) + problem.noise_variance * np.eye(len(points))
    return np.asarray(np.einsum("mn,nm->m", cross, np.linalg.solve(noisy, cross.T)))


def _in_double(problem: Problem) -> tuple[np.ndarray, np.ndarray, PreparedKernel]:
    """Return targets, points and the kernel of a problem on float64 arrays."""
    kernel, like = problem.kernel, problem.points
    if isinstance(kernel, Custom) and not isinstance(like, np.ndarray):
        function = kernel.function

        def on_arrays(rows: Any, points: Any) -> np.ndarray:
            values: Any = function(like.new_tensor(rows), like.new_tensor(points))
            return np.asarray(values.double().cpu())

        kernel = Custom(on_arrays)
    return _double(problem.targets), _double(problem.points), kernel


def _double(rows: Any) -> Any:
    return None if rows is None else np.asarray(rows if isinstance(rows, np.ndarray) else rows.cpu(), dtype=np.float64)


def _variance(
    targets: np.ndarray,
    points: np.ndarray,
    kernel: PreparedKernel,
    noise_variance: float,
    weights: ArrayLike | None,
) -> float:
    if kernel.on_sphere:
        targets = np.asarray(on_sphere(targets, squared_norms(targets), "queries"))
        points = np.asarray(on_sphere(points, squared_norms(points), "selected rows"))
    if isinstance(kernel, Linear) and len(points) > points.shape[1]:
        # the same value by the Woodbury identity: x*ᵀ (I + XᵀX / λ)⁻¹ x*, a system of d unknowns instead of n
        precision = np.eye(points.shape[1]) + points.T @ points / noise_variance
        variances = np.einsum("md,dm->m", targets, np.linalg.solve(precision, targets.T))
    else:
        cross = np.asarray(kernel.matrix(targets, points))
        noisy = np.asarray(kernel.matrix(points, points)) + noise_variance * np.eye(len(points))
        prior = np.diag(np.asarray(kernel.matrix(targets, targets)))
        variances = prior - np.einsum("mn,nm->m", cross, np.linalg.solve(noisy, cross.T))
    return float(variances.sum() if weights is None else np.asarray(weights, dtype=np.float64) @ variances)
