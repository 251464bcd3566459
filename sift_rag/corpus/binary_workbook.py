"""Write the short cells of a binary workbook (.xlsb) in full, since calamine passes over them.

A short cell states no column: it stands right of the cell before it. Excel writes none, SheetJS and Aspose do
([MS-XLSB] 2.5.9, 2.5.10).
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from struct import Struct

_ROW = 0
_FULL_FORMS = {12: 1, 13: 2, 14: 3, 15: 4, 16: 5, 17: 6, 18: 7}
"""Types of records of short cells, and those of the full ones that hold the same."""
_FULL = frozenset((*range(1, 12), 62))
"""Types of records of cells that begin with their column."""
_COLUMN = Struct("<I")


def with_full_cells(data: bytes) -> bytes:
    """Return a workbook whose sheets have full cells only.

    Raises:
        ValueError: a sheet with short cells breaks off.
        zipfile.BadZipFile, OSError, NotImplementedError, zlib.error: the archive is broken.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        sheets = [name for name in archive.namelist() if _is_sheet(name)]
        changed = {name: full for name in sheets if (full := _in_full(archive.read(name))) is not None}
        if not changed:
            return data
        result = io.BytesIO()
        with zipfile.ZipFile(result, "w") as written:
            for name in dict.fromkeys(archive.namelist()):
                written.writestr(name, changed[name] if name in changed else archive.read(name))
    return result.getvalue()


def _is_sheet(name: str) -> bool:
    return name.startswith("xl/worksheets/") and name.endswith(".bin")


def _in_full(sheet: bytes) -> bytes | None:
    """Return a sheet with its short cells in full; None if it has none."""
    result = bytearray()
    column, is_changed = -1, False
    try:
        for kind, start, content, end in _records(sheet):
            if kind in _FULL_FORMS:
                column += 1
                is_changed = True
                result += bytes([_FULL_FORMS[kind]]) + _length(4 + end - content)
                result += _COLUMN.pack(column) + sheet[content:end]
                continue
            if kind == _ROW:
                column = -1
            elif kind in _FULL:
                [column] = _COLUMN.unpack_from(sheet, content)
            result += sheet[start:end]
    except (IndexError, ValueError) as error:
        if is_changed:
            raise ValueError("a sheet breaks off") from error
    return bytes(result) if is_changed else None


def _records(sheet: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield type, start, start of the content, and end of each record.

    Raises:
        IndexError, ValueError: the sheet breaks off.
    """
    place = 0
    while place < len(sheet):
        start, kind = place, sheet[place]
        place += 1
        if kind >= 0x80:
            kind = (kind & 0x7F) | (sheet[place] & 0x7F) << 7
            place += 1
        length = 0
        for shift in range(0, 28, 7):
            part = sheet[place]
            place += 1
            length |= (part & 0x7F) << shift
            if part < 0x80:
                break
        end = place + length
        if end > len(sheet) or (kind in _FULL and length < _COLUMN.size):
            raise ValueError("the sheet breaks off")
        yield kind, start, place, end
        place = end


def _length(length: int) -> bytes:
    """Return the length of a record as it is written before its content: seven bits a byte, the lowest first."""
    written = bytearray()
    while length >= 0x80:
        written.append(0x80 | length & 0x7F)
        length >>= 7
    return bytes([*written, length])
