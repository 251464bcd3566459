"""Books give a section for each chapter, in the order in which they are read."""

from __future__ import annotations

import pytest

from sift_rag.corpus.epub import read_epub
from sift_rag.errors import UnreadableDocument
from tests.corpus.archives_in_code import zipped

_CONTAINER = "<container><rootfiles><rootfile full-path='book/content.opf'/></rootfiles></container>"
_DC = "xmlns:dc='http://purl.org/dc/elements/1.1/'"
_NAV = """<html xmlns='http://www.w3.org/1999/xhtml' xmlns:epub='http://www.idpf.org/2007/ops'><body>
<nav epub:type='toc'><ol><li><span>Part One</span><ol><li><a href='text/one.xhtml'>The Owl</a></li></ol></li>
<li><a href='text/t%20wo.xhtml#start'>The Mouse</a></li></ol></nav></body></html>"""
_NCX = """<ncx xmlns='http://www.daisy.org/z3986/2005/ncx/'><navMap><navPoint><navLabel><text>Part One</text></navLabel>
<content src='text/part.xhtml'/><navPoint><navLabel><text>The Owl</text></navLabel><content src='text/one.xhtml'/>
</navPoint></navPoint><navPoint><navLabel><text>The Mouse</text></navLabel><content src='text/t%20wo.xhtml'/></navPoint>
</navMap></ncx>"""


def _page(body: str, title: str = "") -> str:
    return f"<?xml version='1.0' encoding='utf-8'?><html><head><title>{title}</title></head><body>{body}</body></html>"


def _book(contents: str, kind: str, chapters: dict[str, str]) -> bytes:
    items = "".join(f"<item id='i{number}' href='{name}'/>" for number, name in enumerate(chapters))
    spine = "".join(f"<itemref idref='i{number}'/>" for number in range(len(chapters)))
    package = (
        f"<package {_DC}><metadata><dc:title>On  Owls</dc:title><dc:creator>A. Berg</dc:creator>"
        f"<dc:creator>B. Lund</dc:creator><dc:date>2020</dc:date></metadata><manifest>{kind}{items}</manifest>"
        f"<spine><itemref idref='contents'/>{spine}</spine>"
        "<guide><reference type='cover' href='cover.xhtml'/></guide></package>"
    )
    pages = {f"book/{name.replace('%20', ' ')}": page for name, page in chapters.items()}
    return zipped(
        {"META-INF/container.xml": _CONTAINER, "book/content.opf": package, "book/contents": contents, **pages}
    )


@pytest.mark.parametrize(
    ("contents", "kind"),
    [
        (_NAV, "<item id='contents' href='contents' properties='nav'/>"),
        (_NCX, "<item id='contents' href='contents' media-type='application/x-dtbncx+xml'/>"),
    ],
)
def test_chapters_stand_under_the_titles_of_the_table_of_contents(contents: str, kind: str) -> None:
    chapters = {
        "cover.xhtml": _page("<img src='c.jpg' alt='Cover'/>"),
        "text/one.xhtml": _page("<h1>The Owl</h1><p>Owls hunt at night.</p>"),
        "text/t%20wo.xhtml": _page("<p>Mice hide.</p>"),
        "empty.xhtml": _page("<img src='x.jpg'/>"),
        "late.xhtml": _page("<p>Thanks to all.</p>", title="Thanks"),
    }
    found = read_epub(_book(contents, kind, chapters))

    sections = [section for section in found.sections if "Part One" not in section.text]
    assert found.title == "On Owls"
    assert [(section.headings, section.text) for section in sections] == [
        (("Part One",), "# The Owl\n\nOwls hunt at night."),
        (("The Mouse",), "Mice hide."),
        (("Thanks",), "Thanks to all."),
    ]
    assert sections[0].metadata == {"author": "A. Berg, B. Lund", "date": "2020"}


@pytest.mark.parametrize(
    "members",
    [
        {"a": "b"},
        {"META-INF/container.xml": "<container/>"},
        {"META-INF/container.xml": "<broken"},
        {"META-INF/container.xml": _CONTAINER},
        {"META-INF/container.xml": "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/hostname'>]><a>&b;</a>"},
        {"META-INF/container.xml": "<a>" * 100_000},
    ],
)
def test_a_broken_or_hostile_book_fails_with_a_reason(members: dict[str, str]) -> None:
    with pytest.raises(UnreadableDocument, match="conversion failed"):
        read_epub(zipped(members))
