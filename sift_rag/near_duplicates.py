"""Passages that say the same: near-copies by text or by cosine, merged under one leader.

A corpus is full of copies: versions of a documentation, boilerplate, forwarded mail.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from sift_rag.types import Candidate, Embedding, Passage

COPY_SIMILARITY = 0.98
"""Minimum cosine of two passages that say the same, if their numbers and negations agree too.

Calibrated: docs/log.md, "When is a passage a copy". A cosine alone cannot tell "costs 5" from "costs 7".
"""


def merge_copies(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return one candidate for each group of passages that say the same, the others in its ``copies``.

    A group is led by its most similar member (ties: first by source and position), so equal input in any order gives
    equal groups; which passages are copies says ``leaders_of_copies``.
    """
    ordered = sorted(candidates, key=reading_order)
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
    leaders: list[int] = []
    by_form: dict[str, int] = {}
    for place, (form, close) in enumerate(zip(_forms(texts), _close_before(rows), strict=True)):
        leader = None if form is None else by_form.get(form)
        if leader is None:
            near = (earlier for earlier in close if leaders[earlier] == earlier)
            leader = next((earlier for earlier in near if _same_facts(texts[earlier], texts[place])), place)
        if form is not None:
            by_form.setdefault(form, leader)
        leaders.append(leader)
    return leaders


def says_the_same(first: Candidate, second: Candidate) -> bool:
    """Return True if one is a copy of the other, by the rule of ``merge_copies``."""
    return _normalised(first.passage.text) == _normalised(second.passage.text) or (
        float(first.embedding @ second.embedding) >= COPY_SIMILARITY
        and _same_facts(first.passage.text, second.passage.text)
    )


def reading_order(candidate: Candidate) -> tuple[float, str, int]:
    """Return a sorting key: similarity, descending, then by source and position."""
    return -candidate.similarity, candidate.passage.source, candidate.passage.span.start


def _close_before(rows: Embedding) -> Iterator[list[int]]:
    """Yield for each row the places, ascending, of those before it whose cosine with it makes it a copy."""
    for first in range(0, len(rows), _BLOCK):
        until = min(first + _BLOCK, len(rows))
        close = rows[first:until] @ rows[:until].T >= COPY_SIMILARITY
        places: list[list[int]] = [[] for _ in range(first, until)]
        for row, earlier in np.argwhere(np.tril(close, first - 1)).tolist():
            places[row].append(earlier)
        yield from places


_BLOCK = 256
"""Number of candidates whose cosines are computed at once."""


def _same_facts(first: str, second: str) -> bool:
    """Return True if numbers and negations agree: a cosine does not see them, and a text may turn on them."""
    return all(sorted(mark.findall(first.casefold())) == sorted(mark.findall(second.casefold())) for mark in _FACTS)


_FACTS = (re.compile(r"\d+"), re.compile(r"\b(?:no|not|never|none|without|cannot)\b|n['\u2019]t\b"))


def _forms(texts: Sequence[str]) -> list[str | None]:
    """Return each text normalised; None for one that equals no other, by the counts of some letters, which are fast."""
    lowered = [text.lower() if text.isascii() else _normalised(text) for text in texts]
    signatures = [tuple(map(text.count, _LETTERS)) for text in lowered]
    found = Counter(signatures)
    return [
        _normalised(text) if found[signature] > 1 else None for text, signature in zip(texts, signatures, strict=True)
    ]


_LETTERS = "etaoin"
"""Letters whose counts normalisation never changes in ASCII text."""


def _normalised(text: str) -> str:
    if text.isascii():  # nothing to normalise
        return " ".join(_RULE.sub("", text.lower()).split())
    return " ".join(_RULE.sub("", unicodedata.normalize("NFKC", text).casefold()).split())


_RULE = re.compile(r"([^\w\s])\1{2,}")
"""Lines and underlines of the same mark: typography, not content."""
