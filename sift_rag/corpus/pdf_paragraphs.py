"""Make paragraphs, lists, code and tables of the blocks of a PDF's page, as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from sift_rag.corpus.markup import fenced, markdown_table
from sift_rag.corpus.pdf_headings import Headings
from sift_rag.corpus.pdf_hyphens import Words, ends_in_hyphen
from sift_rag.corpus.pdf_layout import Block, Flow, Table
from sift_rag.corpus.pdf_pages import Page, Segment

_PARAGRAPH = 1.35
"""Distance between two lines, to that of the lines of a paragraph, from which a new paragraph begins."""

_INDENT = 0.8
"""Indentation, in font sizes, of the first line of a paragraph."""

_NARROW = 0.5
"""Share of the page's width that a column of text is taken to have at least, if it is alone."""

_BULLET = re.compile(r"(?:[•▪◦‣·●○■□➢✓❖–—*-]|o)\s+(?=\S)")
_NUMBER = re.compile(
    r"(?:\[\d{1,3}\]|\(?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,5})\)|(?:\d{1,3}|[A-Z](?!\.\s+[A-Z]\.))\.|[ivx]{1,5}\.)\s+(?=\S)"
)
_LEADS_TO_PAGE = re.compile(r"\.\.\.\s?\S{1,8}$")
"""End of a line in a table of contents."""

_ENDS = re.compile(r"""[.!?:;…]["'”’)\]]*$""")


class Part(NamedTuple):
    """A heading, or text without one."""

    text: str
    """Markdown."""
    level: int = 0
    """Level of a heading, from 1; 0 for text."""
    title: str = ""
    """Words of a heading."""
    is_text: bool = True
    """False for a table, code or a heading."""
    begins_column: bool = False
    """True for the first text of a column."""
    is_note: bool = False
    """True for a note below the text of a page, in smaller letters than it."""


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes the blocks of one document."""

    headings: Headings
    words: Words

    def parts(self, page: Page, blocks: Sequence[Block]) -> Iterator[Part]:
        """Yield the parts of a page in reading order, with its notes at its end."""
        notes: list[Part] = []
        last: Part | None = None
        for part in self._of_blocks(page, blocks):
            if part.is_note:
                notes.append(part)
            elif last is not None and _goes_on(last, part):
                last = last._replace(text=self.words.without_line_end(last.text, part.text))
            else:
                if last is not None:
                    yield last
                last = part
        if last is not None:
            yield last
        yield from notes
        if page.turned:
            yield Part(_escaped("\n".join(page.turned)))
        if page.fields:
            yield Part("\n".join(map(_escaped, page.fields)))

    def _of_blocks(self, page: Page, blocks: Sequence[Block]) -> Iterator[Part]:
        for block in blocks:
            if isinstance(block, Table):
                yield Part(table_text(block.rows), is_text=False)
            else:
                for number, part in enumerate(self._flow(page, block)):
                    yield part._replace(begins_column=number == 0)

    def _flow(self, page: Page, flow: Flow) -> Iterator[Part]:
        margins = _Margins.of(page, flow)
        is_note = False
        for run in _runs(self.headings, page, list(_with_words_in_text(flow.lines, margins)), margins):
            level = run.level
            is_small = run.lines[0].size < _SMALL * self.headings.body
            is_note = not level and is_small and (is_note or _NOTE.match(run.lines[0].text) is not None)
            if level:
                title = self._joined(run.lines)
                yield Part(f"{'#' * level} {_heading_escaped(title)}", level, title, is_text=False)
            elif run.lines[0].mono and (len(run.lines) > 1 or "  " in run.lines[0].text):
                yield Part(_code(run.lines), is_text=False, is_note=is_note)
            else:
                yield Part("\n".join(self._paragraph(run.lines, margins)), is_note=is_note)

    def _joined(self, lines: Sequence[Segment]) -> str:
        text = lines[0].text
        for line in lines[1:]:
            text = self.words.without_line_end(text, line.text)
        return text

    def _paragraph(self, lines: Sequence[Segment], margins: _Margins) -> Iterator[str]:
        """Yield the lines of a paragraph as Markdown; an item of a list within a list is indented."""
        levels = _Levels()
        for first, text in self._reflowed(lines, margins):
            yield f"{levels.indentation(first)}{_escaped(text)}"

    def _reflowed(self, lines: Sequence[Segment], margins: _Margins) -> Iterator[tuple[Segment, str]]:
        """Yield the lines of a paragraph: list items, and lines that were ended on purpose; each after its first."""
        first, text = lines[0], lines[0].text
        for before, line in pairwise(lines):
            if _begins_item(line) or _ended_on_purpose(before, line, margins):
                yield first, text
                first, text = line, line.text
            else:
                text = self.words.without_line_end(text, line.text)
        yield first, text


class _Item(NamedTuple):
    line: Segment
    kind: str
    """Its bullet, or its number with "1", "a", "A" or "i" in place of what counts."""
    mark: str
    """The mark in Markdown."""

    @classmethod
    def of(cls, line: Segment, before: _Item | None) -> _Item | None:
        """Return the item that a line begins, after another; None if it begins none."""
        if bullet := _BULLET.match(line.text):
            return cls(line, bullet[0].strip(), "-")
        if number := _NUMBER.match(line.text):
            mark = number[0].strip()
            follows_h = before is not None and before.line.text.lstrip("(")[:1] in {"h", "H"}
            return cls(line, _COUNTER.sub(partial(_kind, follows_h=follows_h), mark), mark)
        return None

    def is_within(self, other: _Item) -> bool:
        """Return True for an item that begins farther right than another.

        Numbers of one list may end at one place, so that they begin at several.
        """
        is_right = self.line.left > other.line.left + _INDENT * self.line.size
        return is_right and (self.mark == "-" or self.kind != other.kind)


_COUNTER = re.compile(r"\w+")


def _kind(counter: re.Match[str], *, follows_h: bool) -> str:
    if counter[0].isdecimal():
        return "1"
    if counter[0] in {"i", "I"}:
        return "a" if follows_h else "i"
    return "i" if len(counter[0]) > 1 else "a" if counter[0].islower() else "A"


@dataclass(slots=True)
class _Levels:
    """The items of lists that are open above a line, the outermost first."""

    open_items: list[_Item] = field(default_factory=list)

    def indentation(self, line: Segment) -> str:
        """Return the spaces before a line, which may begin an item within another."""
        items = self.open_items
        here = _Item.of(line, items[-1] if items else None)
        if here is None:
            return ""
        if items and line.baseline >= items[-1].line.baseline:  # in the next column
            items.clear()
        while items and not here.is_within(items[-1]):
            is_left = line.left < items[-1].line.left - _INDENT * line.size
            items.pop()
            if not is_left:
                break
        indentation = " " * sum(len(item.mark) + 1 for item in items)
        items.append(here)
        return indentation


@dataclass(frozen=True, slots=True)
class _Margins:
    left: float
    right: dict[int, float]
    """Where lines of each font size end at the most."""
    leading: float
    """Distance between two lines of a paragraph."""

    @classmethod
    def of(cls, page: Page, flow: Flow) -> _Margins:
        left = min(line.left for line in flow.lines)
        down = [one.baseline - other.baseline for one, other in pairwise(flow.lines)]
        close = [distance for distance in down if 0 < distance <= 2 * flow.lines[0].size]
        least = left + _NARROW * page.width if len(flow.lines) < _FEW_LINES else 0.0
        right: dict[int, float] = {}
        for line in flow.lines:
            size = round(line.size)
            right[size] = max(right.get(size, least), line.right)
        return cls(left, right, median(close) if close else 1.2 * flow.lines[0].size)


_FEW_LINES = 4


@dataclass(slots=True)
class _Run:
    """Lines of one paragraph, heading or stretch of code."""

    level: int
    lines: list[Segment] = field(default_factory=list)


def _runs(headings: Headings, page: Page, lines: Sequence[Segment], margins: _Margins) -> Iterator[_Run]:
    run: _Run | None = None
    for line in lines:
        level = headings.level(line, page.number) or 0
        if not level and run is not None and _goes_on_heading(run, line):
            level = run.level
        if run is None or level != run.level or _begins_run(headings, run, line, margins):
            if run:
                yield run
            run = _Run(level)
        run.lines.append(line)
    if run:
        yield run


def _with_words_in_text(lines: Sequence[Segment], margins: _Margins) -> Iterator[Segment]:
    """Yield the lines; one of a paragraph that happens to hold only words in letters of one width is text, not code."""
    before: Segment | None = None
    for line, after in zip(lines, [*lines[1:], None], strict=True):
        is_alone = line.mono and not (before and before.mono) and not (after and after.mono)
        if is_alone and before is not None and _runs_on(before, line, margins):
            line = line._replace(mono=False)  # noqa: PLW2901 - it is the line from here on
        yield line
        before = line


def _runs_on(before: Segment, line: Segment, margins: _Margins) -> bool:
    """Return True if a line stands where the sentence of the one before it goes on: that one is full, and is no end."""
    distance = before.baseline - line.baseline
    is_below = 0 < distance <= _PARAGRAPH * max(margins.leading, line.size)
    is_in_line = abs(line.left - before.left) <= _HANGING * line.size
    is_sentence = len(_WORD.findall(before.text)) >= _FEWEST_WORDS and not _ENDS.search(before.text)
    return is_below and is_in_line and is_sentence and not _would_fit(before, line, margins)


_WORD = re.compile(r"(?<!\S)[^\W\d_]+[,;)]?(?!\S)")
_FEWEST_WORDS = 5
"""Words without signs that a line of a sentence has at least; code has fewer."""
_HANGING = 2.5
"""Indentation, in font sizes, that the lines of a list item may have below its first."""


def _goes_on_heading(run: _Run, line: Segment) -> bool:
    """Return True if a bold line is the second or third of a heading that bold letters make."""
    before = run.lines[-1]
    down = before.baseline - line.baseline
    is_alike = line.bold and before.bold and not line.mono and abs(line.size - before.size) < 0.5
    return run.level > 0 and is_alike and 0 < down <= 1.5 * line.size and len(run.lines) < 3


_NOTE = re.compile(r"(?:\[\d{1,3}\]|\d{1,3})\s+(?=[^\W\d_])")


_SMALL = 0.95
"""Size of the letters of a note, to that of the text, below which they are small."""


def _goes_on(part: Part, other: Part) -> bool:
    """Return True if a paragraph goes on at the top of the next column."""
    is_text = part.is_text and other.is_text and bool(part.text) and bool(other.text)
    return (
        is_text
        and other.begins_column
        and other.text[0].islower()
        and not _ENDS.search(part.text)
        and "\n" not in part.text
    )


def _begins_note(headings: Headings, line: Segment) -> bool:
    """Return True for a line in small letters that begins with a number, as notes below a page do."""
    return line.size < _SMALL * headings.body and _NOTE.match(line.text) is not None


def _begins_run(headings: Headings, run: _Run, line: Segment, margins: _Margins) -> bool:
    """Return True if a line begins a paragraph, another heading, or code."""
    before = run.lines[-1]
    distance = before.baseline - line.baseline
    if line.mono or before.mono:
        return line.mono != before.mono or distance > 2.5 * margins.leading
    far = distance > _PARAGRAPH * max(margins.leading, min(line.size, before.size)) or distance < -0.5 * line.size
    if far or abs(line.size - before.size) > 0.15 * max(line.size, before.size):
        return not _goes_on_above(before, line, distance)
    if _begins_note(headings, line) and (run.level or line.left <= before.left + 0.5 * line.size):
        return True
    if run.level or _begins_item(line):
        return False
    if item := _item(run):
        return _follows_item(item, before, line, margins)
    return _begins_paragraph(run, line, margins)


def _begins_paragraph(run: _Run, line: Segment, margins: _Margins) -> bool:
    """Return True if the first line of a paragraph follows one of another."""
    before, indent = run.lines[-1], _INDENT * line.size
    if line.bold != before.bold and _ended_on_purpose(before, line, margins):
        return True
    if line.left - before.left > indent > before.left - margins.left:
        return len(run.lines) > 1 or _ENDS.search(before.text) is not None
    return _ends_paragraph(before, line, margins)


def _follows_item(item: Segment, before: Segment, line: Segment, margins: _Margins) -> bool:
    """Return True if a line is no longer of the list item above it."""
    left = item.left + 0.3 * line.size
    if line.left > left:
        return False
    hangs = before is not item and before.left > left
    return line.left < item.left - 0.3 * line.size or hangs or _ended_on_purpose(before, line, margins)


def _goes_on_above(before: Segment, line: Segment, distance: float) -> bool:
    """Return True if a sentence goes on at the top of the next column."""
    return distance < 0 and line.text[0].islower() and not _ENDS.search(before.text) and before.size == line.size


def _item(run: _Run) -> Segment | None:
    """Return the first line of the list item that a run ends with; None if it has none."""
    return next((line for line in reversed(run.lines) if _begins_item(line)), None)


def _begins_item(line: Segment) -> bool:
    return _BULLET.match(line.text) is not None or _NUMBER.match(line.text) is not None


def _ended_on_purpose(before: Segment, line: Segment, margins: _Margins) -> bool:
    """Return True if the first word of a line would have fitted into the line before it."""
    if _LEADS_TO_PAGE.search(before.text):
        return True
    if ends_in_hyphen(before.text) or (line.text[0].islower() and not _ENDS.search(before.text)):
        return False
    return _would_fit(before, line, margins)


def _would_fit(before: Segment, line: Segment, margins: _Margins) -> bool:
    """Return True if there is room for the first word of a line at the end of the one before it."""
    word = line.text.split(" ", 1)[0]
    width = (line.right - line.left) / max(1, len(line.text)) * (len(word) + 1)
    right = max(margins.right[round(line.size)], margins.right[round(before.size)])
    return before.right + width < right - _INDENT * line.size


def _ends_paragraph(before: Segment, line: Segment, margins: _Margins) -> bool:
    ended = _ENDS.search(before.text) is not None and not before.text.endswith((":", ";"))
    return ended and len(before.text) > _SHORT_LINE and _ended_on_purpose(before, line, margins)


_SHORT_LINE = 20
"""Characters up to which a line that ends a sentence may be one of many short lines, an address for example."""


def _code(lines: Sequence[Segment]) -> str:
    """Return lines of code in a fence, indented as they are on the page."""
    left = min(line.left for line in lines)
    width = median(max(0.1, (line.right - line.left) / max(1, len(line.text))) for line in lines)
    indented = (f"{' ' * min(80, round((line.left - left) / width))}{line.text}" for line in lines)
    return fenced("\n".join(indented))


def table_text(rows: Sequence[Sequence[str]]) -> str:
    """Return a table as Markdown; its first row is the header."""
    return re.sub(r"\|  (?=\|)", "| ", markdown_table(rows))


_MISREAD = re.compile(
    r"^(?=#{1,6}(?:\s|$)|```|~~~|=+\s*$|-+\s*$|<(?:pre|script|style|textarea|!|\?))", re.MULTILINE | re.IGNORECASE
)
"""Beginnings of lines that Markdown would take for a heading, code or HTML."""

_MISREAD_IN_HEADING = re.compile(r"(?=[`*\[\]<\\])|(?<!\w)(?=_)|(?=_(?!\w))")


def _escaped(text: str) -> str:
    return _MISREAD.sub(r"\\", _BULLET.sub("- ", text, count=1) if _BULLET.match(text) else text)


def _heading_escaped(title: str) -> str:
    return _MISREAD_IN_HEADING.sub(r"\\", title)
