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
    bold: frozenset[tuple[int, int]] = frozenset()
    """Page and place in its order of the lines of bold letters that stand alone above a text."""
    has_bold_title: bool = False
    """True if the document begins with one of them, and no letters are larger."""

    def level(self, line: Segment, page: int) -> int | None:
        """Return the level of a heading, 1 for the outermost; None for any other line."""
        if self.outline:
            plain = self.outline.get((page, _normal(line.text)))
            return plain or self.outline.get((page, _normal(_LEADING_NUMBER.sub("", line.text))))
        if not _may_be_heading(line):
            return None
        if (size := _rounded(line.size)) in self.sizes:
            return min(self.sizes.index(size) + 1, _MOST_LEVELS)
        outer = len(self.sizes) + int(self.has_bold_title)
        if line.bold and (number := _NUMBERED.match(line.text)):
            return min(outer + 1 + (number[1] or "").count("."), _MOST_LEVELS)
        if (page, line.order) in self.bold:
            is_title = self.has_bold_title and (page, line.order) == min(self.bold)
            return 1 if is_title else min(outer + 1, _MOST_LEVELS)
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
    bold = _bold_alone(pages)
    top = next(((number, lines[0]) for number, lines in pages if lines), None)
    is_title = top is not None and (top[0], top[1].order) in bold and not _NUMBERED.match(top[1].text)
    used = {_rounded(line.size) for _, lines in pages for line in lines if _may_be_heading(line)}
    sizes = tuple(sorted(large & used, reverse=True))
    return Headings(body, sizes, _matched(pages, outline), bold, has_bold_title=not sizes and is_title)


_LONGEST_BOLD = 80
_MOST_BOLD = 0.25
"""Share of all characters that bold ones may have for a bold line to be a heading."""


def _bold_alone(pages: Sequence[tuple[int, Sequence[Segment]]]) -> frozenset[tuple[int, int]]:
    """Return page and order of the bold lines right above a text that is not, and not below another bold line."""
    total = sum(len(line.text) for _, lines in pages for line in lines)
    if sum(len(line.text) for _, lines in pages for line in lines if line.bold) > _MOST_BOLD * total:
        return frozenset()
    return frozenset(
        (number, line.order)
        for number, lines in pages
        for before, line, after in zip([None, *lines], lines, lines[1:], strict=False)
        if line.bold and not after.bold and len(line.text) <= _LONGEST_BOLD
        if before is None or not before.bold or not _is_below(before, line)
        if _may_be_heading(line) and _is_below(line, after) and after.left <= line.left + 3 * line.size
        if not line.text.rstrip().endswith((":", "!"))
    )


def _is_below(line: Segment, other: Segment) -> bool:
    """Return True if another line follows right below a line."""
    return 0 < line.baseline - other.baseline <= _NEXT * max(line.size, other.size)


_NEXT = 3.0


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
