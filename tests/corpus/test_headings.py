"""Finding the headings of a text."""

from __future__ import annotations

import pytest

from sift_rag.corpus import markdown
from sift_rag.corpus.formats import Syntax
from sift_rag.corpus.headings import find_headings


def _outline(text: str, syntax: Syntax) -> list[tuple[int, str, str]]:
    """Return level, title, and the text's line at the start of each heading."""
    found = find_headings(text, syntax)
    return [(heading.level, heading.title, text[heading.start :].partition("\n")[0]) for heading in found]


def test_markdown_headings_are_those_of_its_grammar() -> None:
    text = (
        "# A *b* [c](d) `e`\n\nText\n\n```\n# not this\n```\n\n    # nor this\n\n## é 😀 ##\n\nSetext\n------\n"
        "<!--\n# nor this\n-->\n\n- # nor one in a list\n\n####### seven\n\n#\n\n###### Six\n"
    )

    assert _outline(text, "markdown") == [
        (1, "A b c e", "# A *b* [c](d) `e`"),
        (2, "é 😀", "## é 😀 ##"),
        (2, "Setext", "Setext"),
        (6, "Six", "###### Six"),
    ]


def test_a_long_markdown_text_has_the_headings_of_its_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(
        f"# Chapter {n}\n\ntext\n\n```\n\n# in code {n}\n\n```\n\n## Section {n}\n\ntext\n\n" for n in range(50)
    )
    whole = find_headings(text, "markdown")
    monkeypatch.setattr(markdown, "_SEGMENT", 300)

    assert find_headings(text, "markdown") == whole
    assert len(whole) == 100


def test_rst_levels_go_by_the_first_use_of_a_line() -> None:
    title, sections = (
        "=====\nTitle\n=====\n\n",
        "One\n---\n\n.. code::\n\n   Not\n   ---\n\nTwo\n~~~~\n\nThree\n-----\n\n",
    )
    text = f"{title}{sections}a table\n=== ===\n\n----\n"

    assert _outline(text, "rst") == [
        (1, "Title", "====="),
        (2, "One", "One"),
        (3, "Two", "Two"),
        (2, "Three", "Three"),
    ]


def test_a_line_shorter_than_the_text_above_it_is_no_rst_underline() -> None:
    assert find_headings("A sentence and\n--\nmore.\n", "rst") == []


def test_latex_sections_are_headings_unless_commented_out() -> None:
    text = "\\chapter{One}\n% \\section{No}\n  \\section*{Two {\\em deep}}\n\\subsection[short]{Three}\nText.\n"

    assert [(level, title) for level, title, _ in _outline(text, "latex")] == [
        (2, "One"),
        (3, "Two {\\em deep}"),
        (4, "Three"),
    ]


def test_python_headings_are_classes_and_functions_and_end_with_them() -> None:
    nested = "@decorated\nclass A:\n    async def b(self):\n        if x:\n            def c(): pass\n"
    text = f'x = "def no(): pass"\n{nested}\ny = 1\n'

    assert _outline(text, "python") == [
        (1, "A", "@decorated"),
        (2, "b", "    async def b(self):"),
        (3, "c", "            def c(): pass"),
        (3, "", ""),
        (2, "", ""),
        (1, "", ""),
    ]


@pytest.mark.parametrize("text", ["def broken(:\n", "(" * 5000, "x = '\0'", r"x = '\d'", "0_7"])
def test_python_that_does_not_parse_has_no_headings(text: str) -> None:
    assert find_headings(text, "python") == []


def test_plain_text_has_no_headings() -> None:
    assert find_headings("# One\n\n===\n", "plain") == []
