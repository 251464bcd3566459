"""Add to hits the passages around them in their documents, none of them twice."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from itertools import zip_longest

from sift_rag.filters import Filter
from sift_rag.near_duplicates import form_of
from sift_rag.protocols import Neighbours, PassageIndex
from sift_rag.types import Hit, Passage


class ContextReader:
    """The passages around those of one search; each is read once."""

    def __init__(
        self,
        store: PassageIndex,
        count: int,
        *,
        where: Filter | None = None,
        known: Collection[str] = (),
        budget: int | None = None,
        tokens: Callable[[Sequence[str]], list[int]],
    ) -> None:
        """Read nothing yet.

        Args:
            store: the collection.
            count: number of passages on each side of a hit; 0 for none.
            where: what they must match; context ends before a passage that does not.
            known: ids of passages that the reader knows, before which context ends likewise.
            budget: number of tokens that a passage and its context may have; the context is cut to it.
            tokens: counts the tokens of texts.
        """
        self._store, self._count = store, count
        self._where, self._known = where, known
        self._budget, self._tokens = budget, tokens
        self._windows: dict[str, Neighbours] = {}
        self._sizes: dict[str, int] = {}

    def sizes(self, passages: Sequence[Passage]) -> list[int]:
        """Return the number of tokens of each passage with its context: at most what it adds, if others overlap."""
        fresh = [passage for passage in passages if passage.id not in self._sizes]
        self._read(fresh)
        self._measure(fresh)
        return [
            sum(self._sizes[one.id] for side in self._windows.get(passage.id, ()) for one in side)
            + self._sizes[passage.id]
            for passage in passages
        ]

    def surrounded(self, hits: Sequence[Hit]) -> tuple[Hit, ...]:
        """Return the hits with their context. What two of them could have goes to the one that was selected first."""
        self._read([hit.passage for hit in hits])
        shown = {hit.passage.id for hit in hits}
        forms = {form_of(hit.passage.text) for hit in hits}
        told: list[Passage] = [hit.passage for hit in hits]

        def side(passages: Iterable[Passage]) -> list[Passage]:
            """Return the passages, nearest first, up to one that is shown already."""
            taken: list[Passage] = []
            for passage in passages:
                form = form_of(passage.text)
                if passage.id in shown or form in forms:
                    break
                shown.add(passage.id)
                forms.add(form)
                fresh = _without_overlap(passage, told)
                told.append(passage)
                if fresh.text.strip():
                    taken.append(fresh)
            return taken

        found = []
        for hit in hits:
            window = self._windows.get(hit.passage.id, _NONE)
            before, after = side(reversed(window.before)), side(window.after)
            found.append(replace(hit, before=tuple(reversed(before)), after=tuple(after)))
        return tuple(found)

    def _read(self, passages: Sequence[Passage]) -> None:
        fresh = [passage for passage in passages if passage.id not in self._windows]
        if not self._count or not fresh:
            return
        around = self._store.neighbours(fresh, self._count)
        allowed = [
            Neighbours(tuple(reversed(self._allowed(reversed(before)))), tuple(self._allowed(after)))
            for before, after in around
        ]
        if self._budget is not None:
            self._measure([*fresh, *(passage for window in allowed for side in window for passage in side)])
            allowed = [self._fitting(passage, window) for passage, window in zip(fresh, allowed, strict=True)]
        self._windows.update(zip((passage.id for passage in fresh), allowed, strict=True))

    def _allowed(self, passages: Iterable[Passage]) -> list[Passage]:
        allowed: list[Passage] = []
        for passage in passages:
            if passage.id in self._known or (self._where is not None and not self._where.matches(passage)):
                break
            allowed.append(passage)
        return allowed

    def _fitting(self, passage: Passage, window: Neighbours) -> Neighbours:
        """Return the part of a window that fits the budget, the nearest first, on both sides in turn."""
        left = (self._budget or 0) - self._sizes[passage.id]
        nearest = [one for pair in zip_longest(reversed(window.before), window.after) for one in pair if one]
        kept: set[str] = set()
        for one in nearest:
            left -= self._sizes[one.id]
            if left < 0:
                break
            kept.add(one.id)
        before, after = (tuple(one for one in side if one.id in kept) for side in window)
        return Neighbours(before, after)

    def _measure(self, passages: Sequence[Passage]) -> None:
        fresh = {passage.id: passage.text for passage in passages if passage.id not in self._sizes}
        if fresh:
            self._sizes.update(zip(fresh, self._tokens(list(fresh.values())), strict=True))


_NONE = Neighbours((), ())


def _without_overlap(passage: Passage, told: Sequence[Passage]) -> Passage:
    """Return a passage without the text at its ends that passages next to it have too."""
    for other in told:
        if (other.source, other.revision) != (passage.source, passage.revision):
            continue
        start, end = passage.span.start, passage.span.end
        common = other.span.end - start
        if other.span.start <= start < other.span.end < end and other.text[-common:] == passage.text[:common]:
            passage = replace(passage, text=passage.text[common:], span=passage.span._replace(start=other.span.end))
        common = end - other.span.start
        if start < other.span.start < end <= other.span.end and passage.text[-common:] == other.text[:common]:
            passage = replace(passage, text=passage.text[:-common], span=passage.span._replace(end=other.span.start))
    return passage
