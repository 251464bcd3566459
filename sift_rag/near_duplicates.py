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
    led, led_places, count = np.empty_like(rows), np.empty(len(texts), dtype=np.intp), 0
    facts = _NumberedFacts(texts)
    for start in range(0, len(texts), _BLOCK):
        block = rows[start : start + _BLOCK]
        places = np.arange(start, start + len(block))
        before = block @ led[:count].T >= COPY_SIMILARITY
        close = np.hstack([before, np.tril(block @ block.T >= COPY_SIMILARITY, -1)])
        columns = np.concatenate([led_places[:count], places])
        for row in np.flatnonzero(close.any(axis=1)).tolist():
            near = columns[close[row]]
            near = near[leaders[near] == near]
            same = near[facts.of(near) == facts.of(places[row : row + 1])]
            leaders[start + row] = same[0] if same.size else start + row
        new = places[leaders[places] == places]
        led[count : count + len(new)], led_places[count : count + len(new)] = rows[new], new
        count += len(new)
    return leaders.tolist()


_BLOCK = 256
"""Number of rows whose cosines are computed at once."""


class _NumberedFacts:
    """The facts of texts as numbers, equal for equal facts; each is found when it is first asked for."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._numbers = np.full(len(texts), -1)
        self._number_of: dict[_Facts, int] = {}

    def of(self, places: NDArray[np.intp]) -> NDArray[np.int_]:
        """Return the numbers of the texts at these places."""
        for place in places[self._numbers[places] < 0].tolist():
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
