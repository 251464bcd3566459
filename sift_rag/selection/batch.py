"""Many selections at once: one arithmetic operation serves all queries of a block at every step.

The recurrence is that of ``conditioning.py`` with a leading axis b for the queries; row b is what ``select_sift`` gives
for query b alone. Arrays go block by block, so that what a step touches stays in the processor's cache
(``array_block.py``); tensors on a device go all at once (``tensor_block.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sift_rag import defaults
from sift_rag.selection.array_block import needs_gram, select_on_arrays
from sift_rag.selection.arrays import Array, ArrayLike, beside, check_k, check_weights, float64_copy, import_torch
from sift_rag.selection.features import Features, balanced, centred
from sift_rag.selection.greedy import Rules
from sift_rag.selection.kernels import Kernel, Rbf, kernel_named, prepared
from sift_rag.selection.pool import Pool
from sift_rag.selection.problem import Problem, read_problem
from sift_rag.selection.process import GaussianProcess
from sift_rag.selection.result import GreedySelection
from sift_rag.selection.sift import select_with
from sift_rag.selection.tensor_block import select_on_tensors

FIELDS = ("indices", "posterior_variances", "prior_variances", "gains", "relevance")
"""Fields of a ``BatchSelection``."""

BLOCK_BYTES = 8 << 20
"""Number of bytes that the steps of one block of queries read, on a CPU: in a larger block
more queries share a call, and a smaller one stays in the cache."""

ALONE_BYTES = 1 << 20
"""Size of a query's own candidates from which on it is answered alone: in turns with others, it would have to read them
from memory at every step."""


@dataclass(frozen=True, eq=False, slots=True)
class BatchSelection:
    """The choices for B queries; ``batch[b]`` is the one for query b. Arrays are of the kind given."""

    indices: Array
    """``(B, k)`` int64, rows of that query's candidates in the order chosen; -1 once none is left."""
    posterior_variances: Array
    """``(B, k)`` float64, after each choice, summed over that query's targets."""
    prior_variances: Array
    """``(B,)`` float64."""
    gains: Array
    """``(B, k)`` float64; 0 once no candidate is left."""
    relevance: Array
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
    queries: ArrayLike,
    candidates: ArrayLike,
    k: int,
    *,
    kernel: str | Kernel = defaults.KERNEL,
    lengthscale: float = defaults.LENGTHSCALE,
    noise_variance: float = defaults.NOISE_VARIANCE,
    centring: float = defaults.CENTRING,
    with_repeats: bool = False,
    known: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    threads: int = 1,
) -> BatchSelection:
    """Return ``select_sift``'s choice for each of B queries: O(B k n (d + k + m)) time, O(B n k) memory on a device.

    On a CPU, a query of which two gains nearly tie is answered by ``select_sift`` itself. On a device one of many
    thousand choices may fall on the other of such two; give float64 candidates where that matters. Objectives, stopping
    rules, token counts and kernel functions: single calls only.

    Args:
        queries: ``(B, d)``, or m targets each, ``(B, m, d)``. numpy or torch.
        candidates: ``(B, n, d)``, each query's own, or ``(n, d)``, the same for all.
        k: number of choices for each, >= 0.
        kernel: ``rbf`` or ``linear``.
        lengthscale: see ``select_sift``.
        noise_variance: see ``select_sift``.
        centring: see ``select_sift``; each query's candidates have their own mean.
        with_repeats: choose a candidate again where that brings more.
        known: ``(g, d)``, what all readers know already, or ``(B, g, d)``, what each does.
        weights: ``(m,)``, each target's share of the sum, the same for all queries; by default balanced under ``rbf``.
        mask: ``(B, n)`` bool, False where a row is padding or must not be chosen; what stands there does not matter.
            With candidates that all share, each query then gets its own copy of them under ``rbf`` with centring.
        threads: number of blocks of queries worked on at once, >= 1; of no account on a device. Only where BLAS itself
            runs on one thread (``OMP_NUM_THREADS=1``) are several a gain. The choice is the same for any number.

    Returns:
        The choices, in arrays of k columns, padded where a query has fewer candidates than k.

    Raises:
        ValueError: as in ``select_sift``; or the shapes of the batch disagree, or ``kernel`` is a function.
    """
    check_k(k)
    if threads < 1:
        raise ValueError(f"threads must be >= 1, but got {threads}.")
    chosen = kernel_named(kernel, lengthscale)
    if callable(chosen):
        raise ValueError(
            f"A batch takes the kernels rbf and linear, but got {kernel!r}: call select_sift for each query."
        )
    process = GaussianProcess(chosen, noise_variance, Features(centring))
    rows: Any = candidates if hasattr(candidates, "detach") else np.asarray(candidates)
    targets: Any = queries if hasattr(candidates, "detach") else np.asarray(queries)
    if targets.ndim == 2:
        targets = targets[:, None]
    batch, width = len(targets), rows.shape[-2] if rows.ndim > 1 else 0
    shapes = f"queries {tuple(targets.shape)}, candidates {tuple(rows.shape)}"
    if targets.ndim != 3 or rows.ndim not in {2, 3} or (rows.ndim == 3 and len(rows) != batch):
        raise ValueError(f"Expected queries (B, d) or (B, m, d) and candidates (B, n, d) or (n, d), but got {shapes}.")
    allowed: Any = mask
    if allowed is not None and tuple(allowed.shape) != (batch, width):
        raise ValueError(f"Expected a mask of shape {(batch, width)}, but got {tuple(allowed.shape)}: {shapes}.")
    given: Any = known if known is None or hasattr(known, "detach") else np.asarray(known)
    if given is not None:
        shape, dimension = tuple(given.shape), rows.shape[-1]
        if len(shape) not in {2, 3} or shape[-1] != dimension or (len(shape) == 3 and shape[0] != batch):
            raise ValueError(
                f"Expected known (g, {dimension}) or ({batch}, g, {dimension}), but got {shape}: {shapes}."
            )
    if batch == 0:
        empty = beside(rows, np.zeros((0, k)))
        none = beside(rows, np.zeros((0, k), dtype=np.int64))
        return BatchSelection(none, empty, beside(rows, np.zeros(0)), empty, empty)
    block = _Block(process, targets, rows, k, given, allowed, weights, with_repeats)
    on_device = hasattr(rows, "detach") and rows.device.type != "cpu"
    size = batch if on_device else _block_size(batch, rows, k, threads)
    select: Callable[[_Block], BatchSelection] = _select_alone if size == 1 and not on_device else _select_block

    firsts = range(0, batch, size)
    if threads == 1 or len(firsts) == 1:
        blocks = [select(block[first : first + size]) for first in firsts]
    else:
        with ThreadPoolExecutor(min(threads, len(firsts))) as pool:
            blocks = list(pool.map(lambda first: select(block[first : first + size]), firsts))
    if len(blocks) == 1:
        return blocks[0]
    concatenate: Any = np.concatenate if isinstance(blocks[0].indices, np.ndarray) else import_torch().cat
    return BatchSelection(*(concatenate([getattr(block, field) for block in blocks]) for field in FIELDS))


@dataclass(frozen=True, eq=False, slots=True)
class _Block:
    """Some queries of a batch, and the parameters that all share. A slice of it is a smaller one."""

    process: GaussianProcess
    queries: Any
    """``(b, m, d)``."""
    candidates: Any
    """``(b, n, d)`` or ``(n, d)``."""
    k: int
    known: Any
    """``(b, g, d)``, ``(g, d)`` or None."""
    mask: Any
    """``(b, n)`` or None."""
    weights: Any
    with_repeats: bool

    def __getitem__(self, part: slice) -> _Block:
        return replace(
            self,
            queries=self.queries[part],
            candidates=self.candidates if self.candidates.ndim == 2 else self.candidates[part],
            known=self.known if self.known is None or self.known.ndim == 2 else self.known[part],
            mask=None if self.mask is None else self.mask[part],
        )

    def first(self) -> tuple[Array, Array | None, np.ndarray | None]:
        """Return candidates ``(n, d)``, known rows and mask of the first query alone."""
        return (
            self.candidates if self.candidates.ndim == 2 else self.candidates[0],
            self.known if self.known is None or self.known.ndim == 2 else self.known[0],
            None if self.mask is None else np.flatnonzero(np.asarray(self.mask[0])),
        )


def _block_size(batch: int, candidates: Array, k: int, threads: int) -> int:
    """Return how many queries share a block on a CPU."""
    (rows, dimension), columns = candidates.shape[-2:], min(k, candidates.shape[-2])
    values = rows * columns
    if candidates.ndim == 3:
        read = rows * (rows if needs_gram(rows, columns) else dimension)
        if 4 * read >= ALONE_BYTES:
            return 1
        values += read
    return max(1, min(BLOCK_BYTES // max(1, 4 * int(values)), -(-batch // threads)))


def _select_alone(block: _Block) -> BatchSelection:
    """Answer one query ``(1, m, d)`` by ``select_sift``."""
    points, known, allowed = block.first()
    rows = points if allowed is None else points[allowed]
    rules = Rules(with_repeats=block.with_repeats)
    pool = Pool(block.queries[0], rows, known=known, weights=block.weights)
    single = select_with(block.process, pool, block.k, rules)
    picks: Any = single.indices if allowed is None else beside(single.indices, allowed)[single.indices]
    prior = beside(single.gains, np.full(1, single.prior_variance))
    variances = _padded(single.posterior_variances[None], block.k, 0.0)
    variances[0, len(single) :] = float(variances[0, len(single) - 1]) if len(single) else single.prior_variance
    gains, relevance = (_padded(values[None], block.k, 0.0) for values in (single.gains, single.relevance))
    return BatchSelection(_padded(picks[None], block.k, -1), variances, prior, gains, relevance)


def _select_block(block: _Block, *, tensors: bool = False) -> BatchSelection:
    """Answer all queries of a block step by step together; ``tensors``: see ``read_problem``."""
    k, mask = block.k, block.mask
    batch, targets, dimension = block.queries.shape
    width, candidates = block.candidates.shape[-2], block.candidates
    if mask is not None and candidates.ndim == 3:
        candidates = _without_padding(candidates, mask)
    if block.known is not None:
        candidates = _followed_by(candidates, block.known)
    problem = read_problem(
        Pool(block.queries.reshape(-1, dimension), candidates.reshape(-1, candidates.shape[-1])),
        prepared(block.process.kernel),
        block.process.noise_variance,
        tensors=tensors,
    )
    known = candidates.shape[-2] - width
    closed: Any = beside(problem.points, np.ones((batch, width + known), dtype=bool))
    closed[:, :width] = False if mask is None else ~beside(problem.points, mask)
    shares = check_weights(block.weights, targets)
    problem, weights = _as_seen(problem, block.process, batch, tuple(candidates.shape[:-1]), width, closed, shares)
    steps = k if block.with_repeats and width else min(k, width)
    select: Any = select_on_arrays if isinstance(problem.points, np.ndarray) else select_on_tensors
    choice = select(problem, batch, closed, known, steps, np.sqrt(weights), with_repeats=block.with_repeats)

    picks, gains, relevance, explained = (
        _padded(values, k, filling) for values, filling in zip(choice[:4], (-1, 0.0, 0.0, 0.0), strict=True)
    )
    variances = (choice.prior[:, None] - explained.cumsum(1)).clip(0.0)
    arrays = (picks, variances, choice.prior, gains, relevance)
    if not isinstance(problem.points, np.ndarray):
        return BatchSelection(*arrays)
    selection = BatchSelection(*map(problem.as_given, arrays))
    for query in np.flatnonzero(choice.doubtful).tolist():
        alone = _select_alone(block[query : query + 1])
        for field in FIELDS:
            getattr(selection, field)[query] = getattr(alone, field)[0]
    return selection


def _as_seen(
    problem: Problem,
    process: GaussianProcess,
    batch: int,
    shape: tuple[int, ...],
    width: int,
    closed: Array,
    shares: np.ndarray | None,
) -> tuple[Problem, np.ndarray]:
    """Apply the process's features to each query of a block by itself: ``read_problem``'s for one.

    Returns:
        The problem as the kernel sees it, and the weights ``(b, m)``.
    """
    targets = problem.targets.reshape(batch, -1, problem.targets.shape[-1])
    weights = np.ones(targets.shape[:2]) if shares is None else np.tile(shares, (batch, 1))
    kernel = process.kernel
    if not isinstance(kernel, Rbf):
        return problem, weights
    points = problem.points.reshape(*shape, problem.points.shape[-1])
    barred = closed[:, :width]
    if process.features.centring and width:
        if points.ndim == 2 and not bool(barred.any()):
            centre = process.features.centre_of(points[:width])
        else:
            own = points[..., :width, :]
            own = own if own.ndim == 3 else own[None]
            left = (~barred)[:, :, None]
            kept = left.sum(1).clip(1) if isinstance(left, np.ndarray) else left.sum(1).clamp(min=1)
            centre = (process.features.centring * ((own * left).sum(1) / kept))[:, None]
        targets, points = centred(targets, centre), centred(points, centre)
    if shares is None and targets.shape[1] > 1 and width:
        products = targets @ points[..., :width, :].swapaxes(-1, -2)
        cosines = np.where(np.asarray(float64_copy(barred), dtype=bool)[:, None], -np.inf, float64_copy(products))
        nearest = cosines.max(axis=-1)
        some = np.isfinite(nearest).all(axis=-1)
        weights[some] = balanced(nearest[some], kernel)
    diagonal = problem.diagonal
    if points.ndim == 3 and len(shape) == 1:  # a mask gave each query a centre, and so rows, of its own
        diagonal = np.tile(diagonal, batch) if isinstance(diagonal, np.ndarray) else diagonal.repeat(batch)
    flat = points.reshape(-1, points.shape[-1])
    return problem._replace(targets=targets.reshape(-1, targets.shape[-1]), points=flat, diagonal=diagonal), weights


def _padded(values: Array, k: int, filling: float) -> Array:
    """Return ``(b, k)`` from the first of its columns."""
    wide: Any = beside(values, np.full((len(values), k), filling))
    dtype: Any = values.dtype
    wide = wide.astype(dtype) if isinstance(wide, np.ndarray) else wide.to(dtype)
    wide[:, : values.shape[1]] = values
    padded: Array = wide
    return padded


def _without_padding(candidates: Array, mask: Array) -> Array:
    """Return a copy ``(b, n, d)`` with a unit vector, which passes every check, wherever ``mask`` is False."""
    unit: Any = np.zeros(candidates.shape[-1], dtype=np.float32)
    unit[:1] = 1.0
    if isinstance(candidates, np.ndarray):
        return np.where(np.asarray(mask)[:, :, None], candidates, unit)
    allowed: Any = beside(candidates, mask)
    unit = import_torch().as_tensor(unit).to(candidates)
    filled: Array = import_torch().where(allowed[:, :, None], candidates, unit)
    return filled


def _followed_by(candidates: Array, known: Array) -> Array:
    """Return the candidates ``(b, n, d)`` or ``(n, d)``, then what is known, in the candidates' precision."""
    rows: Any
    others: Any
    if isinstance(candidates, np.ndarray):
        dtype: Any = np.float64 if candidates.dtype == np.float64 else np.float32
        rows, others = candidates.astype(dtype, copy=False), np.asarray(known, dtype=dtype)
    else:
        torch = import_torch()
        dtype = torch.float64 if candidates.dtype == torch.float64 else torch.float32
        rows, others = candidates.to(dtype), torch.as_tensor(known, dtype=dtype, device=candidates.device)
    xp: Any = np if isinstance(rows, np.ndarray) else import_torch()
    queries = (rows if rows.ndim == 3 else others).shape[: max(rows.ndim, others.ndim) - 2]
    spread = [xp.broadcast_to(array, (*queries, *array.shape[-2:])) for array in (rows, others)]
    joined: Array = xp.concatenate(spread, -2)
    return joined
