"""What people see in ordinary PDFs: raised figures, tables of all kinds, notes, bold headings, marks of the page."""

from __future__ import annotations

import pytest

from sift_rag.corpus.pdf import read_pdf
from tests.corpus.pdf_pages import At, Drawn, lines, pdf

_KELP = (
    "Kelp forests grow along rocky coasts where the water is cold and clear, and\n"
    "they shelter fish, crabs and sea otters. They soften the waves as well,\n"
    "before these reach the shore. Many have become smaller."
)
_BOLD = "Helvetica-Bold"


def _flat(text: str) -> str:
    return " ".join(text.split())


def _read(*pages: list[Drawn]) -> list[str]:
    return [section.text for section in read_pdf(pdf(pages)).sections]


def _table(rows: list[list[tuple[float, str]]], *, y: float, leading: float = 18) -> list[Drawn]:
    """Return cells at their places, drawn row by row."""
    return [At(x, y - number * leading, cell) for number, row in enumerate(rows) for x, cell in row]


def test_raised_figures_are_told_from_the_words_before_and_after_them() -> None:
    page: list[Drawn] = [
        At(72, 700, "The limit holds"),
        At(139, 704, "1", 6),
        At(146, 700, "on 40 m"),
        At(180.5, 704, "2", 6),
        At(187, 700, "of the bay, and CO"),
        At(272, 698, "2", 6),
        At(279, 700, "is dissolved in the water of it."),
        At(72, 684, "1", 6),
        At(77, 680, "Of 2016, annex 3, as amended"),
    ]

    [text] = _read(page)
    assert text.split("\n") == [
        "The limit holds[1] on 40 m^2 of the bay, and CO2 is dissolved in the water of it.",
        "[1] Of 2016, annex 3, as amended",
    ]


def test_a_table_with_narrow_gaps_keeps_its_columns() -> None:
    rows = [
        [(72, "No"), (100, "Station"), (200, "Arr"), (232, "Dep"), (264, "Pl")],
        [(72, "1"), (100, "Marnow"), (232, "06:12"), (264, "3")],
        [(72, "2"), (100, "Lenn"), (200, "06:19"), (232, "06:20"), (264, "1")],
        [(72, "3"), (100, "Osmar Bay"), (200, "06:31"), (232, "06:33"), (264, "2")],
    ]

    assert _read(_table(rows, y=700))[0].split("\n") == [
        "| No | Station | Arr | Dep | Pl |",
        "| --- | --- | --- | --- | --- |",
        "| 1 | Marnow | | 06:12 | 3 |",
        "| 2 | Lenn | 06:19 | 06:20 | 1 |",
        "| 3 | Osmar Bay | 06:31 | 06:33 | 2 |",
    ]


def test_lines_of_wrapped_cells_are_of_one_row() -> None:
    heights = [(700, ["Task", "Who", "When"]), (680, ["Check of the", "Nurse of the", "Daily"])]
    heights += [(668, ["trolley", "early shift", ""]), (648, ["Inventory", "Two nurses", "Monday"])]
    page: list[Drawn] = [
        At(72 + 120 * column, y, cell) for y, cells in heights for column, cell in enumerate(cells) if cell
    ]

    assert _read(page)[0].split("\n")[2:] == [
        "| Check of the trolley | Nurse of the early shift | Daily |",
        "| Inventory | Two nurses | Monday |",
    ]


def test_a_heading_ends_a_table_and_the_next_has_columns_of_its_own() -> None:
    first = [
        [(72, "Code"), (180, "Meaning"), (320, "Remedy")],
        [(72, "E01"), (180, "No labels"), (320, "Insert a roll")],
    ]
    first += [[(72, "E02"), (180, "Ribbon torn"), (320, "Replace it")]]
    second = [
        [(72, "Width"), (250, "up to 108 mm")],
        [(72, "Speed"), (250, "150 mm/s")],
        [(72, "Weight"), (250, "2.4 kg")],
    ]
    heading = At(72, 620, "Technical data", 14, _BOLD)

    text = _read([*lines(_KELP, y=760), *_table(first, y=690), heading, *_table(second, y=595)])[0]
    assert "| E01 | No labels | Insert a roll |" in text
    assert "# Technical data\n\n| Width | up to 108 mm |" in text


def test_a_table_that_goes_on_overleaf_has_the_names_of_its_columns() -> None:
    head = [(72.0, "Station"), (180.0, "April"), (280.0, "June"), (380.0, "August")]
    first = [head, [(72, "North"), (180, "18"), (280, "21"), (380, "27")]]
    second = [[(72, f"Place {n}"), (180, f"2{n}"), (280, f"3{n}"), (380, f"4{n}")] for n in range(3)]

    pages = _read([*lines(_KELP, y=300), *_table(first, y=200)], [*_table(second, y=720), *lines(_KELP, y=600)])
    assert pages[0].endswith("| Station | April | June | August |\n| --- | --- | --- | --- |\n| North | 18 | 21 | 27 |")
    assert pages[1].startswith(
        "| Station | April | June | August |\n| --- | --- | --- | --- |\n| Place 0 | 20 | 30 | 40 |"
    )


def test_a_single_row_of_a_table_overleaf_has_the_names_of_its_columns() -> None:
    head = [(72.0, "Fault"), (180.0, "Cause"), (320.0, "Remedy")]
    first = [head, *[[(72, f"E0{n}"), (180, f"Cause {n}"), (320, f"Remedy {n}")] for n in range(3)]]
    last = [[(72, "E09"), (180, "Ribbon torn"), (320, "Replace the ribbon")], [(320, "and call us")]]

    overleaf = [At(x, y, text) for row, y in zip(last, (720, 708), strict=True) for x, text in row]
    pages = _read([*lines(_KELP, y=300), *_table(first, y=200)], [*overleaf, *lines(_KELP, y=680)])
    assert pages[1] == (
        "| Fault | Cause | Remedy |\n| --- | --- | --- |\n| E09 | Ribbon torn | Replace the ribbon and call us |\n\n"
        f"{_flat(_KELP)}"
    )


def test_a_page_after_a_table_that_begins_with_a_line_in_two_pieces_is_no_row_of_it() -> None:
    rows: list[list[tuple[float, str]]] = [
        [(72, f"E0{n}"), (180, f"Cause {n}"), (320, f"Remedy {n}")] for n in range(4)
    ]
    signed = [At(72, 720, "Bergen, 3 May"), At(260, 720, "The board")]

    pages = _read([*lines(_KELP, y=300), *_table(rows, y=200)], [*signed, *lines(_KELP, y=680)])
    assert "|" not in pages[1]


def test_a_bold_line_alone_above_a_text_is_a_heading_and_the_first_of_all_the_title() -> None:
    page: list[Drawn] = [
        At(72, 740, "Travel policy", font=_BOLD),
        *lines(_KELP, y=715),
        At(72, 660, "Booking of trains", font=_BOLD),
        *lines(_KELP, y=640),
        At(72, 590, "Receipts without a date are not accepted.", font=_BOLD),
        *lines(_KELP, y=570),
    ]

    headings = [line for line in "\n".join(_read(page)).split("\n") if line.startswith("#")]
    assert headings == ["# Travel policy", "## Booking of trains"]


def test_a_heading_in_bold_may_take_two_lines_and_hold_code() -> None:
    page: list[Drawn] = [
        At(72, 740, "2.2 Different approaches for books in", font=_BOLD),
        At(72, 728, "several languages", font=_BOLD),
        *lines(_KELP, y=705),
    ]

    assert _read(page) == [f"## 2.2 Different approaches for books in several languages\n\n{_flat(_KELP)}"]


def test_notes_stand_at_the_end_of_their_page_and_do_not_tear_a_sentence() -> None:
    left = (
        "The recovery of stranded birds depends on how\nfast they are found, and on the weight that the\nbirds have at"
    )
    right = "the time of their capture, which is mostly low, as\nearlier work has shown for several kinds of them."
    note = At(72, 560, "1 Only birds that were ringed before they came.", 7)
    body = lines(left, x=72, y=700)

    [text] = _read([*body, note, *lines(right, x=330, y=700)])
    assert text.split("\n\n") == [_flat(f"{left} {right}"), "1 Only birds that were ringed before they came."]


@pytest.mark.parametrize("number", ["1", "Page 1", "- 1 -", "Norby – page 1"])
def test_the_number_of_an_only_page_is_left_out(number: str) -> None:
    assert _read([*lines(_KELP), At(300, 40, number)]) == [_flat(_KELP)]


@pytest.mark.parametrize("row", ["Room 12", "Page 7", "1 May"])
def test_any_other_row_at_the_foot_of_an_only_page_stays(row: str) -> None:
    assert row in _read([*lines(_KELP), At(300, 40, row)])[0]


def test_what_two_pages_begin_with_is_left_out() -> None:
    pages = [[At(72, 760, "Holt: Birds"), *lines(f"{_KELP}\nNumber {n}.", y=700), At(300, 40, str(n))] for n in (1, 2)]

    assert [_flat(text) for text in _read(*pages)] == [f"{_flat(_KELP)} Number {n}." for n in (1, 2)]


def test_a_watermark_is_in_no_passage_and_does_not_join_lines() -> None:
    texts = [
        f"{name} grow where the water is cold,\nand {name} soften the waves there."
        for name in ("Kelp", "Dulse", "Oars")
    ]
    pages: list[list[Drawn]] = [[At(100, 300, "draft", 300), *lines(text, y=500)] for text in texts]

    assert _read(*pages) == [_flat(text) for text in texts]


def test_a_page_that_says_contents_is_left_out_without_dots_too() -> None:
    names = ["Birds", "Fish", "Crabs", "Otters", "Kelp"]
    entries = [
        At(72 + 380 * x, 680 - 14 * n, t) for n, name in enumerate(names) for x, t in enumerate((name, str(n + 1)))
    ]

    pages = _read([At(72, 720, "Contents"), *entries], *[[*lines(f"{_KELP}\n{name}.")] for name in names])
    assert len(pages) == len(names)
    assert _read([At(72, 720, "Prices"), *entries], *[[*lines(f"{_KELP}\n{name}.")] for name in names])[0].startswith(
        "Prices"
    )


def test_roman_numbers_of_pages_are_left_out() -> None:
    pages: list[list[Drawn]] = [[*lines(f"{_KELP}\nNumber {n}."), At(300, 40, "iv"[:n])] for n in (1, 2)]

    assert all(text.endswith(".") for text in _read(*pages, [*lines(f"{_KELP}\nNumber 3.")]))


def test_accents_that_are_drawn_before_their_letters_are_put_onto_them() -> None:
    assert _read([At(72, 700, "By P\xb4eter Br\xa8oker, with 5\xa8 and \xb4.")]) == [
        "By Péter Bröker, with 5\xa8 and \xb4."
    ]


def test_chapter_and_number_above_a_title_are_no_passage_and_remarks_of_programs_are_left_out() -> None:
    first: list[Drawn] = [At(72, 720, "1 Birds", 18), *lines(_KELP, y=690), At(300, 80, "(continues on next page)", 8)]
    second: list[Drawn] = [At(250, 720, "Chapter"), At(250, 706, "2"), At(72, 680, "2 Fish", 18)]
    second += [*lines("Fish live in the water of the lake,\nand some of them in the sea.", y=650)]

    pages = _read(first, second, [*lines("Crabs walk on the ground of the sea.")])
    assert pages[0] == f"# 1 Birds\n\n{_flat(_KELP)}"
    assert pages[1] == "# 2 Fish\n\nFish live in the water of the lake, and some of them in the sea."


def test_titles_of_sections_above_the_text_are_left_out_though_each_stands_on_one_page() -> None:
    above = ["Kelp", "Kelp", "Kelp", "Dulse", "Oars", "Oars"]
    pages: list[list[Drawn]] = [
        [At(400, 760, name), *lines(f"Number {n} of the pages is\nabout {name} in the sea.", y=560 - n, leading=14 + n)]
        for n, name in enumerate(above)
    ]

    texts = [_flat(text) for text in _read(*pages)]
    assert texts == [f"Number {n} of the pages is about {name} in the sea." for n, name in enumerate(above)]
