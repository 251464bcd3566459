"""What each selector puts into the context, and what it trains on, from one pool of candidates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import numpy as np

from sift_rag.selection import GreedySelection, SelectorSettings, select_in_sequence, select_nearest, select_sift
from sift_rag.selection.baselines import select_mmr, select_uncertain
from sift_rag.selection.hull import select_hull
from sift_rag.selection.kernels import KernelName
from sift_rag.types import Embedding

ComparedSelector: TypeAlias = Literal["nearest", "repeated-nearest", "uncertainty", "mmr", "sift", "hull"]

COMPARED_SELECTORS: Mapping[str, str] = MappingProxyType(
    {
        "nearest": "the k nearest",
        "repeated-nearest": "the nearest one, k times (NN-F); fine-tuning only",
        "uncertainty": "the k that are least known, whatever the text is",
        "mmr": "maximal marginal relevance",
        "sift": "SIFT",
        "hull": "Frank-Wolfe hull (arXiv 2605.30337)",
    }
)
"""By name, with what each does."""


@dataclass(frozen=True, slots=True)
class WeightsSurrogate:
    """The surrogate that chooses what to train on. A passage may be chosen again: that is its weight."""

    kernel: KernelName = "linear"
    lengthscale: float = 0.5
    noise_variance: float = 1.0


def order_for_context(name: ComparedSelector, targets: Embedding, rows: Embedding, k: int) -> GreedySelection | None:
    """Up to k different rows in order, as ``sift-rag ask`` would choose them; None where that makes no sense."""
    if name == "repeated-nearest":
        return None
    return SelectorSettings(name).select(targets, rows, k).selection


def order_for_weights(
    name: ComparedSelector, targets: Embedding, rows: Embedding, k: int, surrogate: WeightsSurrogate
) -> GreedySelection:
    """The k steps of training, as rows in order: ``sift`` and ``hull`` repeat rows, as their papers do.

    Each is measured by the same surrogate. Fewer than k where a method that repeats nothing runs out of rows.
    """
    measure: dict[str, Any] = {
        "kernel": surrogate.kernel,
        "lengthscale": surrogate.lengthscale,
        "noise_variance": surrogate.noise_variance,
    }
    if name == "sift":
        return select_sift(targets, rows, k, with_repeats=True, **measure)
    if name == "hull":
        return select_hull(targets, rows, k, with_repeats=True, **measure)
    if name == "repeated-nearest":
        nearest = select_nearest(targets, rows, 1).indices
        return select_in_sequence(targets, rows, np.repeat(nearest, k), **measure)
    choose = {"nearest": select_nearest, "mmr": select_mmr, "uncertainty": select_uncertain}[name]
    return choose(targets, rows, k, **measure)
