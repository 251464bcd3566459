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
GUESSED_HEADER = "the first row is taken for the names of the columns, by a guess"

_SAMPLE = 50
"""Rows by which the delimiter and the header are recognised."""
_DELIMITERS = ",;\t|"
_NONE = "\x1f"
"""Delimiter that no text holds, for a file of one column."""
_LONGEST_NAME = 100

_COLUMN_NAMES = frozenset((*TEXT_FIELDS, *TITLE_FIELDS, "id", "name", "date", "url", "label", "type", "category"))
_VALUE_NAMES = _COLUMN_NAMES | {"value", "values", "answer", "meaning", "setting", "default"}
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
    is_guess: bool = False
    """True if nothing speaks for a header, and nothing against it: all cells are texts."""
    is_grouped: bool = False
    """True if the columns are named by two rows, of which the first names groups of them."""
    is_form: bool = False
    """True if each row is the name of a field and its value: all of them are one record."""


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
    told = options.header is None and bool(sample)
    notices = (NO_HEADER,) if told and not layout.has_header and not layout.is_form else ()
    notices = (GUESSED_HEADER,) if told and layout.is_guess else notices
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
        rows = iter(self.rows)
        for row in islice(rows, self.layout.above):
            yield self._text(row)
        if self.layout.is_form:
            yield from self._form(list(rows))
            return
        names = self._names(rows)
        last = 0
        for row in rows:
            is_note = 0 < last < row.line - 1 and len(names) > 2 and _filled(row.cells[0]) and _count(row.cells) == 1
            last = row.line
            if is_note:
                yield self._text(row)
                continue
            names += [f"column {count}" for count in range(len(names) + 1, len(row.cells) + 1)]
            yield Record(dict(zip(names, row.cells, strict=False)), row.line, self.headings)

    def _names(self, rows: Iterator[Row]) -> list[str]:
        if not self.layout.has_header:
            return []
        cells = next(rows, Row(0, ())).cells
        return _distinct(_grouped(cells, next(rows).cells) if self.layout.is_grouped else cells)

    def _text(self, row: Row) -> Record:
        """Return a row of one cell, such as a title above a table or a note below it."""
        return Record({"text": next(str(cell) for cell in row.cells if _filled(cell))}, row.line, self.headings)

    def _form(self, rows: Sequence[Row]) -> Iterator[Record]:
        fields = {str(row.cells[0]).strip().rstrip(":"): row.cells[1] for row in rows}
        yield Record(fields, rows[0].line, self.headings)


def layout_of(rows: Sequence[Sequence[JsonValue]], options: IngestOptions) -> Layout:
    """Recognise what the first rows of a table are, unless the options say so.

    A row names the columns unless it looks like the rows below it: a number or a date above numbers or dates, an
    address above addresses, a cell that its own column repeats, a name given twice, or a cell too long for a name.
    """
    if options.header is not None:
        return Layout(0, options.header)
    above = _rows_above(rows)
    if above >= len(rows):
        return Layout(0, bool(rows) and _names_columns(rows[0], [], options.text_field) is not False)
    if options.text_field is None and _is_form(rows[above:]):
        return Layout(above, has_header=False, is_form=True)
    if len(rows) > above + 2 and _is_grouped(rows[above], rows[above + 1]):
        return Layout(above, has_header=True, is_grouped=True)
    named = _names_columns(rows[above], rows[above + 1 :], options.text_field)
    return Layout(above, named is not False, is_guess=named is None and len(rows) > above + 1)


def tables_of(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the tables that stand one below the other in a sheet.

    Empty rows divide them where a form of two columns is above a wider table, or where the row below them names the
    columns of those that follow it.
    """
    tables: list[list[Row]] = []
    for number, row in enumerate(rows):
        is_apart = number > 0 and row.line > rows[number - 1].line + 1
        if not tables or (is_apart and _begins_table(tables[-1], rows[number : number + _SAMPLE])):
            tables.append([])
        tables[-1].append(row)
    return tables


def _begins_table(above: Sequence[Row], below: Sequence[Row]) -> bool:
    widest = max(_count(row.cells) for row in above)
    width = _count(below[0].cells)
    if widest == 1 or width < 2 or len(below) < 2:
        return False
    if widest == 2 and width > 2:
        return True
    apart = next((n for n in range(1, len(below)) if below[n].line > below[n - 1].line + 1), len(below))
    rows = [row.cells for row in below[:apart]]
    is_named = all(_kind(cell) == "text" for cell in rows[0] if _filled(cell)) and _names_columns(
        rows[0], rows[1:], None
    )
    return apart > 1 and is_named is True


_LONGEST_FORM = 40


def _is_form(rows: Sequence[Sequence[JsonValue]]) -> bool:
    """Return True if each row is a name and a value: two columns, whose values are of several kinds and all differ."""
    if not 2 <= len(rows) <= _LONGEST_FORM or any(len(row) != 2 or not _filled(row[0]) for row in rows):
        return False
    if all(str(row[0]).rstrip().endswith(":") for row in rows):
        return True
    if len(rows) < 3:
        return False
    names = [str(row[0]).strip().lower() for row in rows]
    if len(set(names)) < len(names) or any(_kind(row[0]) != "text" or len(str(row[0])) > _LONGEST_NAME for row in rows):
        return False
    values = [row[1] for row in rows[1:] if _filled(row[1])]
    texts = [str(value) for value in values if _kind(value) == "text"]
    is_mixed = len(values) > len(texts) == len(set(texts)) >= len(values) / 3
    is_mixed &= len(texts) > 1 or len(set(map(_kind, values))) > 2  # in a table, one cell may say "unknown"
    return is_mixed and _kind(rows[0][1]) == "text" and str(rows[0][1]).strip().lower() not in _VALUE_NAMES


def _is_grouped(groups: Sequence[JsonValue], names: Sequence[JsonValue]) -> bool:
    """Return True if the first row names groups of columns: it has gaps, and the second repeats names without any."""
    written = [str(name).strip().lower() for name in names]
    return (
        1 < _count(groups) < len(groups) == len(names) == _count(names)
        and len(set(written)) < len(written)
        and all(_kind(name) == "text" for name in names)
    )


def _grouped(groups: Sequence[JsonValue], names: Sequence[JsonValue]) -> list[str]:
    """Return the name of each column after the one of its group."""
    group = ""
    joined = []
    for above, name in zip(groups, names, strict=True):
        group = str(above).strip() if _filled(above) else group
        joined.append(f"{group} {name}".strip())
    return joined


def _count(cells: Sequence[JsonValue]) -> int:
    return sum(map(_filled, cells))


def _rows_above(rows: Sequence[Sequence[JsonValue]]) -> int:
    """Count the rows of a single cell, the first, before a table of more columns whose first row is full."""
    filled = [sum(map(_filled, row)) for row in rows]
    above = next((number for number, count in enumerate(filled) if count > 1), 0)
    below = filled[above:]
    is_table = len(below) >= 2 and above <= 10 and below[0] >= max(multimode(below)) and below[0] >= max(below) - 1
    return above if is_table and all(_filled(row[0]) for row in rows[:above]) else 0


def _names_columns(
    first: Sequence[JsonValue], below: Sequence[Sequence[JsonValue]], text_field: str | None
) -> bool | None:
    """Return whether a row names the columns of those below; None if nothing speaks for it but nothing against it."""
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
    if repeats or len(set(names)) < len(names) or max(map(len, names), default=0) > _LONGEST_NAME:
        return False
    texts = [(str(top).strip(), [str(cell) for cell in cells]) for top, cells in columns if _kind(top) == "text"]
    if any(_is_alike(top, cells) for top, cells in texts):
        return False
    return True if texts and all(_is_lower_above(top, cells) for top, cells in texts) else None


def _is_lower_above(top: str, cells: Sequence[str]) -> bool:
    """Return True if a cell is in lower case and half of those below it, or more, are not."""
    return top.islower() and 2 * sum(not cell.strip().islower() for cell in cells) >= len(cells)


def _is_alike(top: str, cells: Sequence[str]) -> bool:
    """Return True if a cell is written like half of those below it, in a way in which names hardly are."""
    form = _form_of(top)
    return form != "" and 2 * sum(_form_of(cell) == form for cell in cells) >= max(1, len(cells))


_MARKS = re.compile(r"://|@|[.?!]$")


def _form_of(cell: str) -> str:
    """Return what marks an address, a sentence or a code such as A-17; "" if nothing does."""
    text = cell.strip()
    if mark := _MARKS.search(text):
        return mark[0]
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "0", text)) if re.search(r"\d", text) else ""


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
