"""One selection as arrays: checked, of one dtype, as the kernel sees them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sift_rag.selection.arrays import (
    Array,
    ArrayLike,
    check_noise_variance,
    check_weights,
    import_torch,
    is_finite,
    joined,
    squared_norms,
    to_double,
)
from sift_rag.selection.features import Features
from sift_rag.selection.kernels import PreparedKernel, Rbf, on_sphere
from sift_rag.selection.lexical import WordRows
from sift_rag.selection.pool import Pool, Texts
from sift_rag.selection.view import View, look

if TYPE_CHECKING:
    import torch

SINGLE_PRECISION_NOISE = 1e-3
"""Smallest noise variance, relative to the largest prior variance, for which float32 is enough: below it the rounding
of a
kernel value, 1e-7, would be a visible part of the noise."""


class Problem(NamedTuple):
    """The rows to choose from, the targets, and the process that measures a choice."""

    targets: Any
    """``(m, d)``."""
    points: Any
    """``(n + g, d)``: candidates, then what is known."""
    size: int
    """n: number of points that can be chosen."""
    prior: Any
    """``(m,)`` float64: k(x*, x*)."""
    diagonal: Any
    """``(n + g,)``: k(x, x)."""
    largest: float
    """Largest of ``diagonal``; 0 for no points."""
    view: View
    """Centre and weights with which the rows were made."""
    kernel: PreparedKernel
    noise_variance: float
    device: Any
    """Device of the caller's tensors; None for numpy."""
    words: WordRows | None = None
    """Words beside the embeddings; None where they do not count."""
    told: Any = None
    """``(m, n)``: prior covariances of the first m targets with the candidates, from relevance scores; None for the
    kernel's."""

    @property
    def weights(self) -> np.ndarray | None:
        """The targets' shares ``(m,)``; None for 1 each."""
        return self.view.weights

    @property
    def known(self) -> range:
        """Rows of the points that are known already."""
        return range(self.size, len(self.points))

    def covariances(self) -> Any:
        """Return a new array ``(m, n + g)``: the prior covariance of every point with each target."""
        values: Any = self.kernel.matrix(self.targets, self.points)
        if self.told is not None:
            values[: len(self.told), : self.size] = self.told
        return values

    def as_given(self, array: np.ndarray) -> Array:
        """Return a result as the caller's kind of array."""
        return array if self.device is None else import_torch().from_numpy(array).to(self.device)


def read_problem(
    pool: Pool,
    kernel: PreparedKernel,
    noise_variance: float,
    *,
    features: Features | None = None,
    view: View | None = None,
    double: bool = False,
    tensors: bool = False,
) -> Problem:
    """Check and convert the pool of a selection.

    The arithmetic runs in float32, or in float64 where the candidates are, where ``double`` says so, and where the
    noise or the kernel is too fine for float32. Tensors on the CPU are worked on as numpy arrays (no copy; at these
    sizes two to four times faster), unless ``tensors`` or a kernel function, which is given what the caller gave.
    ``features`` are applied under a kernel on the sphere: embeddings centred on the candidates' mean, words beside
    them, several targets balanced where there are no weights; a ``view`` read off another pool takes the place of mean,
    vocabulary and weights.

    Raises:
        ValueError: shapes disagree, a value is not finite, a parameter is out of range, rbf rows are not unit-norm, or
            there is not one text for each row.
        MissingExtra: words count, and the package that stems them is not installed.
    """
    check_noise_variance(noise_variance)
    targets, points, others, device = _rows(pool, tensors=tensors or not kernel.from_products)
    shapes = f"query {tuple(targets.shape)}, candidates {tuple(points.shape)}, known {tuple(others.shape)}"
    if not (targets.ndim == points.ndim == others.ndim == 2):
        raise ValueError(f"Expected query (d,) or (m, d), candidates (n, d) and known (g, d), but got {shapes}.")
    if not targets.shape[1] == points.shape[1] == others.shape[1]:
        raise ValueError(f"Dimensions disagree: {shapes}.")
    if len(targets) == 0:
        raise ValueError("At least one target is needed, but the query is empty.")
    size = len(points)
    if len(others):
        points = joined(points, others)
    norms = squared_norms(points)
    if not (is_finite(targets) and math.isfinite(_largest(norms))):
        raise ValueError(
            "Query, candidates and known must be finite, and their squared norms too, but a NaN or an infinity is "
            "among them."
        )
    diagonal = kernel.diagonal(points, norms)
    too_fine = kernel.needs_double or noise_variance < SINGLE_PRECISION_NOISE * _largest(diagonal)
    if points.itemsize == 4 and (double or too_fine):
        targets, points = to_double(targets), to_double(points)
        norms = squared_norms(points)
        diagonal = kernel.diagonal(points, norms)
    if kernel.on_sphere:
        targets, points = on_sphere(targets, squared_norms(targets), "queries"), on_sphere(points, norms, "candidates")
    words = None
    shares = check_weights(pool.weights, len(targets))
    if pool.texts is not None:
        _check_texts(pool.texts, len(targets), size, len(others))
    if features is not None and isinstance(kernel, Rbf):
        counted = size if pool.reference is None else min(pool.reference, size)
        targets, points, view, words = look(
            targets, points, counted, pool.texts, kernel, features, weights=shares, view=view
        )
    elif view is None:
        view = View(weights=shares)
    prior = kernel.diagonal(targets, squared_norms(to_double(targets)))
    return Problem(
        targets, points, size, prior, diagonal, _largest(diagonal), view, kernel, noise_variance, device, words
    )


def check_token_counts(token_counts: ArrayLike | None, problem: Problem, *, required: bool) -> Array | None:
    """Return ``(n,)`` of the points' kind and dtype, or None.

    Raises:
        ValueError: there is not one for each candidate, one is not positive, or none were given though ``required``.
    """
    if token_counts is None:
        if required:
            raise ValueError("A token budget needs token_counts: give the number of tokens of each candidate.")
        return None
    points = problem.points
    if isinstance(points, np.ndarray):
        counts: Any = np.asarray(token_counts, dtype=points.dtype)
    else:
        counts = import_torch().as_tensor(token_counts, dtype=points.dtype, device=points.device)
    if tuple(counts.shape) != (problem.size,):
        raise ValueError(
            f"Expected one token count for each of {problem.size} candidates, but got shape {tuple(counts.shape)}."
        )
    if not (is_finite(counts) and bool((counts > 0).all())):
        raise ValueError("Token counts must be positive numbers.")
    checked: Array = counts
    return checked


def _check_texts(texts: Texts, *sizes: int) -> None:
    """Raise ``ValueError`` unless there is one text for each target, candidate and known row."""
    for what, some, size in zip(("target", "candidate", "known row"), texts, sizes, strict=True):
        if isinstance(some, str) or len(some) != size:
            got = "one" if isinstance(some, str) else str(len(some))
            raise ValueError(f"Expected a list of {size} texts, one for each {what}, but got {got}.")


def _rows(pool: Pool, *, tensors: bool) -> tuple[Any, Any, Any, Any]:
    query, candidates, known = pool.targets, pool.candidates, pool.known
    device: Any = None
    arrays: list[Any]
    if not isinstance(candidates, np.ndarray) and hasattr(candidates, "detach"):
        tensor: torch.Tensor = candidates  # type: ignore[assignment]
        torch_, device = import_torch(), tensor.device
        dtype = torch_.float64 if tensor.dtype == torch_.float64 else torch_.float32
        given = tensor[:0] if known is None else known
        arrays = [torch_.as_tensor(array, device=device).detach().to(dtype) for array in (query, tensor, given)]
        if device.type == "cpu" and not tensors:
            arrays = [array.numpy() for array in arrays]
    else:
        points = np.asarray(candidates)
        kind = np.float64 if points.dtype == np.float64 else np.float32
        arrays = [np.asarray(array, kind) for array in (query, points, points[:0] if known is None else known)]
    targets, rows, known_rows = arrays
    return (
        targets[None] if targets.ndim == 1 else targets,
        rows,
        known_rows[None] if known_rows.ndim == 1 else known_rows,
        device,
    )


def _largest(values: Array) -> float:
    """Return the largest value; NaN where one is, 0 for none."""
    return float(values.max()) if len(values) else 0.0
