"""Tell the headings of a PDF: by its outline, by the size of their letters, or by a number before bold letters."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sift_rag.corpus.pdf_pages import OutlineEntry, Segment

_LARGER = 1.12
"""Size of a heading, to that of the text, from which it is one."""

_LONGEST = 150
_MOST_LEVELS = 6
_MOST_LARGE = 0.3
"""Share of all characters that headings may have: with more, the size says something else."""

_LEAST_MATCHED = 0.5
"""Share of the outline's titles that must stand on their pages for the outline to name all headings."""

_NUMBERED = re.compile(
    r"((?:\d{1,3}|[A-Z])(?:\.\d{1,3}){0,4})[.)]?\s+\w|(?i:chapter|section|appendix|part)\s+\w{1,5}\b"
)
_LEADING_NUMBER = re.compile(r"^\W*(?:(?i:chapter|section|appendix|part)\s+)?(?:\d{1,3}|[A-Z])(?:\.\d{1,3})*[.):]?\s+")
_SENTENCE_END = (".", ",", ";")


@dataclass(frozen=True, slots=True)
class Headings:
    """The marks of a heading in one document."""

    body: float
    """Font size of the text, in points."""
    sizes: tuple[float, ...]
    """Sizes of headings, the largest first."""
    outline: dict[tuple[int, str], int] = field(default_factory=dict)
    """Level by page and title; if there are any, nothing else is a heading."""

    def level(self, line: Segment, page: int) -> int | None:
        """Return the level of a heading, 1 for the outermost; None for any other line."""
        if self.outline:
            plain = self.outline.get((page, _normal(line.text)))
            return plain or self.outline.get((page, _normal(_LEADING_NUMBER.sub("", line.text))))
        if not _may_be_heading(line):
            return None
        if (size := _rounded(line.size)) in self.sizes:
            return min(self.sizes.index(size) + 1, _MOST_LEVELS)
        if line.bold and (number := _NUMBERED.match(line.text)):
            return min(len(self.sizes) + 1 + (number[1] or "").count("."), _MOST_LEVELS)
        return None


def headings_of(pages: Sequence[tuple[int, Sequence[Segment]]], outline: Sequence[OutlineEntry]) -> Headings:
    """Return what tells the headings of a document.

    Args:
        pages: number and lines of each page, without running headers.
        outline: bookmarks of the document.
    """
    weights: Counter[float] = Counter()
    for _, lines in pages:
        for line in lines:
            weights[_rounded(line.size)] += len(line.text)
    if not weights:
        return Headings(0.0, ())
    body = max(weights, key=lambda size: (weights[size], size))
    large = {size for size in weights if size >= _LARGER * body}
    if sum(weights[size] for size in large) > _MOST_LARGE * weights.total():
        large = set()
    used = {_rounded(line.size) for _, lines in pages for line in lines if _may_be_heading(line)}
    return Headings(body, tuple(sorted(large & used, reverse=True)), _matched(pages, outline))


def largest_line(lines: Sequence[Segment], body: float) -> str:
    """Return the line in the largest letters, with those of its size that follow it; "" if none is larger than text."""
    size = max((line.size for line in lines if _may_be_heading(line)), default=0.0)
    if size < _LARGER * body:
        return ""
    title: list[str] = []
    for line in lines:
        if _rounded(line.size) == _rounded(size):
            title.append(line.text)
        elif title:
            break
    return " ".join(title)


def _matched(
    pages: Sequence[tuple[int, Sequence[Segment]]], outline: Sequence[OutlineEntry]
) -> dict[tuple[int, str], int]:
    """Return the levels of the outline's titles, if enough of them stand on their pages."""
    levels = {(entry.page, _normal(entry.title)): entry.level for entry in outline}
    levels |= {(entry.page, _normal(_LEADING_NUMBER.sub("", entry.title))): entry.level for entry in outline}
    wanted = {page for page, _ in levels}
    found: set[tuple[int, str]] = set()
    for number, lines in pages:
        if number in wanted:
            found.update(key for line in lines for key in _keys(number, line.text) if key in levels)
    enough = len(found) >= _LEAST_MATCHED * len({(entry.page, entry.title) for entry in outline})
    return {key: min(level, _MOST_LEVELS) for key, level in levels.items() if key[1]} if found and enough else {}


def _keys(page: int, text: str) -> Iterable[tuple[int, str]]:
    return (page, _normal(text)), (page, _normal(_LEADING_NUMBER.sub("", text)))


def _normal(title: str) -> str:
    return "".join(filter(str.isalnum, title.casefold()))


def _rounded(size: float) -> float:
    return round(2 * size) / 2


def _may_be_heading(line: Segment) -> bool:
    text = line.text.rstrip()
    return (
        len(text) <= _LONGEST
        and not line.mono
        and not text.endswith(_SENTENCE_END)
        and any(character.isalpha() for character in text)
    )
