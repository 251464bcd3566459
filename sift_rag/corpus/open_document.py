"""Read texts and presentations in the Open Document format. The only module that knows odfdo."""

from __future__ import annotations

import io
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

from sift_rag.corpus.archives import check_archive, reason
from sift_rag.corpus.decoding import one_line, without_surrogates
from sift_rag.corpus.html_page import to_markdown
from sift_rag.corpus.sections import Extracted, Section, placed
from sift_rag.errors import UnreadableDocument
from sift_rag.extras import require

if TYPE_CHECKING:
    from odfdo import Document, Element

_LEFT_OUT = frozenset(
    (
        "office:annotation", "office:annotation-end", "office:forms", "office:binary-data", "svg:desc", "svg:title",
        "text:bibliography", "text:hidden-text", "text:index-body", "text:note-citation", "text:page-number",
        "text:sequence-decls", "text:table-of-content", "text:tracked-changes", "text:user-field-decls",
        "text:variable-decls",
    )
)  # fmt: skip
"""Elements that are no text to be read: comments, what was deleted, tables of contents."""
_BLOCKS = {
    "draw:custom-shape": "div",
    "draw:frame": "div",
    "draw:text-box": "div",
    "text:p": "div",
    "text:list": "ul",
    "text:list-item": "li",
    "text:list-header": "li",
    "table:table": "table",
    "table:table-row": "tr",
    "table:table-header-rows": "thead",
}
_MOST_REPEATS = 100
_DEEPEST = 100


def read_open_text(data: bytes) -> Extracted:
    """Return a text document as one section of Markdown, with the title that it states.

    Raises:
        MissingExtra: ``odfdo`` is not installed.
        UnreadableDocument: the file is broken or needs a password.
    """
    try:
        document = _opened(data)
        markdown = to_markdown("".join(_html(document.body)), is_page=False).markdown
        title = _title(document)
    except (ValueError, TypeError, KeyError, AttributeError, OSError, SyntaxError, NotImplementedError) as error:
        raise UnreadableDocument(f"broken document: {reason(error)}") from error
    return Extracted([Section(markdown)] if markdown else [], "markdown", title)


def read_open_slides(data: bytes) -> Extracted:
    """Return a section for each slide of a presentation, its title as heading and its notes at the end.

    Raises:
        MissingExtra: ``odfdo`` is not installed.
        UnreadableDocument: the file is broken or needs a password.
    """
    try:
        document = _opened(data)
        sections = [
            Section(markdown, page=number)
            for number, slide in enumerate(_named(document.body, "draw:page"), start=1)
            if (markdown := to_markdown(_slide(slide), is_page=False).markdown)
        ]
        title = _title(document)
    except (ValueError, TypeError, KeyError, AttributeError, OSError, SyntaxError, NotImplementedError) as error:
        raise UnreadableDocument(f"broken document: {reason(error)}") from error
    return Extracted(placed(sections), "markdown", title)


def _opened(data: bytes) -> Document:
    require("odfdo", "office")
    import odfdo

    check_archive(data)
    document = odfdo.Document(io.BytesIO(data))
    if "encryption-data" in str(document.manifest.serialize()):
        raise UnreadableDocument("password-protected")
    return document


def _title(document: Document) -> str:
    has_metadata = "meta.xml" in document.get_parts()
    return one_line(without_surrogates(document.meta.title or "")) if has_metadata else ""


def _named(element: Element, tag: str) -> Iterator[Element]:
    return (child for child in element.children if child.tag == tag)


def _slide(slide: Element) -> str:
    notes: list[str] = []
    blocks: list[str] = []
    for child in slide.children:
        words = "".join(_html(child))
        if child.tag == "presentation:notes":
            notes = ["<p>Notes:</p>", words] if to_markdown(words, is_page=False).markdown else []
        elif child.get_attribute("presentation:class") in {"footer", "date-time", "page-number", "header"}:
            continue
        elif child.get_attribute("presentation:class") == "title":
            text = one_line(to_markdown(words, is_page=False).markdown)
            blocks.insert(0, f"<h1>{escape(text)}</h1>" if text else "")
        else:
            blocks.append(words)
    return "".join(blocks + notes)


def _html(element: Element, depth: int = 0) -> Iterator[str]:
    """Yield an element as HTML."""
    tag = element.tag
    if tag in _LEFT_OUT:
        return
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    match tag:
        case "text:s":
            yield " " * min(_number(element, "text:c"), 200)
        case "text:tab":
            yield " "
        case "text:line-break":
            yield "<br>"
        case "text:h":
            level = min(6, _number(element, "text:outline-level"))
            yield f"<h{level}>{''.join(_inside(element, depth))}</h{level}>"
        case "text:p" if not _holds_blocks(element):
            yield f"<p>{''.join(_inside(element, depth))}</p>"
        case "text:note":
            yield " ("
            yield one_line(" ".join(body.inner_text for body in _named(element, "text:note-body")))
            yield ")"
        case "table:table-cell" | "table:covered-table-cell":
            yield from _cell(element, depth)
        case _ if tag in _BLOCKS:
            repeats = _number(element, "table:number-rows-repeated") if tag == "table:table-row" else 1
            inside = "".join(_inside(element, depth))
            yield f"<{_BLOCKS[tag]}>{inside}</{_BLOCKS[tag]}>" * min(repeats, _MOST_REPEATS)
        case "draw:image":
            yield from _described(element)
        case _:
            yield from _inside(element, depth)


def _inside(element: Element, depth: int) -> Iterator[str]:
    yield escape(element.text or "")
    for child in element.children:
        yield from _html(child, depth + 1)
        yield escape(child.tail or "")


def _cell(cell: Element, depth: int) -> Iterator[str]:
    """Yield the cell, which stands for those that it covers too."""
    if cell.tag == "table:covered-table-cell":
        return
    wide = _number(cell, "table:number-columns-spanned")
    high = _number(cell, "table:number-rows-spanned")
    inside = "".join(_inside(cell, depth))
    repeats = min(_number(cell, "table:number-columns-repeated"), _MOST_REPEATS)
    yield f'<td colspan="{wide}" rowspan="{high}">{inside}</td>' * repeats


def _described(image: Element) -> Iterator[str]:
    """Yield the description of an image, which its frame holds."""
    frame = image.parent
    if frame is not None:
        words = [child.inner_text for child in frame.children if child.tag in {"svg:desc", "svg:title"}]
        yield escape(one_line(" ".join(dict.fromkeys(words))))


def _holds_blocks(paragraph: Element) -> bool:
    return any(child.tag == "draw:frame" for child in paragraph.children)


def _number(element: Element, name: str) -> int:
    value = str(element.get_attribute(name) or "")
    return max(1, int(value)) if value.isascii() and value.isdigit() and len(value) < 9 else 1
