"""Rows of spreadsheets are records under the name of their sheet."""

from __future__ import annotations

import base64
import io
import zipfile
import zlib
from datetime import date
from typing import Any

import pytest

from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.sections import Extracted
from sift_rag.corpus.spreadsheet import read_spreadsheet
from sift_rag.errors import UnreadableDocument
from tests.corpus.archives_in_code import xlsb, xlsb_cell, xlsx, zipped


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


_XLS = (
    "c-rk)O-NKx6#njY{?l>BG|)gq$jWpPZQAIhP_|Lbf_|Z9n#U;m-o$HM=)x?Uc0tgpXd~F7jn$?f`k^+_A~0$Z1cCOmY84c;P+#Ys_r@HX$cd7Y"
    "_dV`;_ndpbckjFB+@JTJPerH4Z`RCU30hHtc`FFtBAcKT%qbC2xn-$r?jE3Ix%jUT43HyzUfe5t=2t#c{+@xv4bNkez*|a3Z~|RvL#tasv~wTg"
    "LiM3VcqsNHu22f2n)_A3@;J-2EU$Cj`z&{`<vhz4syi(XVJg<uxZR241G1jW!XyQ5Gv_s1wxSA8RUDtXAndwcw3&VJfz?t_>nX(q$k!d3p_xiA"
    "$5n)YAwsjRHz$+RsH8ZUz!$3y_?(;YkLq0e%Gw3U{x#q3|A{?7PAp^(7O-EG9$*yKF`=SAi!z+^s1h&srPBi^votMwefDC|shKG)Ig5i>L%K>-"
    "voE9RUYdOAK_f%;66wKIZ-(r9-={RvcgJ;IGfB^Aah-Hs(-WFm0>o1q$sR39Wo?ELC#798LTXpxRVb3T3YGEPEG3ylIp?E1LnHLAv)4Yo=uC9S"
    "j<RKxcOH9x+MwPI7EUV$k;7b4vLG9ov4!Ose(HM8*RZUlF`#=xca@XbHO6($a%ls#vyJgGwsBE@6XmlX_uQ$?zKd<9{A9<>aOLEy*f{EG{FB62"
    "*BF{alem0I;chH<7tTudhGq2+t6D%toW5JmCR~m=HC+i&mbRuwM=WU487svW1=xbwYCIlL`-0hFUR7(JNMb6UEWne@^Ef=)Cx@l#Yc2CyWd&}j"
    "O0)uhhwI_r_pmq5!@fKZ`+w=-fK%W0usXYq$Pn+PQ4BlmrG9=$Ea^m-?Q_KqIb6xy5z;<5&z1IhQF$JPJnzDV3l}b2xcJu~_$*<coILyuV4uzW"
    "&VQXbO7re-l2wZyr0L4g7vfGBbT=_nRQ#-iSLB{0mdVNeFI3o1t()jag8R{5bo|oUS}cB_WfLQRZVDCK{(Le0{LAfs1J+O{2L"
)
"""A workbook in the format of Excel 97, made with xlwt: a sheet "Tools", and "Merged" with a cell over two rows."""


def test_a_workbook_of_excel_97_is_read() -> None:
    saw, hammer, anna, ben = _read(zlib.decompress(base64.b85decode(_XLS))).sections

    assert (saw.headings, saw.line) == (("Tools",), 2)
    assert saw.text == "item: Säge\ncount: 3\nbought: 2024-06-03"
    assert hammer.metadata == {"item": "Hammer", "count": 1.5, "bought": "2024-06-04"}
    assert (anna.text, ben.text) == ("team: Red\nmember: Anna\nage: 30", "team: Red\nmember: Ben\nage: 31")


def test_names_of_groups_of_columns_stand_before_the_names_of_the_columns() -> None:
    rows = [
        [None, "2023", None, "2024", None],
        ["country", "exports", "imports", "exports", "imports"],
        ["Spain", 1, 2, 3, 4],
    ]
    found = _read(xlsx({"Trade": rows}))

    [section] = found.sections
    assert section.text == "country: Spain\n2023 exports: 1\n2023 imports: 2\n2024 exports: 3\n2024 imports: 4"
    assert found.notices == ()


def test_a_form_is_one_record() -> None:
    rows = [["Name", "Anna Berg"], ["Born", date(1990, 1, 2)], ["Town:", "Oslo"], ["Children", 2]]
    found = _read(xlsx({"Form": rows}))

    [section] = found.sections
    assert section.line == 1
    assert section.text == "Name: Anna Berg\nBorn: 1990-01-02\nTown: Oslo\nChildren: 2"
    assert found.notices == ()


@pytest.mark.parametrize("cells", [["68", "n/a", "n/a"], [68, "unknown", 59], [68, 59, 47]])
def test_a_table_of_two_columns_is_no_form(cells: list[Any]) -> None:
    rows = [["Country", "Population"], *(["ABC"[number], cell] for number, cell in enumerate(cells))]
    first, *_ = _read(xlsx({"A": rows})).sections

    assert first.line == 2
    assert first.text == f"Country: A\nPopulation: {cells[0]}"


def test_a_note_below_a_table_is_a_text() -> None:
    rows = [["month", "units", "share"], ["May", 3, 0.5], ["June", 3, 0.5], [], ["Figures are preliminary."]]
    *_, note = _read(xlsx({"A": rows})).sections

    assert (note.line, note.text) == (5, "Figures are preliminary.")


def test_tables_below_one_another_have_columns_of_their_own() -> None:
    rows: list[list[object]] = [
        ["Name:", "Ines Duarte", None, None],
        ["Month:", "May 2024", None, None],
        [],
        ["Date", "From", "To", "Hours"],
        [date(2024, 5, 2), "8:30", "17:00", 8],
        [],
        [date(2024, 5, 3), "8:00", "14:15", 6],
        [],
        ["Project", "Hours", None, None],
        ["Bridge", 14, None, None],
    ]

    assert [section.text for section in _read(xlsx({"May": rows})).sections] == [
        "Name: Ines Duarte\nMonth: May 2024",
        "Date: 2024-05-02\nFrom: 8:30\nTo: 17:00\nHours: 8",
        "Date: 2024-05-03\nFrom: 8:00\nTo: 14:15\nHours: 6",
        "Project: Bridge\nHours: 14",
    ]


def test_cells_of_a_binary_workbook_that_state_no_column_stand_right_of_the_one_before_them() -> None:
    long = "A tent for two. " * 20
    rows = [
        [xlsb_cell("code", 0), xlsb_cell("item"), xlsb_cell("price"), xlsb_cell("sold"), xlsb_cell("note", 5)],
        [xlsb_cell("T-1", 0), xlsb_cell("Tent"), xlsb_cell(89.5), xlsb_cell(value=True), xlsb_cell(long, 5)],
        [xlsb_cell("T-2"), xlsb_cell(None), xlsb_cell(34.0), xlsb_cell(value=False), xlsb_cell(None), xlsb_cell("-")],
    ]
    first, second = _read(xlsb(rows)).sections

    assert first.metadata == {"code": "T-1", "item": "Tent", "price": 89.5, "sold": True}
    assert first.text == f"note: {long.strip()}"
    assert second.metadata == {"code": "T-2", "item": "", "price": 34, "sold": False, "note": "-"}


def test_a_binary_workbook_reads_alike_however_its_cells_are_written() -> None:
    values = [["code", "item", "price"], ["T-1", "Tent", 89.5], ["T-2", "Stove", 34.0]]
    full = [[xlsb_cell(value, column) for column, value in enumerate(row)] for row in values]
    short = [[xlsb_cell(value) for value in row] for row in values]

    assert list(_read(xlsb(short)).sections) == list(_read(xlsb(full)).sections)


@pytest.mark.parametrize("lost", range(1, 80, 3))
def test_a_binary_workbook_that_breaks_off_is_refused_or_loses_only_its_end(lost: int) -> None:
    archive = zipfile.ZipFile(io.BytesIO(xlsb([[xlsb_cell("code"), xlsb_cell("item")]])))
    parts = {name: archive.read(name) for name in archive.namelist()}
    parts["xl/worksheets/sheet1.bin"] = parts["xl/worksheets/sheet1.bin"][:-lost]
    try:
        words = {word for section in _read(zipped(parts)).sections for word in section.text.split()}
    except UnreadableDocument:
        return
    assert {"code", "item"} <= words
