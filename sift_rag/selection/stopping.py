"""Stopping rules. Each is decided while selecting, so what is kept is always a prefix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sift_rag.selection.result import StopReason


@dataclass(frozen=True, slots=True)
class Stopping:
    """Rules that end a selection before k: the first that applies ends it. None turns a rule off.

    Raises:
        ValueError: a threshold is out of range.
    """

    variance: float | None = None
    """Stop once the posterior variance is at most this."""
    explained: float | None = None
    """Stop once this share, in (0, 1], of the reducible variance is explained: of prior minus irreducible variance,
    the latter being what all the candidates together would leave. Costs one ``posterior_variance`` over all of them."""
    alpha: float | None = None
    """The adaptive rule of arXiv 2410.08020: step n is kept only while ``alpha * n * sqrt(variance) <= 1``, with the
    posterior variance after it. Progress is measured as 1 / sqrt(variance) and should keep pace with the number of
    steps; the first step that falls behind, and all after it, are not kept."""
    tokens: int | None = None
    """Stop at the first choice that no longer fits into this many tokens. It is not skipped for a shorter one that
    would: a larger budget then always extends the choice of a smaller one."""
    fill: bool = False
    """Spend the budget differently: each step selects the largest gain, not the largest gain per token, and
    skips passages that no longer fit. More evidence fits this way (docs/log.md, "A budget of tokens"); a larger
    budget may give another selection."""

    def __post_init__(self) -> None:
        if self.variance is not None and not self.variance >= 0:
            raise ValueError(f"variance must be >= 0, but got {self.variance}.")
        if self.explained is not None and not 0 < self.explained <= 1:
            raise ValueError(f"explained must be in (0, 1], but got {self.explained}.")
        if self.alpha is not None and not (np.isfinite(self.alpha) and self.alpha > 0):
            raise ValueError(f"alpha must be a positive number, but got {self.alpha}.")
        if self.tokens is not None and not self.tokens >= 0:
            raise ValueError(f"tokens must be >= 0, but got {self.tokens}.")
        if self.fill and self.tokens is None:
            raise ValueError("fill says how to spend a token budget, but there is none: give tokens too.")

    def enough(self, variance: float, prior_variance: float, irreducible_variance: float | None) -> StopReason | None:
        """Return the rule, if any, by which the selection ends once ``variance`` is left."""
        if self.variance is not None and variance <= self.variance:
            return "variance"
        if self.explained is not None and irreducible_variance is not None:
            reducible = prior_variance - irreducible_variance
            if prior_variance - variance >= self.explained * reducible:
                return "explained"
        return None

    def justifies(self, step: int, variance: float) -> bool:
        """Return True if the alpha rule keeps step ``step`` (from 1), which left ``variance``."""
        return self.alpha is None or self.alpha * step * variance**0.5 <= 1.0

    def affords(self, tokens: float) -> bool:
        """Return True if ``tokens`` in all are within the budget."""
        return self.tokens is None or tokens <= self.tokens
