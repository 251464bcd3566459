"""Cut a text into pieces. The only module that knows semantic-text-splitter and tree-sitter's grammars.

The splitter asks about six times a passage for the number of tokens in a stretch, often one far longer than a passage.
Tokenising at each question would take seven times as long as this module does: it tokenises each block of text once,
and answers by counting the tokens that overlap the stretch. That count is exact between words and may be off by a few
within one, so a caller with a hard limit checks the pieces.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from sift_rag.corpus.formats import Syntax
from sift_rag.extras import require
from sift_rag.tokens import CHARACTERS_PER_TOKEN

if TYPE_CHECKING:
    from semantic_text_splitter import CodeSplitter, MarkdownSplitter, TextSplitter
    from tokenizers import Tokenizer

_BLOCK = 1 << 16
"""Number of characters split at once, which bounds the memory for tokens, whatever the size of the document."""

_LONG_LINE = 1 << 12
"""Length above which a line is cut beforehand. Finding words in scripts without spaces takes time quadratic in the
line: for Chinese, 50 passages a second at 100,000 characters, over 700 at 4,000."""


class Stretch(NamedTuple):
    """A piece of a text: ``text[start:end]``."""

    start: int
    end: int


def split(
    text: str, syntax: Syntax, tokenizer: Tokenizer, *, capacity: int, overlap: int, breaks: Sequence[int] = ()
) -> Iterator[Stretch]:
    """Yield pieces of about ``capacity`` tokens or fewer, in order, without the white space around them.

    Args:
        text: any text.
        syntax: decides which boundaries are preferred: headings and blocks, functions, sentences, words.
        tokenizer: counts tokens; must not truncate.
        capacity: tokens of a piece, without special tokens; exceeded only by pieces cut within a word.
        overlap: tokens that a piece may share with the one before.
        breaks: preferred places, ascending, to divide a text that is too long to be split at once.

    Raises:
        MissingExtra: ``semantic-text-splitter`` or the grammar of this syntax is not installed.
    """
    for stretch, _ in split_counted(text, syntax, tokenizer, capacity=capacity, overlap=overlap, breaks=breaks):
        yield stretch


def split_counted(
    text: str,
    syntax: Syntax,
    tokenizer: Tokenizer,
    *,
    capacity: int,
    overlap: int,
    breaks: Sequence[int] = (),
) -> Iterator[tuple[Stretch, int]]:
    """Yield what ``split`` does, each stretch with its tokens in the text, where a word that is cut may have fewer."""
    for block in _blocks(text, breaks):
        stretch = text[block.start : block.end]
        counter = _TokenCounter(stretch, tokenizer)
        splitter = _splitter(syntax, counter, capacity, overlap)
        for start, piece in splitter.chunk_indices(stretch):
            yield Stretch(block.start + start, block.start + start + len(piece)), counter.at(start, len(piece))


class _TokenCounter:
    """Counts the tokens of stretches of a text, all of which is tokenised once.

    It gets a stretch's text, not its position. The first occurrence from shortly before the last one will do, since
    stretches of equal text have equal tokens.
    """

    def __init__(self, block: str, tokenizer: Tokenizer) -> None:
        offsets = tokenizer.encode(block, add_special_tokens=False).offsets
        self._block = block
        self._starts = [start for start, _ in offsets]
        self._ends = [end for _, end in offsets]
        self._last = 0

    def __call__(self, stretch: str) -> int:
        start = self._block.find(stretch, self._last)
        if start < 0:
            start = self._block.find(stretch)
        self._last = max(0, start - _LONG_LINE)
        return self.at(start, len(stretch))

    def at(self, start: int, length: int) -> int:
        """Return the tokens of so many characters, but no fewer than their number stands for."""
        tokens = bisect_left(self._starts, start + length) - bisect_right(self._ends, start)
        return max(tokens, -(-length // CHARACTERS_PER_TOKEN))


def _splitter(
    syntax: Syntax, count: Callable[[str], int], capacity: int, overlap: int
) -> TextSplitter | MarkdownSplitter | CodeSplitter:
    require("semantic_text_splitter", "ingest")
    import semantic_text_splitter

    if syntax == "markdown":
        return semantic_text_splitter.MarkdownSplitter.from_callback(count, capacity, overlap)
    language = grammar(syntax)
    if language is not None:
        return semantic_text_splitter.CodeSplitter.from_callback(language, count, capacity, overlap)
    return semantic_text_splitter.TextSplitter.from_callback(count, capacity, overlap)


_GRAMMARS: dict[Syntax, tuple[str, str]] = {
    "c": ("tree_sitter_c", "language"),
    "cpp": ("tree_sitter_cpp", "language"),
    "go": ("tree_sitter_go", "language"),
    "java": ("tree_sitter_java", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "python": ("tree_sitter_python", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
}
"""Package and function of each programming language's grammar."""


def is_program(syntax: Syntax) -> bool:
    """Return True for the syntax of a programming language."""
    return syntax in _GRAMMARS


@cache
def grammar(syntax: Syntax) -> object | None:
    """Return the tree-sitter language of a programming language; None for prose.

    Raises:
        MissingExtra: its package is not installed.
    """
    if syntax not in _GRAMMARS:
        return None
    module, function = _GRAMMARS[syntax]
    require(module, "code")
    language: Callable[[], object] = getattr(import_module(module), function)
    return language()


def _blocks(text: str, breaks: Sequence[int]) -> Iterator[Stretch]:
    """Divide the text into blocks that can be split at once, and lines that are too long into pieces."""
    start = 0
    for long_line in _long_lines(text):
        yield from _divided(text, Stretch(start, long_line.start), breaks)
        yield from _line_pieces(text, long_line)
        start = long_line.end
    yield from _divided(text, Stretch(start, len(text)), breaks)


def _long_lines(text: str) -> Iterator[Stretch]:
    return (Stretch(*match.span()) for match in re.finditer(f"^.{{{_LONG_LINE + 1},}}", text, re.MULTILINE))


def _line_pieces(text: str, line: Stretch) -> Iterator[Stretch]:
    """Cut after a sentence if one ends in the second half of a piece, else at a space, else anywhere."""
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
    """Cut at the last of ``breaks`` that fits into a block, else after an empty line, else after a line."""
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
