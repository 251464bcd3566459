"""Word documents become Markdown: headings, lists, tables and what stands in their fields."""

from __future__ import annotations

import pytest

from sift_rag.corpus.word import read_word
from tests.corpus.archives_in_code import OFFICE, PACKAGE, WORD, docx


def _text(body: str, members: dict[str, str | bytes] | None = None) -> str:
    return "\n\n".join(section.text for section in read_word(docx(body, members)).sections)


def _run(text: str) -> str:
    return f'<w:r><w:t xml:space="preserve">{text}</w:t></w:r>'


def _paragraph(content: str, style: str = "") -> str:
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{properties}{content if content.startswith('<') else _run(content)}</w:p>"


def _row(*cells: str, properties: str = "") -> str:
    return f"<w:tr>{properties}{''.join(cell if '<w:tc>' in cell else _cell(cell) for cell in cells)}</w:tr>"


def _cell(text: str, properties: str = "") -> str:
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{_paragraph(text)}</w:tc>"


def _styles(*names: str) -> dict[str, str | bytes]:
    """Return the members of a file whose paragraphs have these styles."""
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="{name}"><w:name w:val="{name}"/></w:style>' for name in names
    )
    return {
        "word/styles.xml": f'<w:styles xmlns:w="{WORD}">{styles}</w:styles>',
        "word/_rels/document.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="s" '
        f'Type="{OFFICE}/styles" Target="styles.xml"/></Relationships>',
    }


@pytest.mark.parametrize("properties", ["", "<w:trPr><w:tblHeader/></w:trPr>"])
def test_the_first_row_of_a_table_names_its_columns_and_empty_cells_stay(properties: str) -> None:
    table = f"<w:tbl>{_row('day', 'open', 'close', properties=properties)}{_row('Mon', '', '8')}</w:tbl>"

    assert _text(_paragraph("Hours", "Heading1") + table).split("\n") == [
        "# Hours",
        "",
        "| day | open | close |",
        "| --- | --- | --- |",
        "| Mon |  | 8 |",
    ]


def test_merged_cells_stand_in_each_row_and_column_that_they_cover() -> None:
    table = (
        "<w:tbl>"
        + _row("day", _cell("time", '<w:gridSpan w:val="2"/>'))
        + _row(_cell("Mon", '<w:vMerge w:val="restart"/>'), "8", "12")
        + _row(_cell("", "<w:vMerge/>"), "14", "18")
        + "</w:tbl>"
    )

    assert _text(table).split("\n")[2:] == ["| Mon | 8 | 12 |", "| Mon | 14 | 18 |"]


def test_title_headings_and_code_are_marked_and_deleted_text_is_gone() -> None:
    body = (
        _paragraph("Manual", "Title")
        + _paragraph("Install", "Heading2")
        + _paragraph("make all", "Code")
        + _paragraph("make test", "Code")
        + _paragraph("<w:del><w:r><w:delText>old</w:delText></w:r></w:del>" + _run("It is new."))
    )

    assert (
        _text(body, _styles("Title", "Code")) == "# Manual\n\n## Install\n\n```\nmake all\nmake test\n```\n\nIt is new."
    )


def test_fields_are_read_as_what_stands_in_them() -> None:
    def control(inside: str, properties: str = "") -> str:
        return f"<w:sdt><w:sdtPr>{properties}</w:sdtPr><w:sdtContent>{inside}</w:sdtContent></w:sdt>"

    ticked = '<w14:checkbox><w14:checked w14:val="1"/></w14:checkbox>'
    open_ = '<w14:checkbox><w14:checked w14:val="0"/></w14:checkbox>'
    body = (
        _paragraph(_run("Name: ") + control(_run("Anna Berg")))
        + _paragraph(
            _run("Colour: ") + control(_run("red"), '<w:dropDownList><w:listItem w:value="red"/></w:dropDownList>')
        )
        + _paragraph(control(_run("\u2612"), ticked) + _run(" yes"))
        + _paragraph(control(_run("\u2610"), open_) + _run(" no"))
        + _paragraph(
            _run("Age: ")
            + '<w:r><w:fldChar w:fldCharType="begin"><w:ffData/></w:fldChar></w:r><w:r><w:instrText> FORMTEXT '
            '</w:instrText></w:r><w:r><w:fldChar w:fldCharType="separate"/></w:r>'
            + _run("42")
            + '<w:r><w:fldChar w:fldCharType="end"/></w:r>'
        )
    )

    lines = _text(body).split("\n\n")
    assert lines[:2] == ["Name: Anna Berg", "Colour: red"]
    assert [" ".join(line.split()) for line in lines[2:]] == ["[x] yes", "[ ] no", "Age: 42"]


def test_the_table_of_contents_is_left_out() -> None:
    body = (
        _paragraph("Contents", "TOC Heading")
        + _paragraph("Booking 3", "toc 1")
        + _paragraph("Trains 4", "toc 2")
        + _paragraph("Trains are booked.")
    )

    assert _text(body, _styles("TOC Heading", "toc 1", "toc 2")) == "Trains are booked."


def test_notes_stand_where_they_are_called_and_bold_lines_are_headings() -> None:
    note = '<w:footnote w:id="{}"><w:p><w:r><w:t>{}</w:t></w:r></w:p></w:footnote>'
    members: dict[str, str | bytes] = {
        "word/footnotes.xml": f'<w:footnotes xmlns:w="{WORD}">{note.format(2, "Of 2016.")}{note.format(3, "No.")}'
        "</w:footnotes>",
        "word/_rels/document.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="f" '
        f'Type="{OFFICE}/footnotes" Target="footnotes.xml"/></Relationships>',
    }
    body = (
        _paragraph("<w:r><w:rPr><w:b/></w:rPr><w:t>Limits</w:t></w:r>")
        + _paragraph(_run("The limit") + '<w:r><w:footnoteReference w:id="2"/></w:r>' + _run(" holds."))
        + _paragraph("End", "Heading2")
        + _paragraph("No more.")
    )

    assert _text(body, members).split("\n\n") == ["# Limits", "The limit (Of 2016.) holds.", "## End", "No more."]


_MATH = "http://schemas.openxmlformats.org/officeDocument/2006/math"


def test_equations_become_latex() -> None:
    square = (
        "<m:sSup><m:e><m:r><m:t>x</m:t></m:r></m:e><m:sup><m:r><m:t>2</m:t></m:r></m:sup></m:sSup>"
        "<m:r><m:t>+1</m:t></m:r>"
    )
    equation = f'<m:oMath xmlns:m="{_MATH}">{square}</m:oMath>'

    assert _text(f"<w:p>{_run('Given ')}{equation}{_run(', it holds.')}</w:p>") == "Given $x^{2}+1$, it holds."


def test_text_struck_through_twice_is_read_like_text_struck_through_once() -> None:
    twice, once = (
        f"<w:p><w:r><w:rPr><w:{name}/></w:rPr><w:t>no more</w:t></w:r></w:p>" for name in ("dstrike", "strike")
    )
    assert _text(twice) == _text(once)


def test_a_style_without_a_type_or_an_id_costs_no_text() -> None:
    members = _styles("Heading1")
    members["word/styles.xml"] = str(members["word/styles.xml"]).replace(
        "</w:styles>", '<w:style><w:name w:val="a"/></w:style><w:style w:styleId="b"/></w:styles>'
    )
    assert _text(_paragraph("Rent", "Heading1") + _paragraph("Due on Monday."), members) == "# Rent\n\nDue on Monday."


def test_code_keeps_the_blanks_that_are_a_run_of_their_own() -> None:
    lines = [_run("def f():"), f"{_run('    ')}{_run('return 1')}"]
    code = "".join(_paragraph(line, "SourceCode") for line in lines)
    styles = _styles("SourceCode")
    styles["word/styles.xml"] = str(styles["word/styles.xml"]).replace('w:val="SourceCode"', 'w:val="Source Code"')

    assert _text(code, styles) == "```\ndef f():\n    return 1\n```"


def test_broken_xml_is_read_as_far_as_it_goes() -> None:
    assert _text(f"{_paragraph('Rent is due on Monday.')}<w:p>{_run('Then &nbsp; more')}</w:p>").startswith(
        "Rent is due"
    )
