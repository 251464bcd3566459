"""The view of a process on a pool: embeddings and texts become the rows that the kernel is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from sift_rag.selection.arrays import Array, import_torch
from sift_rag.selection.features import Features, balanced_weights, centred
from sift_rag.selection.kernels import Rbf
from sift_rag.selection.lexical import Vocabulary, word_columns
from sift_rag.selection.pool import Texts
from sift_rag.words import Bag, bag_of


class View(NamedTuple):
    """The part of a process that is read off a pool; the same process can then look at other rows."""

    centre: Array | None = None
    """``(d,)``, where embeddings are seen from; None leaves them as they are."""
    weights: np.ndarray | None = None
    """``(m,)`` float64, the targets' shares; None for 1 each."""
    vocabulary: Vocabulary | None = None
    """Words and their weights; None where words do not count."""

    def seen(self, rows: Array) -> Array:
        """Return embeddings ``(n, d)`` as the kernel is given them, words left out."""
        return rows if self.centre is None else centred(rows, self.centre)


def look(
    targets: Array,
    points: Array,
    size: int,
    texts: Texts | None,
    kernel: Rbf,
    features: Features,
    *,
    weights: np.ndarray | None,
    view: View | None,
) -> tuple[Array, Array, View]:
    """Return targets and points as the kernel is given them, and the view: the given one, or the candidates' own.

    Args:
        targets: ``(m, d)``, unit norm.
        points: ``(n + g, d)``, unit norm: the candidates, then what is known.
        size: number of first candidates that the view is read off, <= n.
        texts: of all rows; None if words do not count.
        kernel: balances several targets.
        features: share of the mean that is taken off, and weight of the words.
        weights: ``(m,)``, those asked for; None balances the targets.
        view: read off another pool; its weights take the place of ``weights``.
    """
    bags = _Bags.of(texts, features.language) if texts is not None and features.words else None
    own = view is None
    if view is None:
        vocabulary = Vocabulary.of(bags.points[:size]) if bags is not None else None
        view = View(features.centre_of(points[:size]) if features.centring else None, weights, vocabulary)
    targets, points = view.seen(targets), view.seen(points)
    if bags is not None and view.vocabulary is not None:
        columns = word_columns(bags.targets, bags.points, view.vocabulary)
        if columns is not None:
            targets, points = (
                _beside(rows, words, features.words) for rows, words in zip((targets, points), columns, strict=True)
            )
    if own and weights is None and len(targets) > 1:
        view = view._replace(weights=balanced_weights(targets, points[:size], kernel))
    return targets, points, view


class _Bags(NamedTuple):
    targets: Sequence[Bag]
    points: Sequence[Bag]

    @classmethod
    def of(cls, texts: Texts, language: str) -> _Bags:
        return cls(
            [bag_of(text, language) for text in texts.targets],
            [bag_of(text, language) for text in (*texts.candidates, *texts.known)],
        )


def _beside(rows: Array, words: np.ndarray, share: float) -> Array:
    """Return ``(n, d + N)``: embeddings and words, of which ``share`` is that of the words in an inner product."""
    some: Any = rows
    if isinstance(some, np.ndarray):
        return np.hstack([some * (1.0 - share) ** 0.5, words * share**0.5], dtype=some.dtype, casting="same_kind")
    torch = import_torch()
    joined: Array = torch.cat([some * (1.0 - share) ** 0.5, torch.as_tensor(words).to(some) * share**0.5], dim=1)
    return joined
