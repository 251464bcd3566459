"""Read Rich Text Format: paragraphs, headings, lists, tables and notes as HTML, which becomes Markdown."""

from __future__ import annotations

import re
from html import escape
from itertools import groupby, pairwise

from sift_rag.corpus.archives import reason
from sift_rag.corpus.bold_headings import with_bold_headings
from sift_rag.corpus.decoding import one_line
from sift_rag.corpus.html_page import to_markdown
from sift_rag.corpus.rich_text_marks import Item, Mark, Paragraph, Row, decoded, marked, parts_of
from sift_rag.corpus.sections import Extracted, Section
from sift_rag.errors import UnreadableDocument
from sift_rag.extras import require

_TITLE = re.compile(r"\{\\info[^{}]{0,200}(?:\{[^{}]{0,1000}\}[^{}]{0,200}){0,20}?\{\\title ([^{}]{1,1000})\}")
_NUMBER = re.compile(r"(\d{1,6})[.)]")
_BULLET = re.compile(r"[^\w\s]|o|")
_ALL_BOLD = re.compile(f"{Mark.BOLD}[^{Mark.NOT_BOLD}]*{Mark.NOT_BOLD}")
_AROUND_NOTE = re.compile(rf"\s*({Mark.NOTE})\s*|\s*({Mark.NOTE_END})")
_SAME_EDGE = 30
"""Difference, in twentieths of a point, up to which two edges of cells are one."""
_TAGS: dict[str, str] = {
    Mark.RAISED: "<sup>",
    Mark.NOT_RAISED: "</sup>",
    Mark.NOTE: " (",
    Mark.NOTE_END: ")",
    Mark.BREAK: "<br>",
}


def read_rich_text(data: bytes) -> Extracted:
    """Return the text as one section of Markdown: headings by their style or outline level, lists, tables, notes.

    Page headers and footers and tables of contents are left out.

    Raises:
        MissingExtra: ``striprtf`` or what reads HTML is not installed.
        UnreadableDocument: the file is broken.
    """
    require("striprtf", "office")
    source = data.decode("latin-1")
    if not source.lstrip().startswith("{\\rtf"):
        raise UnreadableDocument("broken RTF: it does not begin as one")
    try:
        html = _html(parts_of(decoded(marked(source))))
        stated = _TITLE.search(source)
        title = one_line(decoded(f"{{\\rtf1\\ansi {stated[1]}}}")) if stated else ""
    except (ValueError, IndexError, KeyError, OverflowError, LookupError, RecursionError, TypeError) as error:
        raise UnreadableDocument(f"broken RTF: {reason(error)}") from error
    markdown = with_bold_headings(to_markdown(html, is_page=False).markdown)
    return Extracted([Section(markdown)] if markdown else [], "markdown", title)


def _html(parts: list[Paragraph | Item | Row]) -> str:
    written: list[str] = []
    for kind, group in groupby(parts, key=type):
        if kind is Row:
            written.append(_table([part for part in group if isinstance(part, Row)]))
        elif kind is Item:
            written.append(_list([part for part in group if isinstance(part, Item)]))
        else:
            written += [_paragraph(part) for part in group if isinstance(part, Paragraph)]
    return "".join(written)


def _paragraph(part: Paragraph) -> str:
    words = _inline(f"{part.label} {part.text}" if part.level else part.text)
    if part.level:
        return f"<h{part.level}>{words}</h{part.level}>"
    return f"<p><strong>{words}</strong></p>" if _ALL_BOLD.fullmatch(part.text) else f"<p>{words}</p>"


def _list(items: list[Item]) -> str:
    """Return items as lists within lists, by their depths."""
    written: list[str] = []
    open_lists: list[tuple[int, str]] = []
    for item in items:
        number = _NUMBER.fullmatch(item.label)
        tag = "ol" if number else "ul"
        while open_lists and (open_lists[-1][0] > item.depth or open_lists[-1] == (item.depth, _other(tag))):
            written.append(f"</li></{open_lists.pop()[1]}>")
        if open_lists and open_lists[-1][0] == item.depth:
            written.append("</li>")
        else:
            written.append(f'<ol start="{number[1]}">' if number else "<ul>")
            open_lists.append((item.depth, tag))
        label = "" if number or _BULLET.fullmatch(item.label) else f"{escape(item.label)} "
        written.append(f"<li>{label}{_inline(item.text)}")
    written += [f"</li></{tag}>" for _, tag in reversed(open_lists)]
    return "".join(written)


def _other(tag: str) -> str:
    return "ul" if tag == "ol" else "ol"


def _table(rows: list[Row]) -> str:
    """Return rows as a table, whose columns are all edges between cells of any row."""
    edges = sorted({cell.edge for row in rows for cell in row.cells})
    columns = [edge for before, edge in pairwise([-_SAME_EDGE, *edges]) if edge - before > _SAME_EDGE]
    filled: dict[int, str] = {}
    written: list[str] = []
    for row in rows:
        written.append("<tr>")
        place = 0
        for cell in row.cells:
            end = max(place + 1, sum(column <= cell.edge + _SAME_EDGE for column in columns))
            text = filled.get(place, "") if cell.goes_on_above else _inline(cell.text)
            filled[place] = text
            written.append(f'<td colspan="{end - place}">{text}</td>')
            place = end
        written.append("</tr>")
    return f"<table>{''.join(written)}</table>"


def _inline(text: str) -> str:
    """Return text as HTML. Of bold letters only those of whole paragraphs matter, which may be headings."""
    text = _AROUND_NOTE.sub(r"\1\2", escape(text, quote=False))
    return re.sub("[\ue000-\ue00f]", lambda mark: _TAGS.get(mark[0], ""), text).strip()
