"""Find the neighbours of passages among the places of their documents' passages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from sift_rag.protocols import Neighbours
from sift_rag.types import Candidate, Passage


class Place(NamedTuple):
    """The position of a passage."""

    source: str
    revision: str
    start: int
    """First character in its document."""
    id: str


def neighbours_among(
    places: Iterable[Place], passages: Sequence[Passage], count: int, fetch: Callable[[list[str]], list[Candidate]]
) -> list[Neighbours]:
    """Return the neighbours of each passage.

    Args:
        places: places of all passages of their documents, in any order.
        passages: passages whose neighbours are wanted.
        count: number of passages on each side, >= 1.
        fetch: reads passages by id, each once.
    """
    if count < 1:
        raise ValueError(f"The number of neighbours must be >= 1, but got {count}.")
    orders: dict[tuple[str, str], list[str]] = {}
    for place in sorted(places):
        orders.setdefault((place.source, place.revision), []).append(place.id)
    number = {identifier: index for order in orders.values() for index, identifier in enumerate(order)}
    around: list[tuple[list[str], list[str]]] = []
    for passage in passages:
        order, index = orders.get((passage.source, passage.revision), []), number.get(passage.id)
        if index is None or index >= len(order) or order[index] != passage.id:
            around.append(([], []))
        else:
            around.append((order[max(0, index - count) : index], order[index + 1 : index + 1 + count]))
    wanted = list(dict.fromkeys(identifier for sides in around for side in sides for identifier in side))
    found = {candidate.passage.id: candidate.passage for candidate in fetch(wanted)} if wanted else {}
    return [
        Neighbours(*(tuple(found[identifier] for identifier in side if identifier in found) for side in sides))
        for sides in around
    ]
