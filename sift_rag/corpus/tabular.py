"""JSON lines, JSON arrays and CSV: each record becomes a section."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

from sift_rag.corpus.json_lines import read_json_lines, split_lines, storable
from sift_rag.corpus.records import Record, named_rows, record_sections
from sift_rag.corpus.sections import Section
from sift_rag.errors import UnreadableDocument

_DELIMITERS = ",;\t|"
_ROWS_SEEN = 20
"""Rows that decide on the delimiter."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The records of a file as sections: read anew at each iteration, with one in memory at a time.

    Iterating raises ``UnreadableDocument`` at a row that is not a JSON object, or if no row has ``text_field``.
    """

    text: str
    format: Literal["jsonl", "csv"]
    text_field: str | None = None
    """Field that holds the text; None: the first of ``records.TEXT_FIELDS`` that a row has."""
    header: bool | None = None
    """True if the first row of CSV names the columns; None: recognised by its cells."""

    def __iter__(self) -> Iterator[Section]:
        records = read_json_lines(self.text) if self.format == "jsonl" else self._named()[0]
        return record_sections(records, self.text_field)

    @property
    def notices(self) -> tuple[str, ...]:
        """What was assumed of the columns."""
        notice = self._named()[1] if self.format == "csv" else ""
        return (notice,) if notice else ()

    def _named(self) -> tuple[Iterator[tuple[int, Record]], str]:
        return named_rows(_csv_rows(self.text), self.header)


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects of a JSON array as sections; can be iterated again."""

    objects: list[tuple[int, Record]] = field(repr=False)
    """The line of each object, from 1, with its fields."""
    text_field: str | None = None

    def __iter__(self) -> Iterator[Section]:
        return record_sections(self.objects, self.text_field)


def json_records(text: str, text_field: str | None) -> Objects | None:
    """Return the records of a JSON array of objects; None for any other text, which is read as it stands."""
    start = _skip(text, 0)
    if not text.startswith("[", start):
        return None
    decoder = json.JSONDecoder()
    objects: list[tuple[int, Record]] = []
    line, counted = 1, 0
    position = _skip(text, start + 1)
    while text.startswith("{", position):
        try:
            value, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            return None
        line, counted = line + text.count("\n", counted, position), position
        objects.append((line, {name: storable(item) for name, item in value.items()}))
        position = _skip(text, end)
        if text.startswith("]", position):
            return Objects(objects, text_field) if _skip(text, position + 1) == len(text) else None
        position = _skip(text, position + 1) if text.startswith(",", position) else len(text)
    return None


def _skip(text: str, position: int) -> int:
    """Return the first character from ``position`` that is not JSON's white space."""
    while position < len(text) and text[position] in " \t\n\r":
        position += 1
    return position


def _csv_rows(text: str) -> Iterator[tuple[int, list[str]]]:
    # A text may be as long as the file; the default of 131,072 characters is a guard for other uses.
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    reader = csv.reader(_lines(text), delimiter=_delimiter(text))
    first_line = 1
    try:
        for row in reader:
            yield first_line, row
            first_line = reader.line_num + 1
    except csv.Error as error:
        raise UnreadableDocument(f"line {reader.line_num} is not CSV: {error}") from error


def _lines(text: str) -> Iterator[str]:
    return (f"{line}\n" for line in split_lines(text))


def _delimiter(text: str) -> str:
    """Return the delimiter that cuts most of the first rows into the same number of cells, the more the better."""
    beginning = text[: 1 << 16]

    def agreement(delimiter: str) -> tuple[float, int]:
        try:
            widths = [len(row) for row in islice(csv.reader(_lines(beginning), delimiter=delimiter), _ROWS_SEEN) if row]
        except csv.Error:
            return 0.0, 0
        width, rows = Counter(width for width in widths).most_common(1)[0] if widths else (1, 0)
        return (rows / len(widths), width) if width > 1 else (0.0, 0)

    return max(_DELIMITERS, key=agreement)
