"""PDFs as a reader sees them: paragraphs, columns, tables, headings, running headers, form fields."""

from __future__ import annotations

import random
import re
from contextlib import suppress

import pytest

from sift_rag.corpus import more_time, ocr
from sift_rag.corpus.headings import find_headings
from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.pdf import read_pdf
from sift_rag.corpus.pdf_pages import Piece as PixelPiece
from sift_rag.errors import SkippedDocument, UnreadableDocument
from tests.corpus.pdf_pages import HEIGHT, At, Drawn, Field, Picture, lines, pdf
from tests.examples import examples

_KELP = """Kelp forests grow along rocky coasts where the water is cold and clear, and
they shelter fish, crabs and sea otters. They soften the waves as well, before
these reach the shore. Many have become smaller."""

_URCHINS = """Urchins eat the young plants. Where nobody eats the urchins, the forest goes in
a few years, and it takes decades to come back. Divers count them each spring,
at the same places."""


def _texts(*pages: list[Drawn]) -> list[str]:
    return [section.text for section in read_pdf(pdf(pages)).sections]


def _flat(text: str) -> str:
    return text.replace("\n", " ")


# Paragraphs


def test_lines_of_a_paragraph_are_joined() -> None:
    assert _texts([*lines(_KELP)]) == [_flat(_KELP)]


def test_a_gap_divides_paragraphs() -> None:
    assert _texts([*lines(_KELP), *lines(_URCHINS, y=660)]) == [f"{_flat(_KELP)}\n\n{_flat(_URCHINS)}"]


def test_an_indented_first_line_begins_a_paragraph() -> None:
    first, *others = lines(_URCHINS, y=720 - 3 * 12)
    assert _texts([*lines(_KELP), first._replace(x=90), *others]) == [f"{_flat(_KELP)}\n\n{_flat(_URCHINS)}"]


def test_a_short_last_line_ends_a_paragraph() -> None:
    assert _texts([*lines(f"{_KELP}\n{_URCHINS}")]) == [f"{_flat(_KELP)}\n\n{_flat(_URCHINS)}"]


def test_an_address_keeps_its_lines() -> None:
    assert _texts([*lines("Harbour Office\nPier Road 4\n5003 Bergen")]) == ["Harbour Office\nPier Road 4\n5003 Bergen"]


def test_short_lines_that_end_are_not_joined_though_the_next_begins_small() -> None:
    shown = (
        "bookmarks: make bookmarks for all sections (true).\ndraft: leave out all links (false).\ncolour: of a link."
    )
    assert _texts([*lines(shown)]) == [shown.replace("\n", "\n\n")]


def test_items_of_a_list_stand_on_lines_of_their_own() -> None:
    bullets = [
        At(72, 720, "\u2022 The decline is steepest near the pier, where the water is shallow and the"),
        At(80, 708, "waves are high."),
        At(72, 696, "\u2022 The quarry is stable."),
    ]
    [text] = _texts([*bullets])
    assert text.split("\n") == [
        "- The decline is steepest near the pier, where the water is shallow and the waves are high.",
        "- The quarry is stable.",
    ]


_NESTED = [
    (72, "1. Take water"),
    (90, "(a) at noon,"),
    (108, "(i) from the pier,"),
    (105, "(ii) from a boat,"),
    (90, "(b) at dusk."),
    (72, "2. Filter it"),
    (90, "\u2022 through glass,"),
    (108, "\u2022 of 0.7 mm,"),
    (90, "\u2022 twice."),
]


def test_an_item_within_another_is_indented() -> None:
    [text] = _texts([At(x, 720 - 12 * number, words) for number, (x, words) in enumerate(_NESTED)])
    assert text.split("\n") == [
        "1. Take water",
        "   (a) at noon,",
        "       (i) from the pier,",
        "       (ii) from a boat,",
        "   (b) at dusk.",
        "2. Filter it",
        "   - through glass,",
        "     - of 0.7 mm,",
        "   - twice.",
    ]


def test_numbers_of_one_list_that_end_at_one_place_are_of_one_level() -> None:
    items = [(80, "9. Nine"), (72, "10. Ten"), (64, "100. A hundred"), (80, "8. Eight")]
    [text] = _texts([At(x, 720 - 12 * number, words) for number, (x, words) in enumerate(items)])
    assert text.split("\n") == [words for _, words in items]


def test_code_keeps_its_lines_and_its_indentation() -> None:
    code = [At(72, 720, "def mean(values):", font="Courier"), At(96, 708, "return sum(values)", font="Courier")]
    assert _texts([*code]) == ["```\ndef mean(values):\n    return sum(values)\n```"]


def test_a_line_of_a_sentence_in_letters_of_one_width_is_no_code() -> None:
    page = [
        At(72, 720, "After they have undergone some degree of testing in the two weeks that follow, packages go into"),
        At(72, 708, "unstable/main", font="Courier"),
        At(72, 680, "To build one, type the following in the folder that holds the sources of the package and nothing"),
        At(72, 668, "else:"),
        At(72, 656, "make package", font="Courier"),
    ]
    assert _texts(page)[0].split("\n\n") == [
        "After they have undergone some degree of testing in the two weeks that follow, packages go into unstable/main",
        "To build one, type the following in the folder that holds the sources of the package and nothing else:",
        "make package",
    ]


def test_a_line_of_text_between_words_in_letters_of_one_width_is_no_code() -> None:
    page = [
        At(
            72,
            720,
            "The archive is at a mirror, and its parts are kept in a folder of that machine, for example in the",
        ),
        At(72, 708, "/debian", font="Courier"),
        At(118, 708, "one, which is where most of the machines have it, or also in"),
        At(388, 708, "/pub/debian", font="Courier"),
        At(72, 696, "if there is no such folder."),
    ]
    [text] = _texts(page)
    assert text.endswith(
        "in the /debian one, which is where most of the machines have it, or also in /pub/debian if there "
        "is no such folder."
    )


@pytest.mark.parametrize("line", ["# of plants counted", "```", "-----", "<!-- a remark"])
def test_what_markdown_would_misread_is_escaped(line: str) -> None:
    [text] = _texts([*lines(f"{line}\n\nHeading and text after it")])

    assert text.startswith(f"\\{line}")
    assert find_headings(f"{text}\n\n# A heading\n", "markdown")[-1].title == "A heading"


# Columns


def _two_columns(left: str, right: str, y: float) -> list[Drawn]:
    """Draw two columns row by row."""
    rows = zip(lines(left, x=72, y=y), lines(right, x=320, y=y), strict=True)
    return [drawn for row in rows for drawn in row]


_LEFT = """The divers swim along a line of thirty
metres, one on each side, and count all
plants that are taller than one metre in
a line that is laid at one place a year,
and its ends are marked with steel pins
that were driven into the rock."""
_RIGHT = """Where the sea is too rough, the dive is
repeated within two weeks. If that fails
as well, the year is left out, and the
mean is taken over the other years. No
value was filled in by calculation, nor
was any taken from other reports."""


def test_columns_that_are_drawn_row_by_row_are_read_one_after_the_other() -> None:
    title = At(72, 720, "Counting kelp from a boat and under water, in all seasons of the year")
    [text] = _texts([title, *_two_columns(_LEFT, _RIGHT, 690)])

    assert text == f"{title.text}\n\n{_flat(_LEFT)}\n\n{_flat(_RIGHT)}"


def test_columns_that_are_drawn_one_after_the_other_stay_so() -> None:
    [text] = _texts([*lines(_LEFT, x=72), *lines(_RIGHT, x=320)])

    assert text == f"{_flat(_LEFT)}\n\n{_flat(_RIGHT)}"


def test_a_title_that_is_drawn_last_is_read_first() -> None:
    [text] = _texts([*lines(_KELP, y=680), At(72, 720, "Kelp")])

    assert text == f"Kelp\n\n{_flat(_KELP)}"


def test_a_line_with_wide_gaps_is_not_torn() -> None:
    first, second, third = lines(_KELP)
    left, right = second.text.split(", ", 1)
    torn = [At(72, second.y, f"{left},"), At(260, second.y, right)]

    assert _texts([first, *torn, third]) == [_flat(_KELP)]


# Tables

_ROWS = [
    ("Day", "Morning", "Afternoon", "Evening"),
    ("Monday", "9-12", "", "18-20"),
    ("Tuesday", "", "14-17", ""),
    ("Friday", "", "", "18-20"),
]
_TABLE = """| Day | Morning | Afternoon | Evening |
| --- | --- | --- | --- |
| Monday | 9-12 | | 18-20 |
| Tuesday | | 14-17 | |
| Friday | | | 18-20 |"""


def _cells(rows: list[tuple[str, ...]], *, y: float = 700, leading: float = 18, by_column: bool = False) -> list[Drawn]:
    cells = [
        (column, At(72 + 100 * column, y - leading * number, cell))
        for number, row in enumerate(rows)
        for column, cell in enumerate(row)
        if cell
    ]
    return [cell for _, cell in (sorted(cells, key=lambda found: found[0]) if by_column else cells)]


@pytest.mark.parametrize("by_column", [False, True])
@pytest.mark.parametrize("leading", [12, 18])
def test_a_table_keeps_its_empty_cells(*, by_column: bool, leading: float) -> None:
    table = _cells(_ROWS, leading=leading, by_column=by_column)

    assert _texts([*lines(_KELP, y=780), *table, *lines(_URCHINS, y=600)]) == [
        f"{_flat(_KELP)}\n\n{_TABLE}\n\n{_flat(_URCHINS)}"
    ]


def test_lines_of_one_cell_are_joined() -> None:
    rows = _cells([("Place", "Remark"), ("North pier", "Urchins were"), ("Quarry", "No dive")], leading=30)
    [text] = _texts([*rows, At(172, 700 - 30 - 12, "removed by hand")])

    assert "| North pier | Urchins were removed by hand |\n| Quarry | No dive |" in text


def test_a_bar_in_a_cell_divides_no_cells() -> None:
    [text] = _texts([*_cells([("Sign", "Use"), ("a|b", "either"), ("c", "one")])])

    assert "| a\\|b | either |" in text


def test_numbers_before_items_are_no_column() -> None:
    items = [(f"{number}.", f"Item number {number} of the list") for number in range(1, 5)]
    [text] = _texts([*_cells(items)])

    assert "|" not in text
    assert "2. Item number 2 of the list" in text


# Running headers and footers


def _running(body: list[Drawn], number: int) -> list[Drawn]:
    header = [At(72, 760, "Harbour of Bergen - Safety manual"), At(450, 760, "Version 4")]
    return [*header, *body, At(72, 30, "Confidential"), At(500, 30, f"Page {number} of 9")]


_TOPICS = ["ladders", "forklifts", "welding", "cranes", "boats"]


def test_running_headers_and_footers_are_left_out() -> None:
    pages = [_running([*lines(f"How to use {topic} safely.")], number) for number, topic in enumerate(_TOPICS, 1)]

    assert _texts(*pages) == [f"How to use {topic} safely." for topic in _TOPICS]


def test_chapter_titles_above_pages_and_page_numbers_are_left_out() -> None:
    pages = [
        [At(72, 760, f"Chapter {number // 3}"), *lines(f"How to use {topic}."), At(300, 30, str(number + 7))]
        for number, topic in enumerate([*_TOPICS, "nets"])
    ]

    assert _texts(*pages) == [f"How to use {topic}." for topic in [*_TOPICS, "nets"]]


def test_two_pages_have_no_running_headers() -> None:
    assert all("Safety manual" in text for text in _texts(_running([], 1), _running([], 2)))


def test_a_page_of_running_rows_only_is_empty() -> None:
    pages = [_running([*lines(topic)], number) for number, topic in enumerate(_TOPICS, 1)]

    assert _texts(*pages, _running([], 6)) == _TOPICS


def test_pages_of_running_rows_only_keep_them_if_they_are_many() -> None:
    pages = [_running([], number) for number in range(1, 5)]

    assert all("Safety manual" in text for text in _texts(*pages, _running([*lines("ladders")], 5))[:4])


def test_a_table_header_that_repeats_inside_the_pages_stays() -> None:
    pages: list[list[Drawn]] = [
        [*lines(f"Prices for {topic}", y=740), *_cells([("Name", "Price"), (topic, "12"), ("rope", "3")])]
        for topic in _TOPICS
    ]

    assert all("| Name | Price |" in text for text in _texts(*pages))


def test_lines_that_differ_by_numbers_only_stay_where_they_are_the_text() -> None:
    pages = [[*lines("\n".join(f"Entry {page}{row}: open" for row in range(9)))] for page in range(5)]

    assert all(text.count("Entry") == 9 for text in _texts(*pages))


# Headings and titles


def _chapter(title: str, size: float = 16, y: float = 720) -> list[Drawn]:
    return [At(72, y, title, size, "Helvetica-Bold"), *lines(_KELP, y=y - 40)]


def test_larger_lines_are_headings_and_hold_on_the_next_page() -> None:
    small = At(72, 600, "Counting", 13)
    pages: list[list[Drawn]] = [
        [*_chapter("Coasts"), small, *lines(_URCHINS, y=560)],
        [*lines(_URCHINS), *_chapter("Harbours", y=600)],
    ]
    found = read_pdf(pdf(pages))

    assert [(section.page, section.headings, section.text.split("\n")[0][:12]) for section in found.sections] == [
        (1, (), "# Coasts"),
        (2, ("Coasts", "Counting"), "Urchins eat "),
        (2, (), "# Harbours"),
    ]
    assert "## Counting\n\nUrchins" in next(iter(found.sections)).text


def test_a_heading_of_two_lines_is_one() -> None:
    heading = [At(72, 720, "Kelp forests of the northern", 16), At(72, 702, "coast", 16)]

    assert _texts([*heading, *lines(_KELP, y=670)])[0].startswith("# Kelp forests of the northern coast\n\nKelp")


def test_a_number_before_bold_letters_makes_a_heading() -> None:
    heading = At(72, 720, "2.1 Methods", font="Helvetica-Bold")

    assert _texts([heading, *lines(_KELP, y=700)]) == [f"## 2.1 Methods\n\n{_flat(_KELP)}"]


def test_the_outline_names_the_headings() -> None:
    drawn = [*lines("Methods", y=740), *lines(_KELP)]
    [section] = read_pdf(pdf([drawn], outline=[("Methods", 1)])).sections

    assert section.text == f"# Methods\n\n{_flat(_KELP)}"


@pytest.mark.parametrize(
    ("stated", "title"),
    [("Kelp report", "Kelp report"), ("Microsoft Word - kelp.doc", "Coasts"), ("untitled", "Coasts"), ("", "Coasts")],
)
def test_the_title_is_the_stated_one_unless_a_program_made_it_up(stated: str, title: str) -> None:
    assert read_pdf(pdf([_chapter("Coasts")], title=stated)).title == title


def test_without_a_stated_title_or_a_large_line_there_is_none() -> None:
    assert read_pdf(pdf([[*lines(_KELP)]], title="untitled")).title == ""


# Form fields


def test_fields_that_are_filled_in_end_their_page() -> None:
    page: list[Drawn] = [*lines("Application"), Field("Name", "Ada Berg"), Field("Boat", "")]

    assert _texts(page) == ["Application\n\nName: Ada Berg"]


def test_a_password_in_a_form_is_not_read() -> None:
    page: list[Drawn] = [*lines("Log in"), Field("Password", "kelp123", flags=1 << 13)]

    assert _texts(page) == ["Log in"]


# Scans


def _scan() -> list[Drawn]:
    return [Picture(4, 4, bytes(16))]


def test_pages_without_text_are_counted_and_named() -> None:
    found = read_pdf(pdf([[*lines(_KELP)], _scan(), _scan(), [*lines(_URCHINS)], _scan()]), _without_ocr())

    assert found.pages_without_text == 3
    assert found.notices == ("pages 2-3 and 5 of 5 have no text (scans?)",)


def test_a_page_with_nothing_on_it_is_not_missed() -> None:
    found = read_pdf(pdf([[*lines(_KELP)], []]))

    assert (found.pages_without_text, found.notices) == (0, ())


def test_a_stamp_on_a_scan_does_not_make_it_text() -> None:
    found = read_pdf(pdf([[*lines(_KELP)], [*_scan(), At(72, 20, "Scanned 2024-05-01")]]), _without_ocr())

    assert found.notices == ("page 2 of 2 has no text (a scan?)",)
    assert [section.text for section in found.sections][1] == "Scanned 2024-05-01"


def test_a_document_of_scans_is_skipped_with_the_reason() -> None:
    with pytest.raises(SkippedDocument, match=r"it holds no text \(none of its 2 pages has text: they are scans\?\)"):
        read_pdf(pdf([_scan(), _scan()]), _without_ocr())


def _without_ocr() -> IngestOptions:
    return IngestOptions(ocr="off")


# Whatever is on the page


def test_every_word_is_in_the_text_once_wherever_it_stands() -> None:
    for seed in range(examples(30)):
        source = random.Random(seed)
        width, height = source.choice([30, 40, 120]), source.choice([11, 12, 20])
        places = [(x, y) for x in range(20, 540, width) for y in range(20, HEIGHT - 20, height)]
        places = source.sample(places, source.randrange(1, 60))
        words = [f"w{number}x" for number in range(len(places))]
        page: list[Drawn] = [At(x, y, word) for (x, y), word in zip(places, words, strict=True)]
        texts = " ".join(_texts(page))
        assert all(texts.count(word) == 1 for word in words), seed


@pytest.mark.parametrize("rotate", [90, 180, 270])
def test_a_turned_page_keeps_its_words(rotate: int) -> None:
    [section] = read_pdf(pdf([[*lines(_KELP)]], rotate=rotate)).sections

    assert set(_KELP.split()) <= set(section.text.split())


def test_a_damaged_pdf_is_read_or_fails_with_a_reason() -> None:
    whole = pdf([[*lines(_KELP)], [*lines(_URCHINS), Field("Name", "Ada")]], outline=[("Kelp", 1), ("Urchins", 2)])
    for seed in range(examples(40)):
        source = random.Random(seed)
        damaged = bytearray(whole[: source.randrange(len(whole) // 2, len(whole) + 1)])
        for _ in range(source.randrange(1, 30)):
            damaged[source.randrange(8, len(damaged))] = source.randrange(256)
        with suppress(UnreadableDocument):  # any other error is a defect
            assert all(section.text.strip() for section in read_pdf(bytes(damaged)).sections)


def test_an_outline_that_leads_back_to_itself_ends() -> None:
    data = pdf([[*lines(_KELP)]], outline=[("Kelp", 1), ("Urchins", 1)])
    cyclic = data.replace(b"/Parent", b"/Next__", 0).replace(b"(Urchins) /Parent", b"(Urchins) /Next  ")

    assert [section.page for section in read_pdf(cyclic).sections] == [1]


def test_a_broken_page_costs_no_other_and_is_named() -> None:
    whole = pdf([lines(f"The text of page {number} stands here.") for number in range(1, 5)])
    kids = re.search(rb"/Kids \[(\d+) 0 R (\d+) 0 R", whole)
    assert kids is not None
    broken = whole.replace(b"%s 0 R %s 0 R" % kids.groups(), b"%s 0 R 99 0 R" % kids[1])
    found = read_pdf(broken)
    assert [section.page for section in found.sections] == [1, 3, 4]
    assert found.notices == ("page 2 of 4 is broken and was not read",)
    assert found.pages_without_text == 0


def test_a_pdf_of_broken_pages_is_broken() -> None:
    whole = pdf([lines("The only page.")])
    broken = re.sub(rb"/Kids \[\d+ 0 R", b"/Kids [99 0 R", whole)
    with pytest.raises(UnreadableDocument, match="none of its pages can be read"):
        read_pdf(broken)


def test_a_large_heading_is_no_running_header_because_of_its_number() -> None:
    text = "\n".join(f"Line {number} of some text of this chapter." for number in range(20))
    pages = [[At(72, 740, f"Chapter {number}", 18), *lines(text)] for number in range(1, 6)]
    found = read_pdf(pdf(pages))
    assert [section.text.split("\n")[0] for section in found.sections] == [f"# Chapter {n}" for n in range(1, 6)]


@pytest.mark.parametrize("pages", [1, 2, 4])
@pytest.mark.parametrize(
    ("above", "below"),
    [
        ("11/29/26, 3:41 PM Annual report", "https://example.com/report?a=1 {}/{}"),
        ("Annual report https://example.com/report", "{} of {} 29/11/2026, 15:41"),
    ],
)
def test_what_a_browser_adds_to_a_printed_page_is_left_out(pages: int, above: str, below: str) -> None:
    drawn = [
        [At(30, 775, above, 8), *lines(f"The text of part {n}.\nIt goes on."), At(30, 15, below.format(n, pages), 8)]
        for n in range(1, pages + 1)
    ]
    text = "\n".join(section.text for section in read_pdf(pdf(drawn)).sections)
    assert "The text of part 1" in text
    assert "report" not in text
    assert "11/2" not in text


def test_the_number_of_a_page_of_so_many_is_left_out_of_a_letter() -> None:
    letter = [*lines("Dear Anna,\nthe roof is done."), At(300, 20, "Page 1 of 1", 8)]
    assert "Page" not in next(iter(read_pdf(pdf([letter])).sections)).text


def test_a_fraction_that_is_not_the_number_of_the_page_stays() -> None:
    letter = [*lines("The result of the vote:"), At(300, 20, "Votes 2 of 3", 8)]
    assert "2 of 3" in next(iter(read_pdf(pdf([letter])).sections)).text


def test_each_page_that_is_read_by_ocr_adds_to_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    monkeypatch.setattr(more_time, "_grants", [asked.append])
    monkeypatch.setattr(ocr, "is_installed", lambda: True)
    monkeypatch.setattr(ocr, "read_image", lambda _: [PixelPiece("Contract 8812", 0, 0, 300, 20)])
    found = read_pdf(pdf([_scan(), [*lines(_KELP)], _scan()]), IngestOptions(file_timeout=10))
    assert [section.page for section in found.sections] == [1, 2, 3]
    assert asked == [5, 5]


def _contents(*numbers: int) -> list[Drawn]:
    return [
        At(72, 700, "Contents", 16),
        *(At(72, 660 - 20 * row, f"Chapter {row} {'.' * 40} {number}") for row, number in enumerate(numbers)),
    ]


def test_a_table_of_contents_is_left_out() -> None:
    assert _texts(_contents(1, 1, 2, 3), [*lines(_KELP)], [*lines(_URCHINS)]) == [_flat(_KELP), _flat(_URCHINS)]


@pytest.mark.parametrize("numbers", [(9, 4, 12, 3), (100, 200, 300, 400), (1, 2)])
def test_a_list_with_dots_that_is_no_table_of_contents_stays(numbers: tuple[int, ...]) -> None:
    first, *_ = _texts(_contents(*numbers), [*lines(_KELP)], [*lines(_URCHINS)])
    assert f"Chapter 1 ... {numbers[1]}" in first
