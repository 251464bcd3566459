"""Convert HTML to Markdown. The only module that knows Beautiful Soup and markdownify.

What surrounds the text of a page (navigation, its header and footer, forms, hidden elements) is left out, and tables
are made plain before they are converted: one header row, and as many cells in each row.
"""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from sift_rag.corpus.decoding import one_line, universal_newlines, without_surrogates
from sift_rag.corpus.markup import fenced, with_raised
from sift_rag.corpus.sections import Extracted, Section
from sift_rag.extras import require

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag
    from markdownify import MarkdownConverter

_UNSEEN = frozenset(
    (
        "audio", "base", "button", "canvas", "datalist", "embed", "head", "iframe", "input", "link", "meta",
        "noscript", "object", "progress", "script", "select", "style", "svg", "template", "textarea", "video",
    )
)  # fmt: skip
_BLOCKS = frozenset(
    (
        "address", "aside", "center", "details", "dialog", "fieldset", "figure", "footer", "form", "header", "hgroup",
        "legend", "main", "nav", "search", "summary",
    )
)  # fmt: skip
"""Elements that stand on lines of their own and that markdownify does not know as such."""

_CHROME_ROLES = frozenset(("alertdialog", "banner", "contentinfo", "dialog", "menu", "menubar", "navigation", "search"))
_CHROME_NAMES = frozenset(
    (
        "breadcrumb", "breadcrumbs", "cookie-banner", "cookie-consent", "cookie-notice", "footer", "menu", "nav",
        "nav-panel", "navbar", "navfooter", "navheader", "navigation", "page-footer", "page-header",
        "pagination", "sidebar", "site-footer", "site-header", "site-nav", "skip-link", "toc", "topbar",
    )
)  # fmt: skip
"""Words that mark what surrounds the text, as an id or a class of an element."""
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_SHOWN_AS_BLOCK = re.compile(r"display\s*:\s*(?:block|flex|grid|list-item)", re.IGNORECASE)
_LINE_NUMBERS = frozenset(("lineno", "linenos", "linenumber", "linenumbers", "line-number", "line-numbers", "gutter"))
_PAGE_NUMBERS = frozenset(("pagenum", "pageno", "page-number", "pagenumber", "pagebreak"))
"""Classes of the number of a page of the printed book, within its text."""

_TEXT_BLOCKS = (
    "address", "article", "aside", "blockquote", "div", "dl", "fieldset", "figure", "footer", "form", "h1", "h2", "h3",
    "h4", "h5", "h6", "header", "hr", "main", "nav", "ol", "p", "pre", "section", "table", "ul",
)  # fmt: skip
_ENDED_BY: dict[str, frozenset[str]] = {
    **dict.fromkeys(_TEXT_BLOCKS, frozenset(("p",))),
    "li": frozenset(("li", "p")),
    **dict.fromkeys(("dt", "dd"), frozenset(("dt", "dd", "p"))),
    **dict.fromkeys(("td", "th"), frozenset(("td", "th", "p"))),
    "tr": frozenset(("tr", "td", "th", "p")),
    **dict.fromkeys(("thead", "tbody", "tfoot"), frozenset(("thead", "tbody", "tfoot", "tr", "td", "th", "p"))),
    "option": frozenset(("option",)),
}
"""Elements whose end tags may be left out, by the tags that end them, as HTML defines it."""

_ANCHOR_MARKS = frozenset(("", "#", "\u00b6", "\u00a7", "\U0001f517", "\u2191", "\u21a9", "\u21a9\ufe0e"))
"""Words of links that lead to the place itself, or back to it."""

_LANGUAGE = re.compile(r"(?:language|lang|highlight-source|highlight|brush)[-:]\s*([\w+#.-]{1,20})")
_LANGUAGES = frozenset(
    (
        "bash", "c", "cpp", "css", "go", "html", "java", "javascript", "json", "python", "rust", "shell", "sql", "toml",
        "typescript", "xml", "yaml",
    )
)  # fmt: skip
"""Languages that are recognised where a class is nothing but their name."""
_NO_LANGUAGE = frozenset(("default", "none", "plain", "text", "plaintext", "notranslate"))

_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_NOT_IN_CELLS = frozenset(("table", "pre", "h1", "h2", "h3"))
_OF_TABLES = frozenset(("table", "thead", "tbody", "tfoot", "tr", "td", "th"))
_MOST_KEPT = 100
"""Elements that look like what surrounds a text and hold most of it, after which no more are looked for."""
_MOST_CELLS = 20_000
_MOST_COLUMNS = 200
"""Limits within which cells that span columns or rows are written out."""
_LONGEST_MARK = 20
_SPACE_AT_END = re.compile(r"[ \t]+$", re.MULTILINE)
_OUTER_RULES = re.compile(r"\A(?:\s*---(?=\n|\Z))+|(?:\n---\s*)+\Z")
"""Lines drawn above or below all of the text, which divide nothing."""
_EMPTY_LINES = re.compile(r"\n{3,}")


def read_html(text: str) -> Extracted:
    """Return a page as one section of Markdown, with the title that it states.

    Raises:
        MissingExtra: ``markdownify`` or ``beautifulsoup4`` is not installed.
    """
    page = to_markdown(text)
    return Extracted([Section(page.markdown)] if page.markdown else [], "markdown", page.title)


class Page(NamedTuple):
    """A page of HTML as Markdown."""

    title: str
    markdown: str


def to_markdown(html: str, *, is_page: bool = True) -> Page:
    """Convert HTML to Markdown. Of links and images only the words stay. Nothing outside the text is read.

    Args:
        html: any text.
        is_page: False for HTML that is a text alone: then nothing is taken for what surrounds it.

    Raises:
        MissingExtra: ``markdownify`` or ``beautifulsoup4`` is not installed.
    """
    for package in ("bs4", "markdownify"):
        require(package, "office")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about how a page is written: no concern of ours
        soup = _soup_class()(html, "html.parser")
    title = one_line(without_surrogates(soup.title.get_text())) if soup.title else ""
    root = soup.find("body") or soup
    _clean(root)
    if is_page:
        _without_chrome(root)
        root = _main_part(root)
    for table in reversed(root.find_all("table")):  # the inner ones first
        _simplify(table, soup)
    _name_blocks(root)
    return Page(title, _tidy(_converted(root)))


@cache
def _soup_class() -> type[BeautifulSoup]:
    import bs4

    class Soup(bs4.BeautifulSoup):
        def handle_starttag(self, name: str, *args: Any, **options: Any) -> Tag | None:
            """End the elements whose end tag may be left out before this tag; Python's parser does not."""
            ended = _ENDED_BY.get(name, frozenset())
            while self.currentTag is not None and self.currentTag.name in ended:
                self.handle_endtag(self.currentTag.name)
            return super().handle_starttag(name, *args, **options)

    return Soup


def _name_blocks(root: Tag) -> None:
    """Give elements that stand on lines of their own a name that markdownify knows as such."""
    import bs4

    for element in root.descendants:
        if not isinstance(element, bs4.Tag):
            continue
        shown_as_block = element.name == "span" and _SHOWN_AS_BLOCK.search(str(element.get("style", "")))
        if element.name in _BLOCKS or shown_as_block:
            element.name = "div"


def _converted(root: Tag) -> str:
    try:
        return str(_converter_class()().convert_soup(root))
    except RecursionError:  # nested too deeply for Markdown
        return root.get_text("\n", strip=True)


def _tidy(markdown: str) -> str:
    text = universal_newlines(without_surrogates(markdown)).replace("\xad", "")
    return _EMPTY_LINES.sub("\n\n", _OUTER_RULES.sub("", _SPACE_AT_END.sub("", text))).strip()


@cache
def _converter_class() -> type[MarkdownConverter]:
    import markdownify

    class Converter(markdownify.MarkdownConverter):
        class Options:
            heading_style = markdownify.ATX
            bullets = "-"
            autolinks = False
            escape_asterisks = False
            escape_underscores = False
            strip_document = markdownify.STRIP
            code_language_callback = staticmethod(_language)
            wrap = True
            wrap_width = None  # lines end where the page ends them, not where its source does

        def convert_a(self, el: Tag, text: str, parent_tags: set[str]) -> str:  # noqa: ARG002 - the library's names
            is_note = text.strip().isdecimal() and el.find_parent("sup") is None and _NOTE.search(_said_of(el))
            return f"[{text.strip()}]" if is_note else text

        def convert_img(self, el: Tag, text: str, parent_tags: set[str]) -> str:  # noqa: ARG002
            return one_line(str(el.get("alt") or ""))

        def convert_pre(self, el: Tag, text: str, parent_tags: set[str]) -> str:
            converted = str(super().convert_pre(el, text, parent_tags))  # type: ignore[misc]  # not in the stubs
            if "```" not in text:
                return converted
            language, _, code = converted.strip()[3:-3].partition("\n")
            code = code.removesuffix("\n")
            return f"\n\n{fenced(code, language)}\n\n"

        def convert_sup(self, el: Tag, text: str, parent_tags: set[str]) -> str:  # noqa: ARG002
            """Keep 10 to the power of 6 from becoming 106, and the number of a note from becoming part of a word."""
            return with_raised(str(el.previous_sibling or ""), text, may_be_power=el.find("a") is None)

        def convert_td(self, el: Tag, text: str, parent_tags: set[str]) -> str:
            cell = one_line(text).replace("|", "\\|")
            return str(super().convert_td(el, cell, parent_tags))  # type: ignore[misc]  # not in the stubs

        convert_th = convert_td

    return Converter


def _language(pre: Tag) -> str:
    """Return the language of a block of code, as a class of it, of what it holds, or of what holds it says."""
    inner = pre.find("code")
    for element in (inner, pre, pre.parent, pre.parent.parent if pre.parent else None):
        found = _LANGUAGE.search(" ".join(_classes(element))) if element is not None else None
        if found and found[1].lower() not in _NO_LANGUAGE:
            return found[1]
    bare = (name.lower() for element in (inner, pre) if element is not None for name in _classes(element))
    return next((name for name in bare if name in _LANGUAGES), "")


_NOTE = re.compile(r"footnote|noteref|note-ref|endnote")


def _said_of(link: Tag) -> str:
    """Return what a link says of its kind."""
    return " ".join([*_classes(link), str(link.get("epub:type", "")), str(link.get("role", ""))])


def _classes(element: Tag) -> list[str]:
    value = element.get("class") or ""
    return value.split() if isinstance(value, str) else [str(name) for name in value]


def _clean(root: Tag) -> None:
    """Remove what nobody sees."""
    import bs4

    for node in list(root.descendants):
        if isinstance(node, bs4.element.PreformattedString):
            node.extract()
        elif isinstance(node, bs4.Tag) and node.name == "input" and node.get("type") == "checkbox":
            node.replace_with("[x] " if node.has_attr("checked") else "[ ] ")
    _remove(root, lambda element: element.name in _UNSEEN or _is_hidden(element) or _is_mark(element))


def _remove(root: Tag, is_removed: Callable[[Tag], bool]) -> None:
    """Remove the elements within ``root`` of which that is true, asked from the outside in."""
    stack = [root]
    while stack:
        for element in _children(stack.pop()):
            if is_removed(element):
                element.extract()
            else:
                stack.append(element)


def _children(element: Tag) -> list[Tag]:
    import bs4

    return [child for child in element.children if isinstance(child, bs4.Tag)]


def _is_hidden(element: Tag) -> bool:
    return (
        (element.has_attr("hidden") and element["hidden"] != "until-found")
        or element.get("aria-hidden") == "true"
        or (element.name == "dialog" and not element.has_attr("open"))
        or _HIDDEN.search(str(element.get("style", ""))) is not None
    )


def _is_mark(element: Tag) -> bool:
    """Return True for the number of a page or of a line of code, and for a link to where it stands."""
    classes = _classes(element)
    if not _LINE_NUMBERS.isdisjoint(classes) or not _PAGE_NUMBERS.isdisjoint(classes):
        return len(element.get_text()) < _LONGEST_MARK or not _LINE_NUMBERS.isdisjoint(classes)
    if "pagebreak" in str(element.get("epub:type", "")) or element.get("role") == "doc-pagebreak":
        return len(element.get_text()) < _LONGEST_MARK
    if element.name != "a" or not str(element.get("href", "")).startswith("#"):
        return False
    return element.get_text().strip() in _ANCHOR_MARKS and element.find("img") is None


def _without_chrome(root: Tag) -> None:
    """Remove what surrounds the text of a page, unless it is most of the page."""
    most = len(root.get_text()) / 2
    heading = root.find("h1")
    above_heading = set(map(id, heading.parents)) if heading is not None else set()
    kept = 0
    stack = [(root, False)]
    while stack:
        parent, in_text = stack.pop()
        for element in _children(parent):
            is_text = in_text or element.name in {"main", "article"}
            if not _is_chrome(element, in_text=in_text) or kept == _MOST_KEPT or len(element.get_text()) > most:
                kept += _is_chrome(element, in_text=in_text)
                stack.append((element, is_text))
            elif heading is not None and id(element) in above_heading:
                element.replace_with(heading.extract())  # a page's heading may stand in its header
            else:
                element.extract()


def _is_chrome(element: Tag, *, in_text: bool) -> bool:
    if element.name in {"main", "article"}:
        return False
    if element.name == "nav" or element.get("role") in _CHROME_ROLES:
        return True
    names = {name.lower() for name in (*_classes(element), str(element.get("id") or ""))}
    if not in_text and "header" in names and element.find(_HEADINGS) is None:
        return True
    return not in_text and (element.name in {"header", "footer", "aside"} or not _CHROME_NAMES.isdisjoint(names))


def _main_part(root: Tag) -> Tag:
    """Return the element that says that it is the text, if it holds most of what is left."""
    candidates = root.find_all(("main", "article")) + root.find_all(True, {"role": "main"})
    total = len(root.get_text(strip=True))
    heading = root.find("h1")
    for candidate in candidates[:10]:
        if len(candidate.get_text(strip=True)) > total / 2:
            is_around = any(parent is heading for parent in candidate.parents)
            if heading is not None and not is_around and candidate.find("h1") is None:
                candidate.insert(0, heading.extract())
            return candidate
    return root


def _simplify(table: Tag, soup: BeautifulSoup) -> None:
    """Give a table one header row and rows of as many cells, or turn it into blocks if it only arranges them."""
    within = list(_within(table))
    rows = [element for element in within if element.name == "tr"]
    cells = [[cell for cell in _children(row) if cell.name in {"td", "th"}] for row in rows]
    only_arranges = table.get("role") in {"presentation", "none"} or max(map(len, cells), default=0) <= 1
    if only_arranges or any(element.name in _NOT_IN_CELLS for element in within):
        for element in (table, *within):
            if element.name in _OF_TABLES:
                element.name = "div"
        return
    titles = [element for element in within if element.name == "caption"]
    while len(cells) > 2 and _is_title(cells):
        titles += cells.pop(0)
        rows.pop(0)
    headers = _header_rows(rows, cells)
    grid = _grid(cells, headers)
    width = max(map(len, grid))
    table.clear()
    for title in titles:
        title.name = "p"
        table.insert_before(title)
    named = [_joined([row[column] for row in grid[:headers] if column < len(row)], soup) for column in range(width)]
    _append_row(table, soup.new_tag("thead"), named, "th", soup)
    body = soup.new_tag("tbody")
    table.append(body)
    for row in grid[headers:]:
        _append_row(body, None, [*row, *[None] * (width - len(row))], "td", soup)


def _is_title(cells: Sequence[Sequence[Tag]]) -> bool:
    """Return True if the first row of a table is a single cell above all of its columns."""
    widths = [sum(_span(cell, "colspan") for cell in row) for row in cells]
    return len(cells[0]) == 1 and widths[0] >= max(widths) > 1 and len(cells[1]) > 1


def _within(table: Tag) -> Iterator[Tag]:
    """Yield the elements within a table in their order, but none within a table that it holds."""
    stack = _children(table)[::-1]
    while stack:
        element = stack.pop()
        yield element
        if element.name != "table":
            stack += _children(element)[::-1]


def _grid(cells: Sequence[Sequence[Tag]], headers: int) -> list[list[Tag | None]]:
    """Return the rows with a cell for each column: one that spans columns or rows stands in each, as a copy.

    The first cell of a row below the headers does not stand in several columns: it is what the row is called.
    """
    grid: list[list[Tag | None]] = [[] for _ in cells]
    filled: dict[tuple[int, int], Tag] = {}
    room = _MOST_CELLS
    for number, row in enumerate(cells):
        column = 0
        for cell in row:
            while (number, column) in filled:
                column += 1
            wide = min(_span(cell, "colspan"), _MOST_COLUMNS)
            high = min(_span(cell, "rowspan"), len(cells) - number)
            room -= wide * high - 1
            if room < 0:
                wide = high = 1
            is_label = number >= headers and column == 0 and len(row) > 1  # of the whole row, such as a total
            for down in range(high):
                for across in range(1 if is_label else wide):
                    filled[number + down, column + across] = copy.copy(cell) if down or across else cell
            column += wide
    for number, column in sorted(filled):
        grid[number] += [None] * (column - len(grid[number]))
        grid[number].append(filled[number, column])
    return grid


def _span(cell: Tag, name: str) -> int:
    value = str(cell.get(name) or "")
    return max(1, int(value)) if value.isascii() and value.isdigit() and len(value) < 6 else 1


def _header_rows(rows: Sequence[Tag], cells: Sequence[Sequence[Tag]]) -> int:
    """Count the rows that name the columns: those that say so, or else the first one."""
    count = 0
    for row, in_row in zip(rows, cells, strict=True):
        says_so = row.parent is not None and row.parent.name == "thead"
        if not says_so and not (in_row and all(cell.name == "th" for cell in in_row)):
            break
        count += 1
    if count <= 1 and len(cells) > 2 and _names_groups(cells[0], cells[1]):
        count = 2
    return min(max(count, 1), len(rows))


def _names_groups(first: Sequence[Tag], second: Sequence[Tag]) -> bool:
    """Return True if a row names groups of the columns that the next row names: a cell of it spans some of them."""
    widths = [_span(cell, "colspan") for cell in first]
    texts = [cell.get_text().strip() for cell in second]
    return (
        max(widths, default=1) > 1
        and len(first) > 1
        and len(second) > 1
        and any(texts)
        and not any(character.isdigit() for text in texts for character in text[:1])
        and max(_span(cell, "colspan") for cell in second) == 1
    )


def _joined(column: Sequence[Tag | None], soup: BeautifulSoup) -> Tag:
    """Return one header cell for a column whose name stands in several rows."""
    texts = list(dict.fromkeys(one_line(cell.get_text(" ")) for cell in column if cell is not None))
    joined = soup.new_tag("th")
    joined.string = " / ".join(filter(None, texts))
    return joined


def _append_row(parent: Tag, within: Tag | None, cells: Sequence[Tag | None], name: str, soup: BeautifulSoup) -> None:
    row = soup.new_tag("tr")
    for cell in cells:
        placed = soup.new_tag(name) if cell is None else cell.extract()
        placed.name = name
        placed.attrs = {}
        row.append(placed)
    if within is not None:
        within.append(row)
        parent.append(within)
    else:
        parent.append(row)
