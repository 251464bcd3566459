"""Reading the arrays of a caller: numpy or torch in, checked and of one dtype."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from sift_rag.selection.kernels import Kernel, check_kernel, is_finite, kernel_diagonal, on_sphere, squared_norms

SINGLE_PRECISION_NOISE = 1e-3
"""Smallest noise variance, relative to the largest prior variance, that float32 serves: below it the rounding of a
kernel value, 1e-7, would be a visible part of the noise."""

SINGLE_PRECISION_LENGTHSCALE = 0.1
"""Smallest lengthscale that float32 serves: the exponent magnifies the rounding of a cosine by 1/ℓ²."""


class Problem(NamedTuple):
    """What is chosen from, for what, under which surrogate."""

    targets: Any
    """``(m, d)``."""
    points: Any
    """``(n + g, d)``: candidates, then what is given."""
    size: int
    """n: how many of the points can be chosen."""
    prior: Any
    """``(m,)`` float64: k(x*, x*)."""
    diagonal: Any
    """``(n + g,)``: k(x, x)."""
    largest: float
    """Largest of ``diagonal``; 0 for no points."""
    weights: Any
    """``(m,)`` float64 numpy, or None for 1 each."""
    kernel: Kernel
    lengthscale: float
    noise_variance: float
    device: Any
    """Of the caller's tensors; None for numpy."""

    def as_given(self, array: np.ndarray) -> Any:
        """A result as the caller's kind of array."""
        return array if self.device is None else import_torch().from_numpy(array).to(self.device)


def read_problem(
    query: Any,
    candidates: Any,
    *,
    kernel: Kernel,
    lengthscale: float,
    noise_variance: float,
    given: Any = None,
    weights: Any = None,
    double: bool = False,
    tensors: bool = False,
) -> Problem:
    """Check and convert the arguments of ``select_sift``.

    The arithmetic runs in float32, or in float64 where the candidates are, where ``double`` says so, and where the
    noise or the lengthscale is too small for float32. Tensors on the CPU are worked on as numpy arrays (no copy; at
    these sizes two to four times faster), unless ``tensors`` or a kernel function, which is given what the caller gave.
    """
    check_kernel(kernel, lengthscale)
    if not (np.isfinite(noise_variance) and noise_variance > 0):
        raise ValueError(f"noise_variance must be a positive number, but got {noise_variance}.")
    targets, points, known, device = _rows(query, candidates, given, tensors=tensors or callable(kernel))
    shapes = f"query {tuple(targets.shape)}, candidates {tuple(points.shape)}, given {tuple(known.shape)}"
    if not (targets.ndim == points.ndim == known.ndim == 2):
        raise ValueError(f"Expected query (d,) or (m, d), candidates (n, d) and given (g, d), but got {shapes}.")
    if not targets.shape[1] == points.shape[1] == known.shape[1]:
        raise ValueError(f"Dimensions disagree: {shapes}.")
    if len(targets) == 0:
        raise ValueError("At least one target is needed, but the query is empty.")
    size = len(points)
    if len(known):
        points = joined(points, known)
    norms = squared_norms(points)
    if not (is_finite(targets) and math.isfinite(_largest(norms))):
        raise ValueError(
            "Query, candidates and given must be finite, and their squared norms too, but a NaN or an infinity is "
            "among them."
        )
    diagonal = kernel_diagonal(points, norms, kernel)
    if points.itemsize == 4 and (double or _is_too_fine(_largest(diagonal), kernel, lengthscale, noise_variance)):
        targets, points = to_double(targets), to_double(points)
        norms = squared_norms(points)
        diagonal = kernel_diagonal(points, norms, kernel)
    if kernel == "rbf":
        targets, points = on_sphere(targets, squared_norms(targets), "queries"), on_sphere(points, norms, "candidates")
    prior = kernel_diagonal(targets, squared_norms(to_double(targets)), kernel)
    largest = _largest(diagonal)
    return Problem(
        targets,
        points,
        size,
        prior,
        diagonal,
        largest,
        check_weights(weights, len(targets)),
        kernel,
        lengthscale,
        noise_variance,
        device,
    )


def _is_too_fine(largest: float, kernel: Kernel, lengthscale: float, noise_variance: float) -> bool:
    """Whether float32 is too coarse for this noise variance or lengthscale."""
    return noise_variance < SINGLE_PRECISION_NOISE * largest or (
        kernel == "rbf" and lengthscale < SINGLE_PRECISION_LENGTHSCALE
    )


def check_weights(weights: Any, targets: int) -> Any:
    """``(m,)`` float64 numpy, or None.

    Raises:
        ValueError: there is not one for each target, one is negative or not finite, or all are 0.
    """
    if weights is None:
        return None
    values = np.asarray(weights.detach().cpu() if hasattr(weights, "detach") else weights, dtype=np.float64)
    if values.shape != (targets,):
        raise ValueError(f"Expected one weight for each of {targets} targets, but got shape {values.shape}.")
    if not (np.isfinite(values).all() and (values >= 0).all() and values.any()):
        raise ValueError(f"Weights must be finite, >= 0 and not all 0, but got {values.tolist()}.")
    return values


def check_token_counts(token_counts: Any, problem: Problem, *, required: bool) -> Any:
    """``(n,)`` of the points' kind and dtype, or None.

    Raises:
        ValueError: there is not one for each candidate, one is not positive, or none were given though ``required``.
    """
    if token_counts is None:
        if required:
            raise ValueError("A budget of tokens needs token_counts: how many each candidate has.")
        return None
    points = problem.points
    if isinstance(points, np.ndarray):
        counts = np.asarray(token_counts, dtype=points.dtype)
    else:
        counts = import_torch().as_tensor(token_counts, dtype=points.dtype, device=points.device)
    if tuple(counts.shape) != (problem.size,):
        raise ValueError(
            f"Expected one token count for each of {problem.size} candidates, but got shape {tuple(counts.shape)}."
        )
    if not (is_finite(counts) and bool((counts > 0).all())):
        raise ValueError("Token counts must be positive numbers.")
    return counts


def check_k(k: int) -> None:
    """Raise ``ValueError`` for a negative number of choices."""
    if k < 0:
        raise ValueError(f"k must be >= 0, but got {k}.")


def _rows(query: Any, candidates: Any, given: Any, *, tensors: bool) -> tuple[Any, Any, Any, Any]:
    given = candidates[:0] if given is None else given
    if hasattr(candidates, "detach"):
        torch, device = import_torch(), candidates.device
        dtype = torch.float64 if candidates.dtype == torch.float64 else torch.float32
        arrays = [torch.as_tensor(array, device=device).detach().to(dtype) for array in (query, candidates, given)]
        if device.type == "cpu" and not tensors:
            arrays = [array.numpy() for array in arrays]
    else:
        points, device = np.asarray(candidates), None
        dtype = np.float64 if points.dtype == np.float64 else np.float32
        arrays = [np.asarray(array, dtype=dtype) for array in (query, points, given)]
    targets, points, known = arrays
    return targets[None] if targets.ndim == 1 else targets, points, known[None] if known.ndim == 1 else known, device


def _largest(values: Any) -> float:
    """NaN where one is."""
    return float(values.max()) if len(values) else 0.0


def joined(points: Any, known: Any) -> Any:
    """One array after the other, along the first axis."""
    return np.concatenate([points, known]) if isinstance(points, np.ndarray) else import_torch().cat([points, known])


def to_double(array: Any) -> Any:
    """As float64."""
    return array.astype(np.float64, copy=False) if isinstance(array, np.ndarray) else array.double()


def import_torch() -> Any:
    """The module; only callers that hold tensors pay for it."""
    import torch

    return torch
