"""Files made to take a reader's time and memory, or to break it: small, and by suffix what they claim to be."""

from __future__ import annotations

import io
import json
import zipfile
import zlib

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_ZEROS = 100 << 20


def hostile_files() -> dict[str, bytes]:
    """Return fifteen and more files by name."""
    laughs = _billion_laughs()
    return {
        "bomb.docx": docx_parts(**{"word/document.xml": b"\0" * (40 << 20)}),
        "bomb-within-bounds.docx": docx("<w:p/>" * 4_000_000),
        "bomb.epub": zipped({"mimetype": b"application/epub+zip", "a.xhtml": b" " * (600 << 20)}),
        "many-members.pptx": zipped({f"ppt/slides/slide{number}.xml": b"" for number in range(30_000)}),
        "overlapping.docx": _overlapping(),
        "laughs.docx": docx("<w:p><w:r><w:t>&i;</w:t></w:r></w:p>", prologue=laughs),
        "laughs.epub": epub(f"{laughs}<html><body><p>&i;</p></body></html>"),
        "laughs.html": f"{laughs}<html><body><svg><text>&i;</text></svg><p>&i;</p></body></html>".encode(),
        "deep.html": b"<div>" * 60_000 + b"deep",
        "unclosed.html": b"<table><tr><td>" * 6_000 + b"cell",
        "wide.html": b"<p><b><i><u>" * 8_000,
        "nested-tables.docx": docx(_nested_tables(400)),
        "deep.ipynb": b'{"cells": [' + b'{"cells": [' * 100_000,
        "cycle.pdf": pdf(b"<</Type/Pages/Kids[2 0 R 2 0 R]/Count 100000000/Parent 2 0 R>>"),
        "pages.pdf": pdf(b"<</Type/Pages/Kids[" + b"3 0 R " * 100_000 + b"]/Count 100000>>"),
        "stream.pdf": pdf(None, _chain(b"BT /F1 9 Tf (" + b"a" * _ZEROS + b") Tj ET")),
        "zeros.pdf": pdf(None, _chain(b"\0" * _ZEROS)),
        "operators.pdf": pdf(None, _chain(b"q 1 0 0 1 0 0 cm BT /F1 9 Tf (a) Tj ET Q\n" * 1_000_000)),
        "image.pdf": pdf(None, (b"", b"q 600 0 0 800 0 0 cm /I Do Q"), image=_chain(b"\0" * (64 << 20))),
        "foreign.html": b"<svg>" * 20_000 + b"<math>" * 20_000,
    }


def good_files() -> dict[str, bytes]:
    """Return ten files of ordinary content by name."""
    files = {f"good-{number}.md": f"# Note {number}\n\nBees dance, note {number}.\n".encode() for number in range(4)}
    files |= {f"good-{number}.html": f"<h1>Page {number}</h1><p>Owls hunt.</p>".encode() for number in range(3)}
    files["good.docx"] = docx("<w:p><w:r><w:t>Rain falls in spring.</w:t></w:r></w:p>")
    files["good.pdf"] = pdf(None, (b"", b"BT /F1 24 Tf 72 700 Td (Snow falls in winter.) Tj ET"))
    cells = [{"cell_type": "markdown", "metadata": {}, "source": ["Wind blows in autumn."]}]
    files["good.ipynb"] = json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}).encode()
    return files


def zipped(members: dict[str, bytes]) -> bytes:
    """Return a zip archive."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return data.getvalue()


def docx(body: str, *, prologue: str = "") -> bytes:
    """Return a Word document with this XML as its body."""
    text = f'{prologue}<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>'
    return docx_parts(**{"word/document.xml": text.encode()})


def docx_parts(**parts: bytes) -> bytes:
    """Return a Word document of these parts."""
    types = (
        f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.'
        'wordprocessingml.document.main+xml"/></Types>'
    )
    relations = (
        f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r1" Type="{_OFFICE}/officeDocument" '
        'Target="word/document.xml"/></Relationships>'
    )
    return zipped({"[Content_Types].xml": types.encode(), "_rels/.rels": relations.encode(), **parts})


def epub(chapter: str) -> bytes:
    """Return a book of one chapter."""
    container = (
        '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="b.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf"><metadata/><manifest>'
        '<item id="a" href="a.xhtml" media-type="application/xhtml+xml"/></manifest>'
        '<spine><itemref idref="a"/></spine></package>'
    )
    return zipped(
        {"META-INF/container.xml": container.encode(), "b.opf": package.encode(), "a.xhtml": chapter.encode()}
    )


def pdf(
    pages: bytes | None, content: tuple[bytes, bytes] = (b"", b""), image: tuple[bytes, bytes] | None = None
) -> bytes:
    """Return a PDF of one page.

    Args:
        pages: the root of the page tree, object 2, in place of one with a page.
        content: filters of the page's content, and its encoded bytes.
        image: likewise for an image, ``/I``, of 65,500 by 65,500 pixels.
    """
    resources = b"<</Font<</F1 5 0 R>>" + (b"/XObject<</I 6 0 R>>" if image else b"") + b">>"
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        pages or b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources" + resources + b">>",
        b"<<%s/Length %d>>stream\n%s\nendstream" % (content[0], len(content[1]), content[1]),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    if image:
        shape = b"/Type/XObject/Subtype/Image/Width 65500/Height 65500/ColorSpace/DeviceRGB/BitsPerComponent 8"
        objects.append(b"<<%s%s/Length %d>>stream\n%s\nendstream" % (shape, image[0], len(image[1]), image[1]))
    data, places = bytearray(b"%PDF-1.7\n"), []
    for number, content_of in enumerate(objects, start=1):
        places.append(len(data))
        data += b"%d 0 obj%s endobj\n" % (number, content_of)
    start = len(data)
    data += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    for place in places:
        data += b"%010d 00000 n \n" % place
    return bytes(data + b"trailer<</Root 1 0 R/Size %d>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, start))


def _chain(data: bytes, times: int = 3) -> tuple[bytes, bytes]:
    """Return the filters and the bytes of data that were compressed again and again."""
    for _ in range(times):
        data = zlib.compress(data, 9)
    return b"/Filter[" + b"/FlateDecode" * times + b"]", data


def _billion_laughs() -> str:
    """Return a declaration of the entity ``i``, which is ten billion characters long."""
    entities = ['<!ENTITY a "laugh laugh">']
    entities += [f'<!ENTITY {name} "{f"&{of};" * 10}">' for name, of in zip("bcdefghi", "abcdefgh", strict=True)]
    return f"<!DOCTYPE x [{''.join(entities)}]>"


def _nested_tables(depth: int) -> str:
    opening = "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>cell</w:t></w:r></w:p>"
    return opening * depth + "<w:p/></w:tc></w:tr></w:tbl>" * depth


def _overlapping() -> bytes:
    """Return an archive whose directory names one member again and again, as if it were many."""
    member = zipped({"word/document.xml": b"<a>" + b" " * (8 << 20) + b"</a>"})
    start = member.index(b"PK\x01\x02")
    entry, end = member[start : member.index(b"PK\x05\x06")], member[member.index(b"PK\x05\x06") :]
    count = 3000
    sizes = (len(entry) * count).to_bytes(4, "little")
    return member[:start] + entry * count + end[:8] + count.to_bytes(2, "little") * 2 + sizes + end[16:]
