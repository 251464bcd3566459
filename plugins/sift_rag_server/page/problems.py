"""The prepared arrays of the last selections: they do not depend on the noise, which a slider of the page changes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from hashlib import blake2b
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from sift_rag.selection import GaussianProcess, Pool

if TYPE_CHECKING:
    from sift_rag.selection.problem import Problem
    from sift_rag.selection.view import View

Kept = TypeVar("Kept")


class Recent(Generic[Kept]):
    """The values made last, by key. Safe to share between threads."""

    def __init__(self, entries: int = 32) -> None:
        self._entries = entries
        self._held: OrderedDict[Hashable, Kept] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """Return the value held for a key; else make it."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        made = make()
        with self._lock:
            self._held[key] = made
            self._held.move_to_end(key)
            while len(self._held) > self._entries:
                self._held.popitem(last=False)
        return made


class ProblemCache:
    """A cache of problems by pool, kernel and features. Safe to share between threads."""

    def __init__(self) -> None:
        self._held: Recent[list[tuple[View | None, Problem]]] = Recent()

    def get(self, key: Hashable, view: View | None, prepare: Callable[[], Problem]) -> Problem:
        """Return the problem held for this key and this very view; else prepare it."""
        slot = self._held.get(key, list)
        for held, problem in slot:
            if held is view:
                return problem
        problem = prepare()
        slot[:] = [(view, problem)]
        return problem


@dataclass(frozen=True, slots=True)
class RememberingProcess(GaussianProcess):
    """A Gaussian process that prepares the same pool once, whatever its noise."""

    cache: ProblemCache | None = None
    known: list[tuple[Pool, bytes]] = field(default_factory=list, compare=False)
    """The pools of one selection with their fingerprints."""

    @classmethod
    def of(cls, process: GaussianProcess, cache: ProblemCache) -> RememberingProcess:
        """Return the same process with a cache."""
        return cls(process.kernel, process.noise_variance, process.features, cache)

    def problem(self, pool: Pool, *, view: View | None = None, double: bool = False) -> Problem:
        """Return what ``GaussianProcess.problem`` does."""

        def prepare() -> Problem:
            return GaussianProcess.problem(self, pool, view=view, double=double)

        if self.cache is None or pool.relevance is not None:  # scores are of the request
            return prepare()
        key = (
            self.fingerprint(pool),
            repr(self.kernel),
            self.features,
            double,
            self.noise_variance < 0.1,
            view is None,
        )
        return self.cache.get(key, view, prepare)._replace(noise_variance=self.noise_variance)

    def fingerprint(self, pool: Pool) -> bytes:
        """Return a hash of all that a problem is made from, but for relevance scores."""
        for held, digest in self.known:
            if held is pool:
                return digest
        digest = _fingerprint(pool)
        self.known.append((pool, digest))
        return digest


def _fingerprint(pool: Pool) -> bytes:
    digest = blake2b(digest_size=20)
    arrays: tuple[Any, ...] = (pool.targets, pool.candidates, pool.known, pool.weights)
    for array in arrays:
        held = None if array is None else np.asarray(array)
        digest.update(repr(None if held is None else (held.shape, held.dtype.str)).encode())
        digest.update(b"" if held is None else held.tobytes())
    digest.update(repr((pool.reference, pool.texts)).encode("utf-8", "surrogatepass"))
    return digest.digest()
