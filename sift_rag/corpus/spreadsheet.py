"""Read the sheets of a workbook as records. The only module that knows calamine."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import chain
from typing import TYPE_CHECKING

from sift_rag.corpus.archives import check_archive, reason
from sift_rag.corpus.binary_workbook import with_full_cells
from sift_rag.corpus.decoding import one_line
from sift_rag.corpus.json_lines import storable
from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.records import Record, RecordSections
from sift_rag.corpus.sections import Extracted
from sift_rag.corpus.tabular import GUESSED_HEADER, NO_HEADER, Row, TableRecords, layout_of, tables_of
from sift_rag.errors import UnreadableDocument
from sift_rag.extras import require
from sift_rag.types import JsonValue

if TYPE_CHECKING:
    from python_calamine import CalamineSheet, CalamineWorkbook

_MAX_CELLS = 20_000_000
"""Cells that a sheet may span; calamine allocates them all, and a single cell in the last corner spans 17 thousand
million."""
_MOST_MERGED = 1000
"""Rows that merged cells fill at most."""
_CELL = re.compile(rb"""<(?:\w+:)?c [^>]{0,100}?\br=["']([A-Z]{1,3})(\d{1,7})["']""")


def read_spreadsheet(data: bytes, options: IngestOptions) -> Extracted:
    """Return a section for each row of each sheet, under the sheet's name; its line is the row in the sheet.

    Hidden sheets are left out. Dates are written as in ISO 8601; of formulas, the values last computed are read.

    Raises:
        MissingExtra: ``python-calamine`` is not installed.
        UnreadableDocument: the file is broken or needs a password, or a sheet spans too many cells.
    """
    require("python_calamine", "office")
    import python_calamine

    if data.startswith(b"PK"):
        check_archive(data)
        data = _prepared(data)
    try:
        with python_calamine.load_workbook(io.BytesIO(data)) as workbook:
            sheets = list(_sheets(workbook, options))
    except python_calamine.PasswordError as error:
        raise UnreadableDocument("password-protected") from error
    except (python_calamine.CalamineError, OSError, ValueError) as error:
        raise UnreadableDocument(f"broken spreadsheet: {reason(error)}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # how a failure inside Rust arrives; it has no name to import
            raise
        raise UnreadableDocument(f"broken spreadsheet: {reason(error)}") from error
    return _extracted(sheets, options)


def _extracted(sheets: Sequence[TableRecords], options: IngestOptions) -> Extracted:
    told: list[tuple[str, list[TableRecords]]] = [
        (NO_HEADER, [sheet for sheet in sheets if not sheet.layout.has_header and not sheet.layout.is_form]),
        (GUESSED_HEADER, [sheet for sheet in sheets if sheet.layout.is_guess]),
    ]
    notices = tuple(
        f"{notice} (sheet {', '.join(list(dict.fromkeys(sheet.headings[0] for sheet in found))[:5])})"
        for notice, found in told
        if found and options.header is None
    )
    return Extracted(RecordSections(_Chained(tuple(sheets)), options.text_field), notices=notices)


@dataclass(frozen=True, slots=True)
class _Chained:
    """The records of one sheet after the other."""

    sheets: tuple[TableRecords, ...]

    def __iter__(self) -> Iterator[Record]:
        return chain.from_iterable(self.sheets)


def _sheets(workbook: CalamineWorkbook, options: IngestOptions) -> Iterator[TableRecords]:
    from python_calamine import SheetVisibleEnum

    for sheet in workbook.sheets_metadata:
        if sheet.visible != SheetVisibleEnum.Visible:
            continue
        content = workbook.get_sheet_by_name(sheet.name)
        first = content.start[0] + 1 if content.start else 1
        rows = [
            Row(first + number, [_value(cell) for cell in cells])
            for number, cells in enumerate(_filled_down(content))
            if any(cell != "" for cell in cells)
        ]
        for table in tables_of(rows) if options.header is None else [rows]:
            kept = _without_empty_columns(table)
            layout = layout_of([row.cells for row in kept[:50]], options)
            if kept:
                yield TableRecords(kept, layout, (one_line(sheet.name),))


def _filled_down(sheet: CalamineSheet) -> Iterator[Sequence[object]]:
    """Yield the rows, with the value of cells that are merged over several rows in each of these."""
    top, left = sheet.start or (0, 0)
    values: dict[tuple[int, int], object] = {}
    below = {
        (row - top, start[1] - left): (start[0] - top, start[1] - left)
        for start, end in sheet.merged_cell_ranges or ()
        for row in range(start[0] + 1, min(end[0], start[0] + _MOST_MERGED) + 1)
    }
    sources = set(below.values())
    for number, cells in enumerate(sheet.iter_rows()):
        row: list[object] = list(cells)
        for column in range(len(row)) if below else ():
            if (number, column) in sources:
                values[number, column] = row[column]
            elif (source := below.get((number, column))) is not None and row[column] == "":
                row[column] = values.get(source, "")
        yield row


def _without_empty_columns(rows: list[Row]) -> list[Row]:
    used = sorted({number for row in rows for number, cell in enumerate(row.cells) if cell not in (None, "")})
    return [Row(row.line, [row.cells[number] for number in used]) for row in rows]


def _value(cell: object) -> JsonValue:
    if isinstance(cell, date | time):
        return _moment(cell)
    if isinstance(cell, float) and cell.is_integer():
        return storable(int(cell))
    return storable(cell.strip() if isinstance(cell, str) else str(cell) if isinstance(cell, timedelta) else cell)


def _moment(cell: date | time) -> str:
    """Return a date, a time or both as in ISO 8601, without a time of midnight or seconds of zero."""
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else cell.isoformat(" ", "seconds")
    if isinstance(cell, time):
        return cell.isoformat("minutes" if cell.second == 0 else "seconds")
    return cell.isoformat()


def _prepared(data: bytes) -> bytes:
    """Return a workbook that can be read in whole: it spans not too many cells, and all of them state their column."""
    _check_extent(data)
    try:
        return with_full_cells(data)
    except ValueError as error:
        raise UnreadableDocument(f"broken spreadsheet: {reason(error)}") from error
    except (zipfile.BadZipFile, OSError, NotImplementedError, zlib.error) as error:
        raise UnreadableDocument(f"broken archive: {reason(error)}") from error


def _check_extent(data: bytes) -> None:
    """Refuse a workbook with a cell so far out that the table up to it would not fit into memory."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            if not (name.startswith("xl/worksheets/") and name.endswith(".xml")):
                continue
            try:
                cells = [(_column(column), int(row)) for column, row in set(_CELL.findall(archive.read(name)))]
            except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, zlib.error) as error:
                raise UnreadableDocument(f"broken archive: {reason(error)}") from error
            if cells:
                columns, rows = zip(*cells, strict=True)
                spanned = (max(columns) - min(columns) + 1) * (max(rows) - min(rows) + 1)
                if spanned > _MAX_CELLS:
                    raise UnreadableDocument(f"a sheet spans {spanned:,} cells: at most {_MAX_CELLS:,} are read")


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = 26 * number + letter - ord("A") + 1
    return number
