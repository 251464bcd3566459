"""The recurrence of ``conditioning.py`` for several queries at once, on numpy arrays: every step of all in one sweep.

At a few hundred candidates the calls of a step cost more than its arithmetic, so they are shared by the queries of a
block, write into buffers made once, and, where it is cheaper, read kernel columns from the Gram matrix of a query's
candidates: one product of matrices in place of k products of a matrix with a vector.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from sift_rag.selection.greedy import TIE, WIDEST_TIE
from sift_rag.selection.problem import Problem

COLUMNS_FOR_GRAM = 4
"""A Gram matrix of n rows costs what n / 4 columns cost one by one: half of it is computed, at twice the speed."""


DOUBT = 4.0
"""A gain is doubtful if it lies below the largest by up to this many times the margin of a tie."""


class BlockChoice(NamedTuple):
    """The choices for each of b queries; columns beyond what could be chosen hold -1 and 0."""

    picks: Any
    """``(b, steps)`` int64."""
    gains: Any
    """``(b, steps)`` float64."""
    relevance: Any
    """``(b, steps)`` float64."""
    explained: Any
    """``(b, steps)`` float64: by how much each observation lowered σ²."""
    prior: Any
    """``(b,)`` float64, after what is known."""
    doubtful: Any
    """``(b,)`` bool: where two gains differed by so little that other rounding may tie them, or part them. None on
    tensors, where finding out would mean waiting for the device."""


def needs_gram(width: int, columns: int) -> bool:
    """Return True if the Gram matrix of ``width`` rows is cheaper than ``columns`` of its columns, one by one."""
    return width <= COLUMNS_FOR_GRAM * columns


def select_on_arrays(
    problem: Problem, batch: int, closed: np.ndarray, known: int, steps: int, roots: np.ndarray, *, with_repeats: bool
) -> BlockChoice:
    """Select ``steps`` candidates for each of ``batch`` queries.

    The points of ``problem`` are those of all queries one after another, or, if there are only as many as ``closed``
    ``(b, n)`` has columns, shared. The last ``known`` columns are observed first; ``closed`` ones are never chosen.
    ``roots`` ``(b, m)`` are the roots of the targets' weights.
    """
    block = _Block(problem, batch, closed.shape[1], known + steps, roots)
    rows = block.rows
    barred = np.where(closed, -np.inf, 0.0).astype(problem.points.dtype)
    scores = np.empty_like(barred)
    picks = np.full((batch, steps), -1, dtype=np.int64)
    gains, relevance, explained = np.zeros((3, batch, steps))
    prior = block.prior
    largest = (block.gains() + barred).max(axis=1, initial=0.0)
    everyone = np.ones(batch, dtype=bool)
    doubtful = np.zeros(batch, dtype=bool)
    surely_equal = np.empty_like(block.flags)
    for column in range(closed.shape[1] - known, closed.shape[1]):
        prior = (prior - block.observe(rows + column, everyone)).clip(0.0)
    at_first = block.gains().copy()
    for step in range(steps):
        told = block.gains()
        np.add(told, barred, scores)
        top = scores.argmax(axis=1)
        top += rows
        best = scores.take(top)
        some_left = best >= 0
        if not some_left.any():
            break
        best = best.clip(0.0)
        tie = block.rounding(top, best, largest)
        np.greater_equal(scores, (best - DOUBT * tie)[:, None], block.flags)
        np.greater_equal(scores, (best - tie / DOUBT)[:, None], surely_equal)
        np.not_equal(block.flags, surely_equal, surely_equal)
        doubtful |= surely_equal.any(axis=1) & some_left
        np.greater_equal(scores, (best - tie)[:, None], block.flags)
        pick = block.flags.argmax(axis=1)
        picks[:, step] = np.where(some_left, pick, -1)
        pick += rows
        gains[:, step] = told.take(pick)
        relevance[:, step] = at_first.take(pick)
        explained[:, step] = block.observe(pick, some_left)
        if not with_repeats:
            barred.put(pick, -np.inf)
    none = picks < 0
    gains[none] = relevance[none] = 0.0
    return BlockChoice(picks, gains, relevance, explained, prior, doubtful)


class _Block:
    """The posterior of b queries with n points each. A place ``(b,)`` counts through ``(b, n)``, row after row."""

    def __init__(self, problem: Problem, batch: int, width: int, observations: int, roots: np.ndarray) -> None:
        points, dtype = problem.points, problem.points.dtype
        shared = len(points) == width and batch > 1
        own = points if shared else points.reshape(batch, width, points.shape[1])
        targets = problem.targets.reshape(batch, -1, points.shape[1])
        self.rows = width * np.arange(batch)
        self.prior = self._first_prior = (problem.prior.reshape(batch, -1) * roots**2).sum(axis=1)
        self.flags = np.empty((batch, width), dtype=bool)
        self._problem, self._points, self._shared = problem, points, shared
        self._own = own
        products = np.matmul(targets, own.swapaxes(-1, -2))
        self._covariance = problem.kernel.of_products(products) * roots[:, :, None].astype(dtype)
        self._noisy = np.empty((batch, width), dtype=dtype)
        self._noisy[:] = problem.diagonal.reshape(1 if shared else batch, width) + dtype.type(problem.noise_variance)
        self._noisy_at_first = self._noisy.copy()
        self._gram = None
        if width and needs_gram(width, observations * (batch if shared else 1)):
            self._gram = np.matmul(own, own.swapaxes(-1, -2)).reshape(-1, width)
        self._factor = np.empty((batch, observations, width), dtype=dtype)
        self._observed = 0
        self._gains, self._column, self._scratch = np.empty((3, batch, width), dtype=dtype)
        self._product = np.empty_like(self._covariance)
        self._ulp = TIE * problem.kernel.rounding * float(np.finfo(dtype).eps)

    def gains(self) -> np.ndarray:
        """``(b, n)``, valid until the next call."""
        covariance, gains = self._covariance, self._gains
        if covariance.shape[1] == 1:
            np.multiply(covariance[:, 0], covariance[:, 0], gains)
        else:
            np.einsum("bmn,bmn->bn", covariance, covariance, out=gains)
        result: np.ndarray = np.divide(gains, self._noisy, gains)
        return result

    def rounding(self, place: np.ndarray, gain: np.ndarray, largest: np.ndarray) -> np.ndarray:
        """``(b,)``: how far below ``gain``, at ``place``, an equal one may lie; see ``greedy.rounding_of_gains``."""
        noisy_once = self._noisy_at_first.take(place)
        once = np.maximum(largest, gain)
        if self._problem.kernel.of_norms:
            once = np.maximum(once, self._first_prior * (1.0 - self._problem.noise_variance / noisy_once))
        lost = noisy_once / self._noisy.take(place)
        result: np.ndarray = np.minimum(self._ulp * lost * np.sqrt(once * gain), gain * WIDEST_TIE)
        return result

    def observe(self, place: np.ndarray, which: np.ndarray) -> np.ndarray:
        """One observation for each query of ``which``, none for the others: ``(b,)``, the variance that it explains."""
        observed, covariance, column, scratch = self._observed, self._covariance, self._column, self._scratch
        row = place - self.rows
        precision = np.where(which, self._noisy.take(place) ** -0.5, 0.0).astype(column.dtype)
        self._write_columns(place, row)
        if observed:
            known = self._factor[:, :observed]
            here = self._factor[np.arange(len(row)), :observed, row]
            np.matmul(here[:, None], known, out=scratch[:, None])
            np.subtract(column, scratch, column)
        latest = np.multiply(column, precision[:, None], column)
        self._factor[:, observed] = latest
        with_targets = covariance[np.arange(len(row)), :, row] * precision[:, None]
        np.multiply(with_targets[:, :, None], latest[:, None], self._product)
        np.subtract(covariance, self._product, covariance)
        np.multiply(latest, latest, scratch)
        np.subtract(self._noisy, scratch, self._noisy)
        np.maximum(self._noisy, self._problem.noise_variance, out=self._noisy)
        self._observed = observed + 1
        result: np.ndarray = np.einsum("bm,bm->b", with_targets, with_targets, dtype=np.float64)
        return result

    def _write_columns(self, place: np.ndarray, row: np.ndarray) -> None:
        """k(·, x) of every query's own x."""
        column = self._column
        if self._gram is not None:
            self._gram.take(row if self._shared else place, axis=0, out=column, mode="clip")
        elif self._shared:
            np.matmul(self._points.take(row, axis=0), self._points.T, out=column)
        else:
            np.matmul(self._own, self._points.take(place, axis=0)[:, :, None], out=column[:, :, None])
        self._problem.kernel.of_products(column, out=column)
