"""The sections of a document: the pieces that its format gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from sift_rag.corpus.formats import Syntax
from sift_rag.types import JsonValue

SECTION_BREAK = "\n\n"


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of a document that no passage reaches beyond: a page, a slide, a row, or the whole document."""

    text: str
    """Valid Unicode, with lines ended by ``\\n``."""
    start: int = 0
    """First character in the document's text, which is all sections joined by ``SECTION_BREAK``."""
    line: int | None = None
    """Line of the file on which the section begins, from 1; None if line numbers mean nothing to a reader."""
    keeps_lines: bool = True
    """True if each line of the section is a line of the file; otherwise ``line`` holds for all of it."""
    page: int | None = None
    """Page or slide, from 1."""
    headings: tuple[str, ...] = ()
    """Headings above the section, outermost first."""
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)
    lead: str = ""
    """Lines that every passage of the section begins with, such as the short fields of a record; "" for none."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """The text of a file, as the reader of its format returns it."""

    sections: Iterable[Section]
    """Sections with text; none if the file holds none. Can be iterated again."""
    syntax: Syntax = "plain"
    title: str = ""
    """Title that the file states, or ""."""
    notices: tuple[str, ...] = ()
    """Notices on how it was read, a clause each: "read as cp1252, by a guess"."""
    pages_without_text: int = 0
    """Number of pages that hold no text, scans for example."""


def placed(sections: Iterable[Section]) -> list[Section]:
    """Return the sections with their start in the document's text."""
    result: list[Section] = []
    start = 0
    for section in sections:
        result.append(replace(section, start=start))
        start += len(section.text) + len(SECTION_BREAK)
    return result
