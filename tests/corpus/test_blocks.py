"""Dividing a text into headings and blocks."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sift_rag.corpus.blocks import BlockKind, outline
from sift_rag.corpus.formats import Syntax
from sift_rag.corpus.headings import find_headings
from tests.examples import examples

marked_text = st.lists(
    st.sampled_from(
        [
            "\n", "\n\n", "# Head\n", "Head\n====\n", "```python\n", "~~~~\n", "> ", "- ", "1. ", "    ",
            "a | b\n--|--\n", "| c | d |\n", "words ", "words::\n", ".. code-block:: c\n", "\\section{One}\n",
            "\\begin{list}\n",
            "\\end{list}\n", "[a]: /b\n", "<div>\n", "\r", "\x0b", "\u2028", "\0",
        ]
    ),
    max_size=30,
).map("".join)  # fmt: skip


@settings(max_examples=examples(150), deadline=None)
@given(text=marked_text, syntax=st.sampled_from(["markdown", "rst", "latex"]))
def test_the_blocks_cover_the_text_without_overlap(text: str, syntax: Syntax) -> None:
    found = outline(text, syntax)

    assert found is not None
    assert "".join(text[block.start : block.end] for block in found.blocks) == text
    assert all(block.start <= block.body.start <= block.body.end <= block.end for block in found.blocks)
    assert found.headings == find_headings(text, syntax)


def _blocks(text: str, syntax: Syntax, kind: BlockKind = "code") -> list[tuple[str, str, str, str]]:
    """Return text, body, and what a piece repeats, of the blocks of a kind."""
    found = outline(text, syntax)
    assert found is not None
    return [
        (text[block.start : block.end].rstrip(), text[slice(*block.body)].rstrip(), block.before, block.after)
        for block in found.blocks
        if block.kind == kind
    ]


@pytest.mark.parametrize(
    ("code", "before", "after"),
    [
        pytest.param("```python\na = 1\n```", "```python\n", "```", id="plain"),
        pytest.param("~~~ js title=x\na = 1\n~~~", "~~~ js title=x\n", "~~~", id="tildes"),
        pytest.param("`````\n```\na = 1\n```\n`````", "`````\n", "`````", id="longer, with a fence inside"),
        pytest.param("   ```c\n   a = 1\n   ```", "   ```c\n", "   ```", id="indented"),
        pytest.param("- ```c\n  a = 1\n  ```", "  ```c\n", "  ```", id="in a list"),
        pytest.param("> > ```c\n> > a = 1\n> > ```", "> > ```c\n", "> > ```", id="in quotes"),
        pytest.param("1. one\n\n   ```c\n   a = 1\n   ```", "   ```c\n", "   ```", id="below an item"),
        pytest.param("!!! note\n\n    ```c\n    a = 1\n    ```", "    ```c\n", "    ```", id="in an admonition"),
        pytest.param("```c\na = 1", "```c\n", "```", id="not closed"),
    ],
)
def test_fenced_code_repeats_its_fence(code: str, before: str, after: str) -> None:
    [(found, body, *around)] = _blocks(code, "markdown")

    assert code.endswith(found)
    assert around == [before, after]
    assert "a = 1" in body
    assert after not in body


@pytest.mark.parametrize(
    ("table", "header"),
    [
        ("| a | b |\n| - | - |\n| 1 | 2 |", "| a | b |\n| - | - |\n"),
        ("a | b\n--|--\n1 | 2", "a | b\n--|--\n"),
        ("> | a |\n> | - |\n> | 1 |", "> | a |\n> | - |\n"),
        ("| a | b |\n| - | - |\n| `1|2` | `x \\| y` |", "| a | b |\n| - | - |\n"),
        ("- | a |\n  | - |\n  | 1 |", "  | a |\n  | - |\n"),
    ],
)
def test_a_table_repeats_its_header(table: str, header: str) -> None:
    assert _blocks(table, "markdown", "table") == [(table, table.split("\n")[2], header, "")]


def test_rst_code_repeats_its_directive() -> None:
    text = "Words.\n\n.. code-block:: python\n   :caption: x\n\n   a = 1\n\n   b = 2\n\nSo::\n\n   c = 3\n\nMore.\n"

    assert [(body.split()[-1], before) for _, body, before, _ in _blocks(text, "rst")] == [
        ("2", ".. code-block:: python\n\n"),
        ("3", "::\n\n"),
    ]


def test_the_outermost_latex_environment_is_a_block() -> None:
    text = "\\begin{document}\nA.\n\\begin{list}\n\\begin{list}\nx\n\\end{list}\n\\end{list}\n\\end{document}\n"

    [(found, body, before, after)] = _blocks(text, "latex")
    assert found == text[text.index("\\begin{list}") : text.index("\\end{document}")].rstrip()
    assert (body, before, after) == ("\\begin{list}\nx\n\\end{list}", "\\begin{list}\n", "\\end{list}")


@pytest.mark.parametrize("syntax", ["plain", "python"])
def test_other_texts_have_no_outline(syntax: Syntax) -> None:
    assert outline("# One\n", syntax) is None
