"""Find the running headers and footers of a PDF: rows at the top or bottom of most pages that say the same."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from itertools import chain
from statistics import median
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

_HEADING = 1.15
"""Font size, to the one of most of the text, above which numbers tell rows apart: Chapter 1 and Chapter 2."""

_Key: TypeAlias = tuple[int, str]
"""Font size of a row, and what it says, in small type with every number as ``#``."""

_DIGITS = re.compile(r"\d+")
_FIRST_OR_LAST = re.compile(r"^\d{1,5}\b|\b\d{1,5}(?=\W{0,3}$)")
_MOMENT = r"\d{1,4}[./-]\d{1,2}[./-]\d{2,4},? \d{1,2}[:.]\d{2}(?: ?[AaPp]\.?[Mm]\.?)?"
_ADDRESS = r"(?:https?|file):/\S{1,500}"
_PRINTED_ABOVE = re.compile(rf"{_MOMENT}(?: .{{0,500}})?|(?:.{{0,500}} )?{_ADDRESS}")
_PRINTED_BELOW = re.compile(rf"{_ADDRESS} (\d{{1,5}})/(\d{{1,5}})|(\d{{1,5}}) \w{{2,5}} (\d{{1,5}}) {_MOMENT}")
"""Rows that a browser puts above and below each page that it prints."""
_PAGE_OF_PAGES = re.compile(r"\W{0,3}(?:[^\W\d]{1,12}\.? )?(\d{1,5})(?: ?/ ?| [^\W\d]{2,5} )(\d{1,5})\W{0,3}")
_ROMAN = re.compile(r"\W{0,3}[ivxl]{1,8}\W{0,3}")
_PAGE_NUMBER = re.compile(r"\W{0,3}\d{1,5}\W{0,3}|\W{0,3}[ivxl]{1,8}\W{0,3}")


def without_running_rows(pages: Sequence[Page]) -> list[tuple[Segment, ...]]:
    """Return the segments of each page without running headers, footers and page numbers.

    A row is running if it stands on at least half of the pages, or of the left or right ones, digits apart, and on
    at least three; if only running rows are between it and the edge; and if it rarely stands elsewhere. What a browser
    adds to a page that it prints, and "page 1 of 2", is running on any page. Pages that would lose all of their text
    keep it, unless they are few: those were left empty, before a chapter for example.
    """
    rows = [rows_of(page.segments) for page in pages]
    kept = [_without_marks(page, page_rows, len(pages)) for page, page_rows in zip(pages, rows, strict=True)]
    rows = [
        page_rows if after is page else rows_of(after.segments)
        for page, after, page_rows in zip(pages, kept, rows, strict=True)
    ]
    pages = kept
    if len(pages) < _LEAST_PAGES:
        return _of_few(pages, rows)
    body = _body_size(rows)
    keys = [[_key(row, body) for row in page_rows] for page_rows in rows]
    running = _running(pages, rows, keys, body)
    numbered = _numbered(pages, rows)
    roman = sum(any(_ROMAN.fullmatch(found[end].text) for end in (0, -1)) for found in rows if found)
    dropped = [
        _dropped(
            page,
            page_rows,
            [key in running for key in page_keys],
            _PAGE_NUMBER if has_number else _ROMAN if roman > 1 else None,
        )
        for page, page_rows, page_keys, has_number in zip(pages, rows, keys, numbered, strict=True)
    ]
    emptied = sum(len(gone) == len(page_rows) > 0 for gone, page_rows in zip(dropped, rows, strict=True))
    keeps_text = emptied > _MOST_EMPTY * len(pages)
    return [
        _without(page, page_rows, gone, keeps_text=keeps_text)
        for page, page_rows, gone in zip(pages, rows, dropped, strict=True)
    ]


_MOST_EMPTY = 0.25
"""Share of the pages that may have running rows alone."""

_STAMP = 1.8
"""Font size, to that of most of the text, from which letters at the same place of most pages are a watermark."""


def without_stamps(pages: Sequence[Page]) -> list[Page]:
    """Return the pages without what is stamped over or beside the text of half of them, and of three at least.

    It is turned, such as a note along the margin, or in large letters at one place, such as the word "draft".
    """
    body = median([segment.size for page in pages for segment in page.segments] or [0.0])
    least = max(_LEAST_PAGES, _SHARE * len(pages))
    pages = [
        replace(page, segments=tuple(segment for segment in page.segments if not _GOES_ON.fullmatch(segment.text)))
        for page in pages
    ]
    turned = Counter(_DIGITS.sub("#", line) for page in pages for line in set(page.turned))
    large = Counter(key for page in pages for key in {_place(s) for s in page.segments if s.size > _STAMP * body})
    stamps = {key for key, count in large.items() if count >= least}
    lines = {line for line, count in turned.items() if count >= least}
    if not stamps and not lines:
        return list(pages)
    return [
        replace(
            page,
            segments=tuple(s for s in page.segments if _place(s) not in stamps),
            turned=tuple(line for line in page.turned if _DIGITS.sub("#", line) not in lines),
        )
        for page in pages
    ]


_GOES_ON = re.compile(
    r"\((?:continue[sd] (?:on|from) (?:the )?(?:next|previous|following|preceding) page|Fortsetzung.{0,30})\)"
)
"""Remarks of a program that a block goes on overleaf."""


def _place(segment: Segment) -> tuple[int, int, str]:
    return round(segment.left), round(segment.baseline), segment.text


_NUMBER_OF_PAGE = re.compile(r"(?:[^\n]{0,40}[^\w\s] ?)?(?:(?i:page|seite|p|s|pag)\.? ?)?\W{0,3}(\d{1,3})\W{0,3}")


def _of_few(pages: Sequence[Page], rows: Sequence[Sequence[Row]]) -> list[tuple[Segment, ...]]:
    """Return the segments of one page or two without page numbers and without rows that both have at one edge."""
    edges = [{_edge(page_rows, end) for end in (0, -1)} for page_rows in rows if page_rows]
    shared = set.intersection(*edges) if len(edges) == len(pages) > 1 else set()
    kept = []
    for page, page_rows in zip(pages, rows, strict=True):
        ends = (0, -1) if len(page_rows) > 2 else ()
        dropped = {
            end % len(page_rows)
            for end in ends
            if _is_in_zone(page, page_rows[end])
            if _edge(page_rows, end) in shared or (_is_apart(page_rows, end) and _says_number(page_rows[end], page))
        }
        kept.append(_without(page, page_rows, dropped))
    return kept


def _edge(rows: Sequence[Row], end: int) -> tuple[int, int, str]:
    return end, round(rows[end].baseline / 2), _DIGITS.sub("#", rows[end].text.casefold())


def _is_in_zone(page: Page, row: Row) -> bool:
    return not _ZONE / 2 * page.height < row.baseline < (1 - _ZONE / 2) * page.height


def _is_apart(rows: Sequence[Row], end: int) -> bool:
    row, inner = rows[end], rows[1 if end == 0 else -2]
    return abs(row.baseline - inner.baseline) > _APART * max(row.size, inner.size)


def _says_number(row: Row, page: Page) -> bool:
    found = _NUMBER_OF_PAGE.fullmatch(row.text)
    return found is not None and int(found[1]) == page.number


def _without_marks(page: Page, rows: Sequence[Row], pages: int) -> Page:
    """Return a page without what a browser adds to it, and without its number of so many pages."""
    marks = [index for index in {0, len(rows) - 1} if rows and _is_number_of(_PAGE_OF_PAGES, rows[index], page, pages)]
    if (
        len(rows) > 2
        and _PRINTED_ABOVE.fullmatch(rows[0].text)
        and _is_number_of(_PRINTED_BELOW, rows[-1], page, pages)
    ):
        marks = [0, len(rows) - 1]
    return replace(page, segments=_without(page, rows, marks)) if marks else page


def _is_number_of(pattern: re.Pattern[str], row: Row, page: Page, pages: int) -> bool:
    """Return True if a row is nothing but that pattern, with the number of this page and the number of all."""
    found = pattern.fullmatch(row.text)
    return found is not None and [int(number) for number in found.groups() if number] == [page.number, pages]


def _key(row: Row, body: float) -> _Key:
    text = row.text if row.size > _HEADING * body else _DIGITS.sub("#", row.text)
    return round(row.size), text.casefold()


def _body_size(rows: Iterable[Sequence[Row]]) -> float:
    """Return the font size of most of the text."""
    sizes: Counter[float] = Counter()
    for row in chain.from_iterable(rows):
        sizes[round(row.size, 1)] += len(row.text)
    return max(sizes, key=sizes.__getitem__, default=0.0)


def _has_letters(key: _Key) -> bool:
    return any(map(str.isalpha, key[1]))


def _ends(page: Page, rows: Sequence[Row]) -> tuple[list[int], list[int]]:
    """Return the indices of the rows at the top of a page, and of those at its bottom, from the edge inwards."""
    top, bottom = (1 - _ZONE) * page.height, _ZONE * page.height
    first = [index for index in range(min(_DEPTH, len(rows))) if rows[index].baseline >= top]
    last = [index for index in range(max(0, len(rows) - _DEPTH), len(rows)) if rows[index].baseline <= bottom]
    return first, last[::-1]


def _running(
    pages: Sequence[Page], rows: Sequence[Sequence[Row]], keys: Sequence[Sequence[_Key]], body: float
) -> set[_Key]:
    """Return the keys of running rows that hold letters."""
    everywhere = Counter(chain.from_iterable(keys))
    at_ends: dict[_Key, set[int]] = defaultdict(set)
    for number, (page, page_rows) in enumerate(zip(pages, rows, strict=True)):
        for index in chain(*_ends(page, page_rows)):
            at_ends[keys[number][index]].add(number)
    return _in_place(rows, keys, body) | {
        key
        for key, found in at_ends.items()
        if len(found) >= _LEAST_PAGES
        and _has_letters(key)
        and everywhere[key] <= (1 + _MOST_ELSEWHERE) * len(found)
        and _is_frequent(found, len(rows))
    }


_MOSTLY = 0.6
"""Share of the rows at such a place that must repeat for all of them to be running."""


def _in_place(rows: Sequence[Sequence[Row]], keys: Sequence[Sequence[_Key]], body: float) -> set[_Key]:
    """Return the keys of rows that repeat at a place that most pages keep for such rows, chapter titles for example.

    If most do, so are the others in letters no larger than the text.

    The place is the height of the first or last row, if that row stands apart from the text.
    """
    places: dict[int, Counter[_Key]] = defaultdict(Counter)
    for page_rows, page_keys in zip(rows, keys, strict=True):
        if len(page_rows) > 1:
            for outer, inner in ((0, 1), (-1, -2)):
                row, distance = page_rows[outer], abs(page_rows[outer].baseline - page_rows[inner].baseline)
                if distance > _APART * max(row.size, page_rows[inner].size):
                    places[round(row.baseline / 2)][page_keys[outer]] += 1
    least = max(_LEAST_PAGES, _SHARE * len(rows))
    kept = [found for found in places.values() if found.total() >= least]
    running = {key for found in kept for key, count in found.items() if count > 1 and _has_letters(key)}
    for found in kept:
        repeated = sum(count for count in found.values() if count > 1)
        if repeated >= _MOSTLY * found.total():  # the others are there too: the titles of shorter sections
            running |= {key for key in found if key[0] <= body * 1.05 and _has_letters(key)}
    return running


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


def _dropped(page: Page, rows: Sequence[Row], running: Sequence[bool], number: re.Pattern[str] | None) -> set[int]:
    """Return the rows of a page that are running."""
    dropped: set[int] = set()
    for indices in _ends(page, rows):
        for index in indices:
            is_number = number is not None and number.fullmatch(rows[index].text) is not None
            if not is_number and not running[index]:
                break
            dropped.add(index)
    return dropped


def _without(
    page: Page, rows: Sequence[Row], dropped: Collection[int], *, keeps_text: bool = True
) -> tuple[Segment, ...]:
    """Return the segments of a page without those of some rows; if that is all and it keeps its text, all of them."""
    if len(dropped) == len(rows) and keeps_text:
        return page.segments
    gone = {segment.order for index in dropped for segment in rows[index].segments}
    return tuple(segment for segment in page.segments if segment.order not in gone)
