"""Passages that say the same: near-copies by text or by cosine, merged under one leader.

A corpus is full of copies: versions of a documentation, boilerplate, forwarded mail.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sift_rag.types import Candidate, Embedding, Passage

REMEMBERED_TEXTS = 4096
"""Texts whose normalised form is kept: a search merges the same candidates up to three times, and the next again."""
COPY_SIMILARITY = 0.98
"""Minimum cosine of two passages that say the same, if their numbers and negations agree too.

Calibrated: docs/log.md, "When is a passage a copy". A cosine alone cannot tell "costs 5" from "costs 7".
"""


def merge_copies(candidates: Iterable[Candidate], leading: Iterable[Candidate] = ()) -> list[Candidate]:
    """Return one candidate for each group of passages that say the same, the others in its ``copies``.

    A group is led by its most similar member (ties: first by source and position), so equal input in any order gives
    equal groups; which passages are copies says ``leaders_of_copies``. Those in ``leading`` lead before all others.
    """
    ordered = [*sorted(leading, key=_place), *sorted(candidates, key=reading_order)]
    rows = np.array([candidate.embedding for candidate in ordered], dtype=np.float32)
    groups: dict[int, list[Passage]] = {}
    for candidate, leader in zip(
        ordered, leaders_of_copies([candidate.passage.text for candidate in ordered], rows), strict=True
    ):
        groups.setdefault(leader, []).append(candidate.passage)
    return [
        replace(ordered[leader], copies=ordered[leader].copies + tuple(group[1:])) if group[1:] else ordered[leader]
        for leader, group in groups.items()
    ]


def leaders_of_copies(texts: Sequence[str], rows: Embedding) -> list[int]:
    """Return, for each text, the index of its leader: the first leader that it is a copy of, or itself.

    Two say the same if they are equal but for case, white space, Unicode form and ruled lines, or if their cosine
    is at least ``COPY_SIMILARITY`` and both have the same numbers and as many negations. O(n g d) for g groups.

    Args:
        texts: in order of precedence.
        rows: ``(n, d)``, their embeddings, of norm 1.
    """
    firsts: dict[str, int] = {}
    first = [place if form is None else firsts.setdefault(form, place) for place, form in enumerate(_forms(texts))]
    distinct = [place for place, earlier in enumerate(first) if earlier == place]
    of_distinct = rows if len(distinct) == len(rows) else rows[distinct]
    found = _leaders_by_cosine([texts[place] for place in distinct], of_distinct)
    leaders = dict(zip(distinct, (distinct[leader] for leader in found), strict=True))
    return [leaders[earlier] for earlier in first]


def says_the_same(first: Candidate, second: Candidate) -> bool:
    """Return True if one is a copy of the other, by the rule of ``merge_copies``."""
    return _normalised(first.passage.text) == _normalised(second.passage.text) or (
        float(first.embedding @ second.embedding) >= COPY_SIMILARITY
        and _facts(first.passage.text) == _facts(second.passage.text)
    )


def form_of(text: str) -> str:
    """Return a text without what does not count: case, white space, Unicode form and ruled lines."""
    return _normalised(text)


def reading_order(candidate: Candidate) -> tuple[float, str, int]:
    """Return a sorting key: similarity, descending, then by source and position."""
    return -candidate.similarity, candidate.passage.source, candidate.passage.span.start


def _place(candidate: Candidate) -> tuple[str, int]:
    return candidate.passage.source, candidate.passage.span.start


def _leaders_by_cosine(texts: Sequence[str], rows: Embedding) -> list[int]:
    """Return the leaders of texts that all differ. A block of rows is compared with the leaders before it alone."""
    leaders = np.arange(len(texts))
    led, count = np.empty(len(texts), dtype=np.intp), 0
    copies = _Copies(rows, _NumberedFacts(texts))
    for start in range(0, len(texts), _BLOCK):
        places = np.arange(start, min(start + _BLOCK, len(texts)))
        for first in range(0, count, _TILE):
            copy, leader = copies.between(places, led[first : min(first + _TILE, count)])
            leaders[copy[::-1]] = leader[::-1]  # the first leader of each is written last
            places = places[leaders[places] == places]
        for copy, leader in zip(*(found.tolist() for found in copies.between(places, places)), strict=True):
            if leaders[copy] == copy and leaders[leader] == leader:
                leaders[copy] = leader
        new = places[leaders[places] == places]
        led[count : count + len(new)] = new
        count += len(new)
    return leaders.tolist()


_BLOCK, _TILE = 256, 4096
"""Number of rows, and of leaders, whose cosines are computed at once."""


class _Copies:
    """The pairs of rows that are copies by cosine. Many rows are compared by shorter ones first."""

    def __init__(self, rows: Embedding, facts: _NumberedFacts) -> None:
        self._rows = rows
        self._facts = facts
        self._bounds = _bounding(rows) if len(rows) > _TILE else None

    def between(self, places: _Places, others: _Places) -> tuple[_Places, _Places]:
        """Return the places that are copies of others before them, and of which; by place, and by other."""
        first, second = self._close(places, others)
        is_same = self._facts.of(first) == self._facts.of(second)
        return first[is_same], second[is_same]

    def _close(self, places: _Places, others: _Places) -> tuple[_Places, _Places]:
        if self._bounds is not None:
            first, second = _above(COPY_SIMILARITY - _ROUNDING, self._bounds, places, others)
            if len(first) <= _MOST_PAIRS * len(places) * len(others):
                is_close = np.einsum("ij,ij->i", self._rows[first], self._rows[second]) >= COPY_SIMILARITY
                return first[is_close], second[is_close]
        return _above(COPY_SIMILARITY, self._rows, places, others)


_Places: TypeAlias = NDArray[np.intp]


def _above(least: float, rows: Embedding, places: _Places, others: _Places) -> tuple[_Places, _Places]:
    """Return the places, and others before them, whose rows have at least this product."""
    found, columns = np.divmod(np.flatnonzero(rows[places] @ rows[others].T >= least), len(others))
    first, second = places[found], others[columns]
    is_before = second < first
    return first[is_before], second[is_before]


def _bounding(rows: Embedding) -> Embedding | None:
    """Return shorter rows whose products are at least those of the rows, and seldom much more; None if there are none.

    They hold the part of a row in the directions in which the rows are longest, and the length of the rest: by Cauchy
    and Schwarz, the product of two rests is at most that of their lengths.
    """
    step = -(-len(rows) // _SAMPLE)
    sampled = rows[::step].astype(np.float64)
    longest = np.linalg.eigh(sampled @ sampled.T)[1][:, : -max(_DIMENSIONS) - 1 : -1]
    directions = np.linalg.qr(sampled.T @ longest)[0]
    others = np.arange(step // 2, len(rows), step)  # those that chose the directions fit them better
    for dimension in _DIMENSIONS:
        if 2 * dimension < rows.shape[1]:
            bounds = _bounds(rows, directions[:, :dimension])
            pairs, _ = _above(COPY_SIMILARITY - _ROUNDING, bounds, others, others)
            if len(pairs) <= _FEW_PAIRS * len(others) ** 2:
                return bounds
    return None


def _bounds(rows: Embedding, directions: NDArray[np.float64]) -> Embedding:
    bounds = np.empty((len(rows), directions.shape[1] + 1), dtype=np.float32)
    for start in range(0, len(rows), _TILE):
        block = rows[start : start + _TILE].astype(np.float64)
        inside = block @ directions
        rest = np.square(block).sum(axis=1) - np.square(inside).sum(axis=1)
        bounds[start : start + _TILE] = np.column_stack([inside, np.sqrt(rest.clip(min=0.0))])
    return bounds


_DIMENSIONS = 31, 63, 127
"""Numbers of directions to try."""
_SAMPLE = 512
"""Number of rows at most by which directions are chosen."""
_FEW_PAIRS, _MOST_PAIRS = 0.001, 0.01
"""Shares of pairs that short rows should and may leave: the cosine of one pair costs many times one of a block."""
_ROUNDING = 1e-4
"""More than what rounding to float32 changes in a product of two rows of norm 1."""


class _NumberedFacts:
    """The facts of texts as numbers, equal for equal facts; each is found when it is first asked for."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._numbers = np.full(len(texts), -1)
        self._number_of: dict[_Facts, int] = {}

    def of(self, places: NDArray[np.intp]) -> NDArray[np.int_]:
        """Return the numbers of the texts at these places."""
        for place in np.unique(places[self._numbers[places] < 0]).tolist():
            self._numbers[place] = self._number_of.setdefault(_facts(self._texts[place]), len(self._number_of))
        return self._numbers[places]


def _facts(text: str) -> _Facts:
    """Return the numbers and the negations of a text: a cosine does not see them, and a text may turn on them."""
    folded = text.casefold()
    return tuple(tuple(sorted(mark.findall(folded))) for mark in _FACTS)


_Facts: TypeAlias = tuple[tuple[str, ...], ...]
_FACTS = (re.compile(r"\d+"), re.compile(r"\b(?:no|not|never|none|without|cannot)\b|n['\u2019]t\b"))


def _forms(texts: Sequence[str]) -> list[str | None]:
    """Return each text normalised; None for one that equals no other, by the counts of some letters, which are fast."""
    signatures = list(map(_signature, texts))
    found = Counter(signatures)
    return [
        _normalised(text) if found[signature] > 1 else None for text, signature in zip(texts, signatures, strict=True)
    ]


@lru_cache(maxsize=REMEMBERED_TEXTS)
def _signature(text: str) -> tuple[int, ...]:
    lowered = text.lower() if text.isascii() else _normalised(text)
    return tuple(map(lowered.count, _LETTERS))


_LETTERS = "etaoin"
"""Letters whose counts normalisation never changes in ASCII text."""


@lru_cache(maxsize=REMEMBERED_TEXTS)
def _normalised(text: str) -> str:
    if text.isascii():  # nothing to normalise
        return " ".join(_RULE.sub("", text.lower()).split())
    return " ".join(_RULE.sub("", unicodedata.normalize("NFKC", text).casefold()).split())


_RULE = re.compile(r"([^\w\s])\1{2,}")
"""Lines and underlines of the same mark: typography, not content."""
