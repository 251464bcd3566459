"""Passages written by hand."""

from __future__ import annotations

from uuid import NAMESPACE_URL, uuid5

from sift_rag.types import Passage, Span


def passage(
    text: str,
    source: str = "docs/a.md",
    line: int | None = None,
    page: int | None = None,
    headings: tuple[str, ...] = (),
    title: str = "",
) -> Passage:
    identity = str(uuid5(NAMESPACE_URL, f"{source}#{text}"))
    return Passage(identity, text, source, Span(0, len(text), line, page), title, headings)
