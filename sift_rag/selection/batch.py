"""Many selections at once: one arithmetic operation serves all queries of a block at every step.

The recurrence is that of ``conditioning.py`` with a leading axis b for the queries; row b is what ``select_sift`` gives
for query b alone. Arrays go block by block, so that what a step touches stays in the processor's cache
(``array_block.py``); tensors on a device go all at once (``tensor_block.py``).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from sift_rag.selection.array_block import needs_gram, select_on_arrays
from sift_rag.selection.arrays import check_k, check_weights, import_torch, read_problem
from sift_rag.selection.kernels import DEFAULT_LENGTHSCALE, DEFAULT_NOISE_VARIANCE, KernelName
from sift_rag.selection.result import GreedySelection
from sift_rag.selection.sift import select_sift
from sift_rag.selection.tensor_block import select_on_tensors

FIELDS = ("indices", "posterior_variances", "prior_variances", "gains", "relevance")
"""Of a ``BatchSelection``."""

BLOCK_BYTES = 8 << 20
"""What the steps of one block of queries read, on a CPU: in a larger one more queries share a call, and a smaller one
stays in the cache."""

ALONE_BYTES = 1 << 20
"""Size of a query's own candidates from which on it is answered alone: in turns with others, it would have to read them
from memory at every step."""


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
    given: Any = None,
    weights: Any = None,
    mask: Any = None,
    threads: int = 1,
) -> BatchSelection:
    """``select_sift`` for B queries, the same choice for each: O(B k n (d + k + m)) time, O(B n k) memory on a device.

    On a CPU, a query of which two gains nearly tie is answered by ``select_sift`` itself. On a device one of many
    thousand choices may fall on the other of such two; give float64 candidates where that matters. Objectives, stopping
    rules, token counts and kernel functions: single calls only.

    Args:
        queries: ``(B, d)``, or m targets each, ``(B, m, d)``. numpy or torch.
        candidates: ``(B, n, d)``, each query's own, or ``(n, d)``, the same for all.
        k: how many for each, >= 0.
        kernel: ``rbf`` or ``linear``.
        lengthscale: see ``select_sift``.
        noise_variance: see ``select_sift``.
        with_repeats: whether a candidate may be chosen again.
        given: ``(g, d)``, what all readers know already, or ``(B, g, d)``, what each does.
        weights: ``(m,)``, each target's share of the sum, the same for all queries; 1 each by default.
        mask: ``(B, n)`` bool, False where a row is padding or must not be chosen; what stands there does not matter.
        threads: how many blocks of queries are worked on at once, >= 1; of no account on a device. Only where BLAS
            itself runs on one thread (``OMP_NUM_THREADS=1``) are several a gain. The choice is the same for any number.

    Returns:
        The choices, in arrays of k columns, padded where a query has fewer candidates than k.

    Raises:
        ValueError: as in ``select_sift``; or the shapes of the batch disagree, or ``kernel`` is a function.
    """
    check_k(k)
    if threads < 1:
        raise ValueError(f"threads must be >= 1, but got {threads}.")
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
    if given is not None:
        given = given if hasattr(given, "detach") else np.asarray(given)
        shape, dimension = tuple(given.shape), candidates.shape[-1]
        if len(shape) not in {2, 3} or shape[-1] != dimension or (len(shape) == 3 and shape[0] != batch):
            raise ValueError(
                f"Expected given (g, {dimension}) or ({batch}, g, {dimension}), but got {shape}: {shapes}."
            )
    if batch == 0:
        empty = _array(candidates, np.zeros((0, k)))
        return BatchSelection(
            _array(candidates, np.zeros((0, k), dtype=np.int64)), empty, _array(candidates, np.zeros(0)), empty, empty
        )
    on_device = hasattr(candidates, "detach") and candidates.device.type != "cpu"
    size = batch if on_device else _block_size(batch, candidates, k, threads)
    select_block = _select_alone if size == 1 and not on_device else _select_block

    def block_from(first: int) -> BatchSelection:
        block = slice(first, first + size)
        return select_block(
            queries[block],
            candidates if candidates.ndim == 2 else candidates[block],
            k,
            mask=None if mask is None else mask[block],
            given=given if given is None or given.ndim == 2 else given[block],
            weights=weights,
            with_repeats=with_repeats,
            kernel=kernel,
            lengthscale=lengthscale,
            noise_variance=noise_variance,
        )

    firsts = range(0, batch, size)
    if threads == 1 or len(firsts) == 1:
        blocks = [block_from(first) for first in firsts]
    else:
        with ThreadPoolExecutor(min(threads, len(firsts))) as pool:
            blocks = list(pool.map(block_from, firsts))
    if len(blocks) == 1:
        return blocks[0]
    concatenate = np.concatenate if isinstance(blocks[0].indices, np.ndarray) else import_torch().cat
    return BatchSelection(*(concatenate([getattr(block, field) for block in blocks]) for field in FIELDS))


def _block_size(batch: int, candidates: Any, k: int, threads: int) -> int:
    """How many queries share a block on a CPU."""
    (rows, dimension), columns = candidates.shape[-2:], min(k, candidates.shape[-2])
    values = rows * columns
    if candidates.ndim == 3:
        read = rows * (rows if needs_gram(rows, columns) else dimension)
        if 4 * read >= ALONE_BYTES:
            return 1
        values += read
    return max(1, min(BLOCK_BYTES // max(1, 4 * int(values)), -(-batch // threads)))


def _select_alone(queries: Any, candidates: Any, k: int, *, mask: Any, given: Any, **arguments: Any) -> BatchSelection:
    """One query ``(1, m, d)`` by ``select_sift``."""
    points = candidates if candidates.ndim == 2 else candidates[0]
    known = given if given is None or given.ndim == 2 else given[0]
    allowed = None if mask is None else np.flatnonzero(np.asarray(mask[0]))
    single = select_sift(queries[0], points if allowed is None else points[allowed], k, given=known, **arguments)
    picks = single.indices if allowed is None else _array(single.indices, allowed)[single.indices]
    prior = _array(single.gains, np.full(1, single.prior_variance))
    variances = _padded(single.posterior_variances[None], k, 0.0)
    variances[0, len(single) :] = float(variances[0, len(single) - 1]) if len(single) else single.prior_variance
    gains, relevance = (_padded(values[None], k, 0.0) for values in (single.gains, single.relevance))
    return BatchSelection(_padded(picks[None], k, -1), variances, prior, gains, relevance)


def _select_block(
    queries: Any,
    candidates: Any,
    k: int,
    *,
    mask: Any,
    given: Any,
    weights: Any,
    with_repeats: bool,
    tensors: bool = False,
    **surrogate: Any,
) -> BatchSelection:
    """All queries ``(b, m, d)`` of one block, step by step together; ``tensors``: see ``read_problem``."""
    batch, targets, dimension = queries.shape
    width, own = candidates.shape[-2], candidates
    if mask is not None and candidates.ndim == 3:
        candidates = _without_padding(candidates, mask)
    if given is not None:
        candidates = _followed_by(candidates, given)
    problem = read_problem(
        queries.reshape(-1, dimension), candidates.reshape(-1, candidates.shape[-1]), tensors=tensors, **surrogate
    )
    points, known = problem.points, candidates.shape[-2] - width
    closed = _array(points, np.ones((batch, width + known), dtype=bool))
    closed[:, :width] = False if mask is None else ~_array(points, mask)
    shares = check_weights(weights, targets)
    roots = np.sqrt(np.ones(targets) if shares is None else shares)
    steps = k if with_repeats and width else min(k, width)
    select: Any = select_on_arrays if isinstance(points, np.ndarray) else select_on_tensors
    choice = select(problem, batch, closed, known, steps, roots, with_repeats=with_repeats)

    picks, gains, relevance, explained = (
        _padded(values, k, filling) for values, filling in zip(choice[:4], (-1, 0.0, 0.0, 0.0), strict=True)
    )
    variances = (choice.prior[:, None] - explained.cumsum(1)).clip(0.0)
    arrays = (picks, variances, choice.prior, gains, relevance)
    if not isinstance(points, np.ndarray):
        return BatchSelection(*arrays)
    selection = BatchSelection(*map(problem.as_given, arrays))
    for query in np.flatnonzero(choice.doubtful).tolist():
        this = slice(query, query + 1)
        alone = _select_alone(
            queries[this],
            own if own.ndim == 2 else own[this],
            k,
            mask=None if mask is None else mask[this],
            given=given if given is None or given.ndim == 2 else given[this],
            weights=weights,
            with_repeats=with_repeats,
            **surrogate,
        )
        for field in FIELDS:
            getattr(selection, field)[query] = getattr(alone, field)[0]
    return selection


def _padded(values: Any, k: int, filling: float) -> Any:
    """``(b, k)`` from the first of its columns."""
    wide = _array(values, np.full((len(values), k), filling))
    wide = wide.astype(values.dtype) if isinstance(wide, np.ndarray) else wide.to(values.dtype)
    wide[:, : values.shape[1]] = values
    return wide


def _without_padding(candidates: Any, mask: Any) -> Any:
    """A copy ``(b, n, d)`` with a unit vector, which passes every check, wherever ``mask`` is False."""
    unit = np.zeros(candidates.shape[-1], dtype=np.float32)
    unit[:1] = 1.0
    if isinstance(candidates, np.ndarray):
        return np.where(np.asarray(mask)[:, :, None], candidates, unit)
    mask, unit = _array(candidates, mask), _array(candidates, unit).to(candidates.dtype)
    return import_torch().where(mask[:, :, None], candidates, unit)


def _followed_by(candidates: Any, given: Any) -> Any:
    """The candidates ``(b, n, d)`` or ``(n, d)``, then what is given, as float32 or float64 as the candidates are."""
    if isinstance(candidates, np.ndarray):
        dtype: Any = np.float64 if candidates.dtype == np.float64 else np.float32
        rows, known = candidates.astype(dtype, copy=False), np.asarray(given, dtype=dtype)
    else:
        torch = import_torch()
        dtype = torch.float64 if candidates.dtype == torch.float64 else torch.float32
        rows, known = candidates.to(dtype), torch.as_tensor(given, dtype=dtype, device=candidates.device)
    xp: Any = np if isinstance(rows, np.ndarray) else import_torch()
    queries = (rows if rows.ndim == 3 else known).shape[: max(rows.ndim, known.ndim) - 2]
    return xp.concatenate([xp.broadcast_to(array, (*queries, *array.shape[-2:])) for array in (rows, known)], -2)


def _array(points: Any, values: Any) -> Any:
    """A copy of ``values`` beside ``points``: numpy, or a tensor on the same device."""
    if isinstance(points, np.ndarray):
        return np.array(np.asarray(values))
    return import_torch().as_tensor(values).to(points.device, copy=True)
