"""Removing what nobody searches for from a text."""

from __future__ import annotations

from pathlib import Path

import pytest

from sift_rag.corpus.cleaning import clean_latex, clean_markdown, clean_rst, without_data_addresses
from sift_rag.corpus.documents import read_document

DATA = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ" * 20
ADDRESS = f"data:image/png;base64,{DATA}"
DRAWING = "data:image/svg+xml,%3Csvg%20xmlns='http://www.w3.org/2000/svg'%3E%3Cpath/%3E%3C/svg%3E"


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        (f"a ![a chart]({ADDRESS}) b", "a a chart b"),
        (f'a ![a chart](<{ADDRESS}> "Title") b', "a a chart b"),
        (f"a ![]({ADDRESS}) b", "a  b"),
        (f"a ![a drawing]({DRAWING}) b", "a a drawing b"),
        (f"![a chart][one]\n\n[one]: {ADDRESS}\n\n![other][two]", "a chart\n\n\n\n![other][two]"),
        (f"![a chart][One]\n\n[one]: <{ADDRESS}>\n", "a chart\n\n\n"),
        (f"<p><img alt='a chart' src=\"{ADDRESS}\"/></p>", "<p>a chart</p>"),
        (f'<img\nsrc="{ADDRESS}"\nalt="a chart">\nb', "a chart\n\n\nb"),
        (f"url({ADDRESS})", "url()"),
        (f"x = '{ADDRESS}'", "x = ''"),
        ("x\n" + f"data:font/woff2;charset=utf-8;base64,{DATA}" + "\ny", "x\n\ny"),
        (f"DATA:image/PNG;BASE64,{DATA} b", " b"),
    ],
)
def test_data_addresses_are_removed_and_images_become_their_words(text: str, cleaned: str) -> None:
    assert without_data_addresses(text) == cleaned
    assert cleaned.count("\n") == text.count("\n")


def test_a_data_address_of_several_lines_goes_but_the_line_breaks_stay() -> None:
    wrapped = "\n".join(DATA[start : start + 76] for start in range(0, 760, 76))

    assert without_data_addresses(f"a\ndata:image/png;base64,{wrapped}\nb") == "a\n" + "\n" * 10 + "b"


@pytest.mark.parametrize(
    "text",
    [
        "![chart](chart.png) <img src='a.png' alt='b'> the data: here",
        'f"data:image/png;base64,{encoded}"',
        "begins with data:image/png;base64, and then the bytes",
        "data:text/plain,hello",
        "metadata:a/b, and so on",
    ],
)
def test_what_is_no_data_address_stays(text: str) -> None:
    assert without_data_addresses(text) == text


@pytest.mark.slow
@pytest.mark.parametrize(
    "repeated",
    [
        "data:", "data:a/b;base64,", "![](data:", "![", "<img ", "<img src=data:", "[a]: data:a/b,", ";base64,AAAA",
        "<!--", "`<!-- -->", "import a ", "export const a = {\n\n", "<A\n",
    ],
)  # fmt: skip
def test_cleaning_takes_time_in_proportion_to_the_text(repeated: str) -> None:
    text = repeated * (1_000_000 // len(repeated))  # would take hours if it were quadratic

    assert len(clean_markdown(without_data_addresses(text), is_mdx=True)) <= len(text)


def test_comments_of_markdown_go_and_line_numbers_stay() -> None:
    text = "a <!-- b --> c\n<!--\n```\n# no\n-->\nd `<!-- e -->` f\n```html\n<!-- g -->\n```\nh <!-- i\n"
    cleaned = clean_markdown(text, is_mdx=False)

    assert cleaned == "a  c\n\n\n\n\nd `<!-- e -->` f\n```html\n<!-- g -->\n```\nh <!-- i\n"


MDX = """\
import Tabs from '@theme/Tabs';
import {
  One,
} from "./one";

export const size = (a) => {

  return { a };
};

# Head

Import the package, then export const.

<Tabs groupId="os"
  value="x">
  <TabItem value="a">

Words <Badge/> in a line.

```jsx
import Code from 'code';
<Tabs>
```

- ```js
  export default 1;
  ```

</TabItem>
</Tabs>
"""


def test_imports_exports_and_lone_tags_of_mdx_go_and_line_numbers_stay() -> None:
    lines = clean_markdown(MDX, is_mdx=True).split("\n")

    assert len(lines) == MDX.count("\n") + 1
    assert [line for line in lines if line] == [
        "# Head",
        "Import the package, then export const.",
        "Words <Badge/> in a line.",
        "```jsx",
        "import Code from 'code';",
        "<Tabs>",
        "```",
        "- ```js",
        "  export default 1;",
        "  ```",
    ]
    assert all(line in {"", original} for line, original in zip(lines, MDX.split("\n"), strict=True))


def test_an_export_that_is_never_closed_costs_its_paragraph_alone() -> None:
    text = "export const a = {\n  b: 1,\n\nWords.\n" + "\nMore.\n" * 300

    assert clean_markdown(text, is_mdx=True) == "\n\n\nWords.\n" + "\nMore.\n" * 300


def test_imports_and_tags_are_text_in_other_markdown(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(MDX)
    [section] = read_document(tmp_path / "a.md").sections

    assert section.text == MDX


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.md", f"Words ![chart]({ADDRESS})"),
        ("a.txt", f"Words {ADDRESS}"),
        ("a.py", f"words = '{ADDRESS}'"),
        ("a.csv", f'text,image\n"Words {ADDRESS}",x\n'),
        ("a.jsonl", f'{{"text": "Words ![chart]({ADDRESS})"}}'),
        ("a.html", f"<p>Words <img alt='chart' src='{ADDRESS}'></p>"),
    ],
)
def test_no_format_lets_a_data_address_through(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    [section] = read_document(tmp_path / name).sections

    assert "ords" in section.text
    assert DATA[:20] not in section.text
    assert "data:" not in section.text


def test_a_section_that_becomes_shorter_moves_the_next_ones(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f'text\n"One {ADDRESS} two."\n"{ADDRESS}"\nThree.\n')
    one, three = read_document(tmp_path / "a.csv").sections

    assert (one.text, three.text, three.start) == ("One  two.", "Three.", len("One  two.") + 2)


# What shows no text of its own


def test_badges_and_tables_of_contents_are_left_out_and_lines_stay() -> None:
    badge = "[![build](https://example.org/b.svg)](https://example.org)"
    contents = "- [Hours](#hours)\n  - [Sundays](#hours-sun)\n* [Fees](#fees)\n"
    cleaned = clean_markdown(f"# Pool\n\n{badge} {badge}\n\n{contents}\nIt opens at nine.\n", is_mdx=False)
    assert cleaned == "# Pool\n\n\n\n\n\n\n\nIt opens at nine.\n"


@pytest.mark.parametrize(
    "text",
    [
        "![a map of the pool](map.png)\n",
        "See [Hours](#hours).\n",
        "- [Hours](#hours)\n",
        "- [Hours](#hours): nine to five\n- [Fees](#fees): none\n",
        "- [Hours](hours.md)\n- [Fees](fees.md)\n",
        "```\n[![b](c)](d)\n- [a](#a)\n- [b](#b)\n```\n",
    ],
)
def test_other_links_and_images_stay(text: str) -> None:
    assert clean_markdown(text, is_mdx=False) == text


def test_directives_of_rst_that_show_no_text_are_left_out_and_lines_stay() -> None:
    text = (
        ".. _hours:\n\nHours\n=====\n\n.. toctree::\n   :maxdepth: 2\n\n   install\n   usage\n\n.. index:: pool\n\n"
        ".. note::\n   It opens at nine.\n"
    )
    cleaned = clean_rst(text)
    assert cleaned.split() == ["Hours", "=====", "..", "note::", "It", "opens", "at", "nine."]
    assert cleaned.count("\n") == text.count("\n")
    assert cleaned.index("Hours") == 2


def test_lines_of_latex_that_set_it_up_are_left_out_and_lines_stay() -> None:
    text = (
        "\\documentclass[11pt]{article}\n\\usepackage[T1]{fontenc} % letters\n\\newcommand{\\R}{\\mathbb{R}}\n"
        "\\begin{document}\n% a remark\n"
        "Let $x \\in \\R$. % and so on\n\\begin{verbatim}\n% \\usepackage{x}\n\\end{verbatim}\n"
        "\\bibliography{refs}\n\\end{document}\n"
    )
    cleaned = clean_latex(text)
    assert [line for line in cleaned.split("\n") if line] == [
        "\\newcommand{\\R}{\\mathbb{R}}",
        "Let $x \\in \\R$. % and so on",
        "\\begin{verbatim}",
        "% \\usepackage{x}",
        "\\end{verbatim}",
    ]
    assert cleaned.count("\n") == text.count("\n")


def test_blocks_of_html_in_markdown_are_their_words() -> None:
    text = (
        '<h1 align="center">Tablib</h1>\n\n<p align="center">\n'
        '  <img src="a.png" alt="The logo">\n  <b>Fast</b> tables.\n'
        "</p>\n\n<table><tr><td>a</td><td>b</td></tr></table>\n\n<pre><b>kept</b></pre>\n\n<Tabs>\n\n"
        "In <kbd>line</kbd>.\n\n```html\n<p>code</p>\n```\n"
    )

    assert clean_markdown(text, is_mdx=False).split("\n") == [
        "# Tablib", "", "", "The logo", "Fast tables.", "", "", "a b", "", "<pre><b>kept</b></pre>", "", "<Tabs>", "",
        "In <kbd>line</kbd>.", "", "```html", "<p>code</p>", "```", "",
    ]  # fmt: skip


def test_signs_and_contents_with_emphasis_are_left_out_and_lines_stay() -> None:
    text = "![npm](https://img.shields.io/npm/x)\n\n* **[One](#one)**\n\n* **[Two](#two)**\n\n![chart](chart.png)\n"

    assert clean_markdown(text, is_mdx=False) == "\n\n\n\n\n\n![chart](chart.png)\n"


def test_comments_of_mdx_go_but_for_those_in_code() -> None:
    text = "One {/* hidden */} word.\n{/* two\nlines */}\n`{/* shown */}`\n\n```jsx\n{/* shown too */}\n```\n{/* open\n"
    cleaned = "One  word.\n\n\n`{/* shown */}`\n\n```jsx\n{/* shown too */}\n```\n{/* open\n"
    assert clean_markdown(text, is_mdx=True) == cleaned
    assert clean_markdown(text, is_mdx=False) == text


def test_marks_of_remarks_in_mdx_are_left_out_but_for_their_title() -> None:
    assert clean_markdown(":::info\nUse it.\n:::\n\n:::tip[Speed]\nFast.\n:::\n", is_mdx=True) == (
        "\nUse it.\n\n\nSpeed\nFast.\n\n"
    )
    assert clean_markdown(":::info\nUse it.\n:::\n", is_mdx=False) == ":::info\nUse it.\n:::\n"


def test_images_and_targets_of_restructuredtext_are_left_out() -> None:
    text = (
        "|build| |cover|\n\n.. |build| image:: https://a.example/b.svg\n  :target: https://a.example\n\n"
        ".. image:: chart.png\n\n.. _manim: https://a.example\n.. _`a b`: https://b.example\n\nThe `a b`_ tool."
    )

    assert clean_rst(text).split() == ["The", "`a", "b`_", "tool."]
    assert clean_rst(text).count("\n") == text.count("\n")
