"""What a selection returns: the choice, in order, and what each pick told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

StopReason: TypeAlias = Literal["k", "exhausted", "variance", "explained", "alpha", "tokens"]
"""Why a selection ended: k were chosen, no candidate was left, or a rule of ``Stopping`` held."""


@dataclass(frozen=True, eq=False, slots=True)
class GreedySelection:
    """What was chosen, in order, and how much doubt each choice left.

    Arrays are of the kind given (numpy, or torch on the same device). A selection of k' < k is its first k' entries.
    """

    indices: Any
    """``(k,)`` int64, rows of the candidates in the order chosen."""
    posterior_variances: Any
    """``(k,)`` float64, after each choice, summed over the targets. Never rises."""
    prior_variance: float
    """Before the first choice (after ``given``), summed over the targets."""
    gains: Any
    """``(k,)`` float64: what each choice told beyond those before it, >= 0. A fall of the posterior variance, or, for
    ``objective="information"``, nats."""
    relevance: Any
    """``(k,)`` float64: what each would have told had it come first (after ``given``), in the same unit."""
    stopped: StopReason
    irreducible_variance: float | None = None
    """What would be left after *all* the candidates, each observed once; None unless it was asked for."""

    @property
    def redundancy(self) -> Any:
        """``(k,)``: ``relevance`` - ``gains``, what of each was known by then; negative where picks help each other."""
        return self.relevance - self.gains

    def __len__(self) -> int:
        return len(self.indices)
