"""Office files made in code, for the tests of their readers."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping, Sequence
from datetime import date
from xml.sax.saxutils import escape

PACKAGE = "http://schemas.openxmlformats.org/package/2006"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def zipped(members: Mapping[str, str | bytes]) -> bytes:
    """Return a zip archive of these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def docx(body: str, members: Mapping[str, str | bytes] | None = None) -> bytes:
    """Return a Word document with this body of WordprocessingML."""
    office = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    return zipped(
        {
            "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/word/document.xml" ContentType="{office}"/></Types>',
            "_rels/.rels": _relationships([("officeDocument", "word/document.xml")]),
            "word/document.xml": f'<w:document xmlns:w="{WORD}" xmlns:w14="http://schemas.microsoft.com/office/word/'
            f'2010/wordml"><w:body>{body}</w:body></w:document>',
            **(members or {}),
        }
    )


def xlsb(rows: Sequence[Sequence[bytes]]) -> bytes:
    """Return a binary workbook with one sheet, "Stock", of these records of cells, row by row."""
    name, relationship = _wide("Stock"), _wide("r1")
    bundle = _record(156, struct.pack("<II", 0, 1) + relationship + name)
    sheet = [_record(129), _record(148, struct.pack("<4I", 0, len(rows), 0, 9)), _record(145)]
    for number, cells in enumerate(rows):
        sheet += [_record(0, struct.pack("<I", number) + bytes(13) + bytes(4)), *cells]
    return zipped(
        {
            "xl/workbook.bin": _record(131) + _record(143) + bundle + _record(144) + _record(132),
            "xl/_rels/workbook.bin.rels": _relationships([("worksheet", "worksheets/sheet1.bin")]),
            "xl/worksheets/sheet1.bin": b"".join([*sheet, _record(146), _record(130)]),
        }
    )


def xlsb_cell(value: str | float | bool | None, column: int | None = None) -> bytes:
    """Return the record of a cell: a short one, which stands right of the one before it, unless its column is given."""
    content = bytes(4)
    match value:
        case None:
            kind = 1
        case bool():
            kind, content = 4, content + bytes([value])
        case str():
            kind, content = 6, content + _wide(value)
        case _:
            kind, content = 5, content + struct.pack("<d", value)
    return _record(kind + 11, content) if column is None else _record(kind, struct.pack("<I", column) + content)


def _wide(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def _record(kind: int, content: bytes = b"") -> bytes:
    written = bytes([kind]) if kind < 0x80 else bytes([0x80 | kind & 0x7F, kind >> 7])
    length = len(content)
    low, high = length & 0x7F, length >> 7
    return written + (bytes([0x80 | low, high]) if high else bytes([low])) + content


def xlsx(sheets: Mapping[str, Sequence[Sequence[object]]], hidden: str = "", more: str = "") -> bytes:
    """Return a workbook of these sheets: texts, numbers and dates; None for a cell that is not there.

    Args:
        sheets: rows by name of sheet.
        hidden: name of the sheet that is hidden.
        more: rows of SpreadsheetML added to each sheet.
    """
    listed = "".join(
        f'<sheet name="{escape(name)}" sheetId="{number}" state="{"hidden" if name == hidden else "visible"}" '
        f'r:id="r{number}"/>'
        for number, name in enumerate(sheets, start=1)
    )
    parts = [("worksheet", f"worksheets/sheet{number}.xml") for number in range(1, len(sheets) + 1)]
    members: dict[str, str | bytes] = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"/>',
        "_rels/.rels": _relationships([("officeDocument", "xl/workbook.xml")]),
        "xl/workbook.xml": f'<workbook xmlns="{SHEET}" xmlns:r="{OFFICE}"><sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": _relationships([*parts, ("styles", "styles.xml")]),
        "xl/styles.xml": f'<styleSheet xmlns="{SHEET}"><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs>'
        "</styleSheet>",
    }
    for number, rows in enumerate(sheets.values(), start=1):
        written = "".join(_row(line, row) for line, row in enumerate(rows, start=1))
        members[f"xl/worksheets/sheet{number}.xml"] = (
            f'<worksheet xmlns="{SHEET}"><sheetData>{written}{more}</sheetData></worksheet>'
        )
    return zipped(members)


def _relationships(parts: Sequence[tuple[str, str]]) -> str:
    listed = "".join(
        f'<Relationship Id="r{number}" Type="{OFFICE}/{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(parts, start=1)
    )
    return f'<Relationships xmlns="{PACKAGE}/relationships">{listed}</Relationships>'


def _row(line: int, values: Sequence[object]) -> str:
    cells = (_cell(f"{chr(65 + column)}{line}", value) for column, value in enumerate(values))
    return f'<row r="{line}">{"".join(cells)}</row>'


def _cell(place: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, date):
        return f'<c r="{place}" s="1"><v>{(value - date(1899, 12, 30)).days}</v></c>'
    if isinstance(value, int | float):
        return f'<c r="{place}"><v>{value}</v></c>'
    return f'<c r="{place}" t="inlineStr"><is><t>{escape(str(value))}</t></is></c>'
