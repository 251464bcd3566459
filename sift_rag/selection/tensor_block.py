"""``array_block.py`` for tensors of any device: no step waits for it, not even to learn which candidate was chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sift_rag.selection.array_block import BlockChoice
from sift_rag.selection.arrays import import_torch
from sift_rag.selection.greedy import TIE, WIDEST_TIE
from sift_rag.selection.problem import Problem

if TYPE_CHECKING:
    import torch


def select_on_tensors(
    problem: Problem, batch: int, closed: torch.Tensor, known: int, steps: int, roots: np.ndarray, *, with_repeats: bool
) -> BlockChoice:
    """``select_on_arrays`` for tensors of any device."""
    torch, width = import_torch(), closed.shape[1]
    block = _Block(problem, batch, width, known + steps, roots)
    rows, none, prior = block.rows, block.prior * 0.0, block.prior
    everyone = none == 0.0
    largest = torch.where(closed, 0.0, block.gains()).amax(1) if width else none
    for column in range(width - known, width):
        prior = (prior - block.observe(rows * 0 + column, everyone)).clip(0.0)
    chosen: list[tuple[Any, Any, Any, Any]] = []
    at_first = block.gains()
    for _ in range(steps):
        gains = block.gains()
        scores = torch.where(closed, -torch.inf, gains)
        top = scores.argmax(1)
        best = scores[rows, top]
        some_left = best >= 0
        pick = _first_true(scores >= (best - block.rounding(top, best.clip(0.0), largest))[:, None])
        chosen.append((
            torch.where(some_left, pick, -1),
            torch.where(some_left, gains[rows, pick].double(), none),
            torch.where(some_left, at_first[rows, pick].double(), none),
            block.observe(pick, some_left),
        ))  # fmt: skip
        if not with_repeats:
            closed[rows, pick] = True
    if not chosen:
        empty = none[:, None][:, :0]
        return BlockChoice(empty.long(), empty, empty, empty, prior, None)
    picks, told, relevance, explained = (torch.stack(column, 1) for column in zip(*chosen, strict=True))
    return BlockChoice(picks, told, relevance, explained, prior, None)


def _first_true(flags: torch.Tensor) -> torch.Tensor:
    """``(b,)``: the first place in each row of ``(b, n)``. A device's argmax may give any of several."""
    lib, width = import_torch(), flags.shape[1]
    result: torch.Tensor = lib.where(flags, lib.arange(width, device=flags.device), width).amin(1)
    return result


class _Block:
    """The posterior of b queries with n points each."""

    def __init__(self, problem: Problem, batch: int, width: int, observations: int, roots: np.ndarray) -> None:
        torch, points = import_torch(), problem.points
        shared = len(points) == width and batch > 1
        self._problem, self._shared = problem, shared
        self._points = points if shared else points.reshape(batch, width, points.shape[1])
        self.rows = torch.arange(batch, device=points.device)
        weighing = torch.as_tensor(roots, device=points.device)
        products = torch.matmul(problem.targets.reshape(batch, -1, points.shape[1]), self._points.mT)
        self._covariance = problem.kernel.of_products(products) * weighing[:, :, None].to(points.dtype)
        self._noisy = self._covariance[:, 0] * 0.0 + problem.diagonal.reshape(1 if shared else batch, width)
        self._noisy += problem.noise_variance
        self._noisy_at_first = self._noisy
        self._factor = points.new_empty((batch, observations, width))
        self._observed = 0
        self.prior = self._first_prior = (problem.prior.reshape(batch, -1) * weighing**2).sum(1)

    def gains(self) -> torch.Tensor:
        """``(b, n)``."""
        result: torch.Tensor = (self._covariance * self._covariance).sum(1) / self._noisy
        return result

    def rounding(self, index: torch.Tensor, gain: torch.Tensor, largest: torch.Tensor) -> torch.Tensor:
        """``(b,)``: how far below ``gain``, at ``index``, an equal one may lie; see ``greedy.rounding_of_gains``."""
        unit = TIE * self._problem.kernel.rounding * (2.0**-23 if self._noisy.itemsize == 4 else 2.0**-52)
        noisy_once = self._noisy_at_first[self.rows, index]
        once = largest.maximum(gain)
        if self._problem.kernel.of_norms:
            once = once.maximum((self._first_prior * (1.0 - self._problem.noise_variance / noisy_once)).to(once))
        lost = noisy_once / self._noisy[self.rows, index]
        result: torch.Tensor = (unit * lost * (once * gain) ** 0.5).minimum(gain * WIDEST_TIE)
        return result

    def observe(self, pick: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
        """One observation for each query of ``which``, none for the others: ``(b,)``, the variance that it explains."""
        lib, rows, points, observed = import_torch(), self.rows, self._points, self._observed
        precision = lib.where(which, self._noisy[rows, pick] ** -0.5, 0.0)[:, None]
        if self._shared:
            column = self._problem.kernel.of_products(points[pick] @ points.T)
        else:
            column = self._problem.kernel.of_products((points @ points[rows, pick][:, :, None])[:, :, 0])
        if observed:
            known = self._factor[:, :observed]
            column = column - (self._factor[rows, :observed, pick][:, None] @ known)[:, 0]
        latest = column * precision
        with_targets = self._covariance[rows, :, pick] * precision
        self._covariance -= with_targets[:, :, None] * latest[:, None]
        self._noisy = (self._noisy - latest * latest).clip(self._problem.noise_variance)
        self._factor[:, observed] = latest
        self._observed = observed + 1
        result: torch.Tensor = (with_targets.double() ** 2).sum(1)
        return result
