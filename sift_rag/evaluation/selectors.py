"""The selectors of a comparison: passages for a context and steps of a training, from the same candidates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from sift_rag.protocols import Selector
from sift_rag.selection import GaussianProcess, Hull, Mmr, Nearest, Sift, Uncertainty


@dataclass(frozen=True, slots=True)
class ComparedSelector:
    """A selector, as it chooses for a context and for training."""

    description: str
    """One line for a list of selectors."""
    for_context: Selector | None
    """Selector of different passages, as for an answer; None for one that makes no sense in a context."""
    for_training: Callable[[GaussianProcess], Selector]
    """Maker of the selector of training steps, from the process that they are measured by. It repeats passages if the
    method's paper does; one that repeats none runs out of candidates."""
    nested: bool = True
    """True if the choice of k is the beginning of the choice of any larger k."""


COMPARED_SELECTORS: Mapping[str, ComparedSelector] = MappingProxyType(
    {
        "nearest": ComparedSelector("the k nearest", Nearest(), Nearest),
        "repeated-nearest": ComparedSelector(
            "the nearest one, k times (NN-F); fine-tuning only", None, partial(Nearest, with_repeats=True)
        ),
        "uncertainty": ComparedSelector("the k least known, whatever the text is", Uncertainty(), Uncertainty),
        "mmr": ComparedSelector("maximal marginal relevance", Mmr(), Mmr),
        "sift": ComparedSelector("SIFT", Sift(), partial(Sift, with_repeats=True)),
        "hull": ComparedSelector(  # its choice of k is a mixture in k parts
            "Frank-Wolfe hull (arXiv 2605.30337)", Hull(), partial(Hull, with_repeats=True), nested=False
        ),
    }
)
"""Every selector that can be compared, by name."""


def sweeps(selector: ComparedSelector, ks: Sequence[int]) -> list[tuple[int, ...]]:
    """Return the ks, ascending, in groups that share a training: that for the largest passes through the others."""
    ascending = tuple(sorted(set(ks)))
    return [ascending] if selector.nested else [(k,) for k in ascending]
