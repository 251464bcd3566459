"""The result of a selection: the choice, in order, and the gain of each pick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np

from sift_rag.selection.arrays import Array

if TYPE_CHECKING:
    from sift_rag.selection.redundancy import Redundancy

StopReason: TypeAlias = Literal["k", "exhausted", "variance", "explained", "alpha", "tokens"]
"""The reason why a selection ended: k were chosen, no candidate was left, or a rule of ``Stopping`` applied."""


@dataclass(frozen=True, eq=False, slots=True)
class GreedySelection:
    """The rows chosen, in order, and the variance that each left.

    Arrays are of the kind given (numpy, or torch on the same device). A selection of k' < k is its first k' entries.
    """

    indices: Array
    """``(k,)`` int64, rows of the candidates in the order chosen."""
    posterior_variances: Array
    """``(k,)`` float64, after each choice, summed over the targets. Never rises."""
    prior_variance: float
    """Before the first choice (after what is known), summed over the targets."""
    gains: Array
    """``(k,)`` float64: the information of each beyond those before it, >= 0: a fall of the posterior variance, or, for
    ``objective="information"``, nats."""
    relevance: Array
    """``(k,)`` float64: the gain of each had it come first (after what is known), in the same unit."""
    stopped: StopReason
    irreducible_variance: float | None = None
    """Variance left after *all* the candidates, each observed once; None unless it was asked for."""

    @property
    def redundancy(self) -> Array:
        """Return ``relevance`` - ``gains`` ``(k,)``: known by then; negative where picks help each other."""
        return self.relevance - self.gains

    def __len__(self) -> int:
        return len(self.indices)


class Followed(NamedTuple):
    """The passage that a choice followed, and how far."""

    first: int
    """Row of the passage that became a part of the question."""
    shares: np.ndarray
    """``(k,)`` in [0, 1]: share of each pick's gain that was for the question together with that passage; 0 for the
    picks made before."""


class Choice(NamedTuple):
    """A selection, and why the rest was not chosen."""

    selection: GreedySelection
    redundancy: Redundancy
    followed: Followed | None = None
    """None where the question alone chose."""
