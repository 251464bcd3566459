"""Where a text is cut. The only module that knows semantic-text-splitter and the grammars of tree-sitter.

The splitter asks some six times a passage how many tokens a stretch has, often of stretches far longer than a passage.
To tokenise anew at each question takes seven times as long as what is done here: each block of text is tokenised once,
and a question is answered by counting the tokens that overlap the stretch. That count is exact at the bounds of words
and may be off by a few within one, so a caller who must keep to a limit checks the pieces.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from sift_rag.corpus.formats import Syntax

if TYPE_CHECKING:
    from semantic_text_splitter import CodeSplitter, MarkdownSplitter, TextSplitter
    from tokenizers import Tokenizer

CHARACTERS_A_TOKEN = 16
"""A token counts for at least a sixteenth of its characters. Prose has four or five characters a token; but a tokeniser
may make one unknown token of any unbroken run of characters, and a passage of a megabyte is of no use to anyone."""

_BLOCK = 1 << 16
"""Characters split at once: bounds the memory for tokens, whatever the size of the document."""

_LONG_LINE = 1 << 12
"""Longer lines are cut beforehand. Finding the words of scripts that leave no spaces takes time that is quadratic in
the line: at 100,000 characters of Chinese 50 passages a second, at 4,000 over 700."""


class Stretch(NamedTuple):
    """A piece of a text: ``text[start:end]``."""

    start: int
    end: int


@lru_cache(maxsize=4)
def without_limits(tokenizer: Tokenizer) -> Tokenizer:
    """A copy that neither truncates nor pads. Kept for a few tokenisers: a copy takes about 30 ms."""
    from tokenizers import Tokenizer

    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.no_truncation()
    copy.no_padding()
    return copy


def split(
    text: str, syntax: Syntax, tokenizer: Tokenizer, *, capacity: int, overlap: int, breaks: Sequence[int] = ()
) -> Iterator[Stretch]:
    """The text in pieces of about ``capacity`` tokens or fewer, in order, white space around them left out.

    Args:
        text: any text.
        syntax: decides which bounds are preferred: headings and blocks, functions, sentences, words.
        tokenizer: counts; must not truncate.
        capacity: the tokens of a piece, special tokens not counted; exceeded only by pieces cut within a word.
        overlap: the tokens that a piece may share with the one before.
        breaks: ascending; where a text too long to be split at once is preferably divided.
    """
    for block in _blocks(text, breaks):
        stretch = text[block.start : block.end]
        splitter = _splitter(syntax, _token_counter(stretch, tokenizer), capacity, overlap)
        for start, piece in splitter.chunk_indices(stretch):
            yield Stretch(block.start + start, block.start + start + len(piece))


def _token_counter(block: str, tokenizer: Tokenizer) -> Callable[[str], int]:
    """Counts the tokens of a stretch of ``block``.

    The stretch comes without its place. The first one found from shortly before the last place serves: stretches of
    equal text have equal tokens.
    """
    offsets = tokenizer.encode(block, add_special_tokens=False).offsets
    starts = [start for start, _ in offsets]
    ends = [end for _, end in offsets]
    last = 0

    def count(stretch: str) -> int:
        nonlocal last
        start = block.find(stretch, last)
        if start < 0:
            start = block.find(stretch)
        last = max(0, start - _LONG_LINE)
        tokens = bisect_left(starts, start + len(stretch)) - bisect_right(ends, start)
        return max(tokens, -(-len(stretch) // CHARACTERS_A_TOKEN))

    return count


def _splitter(
    syntax: Syntax, count: Callable[[str], int], capacity: int, overlap: int
) -> TextSplitter | MarkdownSplitter | CodeSplitter:
    import semantic_text_splitter

    if syntax == "markdown":
        return semantic_text_splitter.MarkdownSplitter.from_callback(count, capacity, overlap)
    language = _grammar(syntax)
    if language is not None:
        return semantic_text_splitter.CodeSplitter.from_callback(language, count, capacity, overlap)
    return semantic_text_splitter.TextSplitter.from_callback(count, capacity, overlap)


@cache
def _grammar(syntax: Syntax) -> object | None:  # noqa: PLR0911 - a table of imports
    """The tree-sitter language of a programming language; None for prose."""
    match syntax:
        case "c":
            import tree_sitter_c

            return tree_sitter_c.language()
        case "cpp":
            import tree_sitter_cpp

            return tree_sitter_cpp.language()
        case "go":
            import tree_sitter_go

            return tree_sitter_go.language()
        case "java":
            import tree_sitter_java

            return tree_sitter_java.language()
        case "javascript":
            import tree_sitter_javascript

            return tree_sitter_javascript.language()
        case "python":
            import tree_sitter_python

            return tree_sitter_python.language()
        case "rust":
            import tree_sitter_rust

            return tree_sitter_rust.language()
        case "tsx" | "typescript":
            import tree_sitter_typescript as grammars

            return grammars.language_tsx() if syntax == "tsx" else grammars.language_typescript()
        case _:
            return None


def _blocks(text: str, breaks: Sequence[int]) -> Iterator[Stretch]:
    """The text in blocks that can be split at once, lines too long for that in pieces."""
    start = 0
    for long_line in _long_lines(text):
        yield from _divided(text, Stretch(start, long_line.start), breaks)
        yield from _line_pieces(text, long_line)
        start = long_line.end
    yield from _divided(text, Stretch(start, len(text)), breaks)


def _long_lines(text: str) -> Iterator[Stretch]:
    return (Stretch(*match.span()) for match in re.finditer(f"^.{{{_LONG_LINE + 1},}}", text, re.MULTILINE))


def _line_pieces(text: str, line: Stretch) -> Iterator[Stretch]:
    """After a sentence if one ends in the second half of a piece, else at a space, else anywhere."""
    start = line.start
    while line.end - start > _LONG_LINE:
        middle, limit = start + _LONG_LINE // 2, start + _LONG_LINE
        end = max((match.end() for match in _SENTENCE_END.finditer(text, middle, limit)), default=0)
        end = end or max(0, text.rfind(" ", middle, limit)) or limit
        yield Stretch(start, end)
        start = end
    yield Stretch(start, line.end)


_SENTENCE_END = re.compile(r"[.!?…](?=\s)|[\u3002\uff01\uff1f]")


def _divided(text: str, stretch: Stretch, breaks: Sequence[int]) -> Iterator[Stretch]:
    """At the last of ``breaks`` that fits into a block, else after an empty line, else after a line."""
    start = stretch.start
    while stretch.end - start > _BLOCK:
        limit = start + _BLOCK
        before = bisect_right(breaks, limit) - 1
        if before >= 0 and breaks[before] > start + _BLOCK // 2:
            end = breaks[before]
        else:
            end = text.rfind("\n\n", start + 1, limit) + 2
            end = end if end > start + 2 else text.rfind("\n", start, limit) + 1
        yield Stretch(start, end)
        start = end
    if stretch.end > start:
        yield Stretch(start, stretch.end)
