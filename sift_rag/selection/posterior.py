"""The posterior variance of a question's answer, by its definition. Slow and obvious: the oracle of the fast code.

A Gaussian process over the embedding space with kernel k, observed with noise variance λ at the selected points
X = (x_1, ..., x_n), leaves at the query x* the variance (arXiv 2410.08020, section 3)

    σ²_X(x*) = k(x*, x*) - k(x*, X) (k(X, X) + λI)⁻¹ k(X, x*)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sift_rag.selection.arrays import Problem
from sift_rag.selection.kernels import (
    DEFAULT_LENGTHSCALE,
    DEFAULT_NOISE_VARIANCE,
    Kernel,
    check_kernel,
    is_finite,
    kernel_matrix,
    on_sphere,
    squared_norms,
)


def posterior_variance(
    query: ArrayLike,
    selected: ArrayLike,
    *,
    kernel: Kernel = "rbf",
    lengthscale: float = DEFAULT_LENGTHSCALE,
    noise_variance: float = DEFAULT_NOISE_VARIANCE,
    weights: ArrayLike | None = None,
) -> float:
    """σ²_X(x*) in float64, summed over the targets. Costs O(n² d + n³), or O(n d² + d³) for the linear kernel.

    Observing *all* candidates leaves the irreducible variance: what they cannot tell, however many are taken.

    Args:
        query: ``(d,)``, or several targets ``(m, d)``.
        selected: ``(n, d)``, in any order, repeats allowed; n = 0 gives the prior variance.
        kernel: see ``sift_rag.selection.kernels``.
        lengthscale: ℓ of the rbf kernel, > 0.
        noise_variance: λ > 0.
        weights: ``(m,)``, each target's share of the sum; 1 each by default.

    Raises:
        ValueError: shapes disagree, a value is not finite, a parameter is out of range, or rbf rows are not unit-norm.
    """
    check_kernel(kernel, lengthscale)
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
    if kernel == "rbf":
        targets = on_sphere(targets, squared_norms(targets), "queries")
        points = on_sphere(points, squared_norms(points), "selected rows")
    if kernel == "linear" and len(points) > points.shape[1]:
        # the same value by the Woodbury identity: x*ᵀ (I + XᵀX / λ)⁻¹ x*, a system of d unknowns instead of n
        precision = np.eye(points.shape[1]) + points.T @ points / noise_variance
        variances = np.einsum("md,dm->m", targets, np.linalg.solve(precision, targets.T))
    else:
        cross = kernel_matrix(targets, points, kernel, lengthscale)
        noisy = kernel_matrix(points, points, kernel, lengthscale) + noise_variance * np.eye(len(points))
        prior = np.diag(kernel_matrix(targets, targets, kernel, lengthscale))
        variances = prior - np.einsum("mn,nm->m", cross, np.linalg.solve(noisy, cross.T))
    return float(variances.sum() if weights is None else np.asarray(weights, dtype=np.float64) @ variances)


def irreducible_variance(problem: Problem) -> float:
    """What observing every point once leaves of the targets' variance: ``posterior_variance`` of all."""
    kernel = problem.kernel
    tensors = not isinstance(problem.points, np.ndarray)

    def on_arrays(rows: np.ndarray, points: np.ndarray) -> Any:
        function: Any = problem.kernel
        like = problem.points.new_tensor
        return np.asarray(function(like(rows), like(points)).double().cpu())

    return posterior_variance(
        problem.targets.cpu().numpy() if tensors else problem.targets,
        problem.points.cpu().numpy() if tensors else problem.points,
        kernel=on_arrays if tensors and callable(kernel) else kernel,
        lengthscale=problem.lengthscale,
        noise_variance=problem.noise_variance,
        weights=problem.weights,
    )
