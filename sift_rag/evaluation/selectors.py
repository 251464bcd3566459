"""What each selector puts into the context, and what it trains on, from one pool of candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal, TypeAlias

from sift_rag.selection import GaussianProcess, GreedySelection, fine_tuning_selector, selector_from
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


def order_for_context(name: ComparedSelector, targets: Embedding, rows: Embedding, k: int) -> GreedySelection | None:
    """Up to k different rows in order, as ``sift-rag ask`` would choose them; None where that makes no sense."""
    if name == "repeated-nearest":
        return None
    return selector_from(name).select(targets, rows, k).selection


def order_for_weights(
    name: ComparedSelector, targets: Embedding, rows: Embedding, k: int, process: GaussianProcess
) -> GreedySelection:
    """The k steps of training, as rows in order: ``sift`` and ``hull`` repeat rows, as their papers do.

    Each is measured by ``process``. Fewer than k where a method that repeats nothing runs out of
    rows.
    """
    return fine_tuning_selector(name, process).select(targets, rows, k).selection


def sweeps(name: ComparedSelector, ks: Sequence[int]) -> list[tuple[int, ...]]:
    """The ks, ascending, in parts that one training serves: that for the largest passes through the others.

    The hull's choice for k is a mixture in k parts, and no beginning of the one for a larger k: it is trained for each.
    """
    ascending = tuple(sorted(set(ks)))
    return [(k,) for k in ascending] if name == "hull" else [ascending]
