"""Choosing from the whole collection instead of from the nearest: what the plain call would find with a pool of all.

The surrogate model stays that of the pool (its centre, its weights), so that numbers compare. Two ways lead to the same
choice: the store is searched until the choice is proven (``frontier.py``); where that takes too many rows, a store that
can hand out its vectors is read from end to end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from sift_rag.exact.search_bounds import Frontier, choose_by_search
from sift_rag.near_duplicates import COPY_SIMILARITY, reading_order, says_the_same
from sift_rag.protocols import PassageIndex, Scannable, Selector
from sift_rag.selection import Choice, SelectorSettings, Stopping, Surrogate
from sift_rag.selection.admission import select_admitted
from sift_rag.types import Candidate, Embedding, Filter

DEFAULT_ROW_LIMIT = 10_000
"""Rows read from a store that only answers searches before a proof is given up."""

SEARCHED_SHARE = 0.25
"""Of a scannable store, what searches may read before a scan: a row costs them three times as much."""

SCAN_ROWS = 4096
COPIES_PAGE = 32
"""Neighbours of a pick asked for at once when its copies are looked for."""


ROUNDING = 1e-5
"""Of a cosine: what is that near is looked at."""


class WholeChoice(NamedTuple):
    """A choice from the whole collection."""

    candidates: list[Candidate]
    """The pool and the hits, in reading order."""
    choice: Choice
    """Of those; the irreducible variance is theirs."""
    looked_at: int
    """How many passages the choice was made from."""
    certified: bool
    """Whether it is proven to be the greedy optimum of the collection."""


def check_exhaustive(selector: Selector, stopping: Stopping | None) -> None:
    """Raise ``ValueError`` unless this can be chosen from a whole collection."""
    if isinstance(selector, SelectorSettings) and selector.with_repeats:
        raise ValueError("A choice with repeats is made from the nearest candidates: leave out exhaustive.")
    if selector.name == "nearest":
        return
    if selector.name != "sift" or not isinstance(selector, SelectorSettings):
        raise ValueError(
            f"Only 'sift' and 'nearest' can choose from the whole collection, not {selector.name!r}: the others' gains "
            "cannot be bounded for what was not looked at. Leave out exhaustive, or take another selector."
        )
    if stopping is not None and stopping.tokens is not None:
        raise ValueError(
            "A budget of tokens cannot be combined with exhaustive: the gain per token of a passage is not known "
            "before its text is read, so that nothing could be proven of the rest. Limit k instead."
        )


def choose_from_all(
    store: PassageIndex,
    selector: Selector,
    targets: Embedding,
    k: int,
    pool: Sequence[Candidate],
    *,
    known: Sequence[Candidate] = (),
    weights: Sequence[float] | None = None,
    stopping: Stopping | None = None,
    keep_copies: bool = False,
    where: Filter | None = None,
    row_limit: int = DEFAULT_ROW_LIMIT,
) -> WholeChoice:
    """The greedy optimum of the pool's surrogate over all passages but what is known, copies counted once.

    Searched until the choice is proven, or ``row_limit`` rows were read, or a quarter of a ``Scannable`` store. That
    one is then read into memory for the call, 8 d bytes a passage; of any other the best of what was found is returned,
    not certified.

    Args:
        store: the collection.
        selector: see ``check_exhaustive``.
        targets: ``(m, d)``.
        k: how many, >= 1.
        pool: the nearest distinct candidates: never empty.
        known: what the reader has; neither it nor its copies are chosen.
        weights: as for the selector.
        stopping: as for the selector. ``explained`` is a share of what pool and picks together can tell.
        keep_copies: let copies be chosen each for itself.
        where: the passages that it matches are the whole collection; those of the pool are among them.
        row_limit: how many rows searches may read, >= 0; those that look for copies of a pick are not counted.

    Raises:
        ValueError: see ``check_exhaustive``.
    """
    check_exhaustive(selector, stopping)
    given = np.stack([candidate.embedding for candidate in known]) if known else None
    rows = np.stack([candidate.embedding for candidate in pool])
    if not isinstance(selector, SelectorSettings) or selector.name == "nearest":  # the pool holds its choice
        choice = selector.select(targets, rows, k, given=given, weights=weights, stopping=stopping)
        return WholeChoice(list(pool), choice, len(pool), certified=True)
    surrogate = selector.surrogate(targets, rows, weights=weights)
    task = _Task(store, surrogate, targets, k, pool, known, given, stopping, keep_copies, where)
    if not isinstance(store, Scannable):
        return _choose_by_search(task, row_limit)
    found = _choose_by_search(task, min(row_limit, round(SEARCHED_SHARE * store.count())))
    return found if found.certified else _choose_by_scan(task, store)


@dataclass(frozen=True, eq=False, slots=True)
class _Task:
    """What both ways are given."""

    store: PassageIndex
    surrogate: Surrogate
    targets: Embedding
    k: int
    pool: Sequence[Candidate]
    known: Sequence[Candidate]
    given: Embedding | None
    stopping: Stopping | None
    keep_copies: bool
    where: Filter | None

    def order(
        self, ids: Sequence[str], rows: Embedding, look: Callable[[str], Candidate | None], copies: _Copies
    ) -> list[Candidate]:
        """The picks among passages, from their ids, ascending, and their embeddings as the kernel sees them."""
        places = {identifier: place for place, identifier in enumerate(ids)}
        picks: list[Candidate] = []

        def admit(row: int) -> list[int]:
            candidate = look(ids[row])
            if candidate is None or copies.refuse(candidate, picks):
                return [row]
            picks.append(candidate)
            return [places[copy.passage.id] for copy in copies.of(candidate) if copy.passage.id in places]

        seen = self.surrogate.seen
        select_admitted(seen(self.targets), rows, self.k, admit, **self.surrogate.model, given=seen(self.given))
        return picks

    def conclude(self, picks: Sequence[Candidate], copies: _Copies) -> tuple[list[Candidate], Choice]:
        """The picks measured among the pool, by the rules that may end them sooner."""
        candidates = _with_pool(picks, self.pool, copies)
        places = {candidate.passage.id: place for place, candidate in enumerate(candidates)}
        rows = np.stack([candidate.embedding for candidate in candidates])
        order = [places[pick.passage.id] for pick in picks]
        return candidates, self.surrogate.choose(
            self.targets, rows, self.k, order=order, given=self.given, stopping=self.stopping
        )


class _Copies:
    """Which passages of the collection say the same: asked of the store, and remembered for one retrieval.

    Of a group of copies the one nearest to the question stands for all, as in ``merge_copies``. Texts that are equal
    though their vectors are not are met only among picks: there the one that tells more stands.
    """

    def __init__(self, task: _Task, neighbours: Callable[[Candidate], list[Candidate]]) -> None:
        self._neighbours = neighbours
        self._targets = task.targets
        self._known = task.known
        self._keep = task.keep_copies
        self._out = {candidate.passage.id for candidate in task.known}
        self._out |= {copy.id for candidate in task.pool for copy in candidate.copies}
        self._of: dict[str, list[Candidate]] = {}
        self._leads: dict[str, bool] = {}

    def of(self, candidate: Candidate) -> list[Candidate]:
        """Its copies, nearest to the question first."""
        if self._keep:
            return []
        identifier = candidate.passage.id
        if identifier not in self._of:
            near = (measured(other, self._targets) for other in self._neighbours(candidate))
            same = (other for other in near if other.passage.id != identifier and says_the_same(candidate, other))
            self._of[identifier] = sorted(same, key=reading_order)
        return self._of[identifier]

    def refuse(self, candidate: Candidate, picks: Sequence[Candidate]) -> bool:
        """Whether it is known, or another stands for it."""
        if candidate.passage.id in self._out:
            return True
        return not self._keep and (any(says_the_same(pick, candidate) for pick in picks) or not self.lead(candidate))

    def known(self, candidate: Candidate) -> bool:
        """Whether the reader has it, or a copy of it."""
        return any(says_the_same(known, candidate) for known in self._known)

    def lead(self, candidate: Candidate) -> bool:
        """Whether it stands for its copies: none that leads comes before it in reading order."""
        before: dict[str, Candidate] = {}
        waiting = [candidate]
        while waiting:
            one = waiting.pop()
            if one.passage.id not in self._leads and one.passage.id not in before:
                before[one.passage.id] = one
                waiting += [other for other in self.of(one) if reading_order(other) < reading_order(one)]
        for one in sorted(before.values(), key=reading_order):
            self._leads[one.passage.id] = not self.known(one) and not any(
                self._leads[other.passage.id] for other in self.of(one) if reading_order(other) < reading_order(one)
            )
        return self._leads[candidate.passage.id]


def _choose_by_scan(task: _Task, store: Scannable) -> WholeChoice:
    ids, rows = _read_all(store, task.store.count(), task.targets.shape[1], task.where)
    at_hand = {candidate.passage.id: measured(candidate, task.targets) for candidate in task.pool}

    def look(identifier: str) -> Candidate | None:
        if identifier not in at_hand:
            at_hand.update((c.passage.id, measured(c, task.targets)) for c in task.store.fetch([identifier]))
        return at_hand.get(identifier)

    def neighbours(candidate: Candidate) -> list[Candidate]:
        near = np.flatnonzero(rows @ candidate.embedding >= COPY_SIMILARITY - ROUNDING)
        return task.store.fetch([ids[row] for row in near.tolist()])

    copies = _Copies(task, neighbours)
    picks = task.order(ids, task.surrogate.seen(rows), look, copies)
    return WholeChoice(*task.conclude(picks, copies), looked_at=len(ids), certified=True)


def _choose_by_search(task: _Task, row_limit: int) -> WholeChoice:
    frontier = Frontier(task.store, task.pool, row_limit, task.where)

    def neighbours(candidate: Candidate) -> list[Candidate]:
        found: list[Candidate] = []
        while not found or (len(found) % COPIES_PAGE == 0 and found[-1].similarity >= COPY_SIMILARITY - ROUNDING):
            page = task.store.search(candidate.embedding[None], COPIES_PAGE, offset=len(found), where=task.where)[0]
            if not page:
                break
            found += page
        near = [other for other in found if other.similarity >= COPY_SIMILARITY - ROUNDING]
        frontier.add(near)
        return near

    copies = _Copies(task, neighbours)

    def order() -> list[Candidate]:
        ids = sorted(frontier.found)
        rows = task.surrogate.seen(np.stack([frontier.found[identifier].embedding for identifier in ids]))
        return task.order(ids, rows, lambda identifier: measured(frontier.found[identifier], task.targets), copies)

    def steps(picks: Sequence[Candidate]) -> int:
        if task.stopping is None or task.stopping.explained is not None:  # the share depends on all picks
            return task.k
        selection = task.conclude(picks, copies)[1].selection
        return {"variance": len(selection), "alpha": len(selection) + 1}.get(selection.stopped, task.k)

    given = task.given if task.given is not None else task.targets[:0]
    pool = np.stack([candidate.embedding for candidate in task.pool])
    picks, certified = choose_by_search(frontier, task.surrogate, task.targets, pool, given, order, steps)
    return WholeChoice(*task.conclude(picks, copies), looked_at=len(frontier.found), certified=certified)


def measured(candidate: Candidate, targets: Embedding) -> Candidate:
    """With its similarity to the targets, from products that are the same for equal rows wherever they stand."""
    cosine = float((targets * candidate.embedding).sum(axis=1).max())
    return replace(candidate, similarity=min(1.0, max(-1.0, cosine)))


def _read_all(store: Scannable, count: int, dimension: int, where: Filter | None) -> tuple[list[str], Embedding]:
    """Ids and rows of what is in the collection now, ``count`` at most; what is added meanwhile may be left out."""
    rows = np.empty((count, dimension), dtype=np.float32)
    ids: list[str] = []
    for block_ids, block in store.scan(SCAN_ROWS, where=where):
        taken = min(len(block), count - len(ids))
        rows[len(ids) : len(ids) + taken] = block[:taken]
        ids += block_ids[:taken]
    return ids, rows[: len(ids)]


def _with_pool(picks: Sequence[Candidate], pool: Sequence[Candidate], copies: _Copies) -> list[Candidate]:
    """Picks and pool in reading order, copies of picks in their ``copies``."""
    in_pool = {candidate.passage.id: candidate for candidate in pool}
    taken = {pick.passage.id for pick in picks}
    candidates = []
    for pick in picks:
        held = in_pool.get(pick.passage.id, pick)
        same = [other for other in copies.of(pick) if not copies.known(other)]
        fresh = {copy.id: copy for copy in (*held.copies, *(other.passage for other in same))}
        fresh = {identifier: copy for identifier, copy in fresh.items() if identifier not in taken}
        taken |= set(fresh)
        candidates.append(replace(held, copies=tuple(fresh.values())))
    candidates += [candidate for candidate in pool if candidate.passage.id not in taken]
    return sorted(candidates, key=reading_order)
