"""Records stay whole: every short field is seen, no row is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sift_rag.corpus.documents import SourceDocument, read_document
from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.records import SHORT, named_rows, record_sections


def _read(folder: Path, name: str, content: str, **options: bool) -> SourceDocument:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return read_document(path, IngestOptions(**options))


def _seen(document: SourceDocument) -> list[str]:
    return [f"{section.lead}\n{section.text}".strip() for section in document.sections]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_short_fields_go_before_the_text_and_stay_filterable(tmp_path: Path, name: str) -> None:
    row = {"sku": "T-7", "price": 4.5, "tags": ["new", "blue"], "size": {"w": 2, "h": 3}, "text": "A tent for two."}
    content = json.dumps(row) if name == "a.jsonl" else f"[\n{json.dumps(row)}]"
    document = _read(tmp_path, name, content)

    [section] = document.sections
    assert section.lead.splitlines() == ["sku: T-7", "price: 4.5", "tags: new, blue", "size.w: 2", "size.h: 3"]
    assert section.text == "A tent for two."
    assert section.metadata["price"] == 4.5


def test_a_long_field_is_text_and_a_title_is_a_heading(tmp_path: Path) -> None:
    long = "word " * SHORT
    document = _read(tmp_path, "a.jsonl", json.dumps({"title": "Tents", "notes": long, "price": 3}))

    [section] = document.sections
    assert (section.headings, section.lead, section.text) == (("Tents",), "price: 3", f"notes: {long.strip()}")


def test_a_json_array_gives_each_object_its_line_and_other_json_stays_text(tmp_path: Path) -> None:
    document = _read(tmp_path, "a.json", '[\n  {"name": "Nut"},\n  {"name": "Bolt"}\n]\n')
    assert [(section.line, section.text) for section in document.sections] == [(2, "name: Nut"), (3, "name: Bolt")]

    for other in ('{"name": "Nut"}', '[{"name": "Nut"}, 7]', '[{"name": "Nut"}', "[1, 2]", '[{"name": "Nut"}] x'):
        assert _seen(_read(tmp_path, "b.json", other)) == [other]


def test_without_a_header_no_row_is_lost_and_the_report_says_what_was_assumed(tmp_path: Path) -> None:
    document = _read(tmp_path, "a.csv", "2031-05-01,12.5,low\n2031-05-02,13.0,high\n")

    assert document.notices == ("no header row: columns are named by number",)
    assert _seen(document)[0] == "column 1: 2031-05-01\ncolumn 2: 12.5\ncolumn 3: low"
    assert [section.line for section in document.sections] == [1, 2]


def test_the_header_can_be_stated(tmp_path: Path) -> None:
    rows = "Ada,London\nMary,Perth\n"
    assert _seen(_read(tmp_path, "a.csv", rows)) == ["Ada: Mary\nLondon: Perth"]
    assert len(_seen(_read(tmp_path, "a.csv", rows, header=False))) == 2
    assert len(_seen(_read(tmp_path, "b.csv", "1,2\n3,4\n", header=True))) == 1


@pytest.mark.parametrize(
    ("first", "second", "named"),
    [
        ("name;2023;2024", "Nut;3;4", True),
        ("Nut;2023", "Bolt;2024", False),
        ("Q1 2024;Q2 2024", "3,5;4,1", True),
        ("city;value;value", "Oslo;3;4", True),
        ("ok;ok", "no;ok", False),
        ("€ 4.50;tent", "€ 5.00;stove", False),
        ("09:30;gate", "10:15;gate", False),
    ],
)
def test_a_header_is_recognised_by_its_cells(first: str, second: str, named: bool) -> None:
    rows = [(1, first.split(";")), (2, second.split(";"))]
    records, notice = named_rows(rows)
    assert (len(list(records)), notice == "") == ((1, True) if named else (2, False))


def test_the_delimiter_is_the_one_that_rows_agree_on(tmp_path: Path) -> None:
    document = _read(tmp_path, "a.csv", "name, in full;price\nNut, small;3,50\nBolt, long, thin;4,00\n")
    assert _seen(document)[1] == "name, in full: Bolt, long, thin\nprice: 4,00"


def test_columns_of_equal_names_are_told_apart(tmp_path: Path) -> None:
    assert _seen(_read(tmp_path, "a.csv", "day,cm,cm\nMo,3,4\n")) == ["day: Mo\ncm: 3\ncm (3): 4"]


_CELLS = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=300).filter(str.strip)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), _CELLS, min_size=1, max_size=8))
def test_every_field_of_a_record_is_in_what_is_seen(record: dict[str, str]) -> None:
    [section] = record_sections([(1, record)], None)
    seen = " ".join(" ".join([*section.headings, section.lead, section.text]).split())
    for value in record.values():
        assert " ".join(value.split()) in seen
