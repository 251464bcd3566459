"""Kernels over embeddings: how much knowing one text tells about another.

- ``linear``: k(x, y) = x·y. The paper's choice for fine-tuning, where the embedding stands in for a gradient. It is
  symmetric in sign: a passage that points *away* from the question counts as informative too. Norms count: a zero
  vector tells nothing.
- ``rbf``: k(x, y) = exp(-‖x - y‖² / (2ℓ²)), on the unit sphere exp((x·y - 1) / ℓ²), with lengthscale ℓ. The choice for
  a context window: a passage at right angles to the question tells next to nothing, one that points away less still.
- a function ``(rows (n, d), points (p, d)) -> (n, p)``: symmetric and positive semidefinite, which is not checked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np

KernelName: TypeAlias = Literal["rbf", "linear"]
KernelFunction: TypeAlias = Callable[[Any, Any], Any]
Kernel: TypeAlias = KernelName | KernelFunction

DEFAULT_LENGTHSCALE = 0.5
"""Measured on context windows: docs/log.md, "The default for a context window"."""

DEFAULT_NOISE_VARIANCE = 5.0
"""Mild: for a context window. The paper's linear kernel, for fine-tuning, wants 0.01 to 1."""

UNIT_NORM_TOLERANCE = 1e-2
"""How far from 1 a norm may be on the sphere: bfloat16 embeddings keep 8 bits, an error of up to 0.4 %."""

ROUNDED_NORM = 32
"""Units in the last place of 1 that a squared norm may be off after normalising: 6 in 384 dimensions, 9 in 1,024, 19 in
4,096, for the sum of squares is rounded too. Rows farther off are scaled again, which takes a copy of all."""

DIAGONAL_BLOCK = 32
"""Rows a kernel function is asked for at once when only its diagonal is wanted."""


def check_kernel(kernel: Kernel, lengthscale: float) -> None:
    """Raise ``ValueError`` unless this is a kernel."""
    if not callable(kernel) and kernel not in {"rbf", "linear"}:
        raise ValueError(
            f"Unknown kernel {kernel!r}: expected 'rbf', 'linear' or a function (rows (n, d), points (p, d)) -> (n, p)."
        )
    if not (np.isfinite(lengthscale) and lengthscale > 0):
        raise ValueError(f"lengthscale must be a positive number, but got {lengthscale}.")


def kernel_matrix(rows: Any, points: Any, kernel: Kernel, lengthscale: float) -> Any:
    """``(n, p)`` from rows ``(n, d)`` and points ``(p, d)``, numpy or torch; for rbf they must be of unit norm.

    Raises:
        ValueError: a kernel function gave another shape, or a value that is not finite.
    """
    if not callable(kernel):
        return kernel_of_products(rows @ points.T, kernel, lengthscale)
    values = kernel(rows, points)
    if tuple(values.shape) != (len(rows), len(points)):
        raise ValueError(
            f"The kernel must give an array of shape {(len(rows), len(points))} for that many rows and points, "
            f"but gave {tuple(values.shape)}."
        )
    if not is_finite(values):
        raise ValueError("The kernel gave a NaN or an infinity: it must be finite for every pair of rows.")
    return values.astype(rows.dtype, copy=False) if isinstance(values, np.ndarray) else values.to(rows)


def kernel_of_products(products: Any, kernel: KernelName, lengthscale: float) -> Any:
    """Kernel values from inner products of embeddings (of unit norm, for rbf); numpy or torch, any shape."""
    if kernel == "linear":
        return products
    exponents = (products - 1.0) * (1.0 / lengthscale**2)
    return exponents.exp() if hasattr(exponents, "exp") else np.exp(exponents, out=exponents)


def kernel_diagonal(rows: Any, norms: Any, kernel: Kernel) -> Any:
    """``(n,)``: k(x, x) for each row of squared norm ``norms``.

    A kernel function is asked for blocks of ``DIAGONAL_BLOCK`` rows.
    """
    if kernel == "linear":
        return norms
    if kernel == "rbf":
        return norms * 0.0 + 1.0
    diagonal = norms * 0.0
    for start in range(0, len(rows), DIAGONAL_BLOCK):
        block = rows[start : start + DIAGONAL_BLOCK]
        diagonal[start : start + DIAGONAL_BLOCK] = kernel_matrix(block, block, kernel, 1.0).diagonal()
    if bool((diagonal < 0).any()):
        raise ValueError("The kernel gave a negative value for a row with itself: it must be positive semidefinite.")
    return diagonal


def on_sphere(rows: Any, norms: Any, what: str) -> Any:
    """The rows scaled to unit norm exactly, where they have it nearly; a copy only where that changes something.

    ``norms`` are their squared norms ``(n,)``, of their dtype.

    Raises:
        ValueError: a norm is not near 1.
    """
    off = abs(norms - 1.0)
    if bool((off > 2 * UNIT_NORM_TOLERANCE).any()):
        worst = float(norms[int(off.argmax())]) ** 0.5
        raise ValueError(
            f"The rbf kernel needs {what} of unit norm, but one has norm {worst:.3g}. "
            "Normalise the rows, or use kernel='linear'."
        )
    rounding = ROUNDED_NORM * (2.0**-23 if rows.itemsize == 4 else 2.0**-52)
    return rows / norms[:, None] ** 0.5 if bool((off > rounding).any()) else rows


def squared_norms(rows: Any) -> Any:
    """``(n,)``, of the rows' own dtype; numpy or torch."""
    return np.einsum("nd,nd->n", rows, rows) if isinstance(rows, np.ndarray) else (rows * rows).sum(1)


def is_finite(array: Any) -> bool:
    """Whether every value is; numpy or torch."""
    return bool((np.isfinite(array) if isinstance(array, np.ndarray) else array.isfinite()).all())
