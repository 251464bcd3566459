"""Find the running headers and footers of a PDF: rows at the top or bottom of most pages that say the same."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TypeAlias

from sift_rag.corpus.pdf_layout import Row, rows_of
from sift_rag.corpus.pdf_pages import Page, Segment

_DEPTH = 3
"""Rows at each end of a page that may be running."""

_ZONE = 0.2
"""Share of a page's height, at its top and at its bottom, in which running rows stand."""

_LEAST_PAGES = 3
_SHARE = 0.5
"""Share of the pages, or of the left or the right ones, on which a row must stand."""

_MOST_ELSEWHERE = 0.2
"""Occurrences elsewhere on pages, to those at the end of pages, above which a row is part of the text."""

_APART = 1.8
"""Distance to the text, in font sizes, of a row that stands apart."""

_Key: TypeAlias = tuple[int, str]
"""Font size of a row, and what it says with every number as ``#``."""

_DIGITS = re.compile(r"\d+")
_FIRST_OR_LAST = re.compile(r"^\d{1,5}\b|\b\d{1,5}(?=\W{0,3}$)")
_PAGE_NUMBER = re.compile(r"\W{0,3}\d{1,5}\W{0,3}|\W{0,3}[ivxl]{1,8}\W{0,3}")


def without_running_rows(pages: Sequence[Page]) -> list[tuple[Segment, ...]]:
    """Return the segments of each page without running headers, footers and page numbers.

    A row is running if it stands on at least half of the pages, or of the left or right ones, digits apart, and on
    at least three; if only running rows are between it and the edge; and if it rarely stands elsewhere. A page that
    would lose all of its text keeps it.
    """
    if len(pages) < _LEAST_PAGES:
        return [page.segments for page in pages]
    rows = [rows_of(page.segments) for page in pages]
    running = _running(pages, rows)
    numbered = _numbered(pages, rows)
    return [
        _kept(page, page_rows, running, has_number=has_number)
        for page, page_rows, has_number in zip(pages, rows, numbered, strict=True)
    ]


def _key(row: Row) -> _Key:
    return round(row.size), _DIGITS.sub("#", row.text).casefold()


def _has_letters(key: _Key) -> bool:
    return any(map(str.isalpha, key[1]))


def _ends(page: Page, rows: Sequence[Row]) -> tuple[list[int], list[int]]:
    """Return the indices of the rows at the top of a page, and of those at its bottom, from the edge inwards."""
    top, bottom = (1 - _ZONE) * page.height, _ZONE * page.height
    first = [index for index in range(min(_DEPTH, len(rows))) if rows[index].baseline >= top]
    last = [index for index in range(max(0, len(rows) - _DEPTH), len(rows)) if rows[index].baseline <= bottom]
    return first, last[::-1]


def _running(pages: Sequence[Page], rows: Sequence[Sequence[Row]]) -> set[_Key]:
    """Return the keys of running rows that hold letters."""
    everywhere = Counter(_key(row) for page_rows in rows for row in page_rows)
    at_ends: dict[_Key, set[int]] = defaultdict(set)
    for number, (page, page_rows) in enumerate(zip(pages, rows, strict=True)):
        for index in chain(*_ends(page, page_rows)):
            at_ends[_key(page_rows[index])].add(number)
    return _in_place(rows) | {
        key
        for key, found in at_ends.items()
        if len(found) >= _LEAST_PAGES
        and _has_letters(key)
        and everywhere[key] <= (1 + _MOST_ELSEWHERE) * len(found)
        and _is_frequent(found, len(rows))
    }


def _in_place(rows: Sequence[Sequence[Row]]) -> set[_Key]:
    """Return the keys of rows that repeat at a place that most pages keep for such rows, chapter titles for example.

    The place is the height of the first or last row, if that row stands apart from the text.
    """
    places: dict[int, Counter[_Key]] = defaultdict(Counter)
    for page_rows in rows:
        if len(page_rows) > 1:
            for row, inner in ((page_rows[0], page_rows[1]), (page_rows[-1], page_rows[-2])):
                if abs(row.baseline - inner.baseline) > _APART * max(row.size, inner.size):
                    places[round(row.baseline / 2)][_key(row)] += 1
    least = max(_LEAST_PAGES, _SHARE * len(rows))
    kept = (keys for keys in places.values() if keys.total() >= least)
    return {key for keys in kept for key, count in keys.items() if count > 1 and _has_letters(key)}


def _is_frequent(found: Iterable[int], pages: int) -> bool:
    """Return True if enough of all pages, of the even ones, or of the odd ones are among those found."""
    even = sum(number % 2 == 0 for number in found)
    odd = sum(number % 2 == 1 for number in found)
    return (
        even + odd >= _SHARE * pages
        or even >= max(_LEAST_PAGES, 1.6 * _SHARE * ((pages + 1) // 2))
        or odd >= max(_LEAST_PAGES, 1.6 * _SHARE * (pages // 2))
    )


def _numbered(pages: Sequence[Page], rows: Sequence[Sequence[Row]]) -> list[bool]:
    """Return for each page whether its first or last row begins or ends with the page's number."""
    offsets = Counter(
        offset for page, page_rows in zip(pages, rows, strict=True) for offset in _offsets(page.number, page_rows)
    )
    offset, count = offsets.most_common(1)[0] if offsets else (0, 0)
    is_numbered = count >= max(_LEAST_PAGES, _SHARE * len(pages))
    return [is_numbered and offset in _offsets(page.number, found) for page, found in zip(pages, rows, strict=True)]


def _offsets(number: int, rows: Sequence[Row]) -> set[int]:
    ends = {0: rows[0], 1: rows[-1]} if rows else {}
    return {int(found) - number for row in ends.values() for found in _FIRST_OR_LAST.findall(row.text)}


def _kept(page: Page, rows: Sequence[Row], running: set[_Key], *, has_number: bool) -> tuple[Segment, ...]:
    dropped: set[int] = set()
    for indices in _ends(page, rows):
        for index in indices:
            is_number = has_number and _PAGE_NUMBER.fullmatch(rows[index].text) is not None
            if not is_number and _key(rows[index]) not in running:
                break
            dropped.add(index)
    if len(dropped) == len(rows):
        return page.segments
    gone = {segment.order for index in dropped for segment in rows[index].segments}
    return tuple(segment for segment in page.segments if segment.order not in gone)
