"""Check passages one by one: content against id, vector against checksum."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import ArrayLike

from sift_rag.stores.consistency import abridged
from sift_rag.stores.payloads import EMBEDDING_TEXT, VECTOR_CHECK, checksum_direction, embedding_text_key, passage_of
from sift_rag.types import Passage, passage_id

_COPIES_AT_ONCE = 64
"""Numbers of copies that are tried at once; higher ones only after all passages have been counted."""


_OURS = 5
"""Version of the UUIDs that are made of source and text."""


class Audit:
    """Counts of passages by source, and the problems of some."""

    def __init__(self, dimension: int | None = None, *, norm_tolerance: float = 0, check_tolerance: float = 0) -> None:
        """Start with no passage.

        Args:
            dimension: that of the vectors; None if unknown.
            norm_tolerance: allowed deviation of a vector's norm from 1.
            check_tolerance: allowed deviation of a vector's checksum: the rounding of the engine or server.
        """
        self.counts: Counter[str] = Counter()
        """Number of passages by source, damaged ones included."""
        self.intact: Counter[str] = Counter()
        """Number of passages by source whose content belongs to their id."""
        self.examples: dict[str, Passage] = {}
        """One intact passage of each source."""
        self.unchecked = 0
        """Number of passages that an earlier release wrote, without a checksum of their vector."""
        self._dimension = dimension
        self._tolerances = norm_tolerance, check_tolerance
        self._findings: list[str] = []
        self._late: list[Passage] = []

    def add(self, identifier: str, payload: Mapping[str, Any], vector: ArrayLike | None) -> None:
        """Check a passage and its vector, which None leaves out."""
        self._add_content(identifier, payload)
        if vector is not None:
            self._findings += self._vector_problems(identifier, payload, np.asarray(vector, dtype=np.float64))

    def problems(self) -> list[str]:
        """Return the problems of all passages added, a sentence each; the last ones are only counted."""
        late, self._late = self._late, []
        for passage in late:
            if is_copy(passage, range(_COPIES_AT_ONCE, self.counts[passage.source])):
                self._accept(passage)
            else:
                self._mismatch(passage)
        return abridged(self._findings)

    def _add_content(self, identifier: str, payload: Mapping[str, Any]) -> None:
        try:
            passage = passage_of(identifier, payload)
            key = embedding_text_key(passage.embedding_text)
        except (AttributeError, KeyError, TypeError, ValueError):
            self._findings.append(f"Passage {identifier} was not written by sift-rag, or its content is damaged.")
            return
        self.counts[passage.source] += 1
        if payload.get(EMBEDDING_TEXT) != key:
            self._mismatch(passage)
        elif not _is_ingested(passage) or is_copy(passage, range(_COPIES_AT_ONCE)):
            self._accept(passage)
        else:
            self._late.append(passage)

    def _accept(self, passage: Passage) -> None:
        self.intact[passage.source] += 1
        self.examples.setdefault(passage.source, passage)

    def _mismatch(self, passage: Passage) -> None:
        self._findings.append(
            f"The text of passage {passage.id} of '{passage.source}' is not the one it was written with."
        )

    def _vector_problems(self, identifier: str, payload: Mapping[str, Any], vector: np.ndarray) -> Iterable[str]:
        norm_tolerance, check_tolerance = self._tolerances
        if self._dimension not in {None, len(vector)}:
            return [f"The vector of passage {identifier} has {len(vector)} dimensions, expected {self._dimension}."]
        if not np.isfinite(vector).all():
            return [f"The vector of passage {identifier} is not finite."]
        norm = float(np.linalg.norm(vector))
        if abs(norm - 1) > norm_tolerance:
            return [f"The vector of passage {identifier} has norm {norm:.3g} instead of 1."]
        check = payload.get(VECTOR_CHECK)
        if not isinstance(check, (int, float)):
            self.unchecked += 1
        elif not abs(float(vector @ checksum_direction(len(vector))) / norm - check) <= check_tolerance:
            return [f"The vector of passage {identifier} is not the one it was written with: its checksum differs."]
        return []


def _is_ingested(passage: Passage) -> bool:
    """Return True if an ingest has made the id: whoever writes to a store directly chooses ids and sets no revision."""
    return bool(passage.revision) and UUID(passage.id).version == _OURS


def is_copy(passage: Passage, copies: Iterable[int]) -> bool:
    """Return True if a passage's id is that of one of these copies of its source and embedding text."""
    return any(str(passage_id(passage, copy)) == passage.id for copy in copies)
