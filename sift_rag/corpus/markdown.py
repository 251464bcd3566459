"""Parse Markdown. The only module that knows markdown-it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from sift_rag.corpus.decoding import one_line
from sift_rag.extras import require

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_SEGMENT = 1 << 20
"""Characters of Markdown that are parsed at once: a parsed document takes about thirty times the memory of its text."""

_FENCE = re.compile(r"^ {0,3}(?:```|~~~)", re.MULTILINE)
_TOP_LEVEL_BREAK = re.compile(r"\n\n(?=# )")


class Segment(NamedTuple):
    """A parsed stretch of a text, which ends where a block of the outermost level ends."""

    start: int
    """First character of the segment in the text."""
    lines: list[int]
    """Start of each line in the text, and one past the end of the last; ``token.map`` counts lines from 0."""
    tokens: list[Token]
    """Tokens of the blocks, tables included; the text in them is not parsed."""


def parse_blocks(text: str) -> Iterator[Segment]:
    """Yield the parsed segments of a text, which together cover it. ``O(len(text))``.

    Raises:
        MissingExtra: ``markdown-it-py`` is not installed.
    """
    require("markdown_it", "ingest")
    text = text.replace("\r", "\n")  # as the parser does, but for the length
    start = 0
    while start < len(text):
        end = _segment_end(text, start)
        segment = text[start:end]
        yield Segment(start, line_starts(segment, start), _block_parser().parse(segment))
        start = end


def line_starts(text: str, start: int = 0) -> list[int]:
    """Return the start of each line, and one past the line break that the last one has or would have."""
    return list(accumulate((len(line) + 1 for line in text.split("\n")), initial=start))


def rendered(heading: Token) -> str:
    """Return the words of a heading, without the marks of emphasis, links and code."""
    parsed = _inline_parser().parseInline(heading.content)
    children = [child for token in parsed for child in token.children or ()]
    return one_line("".join(" " if child.type == "softbreak" else child.content for child in children))


def _segment_end(text: str, start: int) -> int:
    """Return the end of the text if it is near, else the next top-level heading outside fenced code."""
    if len(text) - start <= _SEGMENT:
        return len(text)
    fences, counted = 0, start
    for match in _TOP_LEVEL_BREAK.finditer(text, start + _SEGMENT):
        fences += len(_FENCE.findall(text, counted, match.end()))
        counted = match.end()
        if fences % 2 == 0:
            return match.end()
    return len(text)


@cache
def _block_parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").enable("table").disable("inline")


@cache
def _inline_parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark")
