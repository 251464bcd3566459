"""Pages as OCR gives them: pieces without an order of drawing, at heights that waver."""

from __future__ import annotations

from random import Random

import pytest

from sift_rag.corpus.pdf_layout import Flow, Table, evened, lay_out
from sift_rag.corpus.pdf_pages import Segment

_LEFT = [f"This is line number {number} on the left side" for number in range(8)]
_RIGHT = [f"That is line number {number} on the right side" for number in range(8)]


def _column(texts: list[str], x: float, y: float, waver: Random) -> list[Segment]:
    return [
        Segment(text, x, x + 200, y - 13 * number + waver.uniform(-1, 1), 10 + waver.uniform(-1, 1))
        for number, text in enumerate(texts)
    ]


@pytest.mark.parametrize("offset", [0, 3, 6, 9])
def test_columns_whose_lines_are_not_level_are_read_one_after_the_other(offset: float) -> None:
    waver = Random(offset)
    pieces = [*_column(_LEFT, 60, 700, waver), *_column(_RIGHT, 290, 700 - offset, waver)]
    waver.shuffle(pieces)

    blocks = lay_out(evened(pieces))

    assert [line.text for block in blocks if isinstance(block, Flow) for line in block.lines] == [*_LEFT, *_RIGHT]


def test_a_table_whose_cells_are_not_level_keeps_its_rows() -> None:
    waver = Random(1)
    rows = [("Place", "Plants", "Year"), ("Pier", "412", "1998"), ("Quarry", "", "2010"), ("Rock", "127", "")]
    pieces = [
        Segment(cell, 60 + 90 * x, 95 + 90 * x, 700 - 22 * y + waver.uniform(-2, 2), 10 + waver.uniform(-1, 1))
        for y, row in enumerate(rows)
        for x, cell in enumerate(row)
        if cell
    ]
    waver.shuffle(pieces)

    assert lay_out(evened(pieces)) == [Table(tuple(rows))]


def test_a_page_without_pieces_has_no_blocks() -> None:
    assert lay_out(evened([])) == []


def test_a_piece_of_a_line_that_is_drawn_last_stands_where_its_line_does() -> None:
    drawn = [
        Segment("The lake was sampled", 60, 160, 700, 10, order=0),
        Segment("Bathing was never", 163, 250, 688, 10, order=1),
        Segment("restricted.", 60, 120, 676, 10, order=2),
        Segment("left", 60, 80, 640, 10, order=3),
        Segment("right", 200, 230, 640, 10, order=4),
        Segment("at four stations.[1]", 60, 160, 688, 10, order=5),
    ]

    [flow] = lay_out(drawn)
    assert isinstance(flow, Flow)
    assert [line.text for line in flow.lines] == [
        "The lake was sampled",
        "at four stations.[1] Bathing was never",
        "restricted.",
        "left right",
    ]
