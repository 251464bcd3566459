"""The view of a process on a pool: embeddings and texts become the rows that the kernel is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from sift_rag import defaults
from sift_rag.selection.arrays import Array, import_torch, joined
from sift_rag.selection.features import Features, balanced_weights, centred
from sift_rag.selection.kernels import Rbf
from sift_rag.selection.lexical import Vocabulary, WordRows
from sift_rag.selection.pool import Texts
from sift_rag.words import bag_of, identifiers_of


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


class Look(NamedTuple):
    """A pool as the kernel is given it."""

    targets: Array
    """``(m, d')``."""
    points: Array
    """``(n + g, d')``."""
    view: View
    words: WordRows | None
    """Words beside the embeddings; None where they do not count."""


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
) -> Look:
    """Return targets and points as the kernel is given them, and the view: the given one, or the candidates' own.

    Args:
        targets: ``(m, d)``, unit norm.
        points: ``(n + g, d)``, unit norm: the candidates, then what is known.
        size: number of first candidates that the view is read off, <= n.
        texts: of all rows; None if words do not count.
        kernel: balances several targets.
        features: share of the mean that is taken off, and share of the words.
        weights: ``(m,)``, those asked for; None balances the targets.
        view: read off another pool; its weights take the place of ``weights``.
    """
    counts = texts is not None and features.words > 0
    bags = [bag_of(text, features.language) for text in (*texts.candidates, *texts.known)] if counts and texts else []
    own = view is None
    if view is None:
        vocabulary = Vocabulary.of(bags[:size]) if counts else None
        view = View(features.centre_of(points[:size]) if features.centring else None, weights, vocabulary)
    targets, points = view.seen(targets), view.seen(points)
    words = None
    if counts and texts is not None and view.vocabulary is not None:
        words = WordRows(bags, view.vocabulary)
        if own:
            view = view._replace(share=_share(texts.targets, words, features))
        asked = [words.target(bag_of(text, features.language)) for text in texts.targets]
        if any(row is not None for row in asked):
            targets, points = (
                _targets_beside(targets, asked, len(bags), view.share),
                _beside(points, np.hstack([words.columns, np.zeros((len(bags), len(asked)))]), view.share),
            )
        else:
            words = None
    if own and weights is None and len(targets) > 1:
        view = view._replace(weights=balanced_weights(targets, points[:size], kernel))
    return Look(targets, points, view, words)


def with_target(look: Look, row: Array, text: str | None, weight: float, features: Features) -> Look:
    """Return the look with one more target, the embedding ``(d,)`` and the text, of this weight."""
    shares = np.ones(len(look.targets)) if look.view.weights is None else look.view.weights
    view = look.view._replace(weights=np.append(shares, weight))
    seen: Any = look.view.seen(row[None])
    if look.words is None:
        return look._replace(targets=joined(look.targets, seen), view=view)
    said = None if text is None else look.words.target(bag_of(text, features.language))
    asked = len(look.targets)
    columns = len(look.words.columns)
    own = np.zeros((1, columns + asked + 1), dtype=np.float32)
    if said is None:
        own[0, -1] = 1.0
    else:
        own[0, :columns], own[0, -1] = said[:-1], said[-1]
    padded = [_widened(rows) for rows in (look.targets, look.points)]
    return look._replace(targets=joined(padded[0], _beside(seen, own, view.share)), points=padded[1], view=view)


def _share(targets: Sequence[str], words: WordRows, features: Features) -> float:
    """Return the share of the words: larger where a target names a rare identifier, which its embedding cannot see."""
    named = any(words.hold_rare(identifiers_of(text, features.language)) for text in targets)
    return max(features.words, defaults.IDENTIFIER_WORDS) if named else features.words


def _targets_beside(targets: Array, asked: Sequence[np.ndarray | None], columns: int, share: float) -> Array:
    """Return targets with their words; each has one more column of its own, for what no point says."""
    words = np.zeros((len(asked), columns + len(asked)), dtype=np.float32)
    for place, row in enumerate(asked):
        if row is None:
            words[place, columns + place] = 1.0
        else:
            words[place, :columns], words[place, columns + place] = row[:-1], row[-1]
    return _beside(targets, words, share)


def _widened(rows: Array) -> Array:
    """Return ``(n, d + 1)``: rows with a column of zeros."""
    some: Any = rows
    if isinstance(some, np.ndarray):
        return np.hstack([some, np.zeros((len(some), 1), dtype=some.dtype)])
    joined_rows: Array = import_torch().cat([some, some.new_zeros((len(some), 1))], dim=1)
    return joined_rows


def _beside(rows: Array, words: np.ndarray, share: float) -> Array:
    """Return ``(n, d + N)``: embeddings and words, of which ``share`` is that of the words in an inner product."""
    some: Any = rows
    if isinstance(some, np.ndarray):
        return np.hstack([some * (1.0 - share) ** 0.5, words * share**0.5]).astype(some.dtype, copy=False)
    torch = import_torch()
    joined_rows: Array = torch.cat([some * (1.0 - share) ** 0.5, torch.as_tensor(words).to(some) * share**0.5], dim=1)
    return joined_rows
