"""Many selections at once: one arithmetic operation serves all queries of a block at every step.

The recurrence is that of ``conditioning.py`` with a leading axis b for the queries; row b is what ``select_sift`` gives
for query b alone. numpy goes block by block, so that what a step touches stays in the processor's cache. Tensors on a
device go all at once, and no step waits for the device: not even which candidate was chosen is read before the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sift_rag.selection.arrays import Problem, check_k, check_weights, import_torch, read_problem, to_double
from sift_rag.selection.greedy import TIE, WIDEST_TIE, rounding_of_kernel
from sift_rag.selection.kernels import DEFAULT_LENGTHSCALE, DEFAULT_NOISE_VARIANCE, KernelName, kernel_of_products
from sift_rag.selection.result import GreedySelection

BLOCK_BYTES = 4 << 20
"""Candidates and Cholesky columns of one block of queries, on a CPU: what a core's share of the cache holds."""


@dataclass(frozen=True, eq=False, slots=True)
class BatchSelection:
    """The choices for B queries; ``batch[b]`` is the one for query b. Arrays are of the kind given."""

    indices: Any
    """``(B, k)`` int64, rows of that query's candidates in the order chosen; -1 once none is left."""
    posterior_variances: Any
    """``(B, k)`` float64, after each choice, summed over that query's targets."""
    prior_variances: Any
    """``(B,)`` float64."""
    gains: Any
    """``(B, k)`` float64; 0 once no candidate is left."""
    relevance: Any
    """``(B, k)`` float64; 0 once no candidate is left."""

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, query: int) -> GreedySelection:
        size = int((self.indices[query] >= 0).sum())
        return GreedySelection(
            indices=self.indices[query][:size],
            posterior_variances=self.posterior_variances[query][:size],
            prior_variance=float(self.prior_variances[query]),
            gains=self.gains[query][:size],
            relevance=self.relevance[query][:size],
            stopped="k" if size == self.indices.shape[1] else "exhausted",
        )


def select_sift_batch(
    queries: Any,
    candidates: Any,
    k: int,
    *,
    kernel: KernelName = "rbf",
    lengthscale: float = DEFAULT_LENGTHSCALE,
    noise_variance: float = DEFAULT_NOISE_VARIANCE,
    with_repeats: bool = False,
    weights: Any = None,
    mask: Any = None,
) -> BatchSelection:
    """``select_sift`` for B queries, the same choice for each: O(B k n (d + k + m)) time, O(B n k) memory on a device.

    Args:
        queries: ``(B, d)``, or m targets each, ``(B, m, d)``. numpy or torch.
        candidates: ``(B, n, d)``, each query's own, or ``(n, d)``, the same for all.
        k: how many for each, >= 0.
        kernel: ``rbf`` or ``linear``.
        lengthscale: see ``select_sift``.
        noise_variance: see ``select_sift``.
        with_repeats: whether a candidate may be chosen again.
        weights: ``(m,)``, each target's share of the sum, the same for all queries; 1 each by default.
        mask: ``(B, n)`` bool, False where a row is padding or must not be chosen; what stands there does not matter.

    Returns:
        The choices, in arrays of k columns, padded where a query has fewer candidates than k.

    Raises:
        ValueError: as in ``select_sift``; or the shapes of the batch disagree, or ``kernel`` is a function.
    """
    check_k(k)
    if kernel not in {"rbf", "linear"}:
        raise ValueError(
            f"A batch takes kernel='rbf' or 'linear', but got {kernel!r}: call select_sift for each query."
        )
    if not hasattr(candidates, "detach"):
        candidates, queries = np.asarray(candidates), np.asarray(queries)
    if queries.ndim == 2:
        queries = queries[:, None]
    batch, width = len(queries), candidates.shape[-2] if candidates.ndim > 1 else 0
    shapes = f"queries {tuple(queries.shape)}, candidates {tuple(candidates.shape)}"
    if queries.ndim != 3 or candidates.ndim not in {2, 3} or (candidates.ndim == 3 and len(candidates) != batch):
        raise ValueError(f"Expected queries (B, d) or (B, m, d) and candidates (B, n, d) or (n, d), but got {shapes}.")
    if mask is not None and tuple(mask.shape) != (batch, width):
        raise ValueError(f"Expected a mask of shape {(batch, width)}, but got {tuple(mask.shape)}: {shapes}.")
    if batch == 0:
        empty = _array(candidates, np.zeros((0, k)))
        return BatchSelection(
            _array(candidates, np.zeros((0, k), dtype=np.int64)), empty, _array(candidates, np.zeros(0)), empty, empty
        )
    shared = candidates.ndim == 2
    size = _block_size(batch, candidates, k)
    blocks = [
        _select_block(
            queries[first : first + size],
            candidates if shared else candidates[first : first + size],
            k,
            None if mask is None else mask[first : first + size],
            with_repeats,
            {"kernel": kernel, "lengthscale": lengthscale, "noise_variance": noise_variance},
            weights,
        )
        for first in range(0, batch, size)
    ]
    if len(blocks) == 1:
        return blocks[0]
    fields = ("indices", "posterior_variances", "prior_variances", "gains", "relevance")
    concatenate = np.concatenate if isinstance(blocks[0].indices, np.ndarray) else import_torch().cat
    return BatchSelection(*(concatenate([getattr(block, field) for block in blocks]) for field in fields))


def _block_size(batch: int, candidates: Any, k: int) -> int:
    if hasattr(candidates, "detach") and candidates.device.type != "cpu":
        return max(batch, 1)
    rows, dimension = candidates.shape[-2:]
    values = rows * (min(k, rows) + (0 if candidates.ndim == 2 else dimension))
    return max(1, BLOCK_BYTES // max(1, 4 * int(values)))


def _select_block(
    queries: Any,
    candidates: Any,
    k: int,
    mask: Any,
    with_repeats: bool,
    surrogate: Any,
    weights: Any,
    *,
    tensors: bool = False,
) -> BatchSelection:
    """All queries ``(b, m, d)`` of one block, step by step together; ``tensors``: see ``read_problem``."""
    if mask is not None and candidates.ndim == 3:
        candidates = _without_padding(candidates, mask)
    problem = read_problem(
        queries.reshape(-1, queries.shape[2]),
        candidates.reshape(-1, candidates.shape[-1]),
        tensors=tensors,
        **surrogate,
    )
    batch, width = len(queries), candidates.shape[-2]
    steps = k if with_repeats and width else min(k, width)
    block = _Block(problem, queries.shape[:2], width, steps, weights, shared=candidates.ndim == 2)
    xp, points, rows = block.xp, problem.points, block.rows
    closed = _array(points, np.zeros((batch, width), dtype=bool)) if mask is None else ~_array(points, mask)

    columns: list[tuple[Any, Any, Any, Any]] = []
    none = _array(points, np.zeros(batch))
    at_first, largest = block.gains(), none
    for step in range(steps):
        gains = block.gains()
        scores = xp.where(closed, -xp.inf, gains)
        top = scores.argmax(1)
        best = scores[rows, top]
        some_left = best >= 0
        largest = best if step == 0 else largest
        pick = _first_true(scores >= (best - block.rounding(top, best.clip(0.0), largest))[:, None])
        columns.append((
            xp.where(some_left, pick, -1),
            xp.where(some_left, to_double(gains[rows, pick]), none),
            xp.where(some_left, to_double(at_first[rows, pick]), none),
            block.observe(pick, some_left),
        ))  # fmt: skip
        if not with_repeats:
            closed[rows, pick] = True

    # one column more than is wanted, so that there is one to stack when k = 0
    columns += [(_array(points, np.full(batch, -1)), none, none, none)] * (k - steps + 1)
    picks, gains, relevance, explained = (xp.stack(column, 1)[:, :k] for column in zip(*columns, strict=True))
    arrays = (picks, (block.prior[:, None] - xp.cumsum(explained, 1)).clip(0.0), block.prior, gains, relevance)
    return BatchSelection(*(map(problem.as_given, arrays) if xp is np else arrays))


class _Block:
    """``conditioning.ArrayPosterior`` for b queries at once, on numpy arrays or on tensors of any device."""

    def __init__(
        self, problem: Problem, shape: tuple[int, int], width: int, steps: int, weights: Any, *, shared: bool
    ) -> None:
        (batch, m), points = shape, problem.points
        self._problem, self._shared = problem, shared
        self._points = points if shared else points.reshape(batch, width, points.shape[1])
        self.xp: Any = np if isinstance(points, np.ndarray) else import_torch()
        self.rows = _array(points, np.arange(batch))
        shares = check_weights(weights, m)
        shares = np.ones(m) if shares is None else shares
        roots = np.sqrt(shares).astype(np.float32 if points.itemsize == 4 else np.float64)
        products = self.xp.matmul(
            problem.targets.reshape(batch, m, -1), points.T if shared else self._points.swapaxes(1, 2)
        )
        self._covariance = self._kernel(products) * _array(points, roots)[:, None]
        self._noisy = self._covariance[:, 0] * 0.0 + problem.diagonal.reshape(1 if shared else batch, width)
        self._noisy += problem.noise_variance
        self._noisy_at_first = self._noisy
        empty = np.empty if self.xp is np else points.new_empty
        self._factor = empty((batch, steps, width), dtype=points.dtype)
        self._observed = 0
        self.prior = (problem.prior.reshape(batch, m) * _array(points, shares)).sum(1)

    def gains(self) -> Any:
        """``(b, n)``."""
        return (self._covariance * self._covariance).sum(1) / self._noisy

    def rounding(self, index: Any, gain: Any, largest: Any) -> Any:
        """``(b,)``: how far below ``gain``, at ``index``, an equal one may lie; see ``greedy.rounding_of_gains``."""
        unit = TIE * rounding_of_kernel(self._problem) * (2.0**-23 if self._noisy.itemsize == 4 else 2.0**-52)
        lost = self._noisy_at_first[self.rows, index] / self._noisy[self.rows, index]
        return self.xp.minimum(unit * lost * (largest.clip(0.0) * gain) ** 0.5, gain * WIDEST_TIE)

    def observe(self, pick: Any, which: Any) -> Any:
        """One observation for each query of ``which``, none for the others: ``(b,)``, the variance that it explains."""
        rows, points, observed = self.rows, self._points, self._observed
        precision = self.xp.where(which, self._noisy[rows, pick] ** -0.5, 0.0)[:, None]
        if self._shared:
            column = self._kernel(points[pick] @ points.T)
        else:
            column = self._kernel(self.xp.matmul(points, points[rows, pick][:, :, None])[:, :, 0])
        if observed:
            known = self._factor[:, :observed]
            column = column - self.xp.matmul(self._factor[rows, :observed, pick][:, None], known)[:, 0]
        latest = column * precision
        with_targets = self._covariance[rows, :, pick] * precision
        self._covariance -= with_targets[:, :, None] * latest[:, None]
        self._noisy = (self._noisy - latest * latest).clip(self._problem.noise_variance)
        self._factor[:, observed] = latest
        self._observed = observed + 1
        return (to_double(with_targets) ** 2).sum(1)

    def _kernel(self, products: Any) -> Any:
        kernel: Any = self._problem.kernel
        return kernel_of_products(products, kernel, self._problem.lengthscale)


def _first_true(flags: Any) -> Any:
    """``(b,)``: the first place in each row of ``(b, n)``. A device's argmax may give any of several."""
    if isinstance(flags, np.ndarray):
        return flags.argmax(1)
    torch, width = import_torch(), flags.shape[1]
    return torch.where(flags, torch.arange(width, device=flags.device), width).amin(1)


def _without_padding(candidates: Any, mask: Any) -> Any:
    """A copy ``(b, n, d)`` with a unit vector, which passes every check, wherever ``mask`` is False."""
    unit = np.zeros(candidates.shape[-1], dtype=np.float32)
    unit[:1] = 1.0
    if isinstance(candidates, np.ndarray):
        return np.where(np.asarray(mask)[:, :, None], candidates, unit)
    mask, unit = _array(candidates, mask), _array(candidates, unit).to(candidates.dtype)
    return import_torch().where(mask[:, :, None], candidates, unit)


def _array(points: Any, values: Any) -> Any:
    """A copy of ``values`` beside ``points``: numpy, or a tensor on the same device."""
    if isinstance(points, np.ndarray):
        return np.array(np.asarray(values))
    return import_torch().as_tensor(values).to(points.device, copy=True)
