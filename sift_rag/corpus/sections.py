"""The sections of a document: the pieces that its format gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sift_rag.types import JsonValue


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


SECTION_BREAK = "\n\n"
