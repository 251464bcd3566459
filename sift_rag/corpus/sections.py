"""A document in the pieces that its format gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sift_rag.types import JsonValue


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of a document that no passage reaches beyond: a page, a slide, a row, or all of it."""

    text: str
    """Valid Unicode, lines ended by ``\\n``."""
    start: int = 0
    """Where it begins in the document's text: that of all parts, ``PART_BREAK`` between them."""
    line: int | None = None
    """Line of the file that it begins on, from 1; None where the file's lines mean nothing to a reader."""
    keeps_lines: bool = True
    """Whether each of its lines is one of the file; otherwise ``line`` holds for all of it."""
    page: int | None = None
    """Page or slide, from 1."""
    headings: tuple[str, ...] = ()
    """What stands above it, outermost first."""
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)


PART_BREAK = "\n\n"
