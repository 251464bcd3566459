"""Texts in the Open Document format and in RTF become Markdown."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import pytest

from sift_rag.corpus.open_document import read_open_slides, read_open_text
from sift_rag.corpus.rich_text import read_rich_text
from sift_rag.errors import UnreadableDocument
from tests.corpus.archives_in_code import zipped


def test_an_open_document_text_becomes_markdown() -> None:
    odfdo = pytest.importorskip("odfdo", reason="odfdo makes the document that is read here")
    document = odfdo.Document("text")
    body = document.body
    body.clear()
    body.append(odfdo.Header(1, "Opening  hours"))
    body.append(odfdo.Paragraph("The pool opens <at> seven.\nNot on Sundays."))
    body.append(odfdo.List(["Bring a towel", "No dogs"]))
    table = odfdo.Table("T", width=3, height=2)
    for line, row in enumerate([["day", "open", "close"], ["Mon", "7", ""]]):
        for column, value in enumerate(row):
            table.set_value((column, line), value)
    body.append(table)
    noted = odfdo.Paragraph("With a note")
    noted.insert_note(after="With", note_id="n1", citation="1", body="as said")
    body.append(noted)
    commented = odfdo.Paragraph("Reviewed text")
    commented.insert_annotation(after="Reviewed", body="a comment", creator="x")
    body.append(commented)
    document.meta.title = "House  rules"
    buffer = io.BytesIO()
    document.save(buffer)

    found = read_open_text(buffer.getvalue())
    [section] = found.sections
    assert found.title == "House rules"
    assert section.text.split("\n\n") == [
        "# Opening hours",
        "The pool opens <at> seven.\nNot on Sundays.",
        "- Bring a towel\n- No dogs",
        "| day | open | close |\n| --- | --- | --- |\n| Mon | 7 |  |",
        "With (as said) a note",
        "Reviewed text",
    ]


_TEXT = "application/vnd.oasis.opendocument.text"
_OPEN = "urn:oasis:names:tc:opendocument:xmlns"


def _odt(content: str, parts: Mapping[str, str] | None = None) -> bytes:
    root = f'<m:file-entry m:full-path="/" m:media-type="{_TEXT}"/>'
    manifest = f'<m:manifest xmlns:m="{_OPEN}:manifest:1.0">{root}</m:manifest>'
    return zipped({"mimetype": _TEXT, "META-INF/manifest.xml": manifest, "content.xml": content, **(parts or {})})


def _content(styles: str, body: str) -> str:
    names = {
        "office": "office",
        "style": "style",
        "text": "text",
        "table": "table",
        "draw": "drawing",
        "chart": "chart",
    }
    spaces = " ".join(
        f'xmlns:{short}="{_OPEN}:{name}:1.0"' for short, name in [*names.items(), ("fo", "xsl-fo-compatible")]
    )
    return (
        f'<office:document-content {spaces} xmlns:xlink="http://www.w3.org/1999/xlink">'
        f"<office:automatic-styles>{styles}</office:automatic-styles>"
        f"<office:body>{body}</office:body></office:document-content>"
    )


def _text_of(styles: str, body: str, parts: Mapping[str, str] | None = None) -> str:
    content = _content(styles, f"<office:text>{body}</office:text>")
    return "\n\n".join(section.text for section in read_open_text(_odt(content, parts)).sections)


def test_styles_tell_titles_code_raised_characters_and_headings_that_are_only_bold() -> None:
    styles = (
        '<style:style style:name="Title" style:family="paragraph"/>'
        '<style:style style:name="P1" style:family="paragraph" style:parent-style-name="Title"/>'
        '<style:style style:name="Preformatted_20_Text" style:family="paragraph"/>'
        '<style:style style:name="B" style:family="text"><style:text-properties fo:font-weight="bold"/></style:style>'
        '<style:style style:name="R" style:family="text">'
        '<style:text-properties style:text-position="super 58%"/></style:style>'
        '<style:style style:name="L" style:family="text">'
        '<style:text-properties style:text-position="-33% 58%"/></style:style>'
    )
    bold, raised, lowered = (f'<text:span text:style-name="{name}">' for name in "BRL")
    end = "</text:span>"
    body = (
        '<text:p text:style-name="P1">The lease</text:p>'
        f"<text:p>It has 40 m{raised}2{end} and no CO{lowered}2{end} limit{raised}1{end}.</text:p>"
        f"<text:p>{bold}Rent{end}</text:p><text:p>Due on {bold}Monday{end}.</text:p>"
        '<text:p text:style-name="Preformatted_20_Text">make all</text:p>'
    )

    assert _text_of(styles, body).split("\n\n") == [
        "# The lease",
        "It has 40 m^2 and no CO2 limit[1].",
        "## Rent",
        "Due on Monday.",
        "```\nmake all\n```",
    ]


def _chart(axes: str, rows: Sequence[Sequence[str]], more: str = "") -> str:
    cells = ("".join(f"<table:table-cell><text:p>{cell}</text:p></table:table-cell>" for cell in row) for row in rows)
    lines = "".join(f"<table:table-row>{row}</table:table-row>" for row in cells)
    return _content(
        "",
        "<office:chart><chart:chart><chart:title><text:p>Visitors</text:p></chart:title>"
        f"<chart:plot-area>{axes}{more}</chart:plot-area>"
        f'<table:table table:name="local-table">{lines}</table:table></chart:chart></office:chart>',
    )


_FRAME = (
    '<text:p>Before.<draw:frame><draw:object xlink:href="./Object 1"/></draw:frame></text:p><text:p>After.</text:p>'
)


def _axis(name: str, title: str) -> str:
    return f'<chart:axis chart:name="{name}"><chart:title><text:p>{title}</text:p></chart:title></chart:axis>'


def test_a_chart_is_its_title_and_a_table_of_its_figures() -> None:
    axes = _axis("primary-x", "month") + _axis("primary-y", "thousands")
    chart = _chart(axes, [["", "Adults", "Children"], ["June", "12", "3"], ["July", "14.5", "NaN"]])

    assert _text_of("", _FRAME, {"Object 1/content.xml": chart}).split("\n\n") == [
        "Before.",
        "Visitors (thousands)",
        "| month | Adults | Children |\n| --- | --- | --- |\n| June | 12 | 3 |\n| July | 14.5 |  |",
        "After.",
    ]


def test_in_a_chart_of_points_the_column_of_their_places_is_named_by_its_axis() -> None:
    places = '<chart:series><chart:domain table:cell-range-address="local-table.$C$2:.$C$3"/></chart:series>'
    chart = _chart(_axis("primary-x", "time"), [["", "Run", "Series2"], ["", "2", "1"]], places)

    assert "| Run | time |\n" in _text_of("", _FRAME, {"Object 1/content.xml": chart})


def test_a_broken_chart_costs_no_text() -> None:
    assert _text_of("", _FRAME, {"Object 1/content.xml": "<broken"}) == "Before.\n\nAfter."


def test_numbered_lists_have_numbers_and_a_list_that_only_indents_is_the_one_within_it() -> None:
    number = '<text:list-level-style-number text:level="{}" style:num-format="1"/>'
    styles = f'<text:list-style style:name="N">{number.format(1)}{number.format(2)}</text:list-style>'
    within = "<text:list><text:list-item><text:p>sieve</text:p></text:list-item></text:list>"
    body = (
        f'<text:list text:style-name="N"><text:list-item><text:p>Mix</text:p></text:list-item>'
        f"<text:list-item>{within}</text:list-item>"
        "<text:list-item><text:p>Bake</text:p></text:list-item></text:list>"
        f'<text:p>Then:</text:p><text:list text:style-name="X"><text:list-item>{within}</text:list-item></text:list>'
    )

    lines = [line for line in _text_of(styles, body).split("\n") if line]
    assert lines == ["1. Mix", "   1. sieve", "2. Bake", "Then:", "- sieve"]


@pytest.mark.parametrize("read", [read_open_text, read_open_slides])
@pytest.mark.parametrize(
    "data",
    [
        b"no archive",
        zipped({"a": "b"}),
        _odt("<broken"),
        _odt("<x/>"),
        zipped({"mimetype": _TEXT, "content.xml": bytes(64 << 20)}),
        _odt(
            "<!DOCTYPE x [<!ENTITY e0 'lol'>"
            + "".join(f"<!ENTITY e{n} '{f'&e{n - 1};' * 10}'>" for n in range(1, 10))
            + "]><x>&e9;</x>"
        ),
    ],
)
def test_a_broken_or_hostile_open_document_fails_with_a_reason(read: object, data: bytes) -> None:
    with pytest.raises(UnreadableDocument) as raised:
        read(data)  # type: ignore[operator]
    assert len(str(raised.value)) < 250


@pytest.mark.slow
def test_repeated_rows_and_nesting_are_bounded() -> None:
    cell = '<table:table-cell table:number-columns-repeated="16384"><text:p>x</text:p></table:table-cell>'
    row = f'<table:table-row table:number-rows-repeated="1048576">{cell}</table:table-row>'
    spaces = f'<office:document-content xmlns:office="{_OPEN}:office:1.0" xmlns:text="{_OPEN}:text:1.0" '
    spaces += f'xmlns:table="{_OPEN}:table:1.0"><office:body><office:text>'
    end = "</office:text></office:body></office:document-content>"

    [section] = read_open_text(_odt(f"{spaces}<table:table>{row}</table:table>{end}")).sections
    assert len(section.text) < 1_000_000
    nested = "<text:section>" * 200 + "<text:p>x</text:p>" + "</text:section>" * 200
    with pytest.raises(UnreadableDocument, match="nested too deeply"):
        read_open_text(_odt(spaces + nested + end))


def test_rich_text_becomes_markdown_with_its_tables() -> None:
    source = (
        rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}{\info{\author A}{\title H\'e4user}}"
        rb"{\header Page 1}\f0 Caf\'e9 \b bold\b0\par Costs \u8364? 5 \u-10179?\u-8704?\par"
        rb"\trowd\cellx100\cellx200 item\cell price\cell\row\trowd Nut\cell\cell\row After.\par}"
    )
    found = read_rich_text(source)

    [section] = found.sections
    assert found.title == "Häuser"
    assert section.text.split("\n\n") == [
        "Café bold",
        "Costs € 5 😀",
        "| item | price |\n| --- | --- |\n| Nut |  |",
        "After.",
    ]


def test_rich_text_in_another_code_page_is_decoded() -> None:
    [section] = read_rich_text(rb"{\rtf1\ansi\ansicpg1251 \'cf\'f0\'e8\'e2\'e5\'f2}").sections

    assert section.text == "Привет"


@pytest.mark.parametrize("data", [b"no rtf", b"\x89PNG"])
def test_what_is_no_rich_text_fails(data: bytes) -> None:
    with pytest.raises(UnreadableDocument, match="broken RTF"):
        read_rich_text(data)
