"""The view of a process on a pool: embeddings and texts become the rows that the kernel is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from sift_rag import defaults
from sift_rag.selection.arrays import Array, import_torch
from sift_rag.selection.features import Features, balanced_weights, centred
from sift_rag.selection.kernels import Rbf
from sift_rag.selection.lexical import Vocabulary, WordRows
from sift_rag.selection.pool import Texts
from sift_rag.words import Bag, bag_of, identifiers_of


class View(NamedTuple):
    """The part of a process that is read off a pool; the same process can then look at other rows."""

    centre: Array | None = None
    """``(d,)``, where embeddings are seen from; None leaves them as they are."""
    weights: np.ndarray | None = None
    """``(m,)`` float64, the targets' shares; None for 1 each."""
    vocabulary: Vocabulary | None = None
    """Words and their weights; None where words do not count."""
    share: float = 0.0
    """Share of the words in an inner product: that of the features, or more where a target names an identifier."""

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
) -> tuple[Array, Array, View, WordRows | None]:
    """Return the targets and points that the kernel receives, the view, and the words next to the embeddings.

    The view is the given one, or the candidates' own. Words are None where they do not count: without texts, at a share
    of 0, and where no target shares one with a point.

    Args:
        targets: ``(m, d)``, unit norm.
        points: ``(n + g, d)``, unit norm: the candidates, then what is known.
        size: number of first candidates that the view is computed from, <= n.
        texts: of all rows; None if words do not count.
        kernel: balances several targets.
        features: share of the mean to subtract, and weight of words.
        weights: ``(m,)``, those asked for; None balances the targets.
        view: computed from another pool; its weights replace ``weights``.
    """
    own = view is None
    bags: list[Bag] = []
    if features.words and texts is not None:
        bags = [bag_of(text, features.language) for text in (*texts.candidates, *texts.known)]
    if view is None:
        vocabulary = Vocabulary.of(bags[:size]) if bags else None
        view = View(features.centre_of(points[:size]) if features.centring else None, weights, vocabulary)
    targets, points = view.seen(targets), view.seen(points)
    words = None
    if bags and texts is not None and view.vocabulary is not None:
        words = WordRows(bags, view.vocabulary)
        if own:
            view = view._replace(share=_share(texts.targets, words, features))
        asked = words.targets([bag_of(text, features.language) for text in texts.targets])
        if asked[:, : len(bags)].any():
            said = np.hstack([words.columns, np.zeros((len(bags), len(targets)))])
            targets, points = beside(targets, asked, view.share), beside(points, said, view.share)
        else:
            words = None
    if own and weights is None and len(targets) > 1:
        view = view._replace(weights=balanced_weights(targets, points[:size], kernel))
    return targets, points, view, words


def _share(targets: Sequence[str], words: WordRows, features: Features) -> float:
    """Return the share of the words: larger where a target names a rare identifier, which its embedding cannot see."""
    named = any(words.hold_rare(identifiers_of(text, features.language)) for text in targets)
    return max(features.words, defaults.IDENTIFIER_WORDS) if named else features.words


def widened(rows: Array) -> Array:
    """Return ``(n, d + 1)``: rows with a column of zeros."""
    some: Any = rows
    if isinstance(some, np.ndarray):
        return np.hstack([some, np.zeros((len(some), 1), dtype=some.dtype)])
    joined_rows: Array = import_torch().cat([some, some.new_zeros((len(some), 1))], dim=1)
    return joined_rows


def beside(rows: Array, words: np.ndarray, share: float) -> Array:
    """Return ``(n, d + N)``: embeddings and words, of which ``share`` is that of the words in an inner product."""
    some: Any = rows
    if isinstance(some, np.ndarray):
        return np.hstack([some * (1.0 - share) ** 0.5, words * share**0.5]).astype(some.dtype, copy=False)
    torch = import_torch()
    joined_rows: Array = torch.cat([some * (1.0 - share) ** 0.5, torch.as_tensor(words).to(some) * share**0.5], dim=1)
    return joined_rows
