"""Find duplicate passages of a collection from its stored vectors.

No model is needed. ``sift_rag.near_duplicates`` defines what a copy is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sift_rag import defaults
from sift_rag.errors import ConfigurationError
from sift_rag.near_duplicates import leaders_of_copies
from sift_rag.protocols import PassageIndex, Scannable
from sift_rag.types import Embedding, JsonValue, Passage, finite

_PAGE = 1024
"""Number of passages read at once."""


@dataclass(frozen=True, slots=True)
class CopyGroup:
    """Passages that say the same."""

    passage: Passage
    """The first of them by source and position, which the others are copies of."""
    copies: tuple[Passage, ...]
    """The others, by source and position; at least one."""

    def __len__(self) -> int:
        return 1 + len(self.copies)

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the passage as JSON shows it, the size of the group, and the places of the copies."""
        return {"size": len(self), **self.passage.to_dict(), "also_in": [copy.place() for copy in self.copies]}


class RepeatedDocument(NamedTuple):
    """A document whose passages stand in other documents too."""

    source: str
    passages: int
    """Number of its passages."""
    elsewhere: int
    """Number of its passages that another document holds a copy of."""


class NearestPlaces(NamedTuple):
    """Copies that a nearest-neighbour search returns when the collection's own passages are the queries."""

    k: int
    """Number of places for each question."""
    probes: int
    """Number of passages asked, evenly spaced by source and position; the first place of each goes to itself."""
    copies: float
    """Mean number of places that a copy of an earlier place takes; NaN without a probe."""


@dataclass(frozen=True, slots=True)
class Duplicates:
    """The repetition in a collection."""

    passages: int
    """Number of passages."""
    groups: tuple[CopyGroup, ...]
    """Passages that say the same, the largest group first, then by source and position."""
    documents: tuple[RepeatedDocument, ...]
    """Documents of which something stands elsewhere, those with the most first, then by source."""
    places: NearestPlaces
    """Places that nearest neighbour would spend on copies."""

    @property
    def repeated(self) -> int:
        """Return the number of passages that are a copy of an earlier one."""
        return sum(len(group.copies) for group in self.groups)

    @property
    def distinct(self) -> int:
        """Return the number of passages that are left if each group counts once."""
        return self.passages - self.repeated

    @property
    def share_repeated(self) -> float:
        """Return the share of the passages that are a copy of an earlier one, in [0, 1); 0 without passages."""
        return self.repeated / self.passages if self.passages else 0.0

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the one JSON shape of a collection's repetition."""
        return {
            "passages": self.passages,
            "distinct": self.distinct,
            "repeated": self.repeated,
            "share_repeated": self.share_repeated,
            "groups": [group.to_dict() for group in self.groups],
            "documents": [dict(document._asdict()) for document in self.documents],
            "places": {"k": self.places.k, "probes": self.places.probes, "copies": finite(self.places.copies)},
        }


def find_duplicates(store: PassageIndex, *, k: int = defaults.PLACES, probes: int = defaults.PROBES) -> Duplicates:
    """Find the passages of a collection that say the same, and the places that they would take among the nearest.

    Each passage, in order of source and position, joins the first before it that it is a copy of and that is itself a
    copy of none. All texts and two copies of the vectors are in memory meanwhile. O(n g d) for g groups.

    Args:
        store: the collection, one that can hand out its vectors: every store of this library can.
        k: number of nearest places to look at, >= 1.
        probes: number of passages to ask as questions, by their own vectors, >= 0. Questions of people are farther
            from the passages than these are.

    Raises:
        ConfigurationError: the store is not ``Scannable``.
        ValueError: ``k`` or ``probes`` is out of range.
    """
    if k < 1:
        raise ValueError(f"k must be >= 1, but got {k}.")
    if probes < 0:
        raise ValueError(f"probes must be >= 0, but got {probes}.")
    if not isinstance(store, Scannable):
        raise ConfigurationError(
            f"The collection '{store.info.name}' is in a store that cannot hand out its vectors (Scannable): its "
            "passages cannot be compared with each other."
        )
    passages, rows = _read(store, store)
    leaders = leaders_of_copies([passage.text for passage in passages], rows)
    members: dict[int, list[Passage]] = {}
    for passage, leader in zip(passages, leaders, strict=True):
        members.setdefault(leader, []).append(passage)
    groups = [CopyGroup(first, tuple(copies)) for first, *copies in members.values() if copies]
    return Duplicates(
        passages=len(passages),
        groups=tuple(sorted(groups, key=len, reverse=True)),  # stable: equal sizes stay in reading order
        documents=_documents(passages, groups),
        places=_places(store, rows, k, probes),
    )


def _read(store: PassageIndex, scannable: Scannable) -> tuple[list[Passage], Embedding]:
    """Return all passages by source and position, and their rows ``(n, d)``."""
    passages: list[Passage] = []
    blocks: list[Embedding] = []
    for ids, block in scannable.scan(_PAGE):
        held = {candidate.passage.id: candidate.passage for candidate in store.fetch(ids)}
        kept = [row for row, identifier in enumerate(ids) if identifier in held]  # the others were deleted meanwhile
        passages += [held[ids[row]] for row in kept]
        blocks.append(block[kept])
    rows = np.concatenate(blocks) if blocks else np.empty((0, store.info.dimension), dtype=np.float32)
    order = sorted(range(len(passages)), key=lambda row: _position(passages[row]))
    return [passages[row] for row in order], rows[order]


def _position(passage: Passage) -> tuple[str, int, str]:
    return passage.source, passage.span.start, passage.id


def _documents(passages: Sequence[Passage], groups: Sequence[CopyGroup]) -> tuple[RepeatedDocument, ...]:
    elsewhere = Counter(source for group in groups for source in _sources_of_shared(group))
    held = Counter(passage.source for passage in passages)
    documents = [RepeatedDocument(source, held[source], count) for source, count in elsewhere.items()]
    return tuple(sorted(documents, key=lambda document: (-document.elsewhere, document.source)))


def _sources_of_shared(group: CopyGroup) -> Iterator[str]:
    """Yield the source of each member, if they are in several documents."""
    sources = [passage.source for passage in (group.passage, *group.copies)]
    if len(set(sources)) > 1:
        yield from sources


def _places(store: PassageIndex, rows: Embedding, k: int, probes: int) -> NearestPlaces:
    asked = min(probes, len(rows))
    if not asked:
        return NearestPlaces(k, 0, float("nan"))
    found = store.search(rows[[probe * len(rows) // asked for probe in range(asked)]], k)
    copies = 0
    for nearest in found:
        leaders = leaders_of_copies(
            [candidate.passage.text for candidate in nearest],
            np.array([candidate.embedding for candidate in nearest], dtype=np.float32),
        )
        copies += sum(leader != place for place, leader in enumerate(leaders))
    return NearestPlaces(k, asked, copies / asked)
