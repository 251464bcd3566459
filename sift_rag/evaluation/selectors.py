"""The selectors of a comparison: passages for a context and steps of a training, from the same candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from sift_rag.protocols import Selector
from sift_rag.selection import Hull, Mmr, Nearest, Sift, Uncertainty


@dataclass(frozen=True, slots=True)
class ComparedSelector:
    """A selector in a comparison. ``fine_tuning_selector`` makes the one for training."""

    description: str
    """One line for a list of selectors."""
    for_context: Selector | None
    """Selector of distinct passages, as for an answer; None if the method makes no sense for a context."""
    nested: bool = True
    """True if the choice of k is the beginning of the choice of any larger k."""


COMPARED_SELECTORS: Mapping[str, ComparedSelector] = MappingProxyType(
    {
        "nearest": ComparedSelector("the k nearest", Nearest()),
        "repeated-nearest": ComparedSelector("the nearest one, k times (NN-F); fine-tuning only", None),
        "uncertainty": ComparedSelector("the k least known, whatever the text is", Uncertainty()),
        "mmr": ComparedSelector("maximal marginal relevance", Mmr()),
        "sift": ComparedSelector("SIFT", Sift()),
        "hull": ComparedSelector(  # its choice of k is a mixture in k parts
            "Frank-Wolfe hull (arXiv 2605.30337)", Hull(), nested=False
        ),
    }
)
"""Every selector that can be compared, by name."""


def sweeps(selector: ComparedSelector, ks: Sequence[int], *, one_rate: bool) -> list[tuple[int, ...]]:
    """Return the ks, ascending, in groups that share a training run: that for the largest passes through the others.

    They can share one if the choice of k begins the choice of any larger k, and if all are trained at one rate.
    """
    ascending = tuple(sorted(set(ks)))
    return [ascending] if selector.nested and one_rate else [(k,) for k in ascending]
