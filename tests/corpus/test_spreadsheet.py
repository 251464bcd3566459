"""Rows of spreadsheets are records under the name of their sheet."""

from __future__ import annotations

import io
from datetime import date
from typing import Any

import pytest

from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.sections import Extracted
from sift_rag.corpus.spreadsheet import read_spreadsheet
from sift_rag.errors import UnreadableDocument
from tests.corpus.archives_in_code import xlsx, zipped


def _read(data: bytes, **options: Any) -> Extracted:
    return read_spreadsheet(data, IngestOptions(**options))


def test_each_row_is_a_record_under_its_sheet() -> None:
    rows = [
        ["code", "item", "price", "since"],
        ["T-1", "Tent", 89.5, date(2024, 6, 3)],
        ["T-2", "Stove", 34, date(2024, 6, 4)],
    ]
    first, second = _read(xlsx({"Summer  stock": rows})).sections

    assert first.headings == ("Summer stock",)
    assert first.line == 2
    assert first.text == "code: T-1\nitem: Tent\nprice: 89.5\nsince: 2024-06-03"
    assert second.metadata == {"code": "T-2", "item": "Stove", "price": 34, "since": "2024-06-04"}


def test_a_text_column_is_led_by_the_short_ones() -> None:
    [section] = _read(xlsx({"Stock": [["code", "description"], ["T-1", "A light tent for two."]]})).sections

    assert (section.lead, section.text) == ("code: T-1", "A light tent for two.")


def test_titles_above_a_table_and_empty_rows_and_columns_do_not_matter() -> None:
    rows = [
        ["Stock of June"],
        [],
        [None, None],
        ["item", None, "price", "size"],
        ["Nut", None, 3, 1],
        [],
        ["Bolt", None, 4, 2],
    ]
    title, first, second = _read(xlsx({"A": rows})).sections

    assert title.text == "Stock of June"
    assert (first.line, first.text) == (5, "item: Nut\nprice: 3\nsize: 1")
    assert (second.line, second.text) == (7, "item: Bolt\nprice: 4\nsize: 2")


def test_a_sheet_without_a_header_has_numbered_columns_and_says_so() -> None:
    found = _read(xlsx({"Log": [[date(2024, 1, 1), 17.5], [date(2024, 1, 2), 18.0]]}))

    assert [section.text for section in found.sections] == [
        "column 1: 2024-01-01\ncolumn 2: 17.5",
        "column 1: 2024-01-02\ncolumn 2: 18",
    ]
    assert found.notices == ("no header row: columns are numbered (sheet Log)",)


def test_all_sheets_are_read_but_hidden_ones() -> None:
    table = [["item", "price"], ["Nut", 3]]
    found = _read(xlsx({"One": table, "Draft": table, "Two": table}, hidden="Draft"))

    assert [section.headings for section in found.sections] == [("One",), ("Two",)]


def test_an_open_document_spreadsheet_is_read_alike() -> None:
    odfdo = pytest.importorskip("odfdo", reason="odfdo makes the spreadsheet that is read here")
    document = odfdo.Document("spreadsheet")
    document.body.clear()
    table = odfdo.Table("Stock", width=2, height=3)
    for line, row in enumerate([["item", "since"], ["Nut", date(2024, 1, 2)], ["Bolt", date(2024, 3, 2)]]):
        for column, value in enumerate(row):
            table.set_value((column, line), value)
    document.body.append(table)
    buffer = io.BytesIO()
    document.save(buffer)

    found = _read(buffer.getvalue())
    assert [section.text for section in found.sections] == [
        "item: Nut\nsince: 2024-01-02",
        "item: Bolt\nsince: 2024-03-02",
    ]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no spreadsheet", "broken spreadsheet"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000), "broken spreadsheet"),
        (xlsx({"A": [["x"]]})[:-100], "broken archive"),
        (zipped({"a": "b"}), "broken spreadsheet"),
        (zipped({"xl/workbook.xml": bytes(64 << 20)}), "would unpack to 64 MB"),
        (xlsx({"A": [["x"]]}, more='<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'), "a sheet spans 17,179,"),
    ],
)
def test_a_hostile_or_broken_workbook_fails_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableDocument) as raised:
        _read(data)

    assert str(raised.value).startswith(reason)
    assert "\n" not in str(raised.value)
