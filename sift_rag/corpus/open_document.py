"""Read texts and presentations in the Open Document format. The only module that knows odfdo."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from html import escape
from itertools import repeat
from typing import TYPE_CHECKING

from sift_rag.corpus.archives import check_archive, reason
from sift_rag.corpus.bold_headings import with_bold_headings
from sift_rag.corpus.decoding import one_line, without_surrogates
from sift_rag.corpus.html_page import to_markdown
from sift_rag.corpus.markup import with_unit
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
        html = "".join(_Writer.of(document).html(document.body))
        markdown = with_bold_headings(to_markdown(html, is_page=False).markdown)
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
        writer = _Writer.of(document)
        sections = [
            Section(markdown, page=number)
            for number, slide in enumerate(_named(document.body, "draw:page"), start=1)
            if (markdown := to_markdown(_slide(writer, slide), is_page=False).markdown)
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


def _slide(writer: _Writer, slide: Element) -> str:
    notes: list[str] = []
    blocks: list[str] = []
    for child in slide.children:
        words = "".join(writer.html(child))
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


@dataclass(frozen=True, slots=True)
class _Styles:
    """The styles that change how a text is read, by their names."""

    titles: frozenset[str] = frozenset()
    """Styles of the title of a document."""
    code: frozenset[str] = frozenset()
    bold: frozenset[str] = frozenset()
    raised: frozenset[str] = frozenset()
    numbered: dict[str, frozenset[int]] = field(default_factory=dict)
    """Levels, from 1, that have numbers, for each style of lists."""

    @classmethod
    def of(cls, document: Document) -> _Styles:
        styles: dict[str, Element] = {}
        numbered: dict[str, frozenset[int]] = {}
        for part in ("styles.xml", "content.xml"):
            if part not in document.get_parts():
                continue
            root = document.get_part(part).root  # type: ignore[union-attr]
            for style in root.get_elements("descendant::style:style"):
                styles[str(style.get_attribute("style:name"))] = style
            for style in root.get_elements("descendant::text:list-style"):
                levels = style.get_elements("text:list-level-style-number")
                with_numbers = (level for level in levels if level.get_attribute("style:num-format"))
                name = str(style.get_attribute("style:name"))
                numbered[name] = frozenset(_number(level, "text:level") for level in with_numbers)
        found: dict[str, set[str]] = {"title": set(), "code": set(), "bold": set(), "raised": set()}
        for name, style in styles.items():
            family = style.get_attribute("style:family")
            above = list(_with_parents(name, styles))
            if family == "paragraph":
                if "Title" in above:
                    found["title"].add(name)
                if not _CODE.isdisjoint(above):
                    found["code"].add(name)
            properties = [p for parent in above for p in styles[parent].get_elements("style:text-properties")]
            weight = next(filter(None, (p.get_attribute("fo:font-weight") for p in properties)), "")
            if weight == "bold" or (str(weight).isdecimal() and int(str(weight)) >= 600):
                found["bold"].add(name)
            place = next(filter(None, (p.get_attribute("style:text-position") for p in properties)), "")
            shift = str(place).split(" ")[0].removesuffix("%")
            if shift == "super" or (shift.isdecimal() and int(shift) > 0):
                found["raised"].add(name)
        titles, code, bold, raised = (frozenset(names) for names in found.values())
        return cls(titles, code, bold, raised, numbered)


_CODE = frozenset(("Preformatted_20_Text", "Source_20_Code", "Code"))


def _with_parents(name: str, styles: Mapping[str, Element]) -> Iterator[str]:
    """Yield a style and those that it inherits from, the nearest first."""
    seen: set[str] = set()
    while name in styles and name not in seen:
        seen.add(name)
        yield name
        name = str(styles[name].get_attribute("style:parent-style-name") or "")


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes elements as HTML."""

    styles: _Styles
    charts: Mapping[str, Element] = field(default_factory=dict)
    """Charts, by the folder of the file that holds them."""

    @classmethod
    def of(cls, document: Document) -> _Writer:
        """Return the writer of a document."""
        return cls(_Styles.of(document), dict(_charts(document)))

    def html(self, element: Element, depth: int = 0, lists: tuple[str, ...] = ()) -> Iterator[str]:
        """Yield an element as HTML.

        Args:
            element: any.
            depth: number of elements around it.
            lists: style of each list around it, outermost first; "" for the style of the one before.
        """
        tag = element.tag
        if tag in _LEFT_OUT:
            return
        if depth > _DEEPEST:
            raise ValueError("nested too deeply")
        match tag:
            case "text:s" | "text:tab" | "text:line-break":
                yield "<br>" if tag == "text:line-break" else " " * min(_number(element, "text:c"), 200)
            case "text:h":
                level = min(6, _number(element, "text:outline-level"))
                yield f"<h{level}>{''.join(self._inside(element, depth, lists))}</h{level}>"
            case "text:p" if not _holds_blocks(element):
                yield self._paragraph(element, "".join(self._inside(element, depth, lists)))
            case "text:span" if _style_of(element) in self.styles.raised:
                yield f"<sup>{''.join(self._inside(element, depth, lists))}</sup>"
            case "text:note":
                yield " ("
                yield escape(one_line(" ".join(body.inner_text for body in _named(element, "text:note-body"))))
                yield ")"
            case "text:list":
                yield from self._list(element, depth, lists)
            case "table:table-cell" | "table:covered-table-cell":
                yield from self._cell(element, depth)
            case "draw:object":
                chart = self.charts.get(str(element.get_attribute("xlink:href")).removeprefix("./"))
                yield _chart_html(chart) if chart is not None else ""
            case _ if tag in _BLOCKS:
                repeats = _number(element, "table:number-rows-repeated") if tag == "table:table-row" else 1
                inside = "".join(self._inside(element, depth, lists))
                yield f"<{_BLOCKS[tag]}>{inside}</{_BLOCKS[tag]}>" * min(repeats, _MOST_REPEATS)
            case _:
                yield from _described(element) if tag == "draw:image" else self._inside(element, depth, lists)

    def _inside(self, element: Element, depth: int, lists: tuple[str, ...] = ()) -> Iterator[str]:
        yield escape(element.text or "")
        for child in element.children:
            yield from self.html(child, depth + 1, lists)
            yield escape(child.tail or "")

    def _paragraph(self, element: Element, inside: str) -> str:
        style = _style_of(element)
        if style in self.styles.titles:
            return f"<h1>{inside}</h1>"
        if style in self.styles.code:
            return f"<pre>{inside.replace('<br>', chr(10))}</pre>"
        return f"<p><strong>{inside}</strong></p>" if self._is_bold(element) else f"<p>{inside}</p>"

    def _is_bold(self, paragraph: Element) -> bool:
        """Return True if all letters of a paragraph are bold."""
        spans = [child for child in paragraph.children if child.tag == "text:span"]
        if not paragraph.inner_text.strip():
            return False
        if not spans or (paragraph.text or "").strip():
            return _style_of(paragraph) in self.styles.bold and not spans
        around = "".join(child.tail or "" for child in paragraph.children).strip()
        return not around and all(_style_of(span) in self.styles.bold for span in spans if span.inner_text.strip())

    def _list(self, element: Element, depth: int, lists: tuple[str, ...]) -> Iterator[str]:
        """Yield a list. One that only indents the list within it is that list."""
        inner = [child for item in element.children for child in item.children]
        if inner and all(child.tag == "text:list" for child in inner):
            for child in inner:
                yield from self._list(child, depth + 2, (*lists, _style_of(element)))
            return
        lists = (*lists, _style_of(element))
        style = next(filter(None, reversed(lists)), "")
        tag = "ol" if len(lists) in self.styles.numbered.get(style, ()) else "ul"
        yield f"<{tag}>"
        is_open = False
        for item in element.children:
            inside = "".join(self._inside(item, depth + 1, lists))
            only_lists = all(child.tag == "text:list" for child in item.children)
            if not (is_open and only_lists):  # a list without a text of its own belongs to the item above it
                yield f"{'</li>' if is_open else ''}<li>"
                is_open = True
            yield inside
        yield f"{'</li>' if is_open else ''}</{tag}>"

    def _cell(self, cell: Element, depth: int) -> Iterator[str]:
        """Yield the cell, which stands for those that it covers too."""
        if cell.tag == "table:covered-table-cell":
            return
        wide = _number(cell, "table:number-columns-spanned")
        high = _number(cell, "table:number-rows-spanned")
        inside = "".join(self._inside(cell, depth))
        repeats = min(_number(cell, "table:number-columns-repeated"), _MOST_REPEATS)
        yield f'<td colspan="{wide}" rowspan="{high}">{inside}</td>' * repeats


def _charts(document: Document) -> Iterator[tuple[str, Element]]:
    """Yield the charts of a document, each with its folder."""
    from odfdo.xmlpart import XmlPart

    for part in document.get_parts():
        folder, _, name = part.rpartition("/")
        if folder and name == "content.xml" and document.container is not None:
            with suppress(SyntaxError, ValueError):  # a broken chart costs no text
                chart = XmlPart(part, document.container).root.get_element("descendant::chart:chart")
                if chart is not None:
                    yield folder, chart


def _chart_html(chart: Element) -> str:
    """Return the titles and the figures of a chart; the unit, which is the title of its second axis, after its own."""
    axes = {str(axis.get_attribute("chart:name")): _title_of(axis) for axis in _all(chart, "chart:axis")}
    written = chart.get_elements("table:table/descendant::table:table-row")
    rows = [[_figure(cell) for cell in _cells(row)] for row in written]
    for column in _columns_of_x(chart):
        if rows and column < len(rows[0]) and not (column == 0 and rows[0][0]):
            rows[0][column] = axes.get("primary-x", "") or ("x" if column else "")
    title = with_unit(_title_of(chart), axes.get("primary-y", ""))
    cells = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
    return f"<p>{escape(title)}</p><table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"


def _columns_of_x(chart: Element) -> list[int]:
    """Return the columns of a chart's table that its first axis shows: the first, or those of the places of points."""
    domains = [str(domain.get_attribute("table:cell-range-address")) for domain in _all(chart, "chart:domain")]
    found = [ord(column[1]) - ord("A") for domain in domains if (column := _COLUMN.match(domain))]
    return found or [0]


_COLUMN = re.compile(r"local-table\.\$([A-Z])\$")


def _all(element: Element, tag: str) -> list[Element]:
    return element.get_elements(f"descendant::{tag}")


def _title_of(element: Element) -> str:
    return one_line(" ".join(title.inner_text for title in _named(element, "chart:title")))


def _cells(row: Element) -> Iterator[Element]:
    for cell in _named(row, "table:table-cell"):
        yield from repeat(cell, min(_number(cell, "table:number-columns-repeated"), _MOST_REPEATS))


def _figure(cell: Element) -> str:
    """Return what a cell says; "" for a figure that is not there."""
    text = one_line(" ".join(words.inner_text for words in _named(cell, "text:p")))
    return "" if text == "NaN" or cell.get_attribute("office:value") == "NaN" else text


def _style_of(element: Element) -> str:
    return str(element.get_attribute("text:style-name") or "")


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
