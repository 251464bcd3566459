"""A short line of bold letters that leads to a text is a heading."""

from __future__ import annotations

import pytest

from sift_rag.corpus.bold_headings import with_bold_headings


def test_the_first_is_the_title_and_others_are_below_the_heading_above_them() -> None:
    text = "**Travel policy**\n\nFor all.\n\n**Booking:**\n\nAhead.\n\n## Rates\n\n**Italy**\n\n38 euros."

    assert with_bold_headings(text).split("\n\n") == [
        "# Travel policy",
        "For all.",
        "## Booking",
        "Ahead.",
        "## Rates",
        "### Italy",
        "38 euros.",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Before.\n\n**Receipts without a date are not accepted.**\n\nAfter.",
        "Before.\n\n**Meals:** 28 euros.\n\nAfter.",
        "Before.\n\n**12**\n\nAfter.",
        "Before.\n\nAfter.\n\n**Signed**",
        "**one**\n\n**two**\n\n**three**\n\nfour",
        "Before.\n\n```\na\n\n**b**\n\nc\n```\n\nAfter.",
        "Before.\n\n**a** and **b**\n\nAfter.",
        "",
    ],
)
def test_no_other_bold_letters_are(text: str) -> None:
    assert with_bold_headings(text) == text
