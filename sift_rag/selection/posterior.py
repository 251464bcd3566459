"""The posterior variance of a question's answer, by its definition. Slow and obvious: the oracle of the fast code.

A Gaussian process over the embedding space with kernel k, observed with noise variance λ at the selected points
X = (x_1, ..., x_n), leaves at the query x* the variance (arXiv 2410.08020, section 3)

    σ²_X(x*) = k(x*, x*) - k(x*, X) (k(X, X) + λI)⁻¹ k(X, x*)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from sift_rag.selection.kernels import DEFAULT_LENGTHSCALE, KernelName, check_kernel, kernel_of_products


def posterior_variance(
    query: ArrayLike,
    selected: ArrayLike,
    *,
    kernel: KernelName = "rbf",
    lengthscale: float = DEFAULT_LENGTHSCALE,
    noise_variance: float = 1.0,
) -> float:
    """σ²_X(x*) in float64, summed over the targets. Costs O(n² d + n³).

    Args:
        query: ``(d,)``, or several targets ``(m, d)``.
        selected: ``(n, d)``, in any order, repeats allowed; n = 0 gives the prior variance.
        kernel: see ``sift_rag.selection.kernels``.
        lengthscale: ℓ of the rbf kernel, > 0.
        noise_variance: λ > 0.
    """
    check_kernel(kernel, lengthscale)
    targets = np.atleast_2d(np.asarray(query, dtype=np.float64))
    points = np.asarray(selected, dtype=np.float64).reshape(-1, targets.shape[1])

    def k(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray(kernel_of_products(a @ b.T, kernel, lengthscale))

    prior = np.diag(k(targets, targets))
    cross = k(targets, points)
    noisy = k(points, points) + noise_variance * np.eye(len(points))
    explained = np.einsum("mn,nm->m", cross, np.linalg.solve(noisy, cross.T))
    return float(np.sum(prior - explained))
