"""Kernels over embeddings: how much knowing one text tells about another.

- ``linear``: k(x, y) = x·y. The paper's choice for fine-tuning, where the embedding stands in for a gradient. It is
  symmetric in sign: a passage that points *away* from the question counts as informative too.
- ``rbf``: k(x, y) = exp(-‖x - y‖² / (2ℓ²)), on the unit sphere exp((x·y - 1) / ℓ²), with lengthscale ℓ. The choice for
  a context window: a passage at right angles to the question tells next to nothing, one that points away less still.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np

KernelName: TypeAlias = Literal["rbf", "linear"]

DEFAULT_LENGTHSCALE = 0.354
"""1/√8. Measured on context windows of HotpotQA: docs/log.md, "Which kernel for a context window"."""

UNIT_NORM_TOLERANCE = 1e-2
"""How far from 1 a norm may be on the sphere: bfloat16 embeddings keep 8 bits, an error of up to 0.4 %."""


def check_kernel(kernel: str, lengthscale: float) -> None:
    """Raise ``ValueError`` unless this names a kernel."""
    if kernel not in {"rbf", "linear"}:
        raise ValueError(f"Unknown kernel {kernel!r}: expected 'rbf' or 'linear'.")
    if not (np.isfinite(lengthscale) and lengthscale > 0):
        raise ValueError(f"lengthscale must be a positive number, but got {lengthscale}.")


def kernel_of_products(products: Any, kernel: KernelName, lengthscale: float) -> Any:
    """Kernel values from inner products of embeddings (of unit norm, for rbf); numpy or torch, any shape."""
    if kernel == "linear":
        return products
    exponents = (products - 1.0) * (1.0 / lengthscale**2)
    return exponents.exp() if hasattr(exponents, "exp") else np.exp(exponents, out=exponents)


def kernel_diagonal(squared_norms: Any, kernel: KernelName, what: str) -> Any:
    """k(x, x) for each row, from the squared norms ``(n,)``.

    Raises:
        ValueError: the rbf kernel was asked for rows that do not lie on the unit sphere.
    """
    if kernel == "linear":
        return squared_norms
    off = abs(squared_norms - 1.0) > 2 * UNIT_NORM_TOLERANCE
    if bool(off.any()):
        worst = float(abs(squared_norms - 1.0).max() + 1.0) ** 0.5
        raise ValueError(
            f"The rbf kernel needs {what} of unit norm, but a norm differs from 1 (about {worst:.3g}). "
            "Normalise the rows, or use kernel='linear'."
        )
    return squared_norms * 0.0 + 1.0
