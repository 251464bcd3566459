"""Records become sections: the text field is the text, short fields go before every passage of it.

A field that nobody sees answers no question: so each short field is embedded, shown and given to the model (``price:
19,90``), and every scalar is metadata that a filter can ask for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice

from sift_rag.corpus.decoding import one_line, universal_newlines
from sift_rag.corpus.sections import SECTION_BREAK, Section
from sift_rag.errors import UnreadableDocument
from sift_rag.types import JsonValue

Record = Mapping[str, JsonValue]

TEXT_FIELDS = ("text", "content", "contents", "body", "passage", "document", "abstract", "description", "page_content")
"""Names of fields that hold the text, in order of preference and in any case, unless one is named."""

TITLE_FIELDS = ("title", "heading", "headline")

SHORT = 200
"""Characters up to which a field is short."""

_LEAD = 600
"""Characters of all short fields together that go before every passage; the rest goes before the first only."""

_VALUE = re.compile(r"[-+(]?\s?(?:[A-Z]{3}\s|[€$£¥]\s?)?\d[\d\s.,:/'TZ+–-]*(?:[%€$£¥)]|\s[A-Z]{3})?")
"""A number, date, time or amount, which no column is called."""
_YEAR = re.compile(r"(?:19|20)\d\d")

_MOST_ROWS_SEEN = 50
"""Rows that decide whether the first one names the columns."""


def record_sections(records: Iterable[tuple[int, Record]], text_field: str | None) -> Iterator[Section]:
    """Yield a section for each record with text, one in memory at a time.

    Args:
        records: the line of each record, from 1, with its fields.
        text_field: field that holds the text; None: the first of ``TEXT_FIELDS`` that a record has.

    Raises:
        UnreadableDocument: no record has ``text_field``.
    """
    start = 0
    seen: dict[str, None] = {}
    found = False
    for line, record in records:
        if text_field is not None and text_field not in record:
            seen.update(dict.fromkeys(islice(record, 20)))
            continue
        found = True
        section = _section(record, text_field, start, line)
        if section is not None:
            yield section
            start += len(section.text) + len(SECTION_BREAK)
    if seen and not found:
        raise UnreadableDocument(f"no row has the field {text_field!r}: they have {', '.join(seen)}")


def named_rows(
    rows: Iterable[tuple[int, Sequence[str]]], header: bool | None = None
) -> tuple[Iterator[tuple[int, dict[str, JsonValue]]], str]:
    """Name the cells of rows by the first row, or else by number.

    Args:
        rows: the line of each row, from 1, with its cells.
        header: True if the first row names the columns, False if it does not; None: recognised by its cells.

    Returns:
        The records, read as they are iterated over, and a notice if columns are numbered ("" otherwise).
    """
    rows = ((line, row) for line, row in rows if any(cell.strip() for cell in row))
    first = list(islice(rows, _MOST_ROWS_SEEN))
    if header is None:
        header = _names_columns([row for _, row in first])
    notice = "" if header or not first else "no header row: columns are named by number"
    names = _unique(first[0][1]) if header and first else []
    return _named(chain(first[1:] if header else first, rows), names), notice


def _section(record: Record, text_field: str | None, start: int, line: int) -> Section | None:
    """Return None for a record without text."""
    by_name = {name.lower(): name for name in reversed(list(record))}
    field = text_field or _first_text(record, by_name, TEXT_FIELDS)
    title = _first_text(record, by_name, TITLE_FIELDS)
    title = None if title == field else title
    others = {name: value for name, value in _flat(record) if name not in {field, title}}
    short = [f"{name}: {one_line(text)}" for name, text in others.items() if len(text) <= SHORT]
    long = [f"{name}: {text}" for name, text in others.items() if len(text) > SHORT]
    body = [_as_text(record[field])] if field is not None and _as_text(record[field]).strip() else []
    if not (body or long):
        lead, text = "", "\n".join(short) or (_as_text(record[title]) if title is not None else "")
    else:
        fits = _fitting(short, _LEAD)
        lead, text = "\n".join(short[:fits]), "\n".join([*short[fits:], *body, *long])
    text = universal_newlines(text)
    if not text.strip() or (text_field is not None and not body):
        return None
    return Section(
        text,
        start=start,
        line=line,
        keeps_lines=False,
        headings=(one_line(_as_text(record[title])),) if title is not None else (),
        metadata={name: value for name, value in record.items() if name != field},
        lead=lead,
    )


def _flat(record: Record) -> Iterator[tuple[str, str]]:
    """Yield the fields that hold something as text: lists joined by commas, objects by ``outer.inner``."""
    for name, value in record.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{inner}", text) for inner, text in _flat(value))
        elif text := _as_text(value).strip():
            yield name, text


def _as_text(value: JsonValue) -> str:
    if value is None:
        return ""
    if isinstance(value, list) and not any(isinstance(item, list | dict) for item in value):
        return ", ".join(text for item in value if (text := _as_text(item)))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _first_text(record: Record, by_name: Mapping[str, str], wanted: tuple[str, ...]) -> str | None:
    """Return the first of the ``wanted`` fields that holds a text."""
    for name in wanted:
        value = record[by_name[name]] if name in by_name else None
        if isinstance(value, str) and value.strip():
            return by_name[name]
    return None


def _fitting(lines: Sequence[str], characters: int) -> int:
    """Return how many of the lines fit into a number of characters."""
    for number, line in enumerate(lines):
        characters -= len(line) + 1
        if characters < 0:
            return number
    return len(lines)


def _names_columns(rows: Sequence[Sequence[str]]) -> bool:
    """Return True if the first of the rows reads like names of columns.

    It does not if it holds a number, a date or an amount, or if it repeats a cell while no column holds values below
    it. A year may name a column, unless years stand below it.
    """
    if not rows:
        return True
    first = [cell.strip() for cell in rows[0]]
    columns = [[row[number].strip() for row in rows[1:] if number < len(row)] for number in range(len(first))]
    for cell, below in zip(first, columns, strict=True):
        if _VALUE.fullmatch(cell) and not (_YEAR.fullmatch(cell) and not any(map(_YEAR.fullmatch, below))):
            return False
    filled = [cell for cell in first if cell]
    return len(set(filled)) == len(filled) or any(below and all(map(_VALUE.fullmatch, below)) for below in columns)


def _unique(names: Sequence[str]) -> list[str]:
    """Return names for columns: numbers for empty cells, and for cells that were there before."""
    named: list[str] = []
    for number, cell in enumerate(names, start=1):
        name = one_line(cell) or f"column {number}"
        named.append(name if name not in named else f"{name} ({number})")
    return named


def _named(rows: Iterable[tuple[int, Sequence[str]]], names: list[str]) -> Iterator[tuple[int, dict[str, JsonValue]]]:
    for line, row in rows:
        names += [f"column {number}" for number in range(len(names) + 1, len(row) + 1)]
        yield line, dict(zip(names, row, strict=False))
