"""The pool of one selection: what there is to choose from, what is asked, and what is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sift_rag.selection.arrays import Array, ArrayLike


class Texts(NamedTuple):
    """The texts behind the rows of a selection: their words then count beside the embeddings."""

    targets: Sequence[str]
    """m texts, those of the query."""
    candidates: Sequence[str]
    """n texts."""
    known: Sequence[str] = ()
    """g texts."""


class Target(NamedTuple):
    """A further target, for which more candidates may be looked up."""

    row: Array
    """``(d,)``, unit norm."""
    text: str | None
    """Its words; None where the pool has no texts."""


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Targets, candidates and what is known, as numpy arrays or torch tensors, all of one kind.

    Checked where a process reads it; a selector never changes it.
    """

    targets: ArrayLike
    """``(m, d)``, or ``(d,)`` for one target: as embedded."""
    candidates: ArrayLike
    """``(n, d)``: as embedded."""
    known: ArrayLike | None = None
    """``(g, d)``: what the reader has already, observed before the first choice."""
    weights: ArrayLike | None = None
    """``(m,)``: each target's share, >= 0; None leaves the shares to the method."""
    token_counts: ArrayLike | None = None
    """``(n,)``, > 0: tokens of each candidate."""
    texts: Texts | None = None
    """Texts of all rows; None leaves a selection to embeddings alone."""
    relevance: ArrayLike | None = None
    """``(m, n)``, or ``(n,)`` for every target, in [0, 1]: relevance scores by another model, which replace the kernel
    between targets and candidates; None for the kernel. Known passages have no scores."""
    reference: int | None = None
    """Number of first candidates over which mean and document frequencies are counted; None for all. Candidates found
    by their words must not count: a word that brought thirty of them would look common."""
    extend: Callable[[Target], Pool] | None = None
    """Look up more candidates: return this pool with them after its own. None where there are no more."""


class ArrayPool(NamedTuple):
    """A pool as numpy arrays of one dtype: what a baseline is given."""

    targets: np.ndarray
    """``(m, d)``."""
    candidates: np.ndarray
    """``(n, d)``."""
    known: np.ndarray
    """``(g, d)``."""
    weights: np.ndarray | None
    """``(m,)``, those asked for."""
    texts: Texts | None
    relevance: np.ndarray | None = None
    """``(m, n)``: relevance scores that replace the similarity with each target."""
