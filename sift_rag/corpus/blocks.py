"""Divide a text into its headings and blocks: paragraphs, list items, code, tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from sift_rag.corpus.formats import Syntax
from sift_rag.corpus.headings import Heading, find_headings, markdown_headings
from sift_rag.corpus.markdown import Segment, line_starts, parse_blocks
from sift_rag.corpus.splitting import Stretch

if TYPE_CHECKING:
    from markdown_it.token import Token

BlockKind: TypeAlias = Literal["heading", "text", "code", "table"]


class Block(NamedTuple):
    """A stretch of whole lines that belong together. A block that is too long is cut in its body."""

    start: int
    end: int
    kind: BlockKind
    body: Stretch
    """The part that may be cut: a fence without its first and last line, the rows of a table; else all of it."""
    before: str = ""
    """Lines that a piece from within begins with: the line of a fence with its language, the header of a table."""
    after: str = ""
    """Line that such a piece ends with: a closing fence; "" for none."""
    language: Syntax = "plain"
    """Syntax of the body of code; it cuts text at places of its own."""


@dataclass(frozen=True, slots=True)
class Outline:
    """Headings and blocks of a text, each in its order. The blocks cover the text: each begins where one ends."""

    headings: list[Heading]
    blocks: list[Block]


def outline(text: str, syntax: Syntax) -> Outline | None:
    """Return the headings and blocks of a text; None for a syntax without sections. ``O(len(text))``.

    Raises:
        MissingExtra: the text is Markdown, and ``markdown-it-py`` is not installed.
    """
    if syntax == "markdown":
        return _markdown(text)
    if syntax in {"rst", "latex"}:
        headings = find_headings(text, syntax)
        finder = _rst_blocks if syntax == "rst" else _latex_blocks
        return Outline(headings, _between(text, headings, finder(text)))
    return None


def _between(text: str, headings: list[Heading], found: Iterator[Block]) -> list[Block]:
    """Return the headings and the blocks between them that are found; none of these reaches over a heading."""
    blocks: list[Block] = []
    block = next(found, None)
    for heading in [*headings, Heading(len(text), len(text), 1, "")]:
        while block is not None and block.start < heading.start:
            if block.end <= heading.start:
                _append(blocks, text, block)
            block = next(found, None)
        end = min(heading.end, len(text))
        _append(blocks, text, Block(heading.start, end, "heading", Stretch(heading.start, end)))
    _fill(blocks, text, len(text))
    return blocks


def _append(blocks: list[Block], text: str, block: Block) -> None:
    """Append a block, and before it what lies between it and the last one; drop it if it lies within the last one."""
    if block.start >= (blocks[-1].end if blocks else 0) and block.end > block.start:
        _fill(blocks, text, block.start)
        blocks.append(block)


def _fill(blocks: list[Block], text: str, end: int) -> None:
    """Let the blocks cover the text up to ``end``: white space goes to the last block, anything else is paragraphs."""
    start = blocks[-1].end if blocks else 0
    if start >= end:
        return
    if blocks and not text[start:end].strip().strip("> \t\n"):  # the marks of a quote are no text
        blocks[-1] = blocks[-1]._replace(end=end)
    else:
        blocks.extend(_paragraphs(text, start, end))


def _paragraphs(text: str, start: int, end: int) -> Iterator[Block]:
    """Yield the paragraphs of a stretch, each with the empty lines below it."""
    place = start
    for gap in _GAP.finditer(text, start, end):
        if gap.end() < end and text[place : gap.start()].strip():
            yield Block(place, gap.end(), "text", Stretch(place, gap.end()))
            place = gap.end()
    if place < end:
        yield Block(place, end, "text", Stretch(place, end))


_GAP = re.compile(r"\n(?:[^\S\n]*\n)+")


# Markdown


def html_blocks(text: str) -> Iterator[Stretch]:
    """Yield the blocks of HTML in Markdown.

    Raises:
        MissingExtra: ``markdown-it-py`` is not installed.
    """
    for segment in parse_blocks(text):
        for token in segment.tokens:
            if token.type == "html_block":
                yield _place(text, token, segment.lines)


def _markdown(text: str) -> Outline:
    headings: list[Heading] = []
    blocks: list[Block] = []
    for segment in parse_blocks(text):
        headings += markdown_headings(segment)
        for block in _markdown_blocks(text, segment):
            _append(blocks, text, block)
    _fill(blocks, text, len(text))
    return Outline(headings, blocks)


_TEXTS = frozenset({"paragraph_open", "heading_open", "html_block", "hr"})


def _markdown_blocks(text: str, segment: Segment) -> Iterator[Block]:
    """Yield the blocks of the parsed stretch that hold no others, in the order of the text."""
    for number, token in enumerate(segment.tokens):
        if not token.map:
            continue
        if token.type == "fence":
            yield _fence(text, token, segment.lines)
        elif token.type == "table_open":
            yield _table(text, token, segment.lines)
        elif token.type == "code_block":
            yield from _indented(text, token, segment.lines)
        elif token.type in _TEXTS:
            start, end = _place(text, token, segment.lines)
            is_heading = token.type == "heading_open" and token.level == 0 and segment.tokens[number + 1].content
            yield Block(start, end, "heading" if is_heading else "text", Stretch(start, end))


def _place(text: str, token: Token, lines: list[int]) -> Stretch:
    first, last = token.map or (0, 0)
    return Stretch(lines[first], min(lines[last], len(text)))


def _fence(text: str, token: Token, lines: list[int]) -> Block:
    """Return a fenced block: a piece from within has a fence of its own, at the same depth of lists and quotes."""
    start, end = _place(text, token, lines)
    first, last = token.map or (0, 0)
    opening = text[start : min(lines[first + 1], len(text))].rstrip("\n")
    outer = re.sub(r"[^>\s]", " ", opening[: opening.find(token.markup)])
    ending = text[lines[last - 1] : end]
    is_closed = last - first > 1 and _is_closing(ending, token.markup)
    body = Stretch(min(lines[first + 1], end), lines[last - 1] if is_closed else end)
    info = opening[opening.find(token.markup) + len(token.markup) :]
    before = f"{outer}{token.markup}{info}\n"
    language = "plain" if ">" in outer else language_of(token.info)
    return Block(start, end, "code", body, before, f"{outer}{token.markup}", language)


def _is_closing(line: str, markup: str) -> bool:
    mark = line.strip().lstrip("> \t")
    return len(mark) >= len(markup) and not mark.strip(markup[0])


def _table(text: str, token: Token, lines: list[int]) -> Block:
    start, end = _place(text, token, lines)
    number = (token.map or (0, 0))[0]
    rows = min(lines[number + 2], end)
    if number + 3 < len(lines) and text[lines[number] : lines[number + 1]].count("|") > _MANY_BARS:
        is_empty = not text[lines[number] : lines[number + 1]].strip("| \t\n")
        rows = min(lines[number + 3], end) if is_empty else rows  # the names of the columns are in the row below it
    header = text[start:rows].rstrip("\n")
    first, _, rest = header.partition("\n")
    marker = _ITEM.match(first)  # of a list item that begins with the table
    if marker:
        first = re.sub(r"[^>\s]", " ", marker[0]) + first[marker.end() :]
    return Block(start, end, "table", Stretch(rows, end), f"{first}\n{rest}\n")


_MANY_BARS = 3
"""Bars of a table of two columns, whose first row is rather a name and its value."""
_ITEM = re.compile(r"[\s>]*(?:[-+*]|\d{1,9}[.)])\s+(?=\S)")


def _indented(text: str, token: Token, lines: list[int]) -> Iterator[Block]:
    """Yield indented code, or the fences in it: below a tab or an admonition, writers indent whole documents."""
    start, end = _place(text, token, lines)
    fences = list(_fences_within(text, token, lines)) if _MARK.search(token.content) else []
    if not fences:
        yield Block(start, end, "code", Stretch(start, end))
        return
    place = start
    for fence in fences:
        yield from _paragraphs(text, place, fence.start)
        yield fence
        place = fence.end
    yield from _paragraphs(text, place, end)


def _fences_within(text: str, token: Token, lines: list[int]) -> Iterator[Block]:
    """Yield the fences of indented code, which is short enough to be a document of its own."""
    if len(token.content) > _INDENTED:
        return
    first = (token.map or (0, 0))[0]
    for segment in parse_blocks(token.content):
        outer_lines = [*lines[first:], lines[-1]][: len(segment.lines)]
        for found in segment.tokens:
            if found.type == "fence" and found.map:
                yield _fence(text, found, outer_lines)


_MARK = re.compile("```|~~~")

_INDENTED = 1 << 18
"""Characters of indented code that are searched for fences: more is no document."""


LANGUAGES: dict[str, Syntax] = {
    **dict.fromkeys(("c", "h"), "c"),
    **dict.fromkeys(("c++", "cpp", "cxx", "cuda", "hpp"), "cpp"),
    **dict.fromkeys(("go", "golang"), "go"),
    "java": "java",
    **dict.fromkeys(("javascript", "js", "jsx", "mjs", "node"), "javascript"),
    **dict.fromkeys(("py", "py3", "python", "python3"), "python"),
    **dict.fromkeys(("rs", "rust"), "rust"),
    "tsx": "tsx",
    **dict.fromkeys(("ts", "typescript"), "typescript"),
}
"""Syntax by the name that writers give a language."""


def language_of(info: str) -> Syntax:
    """Return the syntax that the words after a fence name; plain text if they name none that is known."""
    words = re.split(r"[\s,{}:]+", info.strip(" {."), maxsplit=1)
    return LANGUAGES.get(words[0].lower(), "plain")


# reStructuredText

_DIRECTIVE = re.compile(r"\.\.\s+(code-block|code|sourcecode|highlight|parsed-literal)::[^\S\n]*(\S*)")


def _rst_blocks(text: str) -> Iterator[Block]:
    """Yield code: the lines indented below a directive, or below a paragraph that ends with two colons."""
    lines = text.split("\n")
    starts = [min(start, len(text)) for start in line_starts(text)]
    number = 0
    while number < len(lines):
        line = lines[number]
        directive = _DIRECTIVE.match(line.strip())
        if not directive and (line.lstrip().startswith("..") or not line.rstrip().endswith("::")):
            number += 1
            continue
        last = _indented_below(lines, number)
        if last > number + 1:
            first = number if directive else number + 1
            margin = line[: len(line) - len(line.lstrip())]
            before = f"{line.rstrip()}\n\n" if directive else f"{margin}::\n\n"
            body = Stretch(starts[number + 1], starts[last])
            language = language_of(directive[2]) if directive else "plain"
            yield Block(starts[first], starts[last], "code", body, before, "", language)
        number = last


def _indented_below(lines: list[str], number: int) -> int:
    """Return the first line after ``number`` that is neither empty nor deeper than it: the first, if none is deeper."""
    margin = len(lines[number]) - len(lines[number].lstrip())
    last = following = number + 1
    while following < len(lines):
        line = lines[following]
        if line.strip():
            if len(line) - len(line.lstrip()) <= margin:
                break
            last = following + 1
        following += 1
    return last


# LaTeX

_ENVIRONMENT = re.compile(r"^[^\S\n]*\\(begin|end)\{([A-Za-z]{1,40}\*?)\}[^\n]*\n?", re.MULTILINE)


def _latex_blocks(text: str) -> Iterator[Block]:
    """Yield the outermost environments that begin and end on lines of their own, but for the document itself."""
    marks = [match for match in _ENVIRONMENT.finditer(text) if match[2] not in {"document", "abstract"}]
    depths = accumulate(1 if mark[1] == "begin" else -1 for mark in marks)
    opening: re.Match[str] | None = None
    for mark, depth in zip(marks, depths, strict=True):
        if mark[1] == "begin" and opening is None:
            opening, outside = mark, depth - 1
        elif opening is not None and depth <= outside:
            body = Stretch(opening.end(), mark.start())
            yield Block(opening.start(), mark.end(), "code", body, opening[0], mark[0].rstrip("\n"))
            opening = None
