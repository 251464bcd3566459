"""Records of CSV, JSON lines and JSON arrays stay whole, and no row is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sift_rag.corpus.extraction import extract
from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.sections import SECTION_BREAK, Extracted, Section


def _read(text: str, suffix: str, **options: Any) -> Extracted:
    return extract(text.encode(), suffix, IngestOptions(**options))


def _sections(text: str, suffix: str, **options: Any) -> list[Section]:
    return list(_read(text, suffix, **options).sections)


def test_the_short_fields_of_csv_lead_the_text_and_can_be_filtered_by() -> None:
    rows = 'code;item;description;cost\nT-1;Tent;"Light tent,\nfor two";89,50\nT-2;Stove;"Gas stove; folds";34,00\n'

    first, second = _sections(rows, ".csv")

    assert (first.lead, first.text, first.line) == ("code: T-1\nitem: Tent\ncost: 89,50", "Light tent,\nfor two", 2)
    assert (second.lead, second.text, second.line) == ("code: T-2\nitem: Stove\ncost: 34,00", "Gas stove; folds", 4)
    assert first.metadata == {"code": "T-1", "item": "Tent", "cost": "89,50"}


def test_the_short_fields_of_json_lines_lead_the_text() -> None:
    record = {
        "title": "Tent",
        "text": "A light tent.",
        "price": 89.5,
        "sold": True,
        "tags": ["camp", "two"],
        "maker": {"name": "Nord", "place": {"town": "Oslo"}},
        "none": None,
        "empty": "",
    }
    [section] = _sections(json.dumps(record), ".jsonl")

    assert section.headings == ("Tent",)
    assert section.text == "A light tent."
    assert section.lead.split("\n") == [
        "price: 89.5",
        "sold: true",
        "tags: camp, two",
        "maker.name: Nord",
        "maker.place.town: Oslo",
    ]
    assert section.metadata == {name: value for name, value in record.items() if name != "text"}


def test_a_record_of_short_fields_is_its_text() -> None:
    [section] = _sections('{"name": "Nut", "price": 3}', ".jsonl")

    assert (section.lead, section.text) == ("", "name: Nut\nprice: 3")
    assert section.metadata == {"name": "Nut", "price": 3}


def test_a_record_that_holds_nothing_but_a_title_is_kept() -> None:
    assert [section.text for section in _sections('{"title": "Closed on Monday"}', ".jsonl")] == [
        "title: Closed on Monday"
    ]


def test_the_long_fields_are_the_text_where_no_field_is_known_as_one() -> None:
    question, answer = "May I bring a dog? " * 20, "Dogs are not allowed in the water. " * 20
    [section] = _sections(json.dumps({"id": 7, "question": question, "answer": answer}), ".jsonl")

    assert section.lead == "id: 7"
    assert section.text == f"question: {question.strip()}\n\nanswer: {answer.strip()}"
    assert section.metadata == {"id": 7}


def test_a_vector_or_encoded_data_is_in_no_text() -> None:
    record = {"text": "Owls hunt.", "vector": [0.25] * 300, "image": "iVBORw0KGgo" * 100}
    [section] = _sections(json.dumps(record), ".jsonl")

    assert (section.lead, section.text) == ("", "Owls hunt.")


def test_many_short_fields_stand_once_beyond_what_leads_every_passage() -> None:
    record = {"text": "The text.", **{f"field {number}": "value " * 10 for number in range(30)}}
    [section] = _sections(json.dumps(record), ".jsonl")

    assert len(section.lead) <= 400
    assert section.text.endswith("The text.")
    for number in range(30):
        assert f"field {number}: value" in f"{section.lead}\n{section.text}"


short = st.text("abc xyz.", min_size=1, max_size=20).filter(str.strip)


@given(st.dictionaries(st.sampled_from(["one", "two", "three", "text", "title"]), short, min_size=1))
def test_every_field_of_a_record_is_read_somewhere(record: dict[str, str]) -> None:
    [section] = _sections(json.dumps(record), ".jsonl")

    read = "\n".join((*section.headings, section.lead, section.text))
    for value in record.values():
        assert " ".join(value.split()) in " ".join(read.split())


def test_an_array_of_objects_is_read_as_records_with_their_lines() -> None:
    records = [{"name": "Nut", "price": 3}, {"name": "Bolt", "sizes": [1, 2]}]
    first, second = _sections(json.dumps(records, indent=2), ".json")

    assert (first.line, first.text) == (2, "name: Nut\nprice: 3")
    assert (second.line, second.text) == (6, "name: Bolt\nsizes: 1, 2")
    assert second.start == len(first.text) + len(SECTION_BREAK)


@pytest.mark.parametrize(
    "text",
    ['{"a": 1}', "[1, 2]", "[]", '[{"a": 1}, 2]', '[{"a": 1}', '[{"a": 1}] more', '[{"a": 1},]', '[{"a": ' * 9000],
)
def test_other_json_stays_a_text(text: str) -> None:
    assert [section.text for section in _sections(text, ".json")] == [text]


@given(st.lists(st.dictionaries(st.text(max_size=3), st.none() | st.integers() | st.text(max_size=5)), min_size=1))
def test_an_array_gives_the_records_that_its_lines_would_give(records: list[dict[str, object]]) -> None:
    lines = _sections("\n".join(json.dumps(record) for record in records), ".jsonl")
    array = _sections(f"[{','.join(chr(10) + json.dumps(record) for record in records)}]", ".json")

    assert [(section.text, section.lead, section.metadata) for section in array] == [
        (section.text, section.lead, section.metadata) for section in lines
    ]
    assert [section.line for section in array] == [section.line + 1 for section in lines if section.line is not None]


@pytest.mark.parametrize(
    "rows",
    [
        "2023-05-01,12.5,ok\n2023-05-02,13.1,ok\n2023-05-03,40.0,alarm\n",
        "red,Anna\nblue,Ben\nred,Cleo\n",
        "yes,yes\nno,yes\n",
        "12:30;Oslo\n12:45;Bergen\n",
        "K-101,Anna Berg\nK-102,Ben Holm\n",
        "anna@example.org,Anna\nben@example.org,Ben\n",
        "How do I pay?,Send us a letter.\nWhen do you open?,At nine.\n",
    ],
)
def test_a_first_row_like_the_rows_below_names_no_columns_and_is_not_lost(rows: str) -> None:
    found = _read(rows, ".csv")

    sections = list(found.sections)
    assert len(sections) == len(rows.splitlines())
    assert sections[0].line == 1
    assert sections[0].text.startswith("column 1: ")
    assert found.notices == ("no header row: columns are numbered",)


@pytest.mark.parametrize(
    "rows",
    [
        "date,temperature,state\n2023-05-01,12.5,ok\n",
        "country,2019,2020\nNorway,1200,1300\n",
        "first,second\nAnna,Oslo\nBen,Bergen\n",
        ",name\n0,Anna\n1,Ben\n",
        "id,id\n1,2\n",
    ],
)
def test_a_row_of_names_above_other_rows_names_the_columns(rows: str) -> None:
    found = _read(rows, ".csv")

    assert len(list(found.sections)) == len(rows.splitlines()) - 1
    assert found.notices == ()


def test_a_first_row_that_may_name_the_columns_is_told_of() -> None:
    found = _read("Red,Oslo\nBlue,Bergen\n", ".csv")

    assert [section.text for section in found.sections] == ["Red: Blue\nOslo: Bergen"]
    assert found.notices == ("the first row is taken for the names of the columns, by a guess",)
    assert _read("Red,Oslo\nBlue,Bergen\n", ".csv", header=True).notices == ()


def test_the_header_can_be_stated() -> None:
    rows = "2023,x\n2024,y\n"

    named = _read(rows, ".csv", header=True)
    assert [section.text for section in named.sections] == ["2023: 2024\nx: y"]
    assert named.notices == ()
    numbered = _read("name,town\nAnna,Oslo\n", ".csv", header=False)
    assert [section.text for section in numbered.sections] == [
        "column 1: name\ncolumn 2: town",
        "column 1: Anna\ncolumn 2: Oslo",
    ]
    assert numbered.notices == ()


def test_columns_with_one_name_are_all_kept() -> None:
    [section] = _sections("name,name,size\nAnna,Berg,1\n", ".csv", header=True)

    assert section.text == "name: Anna\nname 2: Berg\nsize: 1"


def test_lines_above_a_table_are_kept_and_name_no_columns() -> None:
    title, first, _ = _sections("Prices of June,,\nitem,size,price\nNut,2,3\nBolt,4,5\n", ".csv")

    assert title.text == "Prices of June"
    assert (first.line, first.text) == (3, "item: Nut\nsize: 2\nprice: 3")


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ("name;note, if any\nNut;a, b, c, d\nBolt;e\n", "name: Nut\nnote, if any: a, b, c, d"),
        ("a|b\n1,5|2,5\n3,5|4,5\n", "a: 1,5\nb: 2,5"),
        ("name\tnote\nNut\ta, b\n", "name: Nut\nnote: a, b"),
        ("text\nOwls hunt, at night\nMice, too\n", "Owls hunt, at night"),
    ],
)
def test_the_delimiter_is_the_one_that_gives_equal_rows(rows: str, text: str) -> None:
    assert _sections(rows, ".csv")[0].text == text


@given(
    st.lists(
        st.lists(st.sampled_from(["a", "b c", "1", "2.5", "x,y", 'q"q', "two\nlines", ""]), min_size=2, max_size=2)
    )
)
def test_no_cell_of_csv_is_lost_without_a_header(cells: list[list[str]]) -> None:
    rows = [row for row in cells if any(row)]
    text = "\n".join(",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows)
    if not text:
        return
    sections = _sections(text, ".csv", header=False)

    assert [list(section.metadata.values()) for section in sections] == rows


def test_the_array_of_an_object_that_is_nearly_all_of_it_is_read_as_records() -> None:
    items = ",\n".join(f'{{"question": "What is {name}?", "answer": "A letter."}}' for name in "XYZ")
    first, second, _ = _sections(f'{{"total": 3, "items": [\n{items}\n]}}', ".json")

    assert (first.line, first.text) == (2, "question: What is X?\nanswer: A letter.")
    assert second.line == 3


def test_the_texts_beside_an_array_of_records_are_a_record() -> None:
    items = ", ".join(f'{{"dish": "Soup {number}", "price": {number}}}' for number in range(9))
    menu, soup, *_ = _sections(f'{{"menu": "June", "dishes": [{items}], "size": 9}}', ".json")

    assert menu.text == "menu: June\nsize: 9"
    assert soup.text == "dish: Soup 0\nprice: 0"


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "tool", "settings": {"depth": 3}, "servers": [{"host": "a"}]}',
        '{"items": [1, 2, 3, 4, 5, 6, 7, 8, 9]}',
        '{"items": [{"a": 1}, {"a": 2}], }',
        '{"items": [{"a": 1}, {"a": 2}]} {}',
        '{"items" [{"a": 1}]}',
        "{}",
        "{1: [{}]}",
    ],
)
def test_any_other_json_is_a_text(text: str) -> None:
    [section] = _sections(text, ".json")

    assert section.text == text


@pytest.mark.parametrize("repeats", [1, 40])
def test_a_conversation_is_read_as_it_was_held(repeats: int) -> None:
    question, answer = "Where is the key? " * repeats, "In the box. " * repeats
    turns = [{"role": "user", "content": question}, {"value": answer, "from": "gpt"}]
    [section] = _sections(json.dumps({"messages": turns}), ".jsonl")

    assert section.text.split() == f"messages: user: {question} gpt: {answer}".split()


def test_other_objects_in_a_list_stay_as_they_are_written() -> None:
    [section] = _sections(json.dumps({"id": 1, "points": [{"x": 1, "y": 2}, {"role": "a", "b": 3}]}), ".jsonl")

    assert section.text == 'id: 1\npoints: [{"x": 1, "y": 2}, {"role": "a", "b": 3}]'


def test_long_lists_of_objects_are_read_line_by_line() -> None:
    items = [{"item": f"Oak shelf number {n}", "price": 148.5, "more": {"x": 1}} for n in range(9)]
    [section] = _sections(json.dumps({"invoice": "17", "items": items}), ".jsonl")

    assert section.lead == "invoice: 17"
    assert "item: Oak shelf number 3, price: 148.5\n" in section.text
