"""The caller's arrays: numpy or torch in, the same kind out. Nothing else of this package knows how they differ."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import torch

Array: TypeAlias = "np.ndarray | torch.Tensor"
"""An array of the caller's kind; a function takes and returns one kind."""

ArrayLike: TypeAlias = "Array | Sequence[float] | Sequence[Sequence[float]]"


LARGEST_NOISE_VARIANCE = 1e30
"""Largest noise of an observation: larger ones leave float32."""

LARGEST_WEIGHT = 1e12
"""Largest weight of a target: the squares of larger ones leave float32."""


def import_torch() -> Any:
    """Import and return torch; only callers that hold tensors pay for it."""
    import torch

    return torch


def is_finite(array: Array) -> bool:
    """Return True if every value is finite."""
    return bool((np.isfinite(array) if isinstance(array, np.ndarray) else array.isfinite()).all())


def squared_norms(rows: Array) -> Array:
    """Return ``(n,)``, of the rows' own dtype."""
    return np.einsum("nd,nd->n", rows, rows) if isinstance(rows, np.ndarray) else (rows * rows).sum(1)


def joined(points: Array, others: Array) -> Array:
    """Concatenate two arrays along the first axis."""
    return np.concatenate([points, others]) if isinstance(points, np.ndarray) else import_torch().cat([points, others])


def to_double(array: Array) -> Array:
    """Return the array as float64."""
    return array.astype(np.float64, copy=False) if isinstance(array, np.ndarray) else array.double()


def as_numbers(values: Any) -> np.ndarray:
    """Return numbers of any kind and shape as float64; a text that reads like a number is none.

    Raises:
        ValueError: something is no real number, is too large for a float, or rows differ in length.
    """
    try:
        given = np.asarray(values.detach().cpu().double() if hasattr(values, "detach") else values)
        if given.dtype.kind == "O" and all(isinstance(value, Real) for value in given.flat):
            given = given.astype(np.float64)
    except (TypeError, OverflowError) as error:
        raise ValueError(str(error)) from None
    if given.dtype.kind not in "biuf":
        raise ValueError(f"Expected numbers, but got {given.dtype}.")
    return given.astype(np.float64, copy=False)


def to_numpy(array: ArrayLike) -> np.ndarray:
    """Return rows as float32 or float64 numpy."""
    if not isinstance(array, np.ndarray) and hasattr(array, "detach"):
        array = array.detach().cpu()
        array = array.numpy() if str(array.dtype) == "torch.float64" else array.float().numpy()
    rows = np.asarray(array)
    return rows.astype(np.float64 if rows.dtype == np.float64 else np.float32, copy=False)


def float64_copy(array: Array) -> np.ndarray:
    """Return a float64 copy on the CPU."""
    return np.array(array if isinstance(array, np.ndarray) else array.cpu().numpy(), dtype=np.float64)


def beside(points: Array, values: ArrayLike) -> Array:
    """Return a copy of ``values`` beside ``points``: numpy, or a tensor on the same device."""
    if isinstance(points, np.ndarray):
        return np.array(np.asarray(values))
    return import_torch().as_tensor(values).to(points.device, copy=True)  # type: ignore[no-any-return]


def check_k(k: int) -> None:
    """Raise ``ValueError`` for a negative number of choices."""
    if k < 0:
        raise ValueError(f"k must be >= 0, but got {k}.")


def check_noise_variance(noise_variance: float) -> None:
    """Raise ``ValueError`` unless the noise of an observation is positive and in the range of float32."""
    if not 0 < noise_variance <= LARGEST_NOISE_VARIANCE:
        raise ValueError(
            f"noise_variance must be a positive number, at most {LARGEST_NOISE_VARIANCE:g}, but got {noise_variance}."
        )


def check_weights(weights: ArrayLike | None, targets: int) -> np.ndarray | None:
    """Return ``(m,)`` float64, or None.

    Raises:
        ValueError: there is not one for each target, one is negative or not finite, or all are 0.
    """
    if weights is None:
        return None
    values = np.asarray(weights.detach().cpu() if hasattr(weights, "detach") else weights, dtype=np.float64)
    if values.shape != (targets,):
        raise ValueError(f"Expected one weight for each of {targets} targets, but got shape {values.shape}.")
    if not (np.isfinite(values).all() and (values >= 0).all() and values.any() and values.max() <= LARGEST_WEIGHT):
        raise ValueError(
            f"Weights must be finite, >= 0, at most {LARGEST_WEIGHT:g} and not all 0, but got {values.tolist()}."
        )
    return values
