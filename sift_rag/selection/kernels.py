"""Kernels over embeddings: how much knowing one text tells about another. Each is a frozen value.

- ``Linear()``: k(x, y) = x·y. The paper's choice for fine-tuning, where the embedding stands in for a gradient. It is
  symmetric in sign: a passage that points *away* from the question counts as informative too. Norms count: a zero
  vector tells nothing.
- ``Rbf(lengthscale)``: k(x, y) = exp(-‖x - y‖² / (2ℓ²)), on the unit sphere exp((x·y - 1) / ℓ²). The choice for a
  context window: a passage at right angles to the question tells next to nothing, one that points away less still.
- a function ``(rows (n, d), points (p, d)) -> (n, p)``: symmetric and positive semidefinite, which is not checked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np

from sift_rag import defaults
from sift_rag.selection.arrays import Array, is_finite

UNIT_NORM_TOLERANCE = 1e-2
"""Largest distance of a norm from 1 that counts as the unit sphere: bfloat16 embeddings keep 8 bits, an error of up to
0.4 %."""

ROUNDED_NORM = 32
"""Units in the last place of 1 that a squared norm may be off after normalising: 6 in 384 dimensions, 9 in 1,024, 19 in
4,096, for the sum of squares is rounded too. Rows farther off are scaled again, which takes a copy of all."""

DIAGONAL_BLOCK = 32
"""Rows a kernel function is asked for at once when only its diagonal is wanted."""

SINGLE_PRECISION_LENGTHSCALE = 0.1
"""Smallest lengthscale for which float32 is enough: the exponent magnifies the rounding of a cosine by 1/ℓ²."""

LENGTHSCALES = (1e-6, 1e6)
"""Smallest and largest lengthscale: beyond them the rounding of a cosine overflows the exponent, or every kernel value
is 1."""

Column: TypeAlias = Callable[[int, np.ndarray], np.ndarray]
"""The maker of a column: a row and a buffer ``(n,)`` in, k(·, x_row) out, in that buffer or elsewhere; read-only."""

KernelFunction: TypeAlias = Callable[[Array, Array], Array]


class PreparedKernel(Protocol):
    """The operations that a selection needs of its kernel."""

    on_sphere: ClassVar[bool]
    """True if rows must have unit norm; features (centring, balanced targets) then apply."""
    of_norms: ClassVar[bool]
    """True if an inner product, and so a gain, is as uncertain as the product of the norms allows."""
    from_products: ClassVar[bool]
    """True if the kernel is a function of the inner product alone."""

    @property
    def rounding(self) -> float:
        """Factor by which the kernel magnifies the rounding of an inner product."""

    @property
    def needs_double(self) -> bool:
        """True if float32 is too coarse for this kernel."""

    def matrix(self, rows: Array, points: Array) -> Array:
        """Return ``(n, p)`` for rows ``(n, d)`` and points ``(p, d)``, numpy or torch."""

    def of_products(self, products: Array, out: Array | None = None) -> Array:
        """Return kernel values from inner products, of any shape; ``out`` may be ``products`` itself."""

    def diagonal(self, rows: Array, norms: Array) -> Array:
        """Return ``(n,)``: k(x, x) for each row, whose squared norm is in ``norms``."""

    def columns(self, points: np.ndarray) -> Column:
        """Return a function that makes one column k(·, x_row) at a time, into a buffer."""


@dataclass(frozen=True, slots=True)
class Rbf:
    """The radial basis function kernel on the unit sphere, exp((x·y - 1) / ℓ²)."""

    lengthscale: float = defaults.LENGTHSCALE
    """Lengthscale of the rbf kernel, > 0: a smaller one sees only near neighbours."""

    on_sphere: ClassVar[bool] = True
    of_norms: ClassVar[bool] = False
    from_products: ClassVar[bool] = True

    def __post_init__(self) -> None:
        smallest, largest = LENGTHSCALES
        if not smallest <= self.lengthscale <= largest:
            raise ValueError(
                f"lengthscale must be a positive number, from {smallest:g} to {largest:g}, but got {self.lengthscale}."
            )

    @property
    def rounding(self) -> float:
        """Return 1 + 1/ℓ²: the exponent magnifies the rounding of a cosine."""
        return 1.0 + self.lengthscale**-2

    @property
    def needs_double(self) -> bool:
        """Return True if ℓ is too small for float32."""
        return self.lengthscale < SINGLE_PRECISION_LENGTHSCALE

    def matrix(self, rows: Array, points: Array) -> Array:
        """Return ``(n, p)``; rows and points must have unit norm."""
        return self.of_products(rows @ points.T)

    def exponents(self, products: Array) -> Array:
        """Return the logarithms of the kernel values."""
        return (products - 1.0) * (1.0 / self.lengthscale**2)

    def of_products(self, products: Array, out: Array | None = None) -> Array:
        """Return exp((s - 1) / ℓ²) for inner products s of any shape."""
        values: Any = products
        if isinstance(values, np.ndarray):
            written: Any = np.subtract(values, 1.0, out=out)  # type: ignore[arg-type]
            np.multiply(written, 1.0 / self.lengthscale**2, out=written)
            return np.exp(written, out=written)  # type: ignore[no-any-return]
        return self.exponents(values).exp()  # type: ignore[union-attr]

    def diagonal(self, rows: Array, norms: Array) -> Array:
        """Return ones ``(n,)``."""
        del rows
        return norms * 0.0 + 1.0

    def columns(self, points: np.ndarray) -> Column:
        """Return a maker of columns that scales the one row by 1/ℓ², not the column."""
        sharpness = np.asarray(1.0 / self.lengthscale**2, dtype=points.dtype)
        scaled = np.empty(points.shape[1], dtype=points.dtype)

        def column(row: int, out: np.ndarray) -> np.ndarray:
            points.dot(np.multiply(points[row], sharpness, scaled), out)
            return np.asarray(np.exp(np.subtract(out, sharpness, out), out))

        return column


@dataclass(frozen=True, slots=True)
class Linear:
    """The inner product."""

    on_sphere: ClassVar[bool] = False
    of_norms: ClassVar[bool] = True
    from_products: ClassVar[bool] = True
    rounding: ClassVar[float] = 1.0
    needs_double: ClassVar[bool] = False

    def matrix(self, rows: Array, points: Array) -> Array:
        """Return ``(n, p)``."""
        return rows @ points.T

    def of_products(self, products: Array, out: Array | None = None) -> Array:
        """Return the products themselves."""
        del out
        return products

    def diagonal(self, rows: Array, norms: Array) -> Array:
        """Return the squared norms ``(n,)``."""
        del rows
        return norms

    def columns(self, points: np.ndarray) -> Column:
        """Return a maker of columns by one product each."""
        return lambda row, out: points.dot(points[row], out)


@dataclass(frozen=True, slots=True)
class Custom:
    """A kernel function of the caller's, given the caller's kind of arrays; its values are checked."""

    function: KernelFunction

    on_sphere: ClassVar[bool] = False
    of_norms: ClassVar[bool] = False
    from_products: ClassVar[bool] = False
    rounding: ClassVar[float] = 1.0
    needs_double: ClassVar[bool] = False

    def matrix(self, rows: Array, points: Array) -> Array:
        """Return ``(n, p)``, of the rows' dtype.

        Raises:
            ValueError: the function gave another shape, or a value that is not finite.
        """
        values: Any = self.function(rows, points)
        if tuple(values.shape) != (len(rows), len(points)):
            raise ValueError(
                f"The kernel must give an array of shape {(len(rows), len(points))} for that many rows and points, "
                f"but gave {tuple(values.shape)}."
            )
        if not is_finite(values):
            raise ValueError("The kernel gave a NaN or an infinity: it must be finite for every pair of rows.")
        like: Any = rows
        cast: Array = values.astype(like.dtype, copy=False) if isinstance(values, np.ndarray) else values.to(like)
        return cast

    def of_products(self, products: Array, out: Array | None = None) -> Array:
        """Raise ``TypeError``: a kernel function takes rows, not their products."""
        del products, out
        raise TypeError("A kernel function cannot be computed from inner products.")

    def diagonal(self, rows: Array, norms: Array) -> Array:
        """Return ``(n,)``, asking the function for blocks of ``DIAGONAL_BLOCK`` rows."""
        diagonal: Any = norms * 0.0
        for start in range(0, len(rows), DIAGONAL_BLOCK):
            block = rows[start : start + DIAGONAL_BLOCK]
            diagonal[start : start + DIAGONAL_BLOCK] = self.matrix(block, block).diagonal()
        if bool((diagonal < 0).any()):
            raise ValueError(
                "The kernel gave a negative value for a row with itself: it must be positive semidefinite."
            )
        return diagonal  # type: ignore[no-any-return]

    def columns(self, points: np.ndarray) -> Column:
        """Return a maker of columns that calls the function."""
        return lambda row, _out: np.asarray(self.matrix(points, points[row : row + 1]))[:, 0]


Kernel: TypeAlias = Rbf | Linear | KernelFunction


def kernel_named(name: str | Kernel, lengthscale: float = defaults.LENGTHSCALE) -> Kernel:
    """Return the kernel of this name; a kernel stays as it is.

    Raises:
        ValueError: no such kernel, or the lengthscale, which is that of ``rbf``, is not a positive number.
    """
    if not isinstance(name, str):
        return name
    named: dict[str, Kernel] = {"rbf": Rbf(lengthscale), "linear": Linear()}
    if name not in named:
        raise ValueError(
            f"Unknown kernel {name!r}: expected 'rbf', 'linear' or a function (rows (n, d), points (p, d)) -> (n, p)."
        )
    return named[name]


def prepared(kernel: Kernel | Custom) -> PreparedKernel:
    """Return the kernel with its operations: a function is wrapped.

    Raises:
        ValueError: it is no kernel.
    """
    if isinstance(kernel, Rbf | Linear | Custom):
        return kernel
    if not callable(kernel):
        raise ValueError(
            f"Unknown kernel {kernel!r}: expected Rbf(), Linear() or a function (rows (n, d), points (p, d)) -> (n, p)."
        )
    return Custom(kernel)


def on_sphere(rows: Array, norms: Array, what: str) -> Array:
    """Return the rows scaled to unit norm exactly, where they have it nearly; a copy only where that changes something.

    ``norms`` are their squared norms ``(n,)``, of their dtype.

    Raises:
        ValueError: a norm is not near 1.
    """
    off: Any = abs(norms - 1.0)
    if bool((off > 2 * UNIT_NORM_TOLERANCE).any()):
        worst = float(norms[int(off.argmax())]) ** 0.5
        raise ValueError(
            f"The rbf kernel needs {what} of unit norm, but one has norm {worst:.3g}. "
            "Normalise the rows, or use the linear kernel."
        )
    rounding = ROUNDED_NORM * (2.0**-23 if rows.itemsize == 4 else 2.0**-52)
    return rows / norms[:, None] ** 0.5 if bool((off > rounding).any()) else rows
