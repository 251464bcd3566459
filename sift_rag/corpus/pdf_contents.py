"""Leave out the tables of contents of a PDF: lines of a title, dots, and the number of a page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from sift_rag.corpus.pdf_layout import Row, rows_of
from sift_rag.corpus.pdf_pages import Page

_DOTS_AND_NUMBER = re.compile(r"(?:\.\.\.|…) ?(?:(\d{1,4})|[ivxlcIVXLC]{1,7})$")
_LETTER = re.compile(r"\w")
_LEAST_ENTRIES = 4
_FEW_CHARACTERS = 60
"""Characters that a page of contents may hold besides: its heading and its number."""


def without_contents(pages: Sequence[Page]) -> list[Page]:
    """Return the pages without the entries of tables of contents, at least four of them on a page.

    The dots between title and page must be there, unless the page says that it is one or follows one that does. The
    page numbers may not fall: a list of prices stays.
    """
    kept: list[Page] = []
    follows = False
    for page in pages:
        rows = rows_of(page.segments)
        follows = follows or any(_CONTENTS.fullmatch(row.text.strip()) for row in rows[:3])
        kept.append(_without_entries(page, rows, len(pages), with_dots=not follows))
        follows = len(kept[-1].segments) < len(page.segments)
    return kept


_CONTENTS = re.compile(r"(?i:(?:table of )?contents|(?:inhalt(?:sverzeichnis|sübersicht)?)|table des matières|índice|"
                       r"contenido|indice|sommario|inhoud(?:sopgave)?)")  # fmt: skip
_NUMBER = re.compile(r" (\d{1,4})$")


def _without_entries(page: Page, rows: Sequence[Row], pages: int, *, with_dots: bool) -> Page:
    """Return a page without its entries; below a heading that says so, and on the next pages, they need no dots."""
    entries = [(row, found) for row in rows if (found := _entry(row.text, with_dots=with_dots)) is not None]
    numbers = [int(found[1]) for _, found in entries if found[1]]
    are_pages = all(low <= high for low, high in pairwise(numbers)) and max(numbers, default=0) <= 2 * pages
    if len(entries) < _LEAST_ENTRIES or not are_pages:
        return page
    gone = {segment.order for row, _ in entries for segment in row.segments}
    kept: list[Row] = [row for row in rows if row.segments[0].order not in gone]
    if sum(len(row.text) for row in kept) <= _FEW_CHARACTERS:
        kept = []
    orders = {segment.order for row in kept for segment in row.segments}
    return replace(page, segments=tuple(segment for segment in page.segments if segment.order in orders))


def _entry(text: str, *, with_dots: bool) -> re.Match[str] | None:
    """Return the end of an entry, whose group is its page if that is in Arabic numerals; None for other text."""
    found = _DOTS_AND_NUMBER.search(text) or (None if with_dots else _NUMBER.search(text))
    return found if found is not None and _LETTER.search(text, 0, found.start()) else None
