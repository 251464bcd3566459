"""Read rows of cells, such as CSV, as records: find the row that names the columns, and the delimiter."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import multimode
from typing import NamedTuple

from sift_rag.corpus.json_lines import split_lines
from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.records import TEXT_FIELDS, TITLE_FIELDS, Record, RecordSections
from sift_rag.corpus.sections import Extracted
from sift_rag.errors import UnreadableDocument
from sift_rag.types import JsonValue

NO_HEADER = "no header row: columns are numbered"

_SAMPLE = 50
"""Rows by which the delimiter and the header are recognised."""
_DELIMITERS = ",;\t|"
_NONE = "\x1f"
"""Delimiter that no text holds, for a file of one column."""
_LONGEST_NAME = 100

_COLUMN_NAMES = frozenset((*TEXT_FIELDS, *TITLE_FIELDS, "id", "name", "date", "url", "label", "type", "category"))
_NUMBER = re.compile(r"[^\w\s]{0,2}\s?\d[\d.,'\u00a0\u202f ]*\s?(?:[eE][+-]?\d+|%|\u20ac|\$)?")
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[T ]\d{1,2}:\d{2}\S*)?|\d{1,2}:\d{2}(?::\d{2})?")
_YEAR = re.compile(r"(?:18|19|20|21)\d\d")


class Row(NamedTuple):
    """A row of cells that are not all empty."""

    line: int
    """Line of the file, or row of the sheet, on which it begins, from 1."""
    cells: Sequence[JsonValue]


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of a table: what its first rows are."""

    above: int
    """Number of rows above the table that hold a single cell, such as its title."""
    has_header: bool
    """True if the first row below them names the columns."""


def read_csv(text: str, options: IngestOptions, *, prefers_tabs: bool = False) -> Extracted:
    r"""Return a section for each row of CSV, read as it is iterated over.

    Args:
        text: lines ended by ``\n``.
        options: ``header`` and ``text_field`` matter.
        prefers_tabs: True for a file that says it is separated by tabs.
    """
    rows = CsvRows(text, _delimiter(text, prefers_tabs=prefers_tabs))
    try:
        sample = list(islice(rows, _SAMPLE))
    except UnreadableDocument:
        sample = []  # the same will show at the first iteration
    layout = layout_of([row.cells for row in sample], options)
    notices = (NO_HEADER,) if sample and not layout.has_header and options.header is None else ()
    return Extracted(RecordSections(TableRecords(rows, layout), options.text_field), notices=notices)


@dataclass(frozen=True, slots=True)
class CsvRows:
    """The rows of CSV, parsed anew at each iteration. Iterating raises ``UnreadableDocument`` where it is not CSV."""

    text: str
    delimiter: str

    def __iter__(self) -> Iterator[Row]:
        # A text may be as long as the file; the default of 131,072 characters is a guard for other uses.
        csv.field_size_limit(max(csv.field_size_limit(), len(self.text)))
        reader = csv.reader((f"{line}\n" for line in split_lines(self.text)), delimiter=self.delimiter)
        first_line = 1
        try:
            for cells in reader:
                line, first_line = first_line, reader.line_num + 1
                if any(cell.strip() for cell in cells):
                    yield Row(line, cells)
        except csv.Error as error:
            raise UnreadableDocument(f"line {reader.line_num} is not CSV: {error}") from error


@dataclass(frozen=True, slots=True)
class TableRecords:
    """The rows of a table as records, with its columns as fields."""

    rows: Iterable[Row]
    layout: Layout
    headings: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Record]:
        names: list[str] = []
        for number, row in enumerate(self.rows):
            if number < self.layout.above:
                yield Record({"text": next(str(cell) for cell in row.cells if _filled(cell))}, row.line, self.headings)
            elif number == self.layout.above and self.layout.has_header:
                names = _distinct(row.cells)
            else:
                names += [f"column {count}" for count in range(len(names) + 1, len(row.cells) + 1)]
                yield Record(dict(zip(names, row.cells, strict=False)), row.line, self.headings)


def layout_of(rows: Sequence[Sequence[JsonValue]], options: IngestOptions) -> Layout:
    """Recognise what the first rows of a table are, unless the options say so.

    A row names the columns unless it looks like the rows below it: a number or a date above numbers or dates, a cell
    that its own column repeats, a name given twice, or a cell too long for a name.
    """
    if options.header is not None:
        return Layout(0, options.header)
    above = _rows_above(rows)
    if above >= len(rows):
        return Layout(0, bool(rows) and _names_columns(rows[0], [], options.text_field))
    return Layout(above, _names_columns(rows[above], rows[above + 1 :], options.text_field))


def _rows_above(rows: Sequence[Sequence[JsonValue]]) -> int:
    """Count the rows of a single cell, the first, before a table of more columns whose first row is full."""
    filled = [sum(map(_filled, row)) for row in rows]
    above = next((number for number, count in enumerate(filled) if count > 1), 0)
    below = filled[above:]
    is_table = len(below) >= 2 and above <= 10 and below[0] >= max(multimode(below)) and below[0] >= max(below) - 1
    return above if is_table and all(_filled(row[0]) for row in rows[:above]) else 0


def _names_columns(first: Sequence[JsonValue], below: Sequence[Sequence[JsonValue]], text_field: str | None) -> bool:
    names = [str(cell).strip().lower() for cell in first if _filled(cell)]
    if not _COLUMN_NAMES.isdisjoint(names) or (text_field is not None and text_field.lower() in names):
        return True
    columns = [
        (first[number], [row[number] for row in below if number < len(row) and _filled(row[number])])
        for number in range(len(first))
        if _filled(first[number])
    ]
    kinds = [(_kind(top), Counter(map(_kind, cells))) for top, cells in columns]
    if any(top != "text" and (cells[top] > 0 or not cells) for top, cells in kinds) and not _are_years(columns):
        return False
    if any(top == "text" and cells.total() > cells["text"] == 0 for top, cells in kinds):
        return True
    repeats = any(str(top) in map(str, cells) for top, cells in columns)
    return not (repeats or len(set(names)) < len(names) or max(map(len, names), default=0) > _LONGEST_NAME)


def _are_years(columns: Sequence[tuple[JsonValue, Sequence[JsonValue]]]) -> bool:
    """Return True if the numbers on top are years that name columns of other numbers, after a name."""
    years = [(str(top), cells) for top, cells in columns if _kind(top) != "text"]
    return (
        len(years) < len(columns)
        and len({year for year, _ in years}) == len(years)
        and all(_YEAR.fullmatch(year) for year, _ in years)
        and not all(_YEAR.fullmatch(str(cell)) for _, cells in years for cell in cells)
    )


def _kind(cell: JsonValue) -> str:
    if isinstance(cell, int | float):
        return "number"
    text = str(cell).strip()
    if _DATE.fullmatch(text):
        return "date"
    return "number" if _NUMBER.fullmatch(text) else "text"


def _filled(cell: JsonValue) -> bool:
    return cell is not None and str(cell).strip() != ""


def _distinct(cells: Sequence[JsonValue]) -> list[str]:
    """Return a name for each column, all different."""
    names: dict[str, None] = {}
    for number, cell in enumerate(cells, start=1):
        name = " ".join(str(cell).split()) if _filled(cell) else f"column {number}"
        count = 1
        unique = name
        while unique in names:
            count += 1
            unique = f"{name} {count}"
        names[unique] = None
    return list(names)


def _delimiter(text: str, *, prefers_tabs: bool) -> str:
    """Return the delimiter that gives the first rows the most equal numbers of cells."""
    lines = list(islice((line for line in split_lines(text) if line.strip()), _SAMPLE))
    if not lines:
        return ","
    if prefers_tabs and "\t" in lines[0]:
        return "\t"
    if lines[0].strip().strip('"').lower() in TEXT_FIELDS:
        return _NONE
    sample = "\n".join(lines)[: 1 << 20]
    return max(_DELIMITERS, key=_consistency(sample, lines[0]))


def _consistency(sample: str, header: str) -> Callable[[str], tuple[float, int, int]]:
    def score(delimiter: str) -> tuple[float, int, int]:
        try:
            widths = [len(row) for row in csv.reader(sample.split("\n"), delimiter=delimiter) if any(row)]
        except csv.Error:
            widths = [len(line.split(delimiter)) for line in sample.split("\n")]
        width, count = Counter(widths).most_common(1)[0] if widths else (1, 0)
        share = count / len(widths) if width > 1 else 0.0
        return share, header.count(delimiter), width

    return score
