"""Select from the whole collection instead of from the nearest: the selection by embeddings, with all in the pool.

The process stays that of the pool (its centre, its weights), so that numbers compare. Two ways lead to the same
choice: the store is searched until the choice is proven (``search_bounds.py``); where that takes too many rows, a
store that can hand out its vectors is read from end to end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from sift_rag.exact.search_bounds import SearchBounds, choose_by_search
from sift_rag.filters import Filter
from sift_rag.near_duplicates import COPY_SIMILARITY, reading_order, says_the_same
from sift_rag.protocols import PassageIndex, Scannable, Selector
from sift_rag.selection import Choice, GaussianProcess, Nearest, Pool, Sift, Stopping
from sift_rag.selection.greedy import Rules
from sift_rag.selection.process import measure
from sift_rag.selection.sift import select_with
from sift_rag.selection.view import View
from sift_rag.types import Candidate, Embedding, ExactReport

DEFAULT_ROW_LIMIT = 10_000
"""Number of rows to read from a store that only answers searches before giving up a proof."""

SEARCHED_SHARE = 0.25
"""Share of a scannable store that searches may read before a scan: a row costs three times as much in a search."""

SCAN_ROWS = 4096
COPIES_PAGE = 32
"""Neighbours of a pick asked for at once when its copies are looked for."""


ROUNDING = 1e-5
"""Slack on the cosine threshold; pairs within it are compared by text."""


class WholeChoice(NamedTuple):
    """A choice from the whole collection."""

    candidates: list[Candidate]
    """The pool and the hits, in reading order."""
    choice: Choice
    """The choice among those; the irreducible variance is theirs."""
    report: ExactReport


def check_exact(selector: Selector, stopping: Stopping | None) -> None:
    """Raise ``ValueError`` unless these arguments allow selection from a whole collection."""
    if getattr(selector, "with_repeats", False):
        raise ValueError("A selection with repeats uses the nearest candidates only and cannot be exact.")
    if isinstance(selector, Nearest):
        return
    if not isinstance(selector, Sift):
        raise ValueError(
            f"Only 'sift' and 'nearest' can choose from the whole collection, not {selector.name!r}: the gains of "
            "the others "
            "cannot be bounded for passages that were not read."
        )
    if callable(selector.process.kernel):
        raise ValueError(
            "Only the rbf and linear kernels can be bounded: a kernel function's selection cannot be exact."
        )
    if stopping is not None and stopping.tokens is not None:
        raise ValueError(
            "A token budget cannot be combined with an exact selection: the gain per token of a passage is not known "
            "before its text is read, so nothing could be proven about the rest. Limit k instead."
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
    """Return the greedy optimum of the pool's process over all passages but what is known, copies counted once.

    Searched until the choice is proven, or ``row_limit`` rows were read, or a quarter of a ``Scannable`` store. That
    one is then read into memory for the call, 8 d bytes a passage; of any other the best of what was found is returned,
    not certified.

    Args:
        store: the collection.
        selector: see ``check_exact``.
        targets: ``(m, d)``.
        k: number of passages, >= 1.
        pool: the nearest distinct candidates: never empty.
        known: what the reader has; neither it nor its copies are chosen.
        weights: as for the selector.
        stopping: as for the selector. ``explained`` is a share of what pool and picks together can tell.
        keep_copies: let copies be chosen each for itself.
        where: the passages that it matches are the whole collection; those of the pool are among them.
        row_limit: rows that searches may read, >= 0; those that look for copies of a pick are not counted.

    Raises:
        ValueError: see ``check_exact``.
    """
    check_exact(selector, stopping)
    known_rows = np.stack([candidate.embedding for candidate in known]) if known else None
    rows = np.stack([candidate.embedding for candidate in pool])
    if not isinstance(selector, Sift):  # nearest: the pool holds its choice
        choice = selector.select(Pool(targets, rows, known=known_rows, weights=weights), k, stopping=stopping)
        return WholeChoice(list(pool), choice, ExactReport(proven=True, passages=len(pool)))
    view = selector.process.problem(Pool(targets, rows, weights=weights)).view
    task = _Task(store, selector.process, view, targets, k, pool, known, known_rows, stopping, keep_copies, where)
    if not isinstance(store, Scannable):
        return _choose_by_search(task, row_limit)
    found = _choose_by_search(task, min(row_limit, round(SEARCHED_SHARE * store.count())))
    return found if found.report.proven else _choose_by_scan(task, store)


@dataclass(frozen=True, eq=False, slots=True)
class _Task:
    """The arguments that both methods share."""

    store: PassageIndex
    process: GaussianProcess
    view: View
    targets: Embedding
    k: int
    pool: Sequence[Candidate]
    known: Sequence[Candidate]
    known_rows: Embedding | None
    stopping: Stopping | None
    keep_copies: bool
    where: Filter | None

    def order(
        self, ids: Sequence[str], rows: Embedding, look: Callable[[str], Candidate | None], copies: _Copies
    ) -> list[Candidate]:
        """Return the picks among passages, from their ids, ascending, and their embeddings."""
        places = {identifier: place for place, identifier in enumerate(ids)}
        picks: list[Candidate] = []

        def accept(row: int) -> list[int]:
            candidate = look(ids[row])
            if candidate is None or copies.refuse(candidate, picks):
                return [row]
            picks.append(candidate)
            return [places[copy.passage.id] for copy in copies.of(candidate) if copy.passage.id in places]

        rules = Rules(accept=accept)
        select_with(self.process, Pool(self.targets, rows, known=self.known_rows), self.k, rules, view=self.view)
        return picks

    def conclude(self, picks: Sequence[Candidate], copies: _Copies) -> tuple[list[Candidate], Choice]:
        """Return the picks measured among the pool, by the rules that may end them sooner."""
        candidates = _with_pool(picks, self.pool, copies)
        places = {candidate.passage.id: place for place, candidate in enumerate(candidates)}
        rows = np.stack([candidate.embedding for candidate in candidates])
        problem = self.process.problem(Pool(self.targets, rows, known=self.known_rows), view=self.view)
        order = [places[pick.passage.id] for pick in picks]
        return candidates, measure(problem, order, self.k, Rules(stopping=self.stopping))


class _Copies:
    """The passages of the collection that say the same: asked of the store, and remembered for one retrieval.

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
        """Return its copies, nearest to the question first."""
        if self._keep:
            return []
        identifier = candidate.passage.id
        if identifier not in self._of:
            near = (measured(other, self._targets) for other in self._neighbours(candidate))
            same = (other for other in near if other.passage.id != identifier and says_the_same(candidate, other))
            self._of[identifier] = sorted(same, key=reading_order)
        return self._of[identifier]

    def refuse(self, candidate: Candidate, picks: Sequence[Candidate]) -> bool:
        """Return True if it is known, or another stands for it."""
        if candidate.passage.id in self._out:
            return True
        return not self._keep and (any(says_the_same(pick, candidate) for pick in picks) or not self.lead(candidate))

    def known(self, candidate: Candidate) -> bool:
        """Return True if the reader has it, or a copy of it."""
        return any(says_the_same(known, candidate) for known in self._known)

    def lead(self, candidate: Candidate) -> bool:
        """Return True if it stands for its copies: none that leads comes before it in reading order."""
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
    picks = task.order(ids, rows, look, copies)
    return WholeChoice(*task.conclude(picks, copies), ExactReport(proven=True, passages=len(ids)))


def _choose_by_search(task: _Task, row_limit: int) -> WholeChoice:
    searched = SearchBounds(task.store, task.pool, row_limit, task.where)

    def neighbours(candidate: Candidate) -> list[Candidate]:
        found: list[Candidate] = []
        while not found or (len(found) % COPIES_PAGE == 0 and found[-1].similarity >= COPY_SIMILARITY - ROUNDING):
            page = task.store.search(candidate.embedding[None], COPIES_PAGE, offset=len(found), where=task.where)[0]
            if not page:
                break
            found += page
        near = [other for other in found if other.similarity >= COPY_SIMILARITY - ROUNDING]
        searched.add(near)
        return near

    copies = _Copies(task, neighbours)

    def order() -> list[Candidate]:
        ids = sorted(searched.found)
        rows = np.stack([searched.found[identifier].embedding for identifier in ids])
        return task.order(ids, rows, lambda identifier: measured(searched.found[identifier], task.targets), copies)

    def steps(picks: Sequence[Candidate]) -> int:
        if task.stopping is None or task.stopping.explained is not None:  # the share depends on all picks
            return task.k
        selection = task.conclude(picks, copies)[1].selection
        return {"variance": len(selection), "alpha": len(selection) + 1}.get(selection.stopped, task.k)

    known = task.known_rows if task.known_rows is not None else task.targets[:0]
    pool = np.stack([candidate.embedding for candidate in task.pool])
    picks, proven = choose_by_search(searched, task.process, task.view, task.targets, pool, known, order, steps)
    return WholeChoice(*task.conclude(picks, copies), ExactReport(proven, len(searched.found)))


def measured(candidate: Candidate, targets: Embedding) -> Candidate:
    """Return it with its similarity to the targets, by products that are equal for equal rows, wherever they stand."""
    cosine = float((targets * candidate.embedding).sum(axis=1).max())
    return replace(candidate, similarity=min(1.0, max(-1.0, cosine)))


def _read_all(store: Scannable, count: int, dimension: int, where: Filter | None) -> tuple[list[str], Embedding]:
    """Return ids and rows of the collection as it is now, ``count`` at most; later additions may be left out."""
    rows = np.empty((count, dimension), dtype=np.float32)
    ids: list[str] = []
    for block_ids, block in store.scan(SCAN_ROWS, where=where):
        taken = min(len(block), count - len(ids))
        rows[len(ids) : len(ids) + taken] = block[:taken]
        ids += block_ids[:taken]
    return ids, rows[: len(ids)]


def _with_pool(picks: Sequence[Candidate], pool: Sequence[Candidate], copies: _Copies) -> list[Candidate]:
    """Return picks and pool in reading order, copies of picks in their ``copies``."""
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
