"""Collect the candidates to select from: the store's nearest, copies counted once.

A corpus is full of copies: versions of a documentation, boilerplate, forwarded mail. Left alone they fill the pool
before any selection starts, so the store is asked on until the pool holds enough passages that differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sift_rag import defaults
from sift_rag.exact import measured
from sift_rag.filters import Filter
from sift_rag.near_duplicates import merge_copies, reading_order
from sift_rag.protocols import GraphSearch, PassageIndex, Searcher
from sift_rag.types import Candidate, Embedding


class Nearby(NamedTuple):
    """A way to find the nearest passages of a collection."""

    searcher: Searcher
    exact: bool
    """False if it may miss some of them."""


def searcher_of(store: PassageIndex, *, exactly: bool = False) -> Nearby:
    """Return how to search a collection: by its graph if it has more passages in it than is quick to compare with."""
    if not isinstance(store, GraphSearch):
        return Nearby(store, exact=True)
    graph = store.graph
    if exactly or graph.passages <= defaults.EXACT_SEARCH_PASSAGES:
        return Nearby(store, exact=not graph.required)
    return Nearby(store.by_graph(), exact=False)


def distinct_candidates(
    store: Searcher,
    targets: Embedding,
    limit: int,
    *,
    known: Sequence[Candidate] = (),
    where: Filter | None = None,
) -> list[Candidate]:
    """Return the nearest candidates of each target, in one list without copies.

    Further pages are fetched until each target has ``limit`` distinct ones or the collection is exhausted. Each page
    is as large as the copies met so far require, up to eight times what was found: with c copies of everything, that
    is about c times ``limit`` rows, in one or two more pages.

    Args:
        store: the collection, or a search of it that ``searcher_of`` returns.
        targets: ``(m, d)``.
        limit: distinct candidates a target, >= 1.
        known: passages that the reader already has; they and their copies are skipped.
        where: filter that passages must match, copies included.

    Returns:
        Similarity (the largest over the targets) descending, then source and position; at most m·``limit``.
    """
    nearest: dict[str, Candidate] = {}
    distinct: list[Candidate] = []
    for target, first_page in zip(targets, store.search(targets, limit, where=where), strict=True):
        found, depth, exhausted = first_page, len(first_page), len(first_page) < limit
        distinct = _distinct(found, known)
        while not exhausted and len(distinct) < limit:
            needed = 1.5 * (limit - len(distinct)) * len(found) / max(1, len(distinct))
            size = min(8 * len(found), max(limit, round(needed)))
            page = store.search(target[None], size, offset=depth, where=where)[0]
            depth, exhausted = depth + len(page), len(page) < size
            held = {candidate.passage.id for candidate in found}  # pages of an approximate search may overlap
            found = found + [candidate for candidate in page if candidate.passage.id not in held]
            distinct = _distinct(found, known)
        _keep_nearest(nearest, found)
    return (distinct if len(targets) == 1 else _distinct(nearest.values(), known))[: len(targets) * limit]


def all_candidates(
    store: Searcher,
    targets: Embedding,
    limit: int,
    *,
    known: Sequence[Candidate] = (),
    where: Filter | None = None,
) -> list[Candidate]:
    """Return the ``limit`` nearest of each target as the store gives them, copies included; arguments as above."""
    known_ids = {candidate.passage.id for candidate in known}
    nearest: dict[str, Candidate] = {}
    for found in store.search(targets, limit + len(known_ids), where=where):
        _keep_nearest(nearest, (candidate for candidate in found if candidate.passage.id not in known_ids))
    return sorted(nearest.values(), key=reading_order)


def _keep_nearest(nearest: dict[str, Candidate], found: Iterable[Candidate]) -> None:
    """Add what was found for one target; a passage found for several has its largest similarity."""
    for candidate in found:
        held = nearest.get(candidate.passage.id)
        if held is None or held.similarity < candidate.similarity:
            nearest[candidate.passage.id] = candidate


def _distinct(found: Iterable[Candidate], known: Sequence[Candidate]) -> list[Candidate]:
    """Return the passages that are neither known nor copies of known ones, copies merged."""
    known_ids = {candidate.passage.id for candidate in known}
    fresh = [candidate for candidate in found if candidate.passage.id not in known_ids]
    return [candidate for candidate in merge_copies(fresh, known) if candidate.passage.id not in known_ids]


def adding(
    found: Iterable[Candidate], pool: Sequence[Candidate], targets: Embedding, *, keep_copies: bool
) -> list[Candidate]:
    """Return the candidates found that are new to a pool, with their similarity to the targets ``(m, d)``.

    ``pool`` includes the known passages. Copies of its members are not new, unless copies are kept.
    """
    held = {candidate.passage.id for candidate in pool}
    fresh = [measured(candidate, targets) for candidate in found if candidate.passage.id not in held]
    return fresh if keep_copies else _distinct(fresh, pool)
