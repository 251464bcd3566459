"""Formats whose text must be extracted: PDF, HTML, DOCX, PPTX, EPUB and notebooks, made here and read back."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from sift_rag.corpus.documents import SourceDocument, read_document
from sift_rag.errors import SkippedDocument, UnreadableDocument


def _read(folder: Path, name: str, content: bytes) -> SourceDocument:
    (folder / name).write_bytes(content)
    return read_document(folder / name)


def _pdf(pages: Sequence[str], *, title: str = "", trailer: str = "") -> bytes:
    """Return a PDF with one line or more per page."""
    font = 3 + 2 * len(pages)
    kids = " ".join(f"{3 + 2 * page} 0 R" for page in range(len(pages)))
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", f"<< /Type /Pages /Count {len(pages)} /Kids [{kids}] >>"]
    for number, text in enumerate(pages):
        shown = " ".join(f"({line}) Tj T*" for line in text.split("\n"))
        content = f"BT /F1 12 Tf 72 720 Td 14 TL {shown} ET"
        resources = f"/Resources << /Font << /F1 {font} 0 R >> >>"
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] {resources} /Contents {4 + 2 * number} 0 R >>",
            f"<< /Length {len(content)} >>\nstream\n{content}\nendstream",
        ]
    objects += ["<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>", f"<< /Title ({title}) >>"]
    out, offsets = "%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    end = f"trailer << /Size {size} /Root 1 0 R /Info {len(objects)} 0 R {trailer} >>\nstartxref\n{len(out)}\n%%EOF"
    return f"{out}xref\n0 {size}\n0000000000 65535 f \n{table}{end}".encode("latin-1")


def _zip(members: dict[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def _docx(body: str) -> bytes:
    return _zip(
        {
            "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            '<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument'
            '.wordprocessingml.document.main+xml"/></Types>',
            "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r1" '
            f'Type="{_OFFICE}/officeDocument" Target="word/document.xml"/></Relationships>',
            "word/document.xml": f'<w:document xmlns:w="{_WORD}"><w:body>{body}</w:body></w:document>',
        }
    )


def _paragraph(text: str, style: str = "") -> str:
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{properties}<w:r><w:t>{text}</w:t></w:r></w:p>"


def test_a_pdf_gives_a_part_a_page_and_leaves_out_empty_ones(tmp_path: Path) -> None:
    document = _read(tmp_path, "a.pdf", _pdf(["First page.\nSecond line.", "", "Third page."], title="On  pages"))

    assert [(section.page, section.start, section.line, section.text) for section in document.sections] == [
        (1, 0, None, "First page.\nSecond line."),
        (3, 26, None, "Third page."),
    ]
    assert document.title == "On pages"


def test_a_word_divided_between_lines_of_a_pdf_is_whole_again(tmp_path: Path) -> None:
    document = _read(tmp_path, "a.pdf", _pdf(["some infor-\nmation here"]))

    assert [section.text for section in document.sections] == ["some information here"]


def test_a_pdf_is_known_by_its_first_bytes_too(tmp_path: Path) -> None:
    assert [section.page for section in _read(tmp_path, "download", _pdf(["Page."])).sections] == [1]


def test_a_pdf_without_text_is_skipped(tmp_path: Path) -> None:
    with pytest.raises(SkippedDocument, match="it holds no text"):
        _read(tmp_path, "scan.pdf", _pdf([""]))


def test_a_pdf_with_a_password_fails(tmp_path: Path) -> None:
    key = "ab" * 32  # of an unknown password: the empty one does not open it
    encrypted = (
        f"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <{key}> /U <{key}> >> /ID [<{'00' * 16}> <{'00' * 16}>]"
    )

    with pytest.raises(UnreadableDocument, match="password-protected PDF"):
        _read(tmp_path, "a.pdf", _pdf(["Secret."], trailer=encrypted))


def test_a_broken_pdf_fails(tmp_path: Path) -> None:
    with pytest.raises(UnreadableDocument, match="broken PDF"):
        _read(tmp_path, "a.pdf", b"%PDF-1.4 and nothing more")


def test_html_becomes_markdown_with_its_title(tmp_path: Path) -> None:
    page = """<html><head><title> A
      page </title><style>p {}</style></head><body><h1>Head</h1><p>Text with <b>weight</b>.</p>
      <img src="http://example.invalid/a.png" alt="a chart"><script>run()</script></body></html>"""
    document = _read(tmp_path, "a.html", page.encode())

    [section] = document.sections
    assert document.title == "A page"
    assert document.syntax == "markdown"
    assert section.line is None
    assert section.text.startswith("# Head\n\nText with **weight**.")
    assert "a chart" in section.text
    assert "run()" not in section.text
    assert "example.invalid" not in section.text


def test_html_in_the_encoding_that_it_declares_is_read(tmp_path: Path) -> None:
    page = '<html><head><meta charset="iso-8859-1"></head><body><p>Café</p></body></html>'

    assert [section.text for section in _read(tmp_path, "a.htm", page.encode("latin-1")).sections] == ["Café"]


def test_html_that_declares_nothing_and_is_not_utf8_is_read_by_a_guess_that_is_told(tmp_path: Path) -> None:
    document = _read(tmp_path, "a.html", b"<p>Caf\xe9</p>")

    assert [section.text for section in document.sections] == ["Café"]
    assert document.notices == ("read as cp1252, by a guess: name the encoding if this is wrong",)


def test_html_nested_too_deeply_for_markdown_gives_its_text(tmp_path: Path) -> None:
    document = _read(tmp_path, "a.html", b"<div>" * 3000 + b"deep down" + b"</div>" * 3000)

    assert [section.text for section in document.sections] == ["deep down"]


def test_a_docx_becomes_markdown(tmp_path: Path) -> None:
    document = _read(tmp_path, "a.docx", _docx(_paragraph("Plan", "Heading1") + _paragraph("Do &amp; check.")))

    assert [section.text for section in document.sections] == ["# Plan\n\nDo & check."]
    assert document.title == "Plan"


def test_an_image_that_a_docx_only_links_to_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"secret")
    drawing = (
        '<w:p><w:r><w:t>Before.</w:t></w:r><w:r><w:drawing><wp:inline xmlns:wp="http://schemas.openxmlformats.org/drawingml/'
        '2006/wordprocessingDrawing"><a:graphic xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"><a:graphicData>'
        '<pic:pic xmlns:pic="http://schemas.openxmlformats.org/drawingml/2006/picture"><pic:blipFill>'
        f'<a:blip xmlns:r="{_OFFICE}" r:link="rId9"/></pic:blipFill></pic:pic></a:graphicData></a:graphic></wp:inline>'
        "</w:drawing></w:r></w:p>"
    )
    with zipfile.ZipFile(io.BytesIO(_docx(drawing))) as plain:
        members: dict[str, str | bytes] = {name: plain.read(name) for name in plain.namelist()}
    target = (tmp_path / "secret.png").as_uri()
    members["word/_rels/document.xml.rels"] = (
        f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId9" TargetMode="External" '
        f'Type="{_OFFICE}/image" Target="{target}"/></Relationships>'
    )

    try:
        text = "".join(section.text for section in _read(tmp_path, "a.docx", _zip(members)).sections)
    except UnreadableDocument as error:
        text = str(error)
    assert "c2VjcmV0" not in text  # "secret", as an image written into the text would have it


def test_a_pptx_gives_a_part_a_slide(tmp_path: Path) -> None:
    pptx = pytest.importorskip("pptx", reason="python-pptx makes the slides that are read here")
    presentation = pptx.Presentation()
    for title, body in (("One", "First text"), ("Two", "<!-- Slide number: 9 -->\nSecond text")):
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = body
    slide.notes_slide.notes_text_frame.text = "Say it slowly."
    presentation.save(tmp_path / "a.pptx")

    document = read_document(tmp_path / "a.pptx")

    assert [(section.page, section.text.split("\n")[0]) for section in document.sections] == [
        (1, "# One"),
        (2, "# Two"),
    ]
    first, second = document.sections
    assert first.text == "# One\n\nFirst text"
    assert "Second text" in second.text
    assert "Say it slowly." in second.text
    assert second.start == len(first.text) + 2
    assert document.title == "One"


def test_an_epub_is_read_in_the_order_of_its_spine(tmp_path: Path) -> None:
    chapter = "<html xmlns='http://www.w3.org/1999/xhtml'><body><h1>{0}</h1><p>Text of {0}.</p></body></html>"
    items = "<item id='one' href='z.xhtml'/><item id='two' href='a.xhtml'/>"
    package = (
        "<package xmlns:dc='http://purl.org/dc/elements/1.1/'><metadata><dc:title>A Book</dc:title></metadata>"
        f"<manifest>{items}</manifest><spine><itemref idref='one'/><itemref idref='two'/></spine></package>"
    )
    book = _zip(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": "<container><rootfiles><rootfile full-path='b/c.opf'/></rootfiles></container>",
            "b/c.opf": package,
            "b/z.xhtml": "<?xml version='1.0'?>" + chapter.format("First"),
            "b/a.xhtml": chapter.format("Second"),
        }
    )
    document = _read(tmp_path, "a.epub", book)

    assert document.title == "A Book"
    assert [section.text for section in document.sections] == [
        "# First\n\nText of First.",
        "# Second\n\nText of Second.",
    ]


def test_a_notebook_gives_its_cells_and_the_text_of_their_outputs(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Study\n", "Half \ud800."]},
        {"cell_type": "code", "source": "x = 1", "outputs": [{"output_type": "stream", "text": "output"}]},
    ]
    notebook = json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells})
    document = _read(tmp_path, "a.ipynb", notebook.encode())

    assert [section.text for section in document.sections] == [
        "# Study\nHalf \ufffd.\n\n```python\nx = 1\n```\n\n```text\noutput\n```"
    ]
    assert document.title == "Study"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100), "password-protected"),
        ("a.docx", b"no archive", "broken archive"),
        ("a.docx", _zip({"a": "b"}), "conversion failed"),
        ("a.pptx", _zip({"a": "b"}), "conversion failed"),
        ("a.epub", _zip({"a": "b"}), "conversion failed"),
        ("a.ipynb", b"{", "conversion failed"),
        ("a.ipynb", b"[]", "conversion failed"),
    ],
)
def test_a_broken_file_fails_with_a_short_reason(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    with pytest.raises(UnreadableDocument) as raised:
        _read(tmp_path, name, content)

    assert str(raised.value).startswith(reason)
    assert len(str(raised.value)) < 200
    assert "\n" not in str(raised.value)


def test_an_archive_that_unpacks_to_far_more_than_it_is_is_not_unpacked(tmp_path: Path) -> None:
    with pytest.raises(UnreadableDocument, match=r"would unpack to 64 MB from 0\.1 MB"):
        _read(tmp_path, "a.docx", _zip({"word/document.xml": bytes(64 << 20)}))


@pytest.mark.parametrize("name", ["a.docx", "a.pptx", "a.epub"])
def test_entities_that_multiply_are_not_expanded(tmp_path: Path, name: str) -> None:
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<!DOCTYPE x [<!ENTITY e0 "lol">{entities}]><x>&e9;</x>'
    members = ("[Content_Types].xml", "_rels/.rels", "word/document.xml", "META-INF/container.xml")

    with pytest.raises(UnreadableDocument, match="conversion failed"):
        _read(tmp_path, name, _zip(dict.fromkeys(members, bomb)))
