"""Find the headings of a text, by its syntax."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

from sift_rag.corpus.decoding import one_line
from sift_rag.corpus.formats import Syntax
from sift_rag.corpus.markdown import Segment, line_starts, parse_blocks, rendered


class Heading(NamedTuple):
    """A heading, in force from ``start`` until the next heading of its level or of an outer one."""

    start: int
    """First character of its first line."""
    end: int
    """One past the last character of its last line."""
    level: int
    """Level, 1 for the outermost."""
    title: str
    """Words of the heading; "" where one ends and no other begins (code after a function)."""


def find_headings(text: str, syntax: Syntax) -> list[Heading]:
    """Return the headings in the order of the text; none for a syntax without headings. ``O(len(text))``.

    Raises:
        MissingExtra: the text is Markdown, and ``markdown-it-py`` is not installed.
    """
    finder = _FINDERS.get(syntax)
    return list(finder(text)) if finder else []


def _markdown(text: str) -> Iterator[Heading]:
    for segment in parse_blocks(text):
        yield from markdown_headings(segment)


def markdown_headings(segment: Segment) -> Iterator[Heading]:
    """Yield the headings of a parsed stretch of Markdown: those of the outermost level that have a title."""
    for opening, content in pairwise(segment.tokens):
        if opening.type == "heading_open" and opening.level == 0 and opening.map and (title := rendered(content)):
            first, last = opening.map
            yield Heading(segment.lines[first], segment.lines[last], int(opening.tag[1]), title)


_RST_LINE = re.compile(r"([!-/:-@\[-`{-~])\1{1,}")
"""A line of one punctuation mark, repeated."""


def _rst(text: str) -> Iterator[Heading]:
    lines = text.split("\n")
    starts = line_starts(text)
    levels: dict[tuple[str, bool], int] = {}
    for number in range(1, len(lines)):
        under, title = lines[number].rstrip(), lines[number - 1].strip()
        if not title or not _RST_LINE.fullmatch(under) or _RST_LINE.fullmatch(title):
            continue
        over = number >= 2 and lines[number - 2].rstrip() == under
        # A title without an overline stands at the margin and is underlined to its full length (a wide character may
        # count twice: the shorter count is enough).
        if len(under) < len(title) or (not over and lines[number - 1][0].isspace()):
            continue
        if not over and number >= 2 and lines[number - 2].strip():
            continue
        level = levels.setdefault((under[0], over), len(levels) + 1)
        yield Heading(starts[number - 2 if over else number - 1], starts[number + 1], level, one_line(title))


_LATEX = re.compile(
    r"^[^%\n]*?(\\(part|chapter|section|subsection|subsubsection|paragraph)\*?\s{0,9}(?:\[[^\]]{0,200}\])?\s{0,9}"
    r"\{((?:[^{}]|\{[^{}]{0,200}\}){0,500})\})",
    re.MULTILINE,
)
_LATEX_LEVELS = {"part": 1, "chapter": 2, "section": 3, "subsection": 4, "subsubsection": 5, "paragraph": 6}


def _latex(text: str) -> Iterator[Heading]:
    for match in _LATEX.finditer(text):
        if title := one_line(match[3]):
            yield Heading(match.start(1), match.end(1), _LATEX_LEVELS[match[2]], title)


def _python(text: str) -> Iterator[Heading]:
    """Yield classes and functions, by name."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd escape sequences in a document: no concern of ours
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    starts = line_starts(text)
    found: list[Heading] = []
    nodes: list[tuple[ast.AST, int]] = [(tree, 1)]
    while nodes:
        node, level = nodes.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                continue
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                first = min([child.lineno, *(decorator.lineno for decorator in child.decorator_list)])
                body = max(child.body[0].lineno, child.lineno + 1)  # "def f(): pass" has no line of its own for it
                found.append(Heading(starts[first - 1], starts[body - 1], level, child.name))
                end = child.end_lineno or child.lineno
                if end < len(starts):
                    found.append(Heading(starts[end], starts[end], level, ""))
                nodes.append((child, level + 1))
            else:
                nodes.append((child, level))
    # Where several ends and a beginning meet: ends first, the innermost before the others.
    yield from sorted(found, key=lambda heading: (heading.start, heading.title != "", -heading.level))


_FINDERS: dict[Syntax, Callable[[str], Iterator[Heading]]] = {
    "markdown": _markdown,
    "rst": _rst,
    "latex": _latex,
    "python": _python,
}
