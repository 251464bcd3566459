"""Find the greedy optimum of a whole collection in a store that only answers searches, and prove it step by step.

The choice is made among what was found. Before a step counts, ``certificate.py`` bounds what anything not yet
found could gain; where the step does not beat that, the searches that the bound owes most to are carried on, and the
choice is made again. Two or three steps of doubling prove most choices: docs/log.md, "Beyond the pool".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from sift_rag.exact.certificate import (
    CAP_MARGIN,
    Bound,
    Conditioned,
    cap_on_cosine,
    condition,
    gain_of,
    linear_bound,
    proves,
    rbf_bound,
)
from sift_rag.filters import Filter
from sift_rag.protocols import PassageIndex
from sift_rag.selection.kernels import PreparedKernel, Rbf, prepared
from sift_rag.selection.process import GaussianProcess
from sift_rag.selection.view import View
from sift_rag.types import Candidate, Embedding

FIRST_PAGE = 100
"""Rows asked for when a direction is searched first; later pages double what was read."""


class SearchBounds:
    """The passages that the searches of one retrieval have found, and bounds on the cosines of all others."""

    def __init__(
        self, store: PassageIndex, found: Sequence[Candidate], row_limit: int, where: Filter | None = None
    ) -> None:
        self.found = {candidate.passage.id: candidate for candidate in found}
        self.whole = False
        """True once nothing is left to be found."""
        self._store = store
        self._where = where
        self._left = row_limit
        self._depths: dict[bytes, int] = defaultdict(int)
        self._cosines: dict[bytes, float] = {}

    def cap(self, direction: np.ndarray) -> float:
        """Return the largest product of ``direction`` ``(d,)`` with a row not found: its norm, before any search."""
        return float(np.linalg.norm(direction)) * self._cosines.get(direction.tobytes(), 1.0)

    def search_on(self, directions: Sequence[np.ndarray]) -> bool:
        """Read the next page of each, as large as all before it; False, and nothing done, beyond the limit of rows."""
        by_depth: dict[int, list[np.ndarray]] = defaultdict(list)
        for key, direction in {direction.tobytes(): direction for direction in directions}.items():
            by_depth[self._depths[key]].append(direction)
        needed = sum(max(depth, FIRST_PAGE) * len(group) for depth, group in by_depth.items())
        if needed > self._left:
            return False
        self._left -= needed
        for depth, group in by_depth.items():
            size = max(depth, FIRST_PAGE)
            pages = self._store.search(np.stack(group).astype(np.float32), size, offset=depth, where=self._where)
            for direction, page in zip(group, pages, strict=True):
                key = direction.tobytes()
                self._depths[key] += size
                self.whole = self.whole or len(page) < size
                self.add(page)
                if page:
                    self._cosines[key] = min(page[-1].similarity + CAP_MARGIN, 1.0)
        return True

    def add(self, candidates: Sequence[Candidate]) -> None:
        """Add candidates that were found in passing."""
        for candidate in candidates:
            self.found.setdefault(candidate.passage.id, candidate)


def choose_by_search(
    searched: SearchBounds,
    process: GaussianProcess,
    view: View,
    targets: Embedding,
    pool: Embedding,
    known: Embedding,
    order: Callable[[], list[Candidate]],
    steps: Callable[[list[Candidate]], int],
) -> tuple[list[Candidate], bool]:
    """Return the picks, and True if they are proven to be the optimum of the collection.

    Args:
        searched: holds the pool.
        process: whose variance is minimised.
        view: its centre and weights.
        targets: ``(m, d)``, as embedded.
        pool: ``(n, d)``, as embedded: from what typical cosines are read.
        known: ``(g, d)``, as embedded.
        order: makes the choice among what was found; it may add to it.
        steps: how many of the picks must be proven; more than there are where more were wanted.
    """

    def settled() -> list[Candidate]:
        while True:
            found = len(searched.found)
            picks = order()
            if len(searched.found) == found:
                return picks

    bounds = _Bounds(searched, process, view, targets, pool, known)
    wanted = bounds.first()
    picks: list[Candidate] = []
    proven = 0
    while searched.search_on(wanted):
        previous, picks = picks, settled()
        if searched.whole:
            return picks, True
        # what is proven stays chosen, but that rounding may turn a tie
        changed = (place for place, (old, new) in enumerate(zip(previous, picks, strict=False)) if old != new)
        proven = min(proven, next(changed, len(picks)))
        wanted, needed = [], steps(picks)
        while not wanted and proven < needed:
            wanted = bounds.doubts(picks[:proven], picks[proven] if proven < len(picks) else None)
            proven += not wanted
        if not wanted:
            return picks, True
    return picks or settled(), False


class _Bounds:
    """The directions to search on before a step is proven. All rows are float64, as the kernel sees them."""

    def __init__(
        self,
        searched: SearchBounds,
        process: GaussianProcess,
        view: View,
        targets: Embedding,
        pool: Embedding,
        known: Embedding,
    ) -> None:
        self._searched = searched
        self._kernel: PreparedKernel = prepared(process.kernel)
        self._noise_variance = process.noise_variance
        self._view = view
        self._targets = self._seen(targets)
        self._known = self._seen(known)
        self._pool = self._seen(pool)
        nowhere, each = np.zeros(targets.shape[1]), np.ones(len(targets))
        self._weights = np.asarray(each if view.weights is None else view.weights, dtype=np.float64)
        self._centre = np.asarray(nowhere if view.centre is None else view.centre, dtype=np.float64)
        self._squared_centre = float(self._centre @ self._centre)

    def first(self) -> list[np.ndarray]:
        """Return the directions to search before anything is asked: along the centre, for distances from it."""
        return [self._centre, -self._centre] if self._squared_centre else []

    def doubts(self, before: Sequence[Candidate], pick: Candidate | None) -> list[np.ndarray]:
        """Return the directions to search before ``pick`` is proven the next after ``before``; none if it is."""
        observed = [self._known, *(self._seen(candidate.embedding[None]) for candidate in before)]
        points = np.concatenate(observed)
        state = condition(self._targets, points, self._kernel, self._noise_variance)
        bound, directions = (
            self._rbf(state, points, self._kernel) if isinstance(self._kernel, Rbf) else self._linear(state, points)
        )
        if pick is not None and proves(self._gain(state, points, self._seen(pick.embedding[None])), bound.gain):
            return []
        enough = 0.5 * bound.shares.max()
        return [direction for direction, share in zip(directions, bound.shares, strict=True) if share >= enough]

    def _linear(self, state: Conditioned, points: np.ndarray) -> tuple[Bound, list[np.ndarray]]:
        deflated = self._targets - state.coefficients @ points
        directions = [*deflated, *-deflated]
        caps = np.maximum([self._searched.cap(direction) for direction in directions], 0.0).reshape(2, -1)
        largest = caps.max(axis=0)
        bound = linear_bound(state, largest, self._noise_variance, self._weights)
        shares = np.divide(caps, largest, out=np.zeros_like(caps), where=largest > 0.0) ** 2 * bound.shares
        return Bound(bound.gain, shares.ravel()), directions

    def _rbf(self, state: Conditioned, points: np.ndarray, kernel: Rbf) -> tuple[Bound, list[np.ndarray]]:
        distances = self._distances()
        caps, directions = [], []
        for row in (*self._targets, *points):
            pull = max(0.0, float(np.median(self._pool @ row))) if self._squared_centre else 0.0
            direction = row + pull * self._centre
            cap = self._searched.cap(direction)
            caps.append(cap_on_cosine(cap, float(row @ self._centre), pull, self._squared_centre, distances))
            directions.append(direction)
        targets = len(self._targets)
        bound = rbf_bound(
            state,
            np.array(caps[:targets]),
            np.array(caps[targets:]),
            kernel,
            self._noise_variance,
            self._weights,
        )
        return bound, directions

    def _distances(self) -> tuple[float, float]:
        """Return the bounds of the distance of anything unseen from the centre."""
        if not self._squared_centre:
            return 1.0, 1.0
        around, norm = 1.0 + self._squared_centre, self._squared_centre**0.5
        nearest = around - 2.0 * self._searched.cap(self._centre)
        farthest = around + 2.0 * self._searched.cap(-self._centre)
        return max(nearest, (1.0 - norm) ** 2) ** 0.5, min(farthest, (1.0 + norm) ** 2) ** 0.5

    def _gain(self, state: Conditioned, points: np.ndarray, row: np.ndarray) -> float:
        to_targets, to_points, prior = (
            np.asarray(self._kernel.matrix(row, rows))[0] for rows in (self._targets, points, row)
        )
        return gain_of(state, to_targets, to_points, float(prior[0]), self._noise_variance, self._weights)

    def _seen(self, rows: Embedding) -> np.ndarray:
        return np.asarray(self._view.seen(rows.astype(np.float64)))
