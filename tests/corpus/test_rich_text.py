"""RTF becomes Markdown: headings, lists, tables and notes as Word and LibreOffice write them."""

from __future__ import annotations

import pytest

from sift_rag.corpus.rich_text import read_rich_text
from sift_rag.errors import UnreadableDocument

_HEAD = (
    r"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0 Arial;}{\f1\fcharset2 Symbol;}}"
    r"{\stylesheet{\s0 Normal;}{\s1\outlinelevel0\b heading 1;}{\s2\b heading 2;}{\*\cs9 heading 1 Char;}"
    r"{\s5\b Title;}{\s6 toc 1;}}"
)


def _text(body: str) -> str:
    return "\n\n".join(section.text for section in read_rich_text(f"{_HEAD}{body}}}".encode("cp1252")).sections)


def test_headings_are_told_by_their_style_or_outline_level() -> None:
    body = (
        r"\pard\s5 The lease\par\pard\s1\b{\listtext 1.\tab}Rent\b0\par\pard\plain Due on Monday.\par"
        r"\pard\s2\b Deposit\par\pard\plain\outlinelevel2 Refund\par\pard Within a week.\par"
    )

    assert _text(body).split("\n\n") == [
        "# The lease",
        "# 1. Rent",
        "Due on Monday.",
        "## Deposit",
        "### Refund",
        "Within a week.",
    ]


@pytest.mark.parametrize("bullet", [r"{\listtext\f1\'b7\tab}", r"{\pntext\f1\'B7\tab}{\*\pn\pnlvlblt}"])
def test_bullets_and_numbers_make_lists_within_lists(bullet: str) -> None:
    body = (
        rf"\pard\ls1{{{bullet}}}bread\par\pard\ls1{bullet}wine\par\pard\ls1\ilvl1{bullet}red\par"
        r"\pard After.\par\pard\ls2{\listtext 3.\tab}Mix\par\pard\ls2{\listtext 4.\tab}Bake\par"
        r"\pard\ls3{\listtext a)\tab}one\par"
    )

    assert _text(body).split("\n") == [
        "- bread",
        "- wine",
        "  - red",
        "",
        "After.",
        "",
        "3. Mix",
        "4. Bake",
        "",
        "- a) one",
    ]


def test_notes_stand_where_they_are_called_and_raised_figures_do_not_join_words() -> None:
    body = (
        r"\pard The limit{\super\chftn}{\footnote\pard\plain{\super\chftn} Of 2016,\par annex 3.} holds"
        r"{\super\chftn{\*\footnote\chftn\pard In winter too.}}. It is 10{\super -3} g.\par"
    )

    assert _text(body) == "The limit (Of 2016, annex 3.) holds (In winter too.). It is 10^-3 g."


def test_cells_are_of_the_columns_between_their_edges() -> None:
    body = (
        r"\trowd\cellx1000\cellx2000\cellx3000\pard\intbl Item\cell Qty\cell Price | each\cell\row"
        r"\trowd\clvmgf\cellx1000\cellx2000\cellx3000 Nut\par M4\cell 2\cell 1.50\cell\row"
        r"\trowd\clvmrg\cellx1000\cellx2000\cellx3000\cell 9\cell\cell\row"
        r"\trowd\cellx2010\cellx3000 Total\cell 3.00\cell\row\pard That is all.\par"
    )

    assert _text(body).split("\n") == [
        "| Item | Qty | Price \\| each |",
        "| --- | --- | --- |",
        "| Nut M4 | 2 | 1.50 |",
        "| Nut M4 | 9 |  |",
        "| Total |  | 3.00 |",
        "",
        "That is all.",
    ]


def test_what_is_not_to_be_read_is_left_out_and_what_is_stays() -> None:
    body = (
        r"{\field{\*\fldinst TOC \\o}{\fldrslt\pard\s6 Rent 3\par}}\pard\s6 Deposit 4\par\pard "
        r'See {\field{\*\fldinst HYPERLINK "https://a.example"}{\fldrslt the list}} at '
        r"{\f0\cf1\lang9 192.168.1.80}{\v no}.\par"
        r"{\shp{\*\shpinst{\sp{\sn x}{\sv 1}}{\shptxt \pard Mind the step.\par}}{\shprslt twice}}"
        r"{\pict\bin4 }{}x}{\header Page 1}"
    )

    assert _text(body).split("\n\n") == ["See the list at 192.168.1.80.", "Mind the step."]


def test_bold_lines_that_lead_to_a_text_are_headings() -> None:
    body = r"\pard\b Booking\b0\par\pard Ten days \b ahead\b0 .\par\pard\b Meals\b0\par\pard 28 euros.\par"

    assert _text(body).split("\n\n") == ["# Booking", "Ten days ahead.", "## Meals", "28 euros."]


@pytest.mark.parametrize("end", ["", "}}}", r"\trowd\row\cell\row", r"{\footnote", r"\bin99999999 x", "\\"])
def test_broken_ends_cost_nothing_of_what_is_before(end: str) -> None:
    found = read_rich_text((_HEAD + r"\pard Owls hunt at night.\par" + end).encode())

    assert next(iter(found.sections)).text.startswith("Owls hunt at night.")


def test_groups_without_end_are_refused() -> None:
    with pytest.raises(UnreadableDocument, match="nested too deeply"):
        read_rich_text((_HEAD + "{" * 100_000).encode())
