"""Read e-books: a section for each chapter."""

from __future__ import annotations

import html
import io
import posixpath
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import unquote, urldefrag

from sift_rag.corpus.archives import check_archive, reason
from sift_rag.corpus.decoding import decode_html, one_line, without_surrogates
from sift_rag.corpus.html_page import to_markdown
from sift_rag.corpus.sections import Extracted, Section, placed
from sift_rag.errors import UnreadableDocument
from sift_rag.extras import require
from sift_rag.types import JsonValue

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_HEADING = re.compile(r"^#{1,6} ", re.MULTILINE)
_NAMED_CHARACTER = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos);)[A-Za-z]\w{1,30};")
_METADATA = {"creator": "author", "language": "language", "publisher": "publisher", "date": "date"}
_FRONT = frozenset(("cover", "cover-image", "nav", "toc"))
"""Parts of a book that hold no text of it, by their type or their property."""
_NO_TITLES = frozenset(("unknown", "unknown title", "untitled"))
_NO_AUTHORS = frozenset(("", "Unknown", "Unknown Author"))
"""Titles and names that programs write where nothing is stated."""
_Entry: TypeAlias = tuple[str, tuple[str, ...]]
"""The target of an entry in a table of contents, with its path of titles, outermost first."""


def read_epub(data: bytes) -> Extracted:
    """Return the chapters in the order in which the book is read, each under its title; cover and contents left out.

    Author, language, publisher and date are metadata of every section.

    Raises:
        MissingExtra: what reads HTML or XML is not installed.
        UnreadableDocument: the file is broken or protected.
    """
    require("defusedxml", "office")
    from defusedxml.common import DefusedXmlException  # type: ignore[import-untyped]

    check_archive(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _Book(archive).extracted()
    except (DefusedXmlException, SyntaxError, KeyError, ValueError, OSError, NotImplementedError) as error:
        raise UnreadableDocument(f"conversion failed: {reason(error)}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise UnreadableDocument(f"conversion failed: {reason(error)}") from error


class _Book:
    """An open book."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.archive = archive
        self.names = set(archive.namelist())
        container = _parse(archive.read("META-INF/container.xml"))
        self.path = next((root.get("full-path", "") for root in _elements(container, "rootfile")), "")
        self.package = _parse(archive.read(self.path))
        self.items = {item.get("id", ""): item for item in _elements(self.package, "item")}

    def extracted(self) -> Extracted:
        metadata = self.metadata()
        titles = self.titles()
        sections = []
        for name in self.spine():
            page = to_markdown(decode_html(self.archive.read(name)).text, is_page=False)
            if not _without_images(page.markdown).strip():
                continue
            above = titles.get(name, ())
            if above and _states(page.markdown[:1000], above[-1]):
                above = above[:-1]
            elif not above and page.title and not _HEADING.search(page.markdown[:1000]):
                above = (page.title,)
            sections.append(Section(page.markdown, headings=above, metadata=metadata))
        title = next((_words(element) for element in _elements(self.package, "title")), "")
        return Extracted(placed(sections), "markdown", "" if title.lower() in _NO_TITLES else title)

    def metadata(self) -> Mapping[str, JsonValue]:
        found = {
            name: ", ".join(
                words for words in map(_words, _elements(self.package, element)) if words not in _NO_AUTHORS
            )
            for element, name in _METADATA.items()
        }
        return {name: value for name, value in found.items() if value}

    def spine(self) -> Iterator[str]:
        """Yield the names of the chapters' files in reading order."""
        front = {
            self.resolved(self.path, reference.get("href", ""))
            for reference in _elements(self.package, "reference")
            if reference.get("type") in _FRONT
        }
        for reference in _elements(self.package, "itemref"):
            item = self.items.get(reference.get("idref", ""))
            if item is None or not _FRONT.isdisjoint((item.get("properties") or "").split()):
                continue
            name = self.resolved(self.path, item.get("href", ""))
            if name in self.names and name not in front:
                yield name

    def titles(self) -> dict[str, tuple[str, ...]]:
        """Return the titles that the table of contents gives each file, outermost first."""
        titles: dict[str, tuple[str, ...]] = {}
        for item in self.items.values():
            is_nav = "nav" in (item.get("properties") or "").split()
            if not is_nav and item.get("media-type") != "application/x-dtbncx+xml":
                continue
            name = self.resolved(self.path, item.get("href", ""))
            if name in self.names:
                entries = _nav_entries if is_nav else _ncx_entries
                for target, path in _entries(self.archive.read(name), entries):
                    titles.setdefault(self.resolved(name, target), path)
        return titles

    def resolved(self, base: str, href: str) -> str:
        """Return the name of the file that is meant by a reference in the file ``base``."""
        target = urldefrag(href).url
        joined = posixpath.normpath(posixpath.join(posixpath.dirname(base), target))
        return joined if joined in self.names else unquote(joined)


def _entries(data: bytes, entries: Callable[[Element], Iterator[_Entry]]) -> list[_Entry]:
    """Return the entries of a table of contents; none if it is broken, which costs a book no more than its titles."""
    from defusedxml.common import DefusedXmlException

    try:
        return list(entries(_parse(_NAMED_CHARACTER.sub(_numbered, data))))
    except (DefusedXmlException, SyntaxError, ValueError, RecursionError):
        return []


def _numbered(named: re.Match[bytes]) -> bytes:
    """Return a character that HTML has a name for, ``&nbsp;`` for example, as XML can read it."""
    return html.unescape(named[0].decode("ascii")).encode("ascii", "xmlcharrefreplace")


def _states(beginning: str, title: str) -> bool:
    """Return True if a chapter begins with a heading, or has this one near its beginning."""
    if _HEADING.match(beginning):
        return True
    headings = (line.lstrip("#") for line in beginning.split("\n") if _HEADING.match(line))
    return any(one_line(heading).casefold() == title.casefold() for heading in headings)


def _ncx_entries(contents: Element, above: tuple[str, ...] = ()) -> Iterator[_Entry]:
    """Yield the target of each entry of an old table of contents, with its path of titles."""
    for element in contents:
        if _name(element) != "navPoint":
            if not above:
                yield from _ncx_entries(element)
            continue
        title = next((_words(label) for label in element if _name(label) == "navLabel"), "")
        path = (*above, *([title] if title else []))
        for target in element:
            if _name(target) == "content":
                yield target.get("src", ""), path
        if len(path) < 10:
            yield from _ncx_entries(element, path)


def _nav_entries(contents: Element) -> Iterator[_Entry]:
    for nav in _elements(contents, "nav"):
        if any(name.endswith("type") and value == "toc" for name, value in nav.attrib.items()):
            yield from _list_entries(nav, ())


def _list_entries(element: Element, above: tuple[str, ...]) -> Iterator[_Entry]:
    """Yield the target of each entry of a list of lists, with its path of titles."""
    path = above
    for child in element:
        if _name(child) in {"a", "span"} and (title := _words(child)):
            path = (*above, title)
            yield child.get("href", ""), path
        elif _name(child) in {"ol", "li"} and len(path) < 10:
            yield from _list_entries(child, path)


def _parse(data: bytes) -> Element:
    from defusedxml.ElementTree import fromstring  # type: ignore[import-untyped]

    parsed: Element = fromstring(data)
    return parsed


def _elements(root: Element, name: str) -> Iterator[Element]:
    return (element for element in root.iter() if _name(element) == name)


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _words(element: Element) -> str:
    return one_line(without_surrogates("".join(element.itertext())))


def _without_images(markdown: str) -> str:
    return "" if len(markdown) < 20 and "cover" in markdown.lower() else markdown
