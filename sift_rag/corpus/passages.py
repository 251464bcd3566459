"""Split documents into passages that the embedder reads whole, with their position and the headings above them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from sift_rag.corpus.blocks import outline
from sift_rag.corpus.documents import SourceDocument
from sift_rag.corpus.formats import Syntax
from sift_rag.corpus.headings import Heading, find_headings
from sift_rag.corpus.pieces import Measure, Piece, cut, cut_to
from sift_rag.corpus.sections import Section
from sift_rag.corpus.splitting import Stretch, is_program, split
from sift_rag.tokens import adds_up, without_limits
from sift_rag.types import Passage, Span, passage_id

if TYPE_CHECKING:
    from tokenizers import Tokenizer

CAPACITY = 200
"""Tokens of a passage's text. With title and headings, a passage fits the 256 that small embedders read."""

OVERLAP = 20
"""Tokens that a passage may share with the one before it in a long paragraph."""

RECIPE = f"5/{CAPACITY}/{OVERLAP}"
"""Version of the splitting rules. It changes whenever they may give other passages; documents are then split again."""

_MAX_HEADER = 64
"""Tokens of title and headings, however much the embedder reads: more would drown the text."""

_LEAST_ROOM = 16

_CLEANED = frozenset(("markdown", "rst", "latex"))
"""Syntaxes in whose texts empty lines stand for what was left out."""
_EMPTY_LINES = re.compile(r"\n(?:[ \t]*\n){3,}")


def split_document(
    document: SourceDocument,
    source: str,
    *,
    tokenizer: Tokenizer,
    max_tokens: int,
    revision: str,
    capacity: int = CAPACITY,
    overlap: int = OVERLAP,
) -> Iterator[Passage]:
    """Yield the passages of a document in reading order, with one section in memory at a time.

    Every character that is not white space is in a passage. The embedding text of each passage has at most
    ``max_tokens`` tokens, special ones included: if title and headings are too long, the outer headings are dropped
    first, then the innermost, then the end of the title. Ids depend on source and embedding text alone, so a passage
    keeps its id when the rest of the document changes; among equal embedding texts, the first keeps it.

    Cost: about 1 ms a passage of 200 tokens, mostly for tokenising; memory for the ids of the document's passages.

    Args:
        document: from ``read_document`` or ``text_document``.
        source: name of the document.
        tokenizer: the embedder's.
        max_tokens: tokens that the embedder reads.
        revision: revision to put on each passage.
        capacity: tokens of a passage's text; fewer if ``max_tokens`` requires it, a few more where a heading that
            would stand alone is joined to the text below it.
        overlap: tokens that a passage may share with the one before.

    Raises:
        MissingExtra: ``semantic-text-splitter`` or the grammar of the document's syntax is not installed.
        UnreadableDocument: a section cannot be read.
        ValueError: ``max_tokens`` leaves no room for a text.
    """
    special = tokenizer.num_special_tokens_to_add(is_pair=False)
    room = max_tokens - special
    if room < _LEAST_ROOM:
        raise ValueError(f"max_tokens is {max_tokens}, {special} of them special: at least {_LEAST_ROOM} must be left.")
    tokenizer = without_limits(tokenizer)
    count = _counter(tokenizer)
    capacity = min(capacity, room - room // 5)
    limit = room - room // 10
    joined = min(limit, capacity + capacity // 8)
    measure = Measure(tokenizer, count, capacity, joined, limit, min(overlap, capacity // 2), adds_up(tokenizer))
    copies: dict[UUID, int] = {}
    for section in document.sections:
        for cutting in _cuttings(section, document.syntax, measure):
            tokens = count(cutting.text) if cutting.tokens is None else cutting.tokens
            left = min(_MAX_HEADER, room - tokens - 1)
            title, kept = _fit_header(document.title, cutting.headings, left, tokenizer, count)
            passage = Passage(
                id="",
                text=cutting.text,
                source=source,
                span=cutting.span,
                title=title,
                headings=kept,
                metadata=section.metadata,
                revision=revision,
            )
            first = passage_id(passage, copy=0)
            copy = copies[first] = copies.get(first, -1) + 1
            yield replace(passage, id=str(passage_id(passage, copy) if copy else first))


def _counter(tokenizer: Tokenizer) -> Callable[[str], int]:
    """Return a function that counts tokens without special ones, cached: many passages have the same headings."""

    @lru_cache(maxsize=256)
    def count(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False))

    return count


class _Cutting(NamedTuple):
    """A passage to be."""

    text: str
    span: Span
    headings: tuple[str, ...]
    tokens: int | None = None
    """Tokens of the text at the most, if that is known."""


def _cuttings(section: Section, syntax: Syntax, measure: Measure) -> Iterator[_Cutting]:
    """Yield the passages of a section, each of which begins with its lead."""
    lead, rest = _lead(section.lead, measure)
    led = measure.count(lead) if lead else 0
    measure = measure.less(led) if lead else measure
    if rest or not section.text.strip():
        for start, end in _split_to(rest, "plain", measure, ()) if rest else [Stretch(0, 0)]:
            place = Span(section.start, section.start, section.line, section.page)
            if text := f"{lead}{rest[start:end]}".strip():
                yield _Cutting(text, place, section.headings)
    found = outline(section.text, syntax)
    if found is None:
        headings = find_headings(section.text, syntax)
        pieces = _of_plain_text(section.text, syntax, headings, measure)
    else:
        headings = found.headings
        pieces = cut(section.text, found.blocks, syntax, measure)
    for piece, line, above in _with_headings(section, pieces, headings, is_code=found is None):
        span = Span(section.start + piece.start, section.start + piece.end, line, section.page)
        shown = piece.shown(section.text)
        if syntax in _CLEANED:
            shown = _EMPTY_LINES.sub("\n\n", shown)
        yield _Cutting(f"{lead}{shown}", span, above, None if piece.tokens is None else piece.tokens + led)


def _lead(lead: str, measure: Measure) -> tuple[str, str]:
    """Return the lines that fit into half a passage, with a line break at their end, and the others."""
    lines = [line for line in lead.splitlines(keepends=True) if line.strip()]
    kept = len(lines)
    while kept and measure.count("".join(lines[:kept])) > measure.capacity // 2:
        kept -= 1
    head = "".join(lines[:kept])
    return (f"{head.rstrip()}\n" if head else ""), "".join(lines[kept:])


def _of_plain_text(text: str, syntax: Syntax, headings: Sequence[Heading], measure: Measure) -> Iterator[Piece]:
    """Yield the pieces of a text without sections: prose, or a program."""
    breaks = [heading.start for heading in headings]
    if is_program(syntax):
        stretches = _whole_lines(text, _split_to(text, syntax, replace(measure, overlap=0), breaks), measure)
    else:
        stretches = _split_to(text, syntax, measure, breaks)
    stretches = _joined_to_headings(text, stretches, headings, measure)
    for stretch in stretches:
        for start, end in cut_to(text, stretch, measure):
            if text[start:end].strip():
                yield Piece(start, end)


def _split_to(text: str, syntax: Syntax, measure: Measure, breaks: Sequence[int]) -> Iterator[Stretch]:
    return split(text, syntax, measure.tokenizer, capacity=measure.capacity, overlap=measure.overlap, breaks=breaks)


def _whole_lines(text: str, stretches: Iterator[Stretch], measure: Measure) -> Iterator[Stretch]:
    """Yield stretches of whole lines, each tiny one joined to the next or else to the one before it.

    A grammar divides where its syntax does: before the brackets of a block, for example.
    """
    places = list(dict.fromkeys(_line_start(text, stretch.start) for stretch in stretches))
    last: Stretch | None = None
    size = 0
    for place, following in pairwise([*places, len(text)]):
        begins_line = text[place - 1 : place] == "\n"
        start, end = _trimmed(text, place, following)
        tokens = measure.size(text[start:end])
        is_tiny = begins_line and min(tokens, size) <= measure.tiny
        if last is not None and is_tiny and size + tokens <= measure.joined:
            last, size = Stretch(last.start, end), size + tokens
            continue
        if last is not None:
            yield last
        last, size = Stretch(start, end), tokens
    if last is not None:
        yield last


_LONGEST_LINE = 500
"""Characters of a line before a place up to which the line is begun anew; more is no line to be read."""
_INDENTATION = 40


def _line_start(text: str, place: int) -> int:
    return max(text.rfind("\n", max(0, place - _LONGEST_LINE), place) + 1, 0) or (0 if place < _LONGEST_LINE else place)


def _trimmed(text: str, start: int, end: int) -> Stretch:
    """Return a stretch without white space at its ends, but for the indentation of its first line."""
    first = _first_character(text, start, end)
    line = text.rfind("\n", start, first) + 1 or start
    while end > first and text[end - 1].isspace():
        end -= 1
    return Stretch(line if first - line <= _INDENTATION else first, end)


def _joined_to_headings(
    text: str, stretches: Iterator[Stretch], headings: Sequence[Heading], measure: Measure
) -> Iterator[Stretch]:
    """Join headings that would stand alone to the text below them.

    Alone, a heading would be the best match for a question in its own words, and hold no answer.
    """
    alone: Stretch | None = None
    for stretch in stretches:
        joined = Stretch(alone.start, stretch.end) if alone else stretch
        if alone and measure.count(text[joined.start : joined.end]) > measure.limit:
            yield alone
            joined = stretch
        alone = None
        if _first_content(text, joined, headings) == joined.end:
            alone = joined
        else:
            yield joined
    if alone:
        yield alone


def _with_headings(
    section: Section, pieces: Iterator[Piece], headings: Sequence[Heading], *, is_code: bool
) -> Iterator[tuple[Piece, int | None, tuple[str, ...]]]:
    """Yield each piece with its line and the headings above its first content that is new in it.

    The line is that of the first content, headings apart; the first of all in code, whose headings are definitions.
    """
    text = section.text
    upcoming = iter(headings)
    heading = next(upcoming, None)
    path: list[Heading] = []
    line, counted, covered = section.line, 0, 0
    for piece in pieces:
        new = Stretch(max(piece.start, covered), piece.end)
        content = min(_first_content(text, new, headings), piece.end - 1)
        while heading is not None and heading.start <= content:
            path = [outer for outer in path if outer.level < heading.level]
            if heading.title:
                path.append(heading)
            heading = next(upcoming, None)
        first = piece.start if is_code else _first_content(text, Stretch(piece.start, piece.end), headings)
        shown = first if first < piece.end else piece.start
        if line is not None and section.keeps_lines:
            line += text.count("\n", counted, shown) if shown >= counted else -text.count("\n", shown, counted)
        counted, covered = shown, max(covered, piece.end)
        yield piece, line, (*section.headings, *(outer.title for outer in path))


_RULE = re.compile(r"([-*_])(?:[ \t]*\1){2,100}[ \t]*(?:\n|\Z)")
"""Line drawn across a text."""


def _first_content(text: str, stretch: Stretch, headings: Sequence[Heading]) -> int:
    """Return the first character that is neither white space nor in a heading or a rule, or the end of the stretch."""
    position = _first_character(text, stretch.start, stretch.end)
    number = max(0, bisect_right(headings, position, key=lambda heading: heading.start) - 1)
    while position < stretch.end:
        if number < len(headings) and headings[number].start <= position:
            after = max(position, headings[number].end)
            number += 1
        elif rule := _RULE.match(text, position, stretch.end):
            after = rule.end()
        else:
            break
        position = _first_character(text, after, stretch.end)
    return position


def _first_character(text: str, start: int, end: int) -> int:
    """Return the first character that is not white space, or ``end``."""
    return next((position for position in range(start, end) if not text[position].isspace()), end)


def _fit_header(
    title: str, headings: tuple[str, ...], tokens: int, tokenizer: Tokenizer, count: Callable[[str], int]
) -> tuple[str, tuple[str, ...]]:
    """Return as much of title and headings as fits into ``tokens`` tokens."""
    for kept in (*(headings[first:] for first in range(len(headings))), ()):
        if count(_header(title, kept)) <= tokens:
            return title, kept
    ends = [end for _, end in tokenizer.encode(title, add_special_tokens=False).offsets]
    return title[: ends[tokens - 1] if tokens > 0 else 0].strip(), ()


def _header(title: str, headings: tuple[str, ...]) -> str:
    """Return what precedes the text in an embedding text."""
    return Passage("", "", "", Span(0, 0), title=title, headings=headings).embedding_text
