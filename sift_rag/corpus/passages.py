"""Documents -> passages: text that the embedder sees whole, with its place and what stands above it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from sift_rag.corpus.documents import SourceDocument
from sift_rag.corpus.headings import Heading, find_headings
from sift_rag.corpus.sections import Section
from sift_rag.corpus.splitting import Stretch, split, without_limits
from sift_rag.types import Passage, Span

if TYPE_CHECKING:
    from tokenizers import Tokenizer

CAPACITY = 200
"""Tokens of a passage's text. With title and headings it fits the 256 that small embedders read."""

OVERLAP = 20
"""Tokens that a passage may share with the one before it in a long paragraph."""

RECIPE = f"2/{CAPACITY}/{OVERLAP}"
"""Changes whenever the same document may give other passages: then it is split, and where needed embedded, again."""

_MAX_HEADER = 64
"""Tokens of title and headings, however much the embedder reads: beyond them they drown the text."""

_LEAST_ROOM = 16

_NAMESPACE = UUID("8e2ab6a4-3d0f-5a52-9d0b-6f3c1f3f7c55")


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
    """The passages of a document in reading order, one part in memory at a time.

    Every character that is not white space stands in a passage. The embedding text of each has at most ``max_tokens``
    tokens, special ones included: where title and headings are too long, the outer headings go first, then the
    innermost, then the end of the title. Ids depend on source and embedding text alone, so a passage keeps its id when
    the rest of the document changes; of those with equal embedding texts, the first keeps it.

    Cost: about 1 ms a passage of 200 tokens, most of it tokenising; memory for the ids of the document's passages.

    Args:
        document: what ``read_document`` gave.
        source: its name.
        tokenizer: the embedder's.
        max_tokens: what the embedder reads.
        revision: given to each passage.
        capacity: tokens of a passage's text; fewer where ``max_tokens`` asks for it, some more where a heading that
            would stand alone is joined to what it is the heading of.
        overlap: tokens that a passage may share with the one before.

    Raises:
        ValueError: ``max_tokens`` leaves no room for a text.
        UnreadableDocument: from ``document.parts``.
    """
    special = tokenizer.num_special_tokens_to_add(is_pair=False)
    room = max_tokens - special
    if room < _LEAST_ROOM:
        raise ValueError(f"max_tokens is {max_tokens}, {special} of them special: at least {_LEAST_ROOM} must be left")
    tokenizer = without_limits(tokenizer)
    count = _counter(tokenizer)
    capacity = min(capacity, room - room // 5)
    longest = room - room // 10
    copies: dict[UUID, int] = {}
    for part in document.parts:
        text = part.text
        headings = find_headings(text, document.syntax)
        stretches = split(
            text,
            document.syntax,
            tokenizer,
            capacity=capacity,
            overlap=min(overlap, capacity // 2),
            breaks=[heading.start for heading in headings],
        )
        stretches = _joined_to_headings(text, stretches, headings, lambda joined: count(joined) <= longest)
        for stretch, line, above in _placed(part, stretches, headings):
            for start, end in _cut_to(longest, text, stretch, tokenizer, count, capacity):
                piece = text[start:end]
                if not piece.strip():
                    continue
                left = min(_MAX_HEADER, room - count(piece) - 1)
                title, kept = _fit_header(document.title, above, left, tokenizer, count)
                passage = Passage(
                    id="",
                    text=piece,
                    source=source,
                    span=Span(part.start + start, part.start + end, line, part.page),
                    title=title,
                    headings=kept,
                    metadata=part.metadata,
                    revision=revision,
                )
                first = passage_id(passage, copy=0)
                copy = copies[first] = copies.get(first, -1) + 1
                yield replace(passage, id=str(passage_id(passage, copy) if copy else first))


def passage_id(passage: Passage, copy: int) -> UUID:
    """Of the ``copy``-th passage of this source with this embedding text, from 0."""
    return uuid5(_NAMESPACE, f"{passage.source}\0{copy}\0{passage.embedding_text}")


def _counter(tokenizer: Tokenizer) -> Callable[[str], int]:
    """Counts tokens, without special ones; remembers, for the same headings stand above many passages."""

    @lru_cache(maxsize=256)
    def count(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False))

    return count


def _joined_to_headings(
    text: str, stretches: Iterator[Stretch], headings: Sequence[Heading], fits: Callable[[str], bool]
) -> Iterator[Stretch]:
    """With headings that would stand alone joined to what follows.

    Alone they would be the best match for a question in their own words, and hold no answer.
    """
    alone: Stretch | None = None
    for stretch in stretches:
        joined = Stretch(alone.start, stretch.end) if alone else stretch
        if alone and not fits(text[joined.start : joined.end]):
            yield alone
            joined = stretch
        alone = None
        if _first_content(text, joined, headings) == joined.end:
            alone = joined
        else:
            yield joined
    if alone:
        yield alone


def _placed(
    part: Section, stretches: Iterator[Stretch], headings: Sequence[Heading]
) -> Iterator[tuple[Stretch, int | None, tuple[str, ...]]]:
    """With the line that each begins on, and the headings above its first content that the one before has not."""
    text = part.text
    upcoming = iter(headings)
    heading = next(upcoming, None)
    path: list[Heading] = []
    line, counted, covered = part.line, 0, 0
    for stretch in stretches:
        new = Stretch(max(stretch.start, covered), stretch.end)
        content = min(_first_content(text, new, headings), stretch.end - 1)
        while heading is not None and heading.start <= content:
            path = [outer for outer in path if outer.level < heading.level]
            if heading.title:
                path.append(heading)
            heading = next(upcoming, None)
        if line is not None and part.keeps_lines:
            line += text.count("\n", counted, stretch.start)
        counted, covered = stretch.start, max(covered, stretch.end)
        yield stretch, line, (*part.headings, *(outer.title for outer in path))


def _first_content(text: str, stretch: Stretch, headings: Sequence[Heading]) -> int:
    """The first character that is neither white space nor part of a heading; without any, the end of the stretch."""
    position = _first_character(text, stretch.start, stretch.end)
    number = max(0, bisect_right(headings, position, key=lambda heading: heading.start) - 1)
    while number < len(headings) and headings[number].start <= position:
        position = _first_character(text, max(position, headings[number].end), stretch.end)
        number += 1
    return position


def _first_character(text: str, start: int, end: int) -> int:
    """The first that is not white space."""
    return next((position for position in range(start, end) if not text[position].isspace()), end)


def _cut_to(
    tokens: int, text: str, stretch: Stretch, tokenizer: Tokenizer, count: Callable[[str], int], capacity: int
) -> Iterator[Stretch]:
    """The stretch itself if it has at most so many tokens, else pieces of it that have.

    Needed where a word had to be cut: its halves may have more tokens than it had.
    """
    piece = text[stretch.start : stretch.end]
    if len(piece) <= 1 or count(piece) <= tokens:
        yield stretch
        return
    if capacity > 1:
        smaller = list(split(piece, "plain", tokenizer, capacity=capacity // 2, overlap=0))
    else:
        smaller = [Stretch(0, len(piece) // 2), Stretch(len(piece) // 2, len(piece))]
    for start, end in smaller:
        shifted = Stretch(stretch.start + start, stretch.start + end)
        yield from _cut_to(tokens, text, shifted, tokenizer, count, max(1, capacity // 2))


def _fit_header(
    title: str, headings: tuple[str, ...], tokens: int, tokenizer: Tokenizer, count: Callable[[str], int]
) -> tuple[str, tuple[str, ...]]:
    """Title and headings, as much of them as has at most so many tokens."""
    for kept in (*(headings[first:] for first in range(len(headings))), ()):
        if count(_header(title, kept)) <= tokens:
            return title, kept
    ends = [end for _, end in tokenizer.encode(title, add_special_tokens=False).offsets]
    return title[: ends[tokens - 1] if tokens > 0 else 0].strip(), ()


def _header(title: str, headings: tuple[str, ...]) -> str:
    """What the embedder is given before the text."""
    return Passage("", "", "", Span(0, 0), title=title, headings=headings).embedding_text
