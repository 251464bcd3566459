"""Cut a text into pieces along its sections and blocks, each with what it must repeat to be understood."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from sift_rag.corpus.blocks import Block
from sift_rag.corpus.formats import Syntax
from sift_rag.corpus.splitting import Stretch, split, split_counted
from sift_rag.errors import MissingExtra
from sift_rag.tokens import CHARACTERS_PER_TOKEN

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_BATCH = 1 << 16
"""Characters tokenised at once."""


_UNEVEN = 1.2
"""Longest part of a block that is cut, as a multiple of equal parts: parts of one size, but at natural places."""

_LINE = re.compile(r"[^\n]*\n|[^\n]+")

_RULE = re.compile(r"\s*([-*_])(?:[ \t]*\1){2,100}\s*")

_INDENTATION = 40
"""White space that a passage may begin with; more means nothing."""


class Piece(NamedTuple):
    """The text of a passage: ``before``, a stretch of the text, and ``after``."""

    start: int
    end: int
    before: str = ""
    after: str = ""
    tokens: int | None = None
    """Tokens that it has at the most, if that is known without counting them."""

    def shown(self, text: str) -> str:
        """Return the piece of this text as a passage shows it."""
        piece = text[self.start : self.end]
        return f"{self.before}{piece}\n{self.after}" if self.after else f"{self.before}{piece}"


@dataclass(frozen=True, slots=True)
class Measure:
    """The length of pieces, in tokens without special ones."""

    tokenizer: Tokenizer
    """Does not truncate."""
    count: Callable[[str], int]
    """Number of tokens of a text."""
    capacity: int
    """Tokens of an ordinary piece."""
    joined: int
    """Tokens of a piece to which something tiny is joined, or a heading: a few more."""
    limit: int
    """Tokens that no piece exceeds."""
    overlap: int
    """Tokens that two pieces of a long paragraph may share."""
    adds_up: bool = False
    """True if no token reaches over white space: then a text has the tokens of its lines together."""

    @property
    def tiny(self) -> int:
        """Return the tokens up to which a piece is better joined to another."""
        return self.capacity // 8

    def size(self, text: str) -> int:
        """Return the tokens of a text, but no fewer than its length stands for."""
        return max(self.count(text), -(-len(text) // CHARACTERS_PER_TOKEN))

    def less(self, tokens: int) -> Measure:
        """Return the measure where each piece has so many tokens besides its own."""
        capacity, joined, limit = (max(1, size - tokens) for size in (self.capacity, self.joined, self.limit))
        return replace(self, capacity=capacity, joined=joined, limit=limit, overlap=min(self.overlap, capacity // 2))


class _Unit(NamedTuple):
    """A block, or a part of one that is too long."""

    block: Block
    start: int
    end: int
    tokens: int
    inside: bool = False
    """True if it begins after the first line of its block, and so repeats what the block's pieces begin with."""
    goes_on: bool = False
    """True if its block does not end with it."""
    is_rule: bool = False
    """True for a line drawn across the text, which is no text."""
    leads: bool = False
    """True if it is nothing without what follows: a heading, a sentence before code."""

    @property
    def before(self) -> str:
        return self.block.before if self.inside else ""

    @property
    def after(self) -> str:
        return self.block.after if self.goes_on else ""


def cut(text: str, blocks: Sequence[Block], syntax: Syntax, measure: Measure) -> Iterator[Piece]:
    """Yield pieces in the order of the text, none of which reaches over a heading with text of its own under it.

    A block that fits is whole. One that does not is cut in its body, and each piece repeats the opening and closing
    fence of its code or the header of its table. Headings and short sentences before code stay with what follows them.

    Args:
        text: any text.
        blocks: cover it.
        syntax: decides where a paragraph is cut.
        measure: how long a piece may be; exceeded only where a word is cut.

    Raises:
        MissingExtra: ``semantic-text-splitter`` is not installed.
    """
    cutter = _Cutter(text, syntax, measure)
    sizes = _sizes(text, blocks, measure.tokenizer)
    for units in _sections([cutter.unit(block, tokens) for block, tokens in zip(blocks, sizes, strict=True)]):
        for pack in cutter.evened(list(cutter.packed(cutter.fitting(units)))):
            yield from cutter.pieces(pack)


def _sizes(text: str, stretches: Sequence[Block] | Sequence[Stretch], tokenizer: Tokenizer) -> Iterator[int]:
    """Yield the tokens of each stretch, from one call of the tokenizer for many; they ascend and do not overlap."""
    first = 0
    while first < len(stretches):
        start, last = stretches[first].start, first + 1
        while last < len(stretches) and stretches[last].end - start <= _BATCH:
            last += 1
        offsets = tokenizer.encode(text[start : stretches[last - 1].end], add_special_tokens=False).offsets
        places = [place for place, _ in offsets]
        for stretch in stretches[first:last]:
            tokens = bisect_left(places, stretch.end - start) - bisect_left(places, stretch.start - start)
            yield max(tokens, (stretch.end - stretch.start) // CHARACTERS_PER_TOKEN)
        first = last


def _sections(units: list[_Unit]) -> Iterator[list[_Unit]]:
    """Divide before each heading that comes after a text; headings that nothing follows stay with what precedes."""
    section: list[_Unit] = []
    has_text = False
    texts = [number for number, unit in enumerate(units) if unit.block.kind != "heading" and not unit.is_rule]
    last_text = texts[-1] if texts else -1
    for number, unit in enumerate(units):
        is_heading = unit.block.kind == "heading"
        if is_heading and has_text and number < last_text:
            yield section
            section, has_text = [], False
        section.append(unit)
        has_text = has_text or not (is_heading or unit.is_rule)
    if section:
        yield section


@dataclass(frozen=True, slots=True)
class _Cutter:
    """Cuts the blocks of one text."""

    text: str
    syntax: Syntax
    measure: Measure

    def unit(self, block: Block, tokens: int) -> _Unit:
        is_rule = block.kind == "text" and _RULE.fullmatch(self.text, block.start, block.end) is not None
        return _Unit(block, block.start, block.end, tokens, is_rule=is_rule, leads=self.leads(block, tokens))

    def leads(self, block: Block, tokens: int) -> bool:
        """Return True for a heading, a short text that ends with a colon, and code or a table without a body."""
        if block.kind == "text":
            return tokens <= 2 * self.measure.tiny and self.text[block.start : block.end].rstrip()[-1:] in {
                ":",
                "\uff1a",
            }
        return block.kind == "heading" or not self.text[block.body.start : block.body.end].strip()

    def fitting(self, section: list[_Unit]) -> Iterator[_Unit]:
        """Yield the units of a section, with parts in place of those that are too long."""
        if sum(unit.tokens for unit in section) <= self.measure.joined:
            yield from section
            return
        leading = 0
        for unit, following in zip(section, [*section[1:], None], strict=True):
            if unit.tokens <= self.measure.capacity or leading + unit.tokens <= self.measure.joined:
                yield unit._replace(leads=unit.leads or self.introduces(unit, following))
            else:
                yield from self.parts(unit, min(leading, self.measure.capacity // 4))
            leading = leading + unit.tokens if unit.leads else 0

    def introduces(self, unit: _Unit, following: _Unit | None) -> bool:
        """Return True for a sentence or two before code or a table."""
        is_code = following is not None and following.block.kind in {"code", "table"}
        return is_code and unit.block.kind == "text" and unit.tokens <= self.measure.tiny

    def parts(self, unit: _Unit, leading: int) -> Iterator[_Unit]:
        """Yield the parts of a block that is too long, the first with room for what leads to it."""
        wrapped = self.measure.count(unit.block.before) + self.measure.count(unit.block.after)
        if wrapped > self.measure.capacity // 2:
            unit, wrapped = unit._replace(block=unit.block._replace(before="", after="")), 0
        inner = self.measure.less(wrapped + leading)
        if unit.block.kind == "table":
            yield from self.rows(unit, inner)
        elif unit.block.kind == "code":
            yield from self.sized(unit, self.code(unit, replace(inner, overlap=0)))
        else:
            for stretch, tokens in self.counted(unit, self.syntax, inner):
                known = tokens if self.is_exact(*stretch) else inner.size(self.text[stretch.start : stretch.end])
                yield self.part(unit, stretch, known)

    def sized(self, unit: _Unit, stretches: list[Stretch]) -> Iterator[_Unit]:
        for stretch, tokens in zip(stretches, _sizes(self.text, stretches, self.measure.tokenizer), strict=True):
            yield self.part(unit, stretch, tokens)

    def part(self, unit: _Unit, stretch: Stretch, tokens: int) -> _Unit:
        inside, goes_on = stretch.start > unit.start, stretch.end < unit.end
        return _Unit(unit.block, stretch.start, stretch.end, tokens, inside, goes_on)

    def is_exact(self, start: int, end: int) -> bool:
        """Return True if a stretch has the tokens that it has within the text: none of them is cut."""
        is_whole = not self.text[start - 1 : start].strip() and not self.text[end : end + 1].strip()
        return self.measure.adds_up and is_whole

    def split(self, whole: _Unit, syntax: Syntax, measure: Measure) -> Iterator[Stretch]:
        """Yield parts of about equal size of the body of a block, or of what is said to be one."""
        return (stretch for stretch, _ in self.counted(whole, syntax, measure))

    def counted(self, whole: _Unit, syntax: Syntax, measure: Measure) -> Iterator[tuple[Stretch, int]]:
        """Yield the parts that ``split`` does, each with its tokens."""
        body = whole.block.body
        even = whole.tokens / max(1, -(-whole.tokens // measure.capacity))
        capacity = min(measure.capacity, int(even * _UNEVEN) + 1)
        overlap = min(measure.overlap, capacity // 2)
        piece = self.text[body.start : body.end]
        found = split_counted(piece, syntax, measure.tokenizer, capacity=capacity, overlap=overlap)
        for (start, end), tokens in found:
            yield Stretch(body.start + start, body.start + end), tokens

    def code(self, unit: _Unit, measure: Measure) -> list[Stretch]:
        """Return stretches of whole lines of code, cut where its language has a boundary."""
        try:
            places = [stretch.start for stretch in self.split(unit, unit.block.language, measure)]
        except MissingExtra:  # the code is a part of a text, which is read without it
            places = [stretch.start for stretch in self.split(unit, "plain", measure)]
        least = unit.block.body.start
        lines = [max(least, self.text.rfind("\n", least, place) + 1) for place in places[1:]]
        return list(self.divided(unit, lines))

    def divided(self, unit: _Unit, places: Sequence[int]) -> Iterator[Stretch]:
        """Yield the stretches of a unit between places, which ascend; a place may occur twice."""
        start = unit.start
        for place in [*places, unit.end]:
            if self.text[max(start, unit.block.body.start) : place].strip() or place == unit.end:
                yield Stretch(start, place)
                start = place

    def rows(self, unit: _Unit, measure: Measure) -> Iterator[_Unit]:
        """Yield the header, which leads to the first row, and each row, cut if it is too long by itself."""
        body = unit.block.body
        ends = [match.end() for match in _LINE.finditer(self.text, body.start, unit.end)]
        lines = [Stretch(*line) for line in pairwise([unit.start, body.start, *ends])]
        for number, line in enumerate(self.sized(unit, lines)):
            if number == 0:
                yield line._replace(leads=True, goes_on=False)
            elif line.tokens <= measure.capacity:
                yield line
            else:
                row = line._replace(block=line.block._replace(body=Stretch(line.start, line.end)))
                yield from self.sized(unit, list(self.split(row, "plain", replace(measure, overlap=0))))

    def packed(self, units: Iterator[_Unit]) -> Iterator[list[_Unit]]:
        """Put together as many units as fit; what leads to the next unit goes with it."""
        pack: list[_Unit] = []
        for unit in units:
            if pack and not self.fits(pack, unit):
                kept = len(pack)
                while kept and pack[kept - 1].leads:
                    kept -= 1
                if kept:
                    yield pack[:kept]
                    pack = pack[kept:]
                if pack and not self.fits(pack, unit):
                    yield pack
                    pack = []
            pack.append(unit)
        if pack:
            yield pack

    def evened(self, packs: list[list[_Unit]]) -> list[list[_Unit]]:
        """Move units from the last pack but one to the last, if that one is small."""
        if len(packs) < 2:
            return packs
        *others, fuller, last = packs
        small, capacity = self.measure.capacity // 4, self.measure.capacity
        tokens, left = (sum(unit.tokens for unit in pack) for pack in (last, fuller))
        while len(fuller) > 1 and not fuller[-2].leads:
            moved = fuller[-1]
            left, total = left - moved.tokens, tokens + moved.tokens + self.around(moved, last[-1])
            if tokens > small or left < total or total > capacity:
                break
            fuller, last, tokens = fuller[:-1], [moved, *last], tokens + moved.tokens
        return [*others, fuller, last]

    def fits(self, pack: list[_Unit], unit: _Unit) -> bool:
        tokens = sum(part.tokens for part in pack)
        is_joined = pack[-1].leads or min(tokens, unit.tokens) <= self.measure.tiny
        return tokens + unit.tokens + self.around(pack[0], unit) <= (
            self.measure.joined if is_joined else self.measure.capacity
        )

    def around(self, first: _Unit, last: _Unit) -> int:
        """Return the tokens of what a piece repeats of its first and last block."""
        return sum(self.measure.count(text) for text in (first.before, last.after) if text)

    def pieces(self, pack: list[_Unit]) -> Iterator[Piece]:
        """Yield the pack as one piece, or as several if it turns out to have too many tokens."""
        piece = self.trimmed(Piece(pack[0].start, pack[-1].end, pack[0].before, pack[-1].after))
        if piece.start >= piece.end:
            return
        if self.is_exact(piece.start, piece.end):
            tokens = sum(unit.tokens for unit in pack) + self.around(pack[0], pack[-1])
            if tokens <= self.measure.limit:
                yield piece._replace(tokens=tokens)
                return
        if self.measure.count(piece.shown(self.text)) <= self.measure.limit:
            yield piece
        elif len(pack) > 1:
            for unit in pack:
                yield from self.pieces([unit])
        else:
            yield from self.forced(piece, pack[0].block)

    def forced(self, piece: Piece, block: Block) -> Iterator[Piece]:
        """Yield parts of a piece, each within the limit; what a part repeats is not cut off from it."""
        repeated = self.measure.count(block.before) + self.measure.count(block.after)
        if repeated > self.measure.limit // 2:
            block, piece, repeated = block._replace(before="", after=""), piece._replace(before="", after=""), 0
        body = Stretch(max(piece.start, block.body.start), min(piece.end, block.body.end))
        if not repeated or not self.text[body.start : body.end].strip():
            body = Stretch(piece.start, piece.end)
        parts = list(cut_to(self.text, body, self.measure.less(repeated)))
        for start, end in parts:
            part = Piece(start, end, block.before, block.after)
            if start == parts[0].start:
                part = part._replace(start=piece.start, before=piece.before)
            if end == parts[-1].end:
                part = part._replace(end=piece.end, after=piece.after)
            yield part

    def trimmed(self, piece: Piece) -> Piece:
        """Return the piece without the white space around it, but for the indentation of its first line."""
        end = piece.start + len(self.text[piece.start : piece.end].rstrip())
        start = next((place for place in range(piece.start, end) if not self.text[place].isspace()), end)
        line = self.text.rfind("\n", 0, start) + 1
        keeps_indentation = line >= piece.start and start - line <= _INDENTATION
        return piece._replace(start=line if keeps_indentation else start, end=end)


def cut_to(text: str, stretch: Stretch, measure: Measure) -> Iterator[Stretch]:
    """Yield the stretch if it is within the limit, else pieces of it that are.

    Needed where a word was cut: its halves may have more tokens than the word.
    """
    piece = text[stretch.start : stretch.end]
    if len(piece) <= 1 or measure.count(piece) <= measure.limit:
        yield stretch
        return
    half = measure.capacity // 2
    if half:
        smaller = list(split(piece, "plain", measure.tokenizer, capacity=half, overlap=0))
    else:
        smaller = [Stretch(0, len(piece) // 2), Stretch(len(piece) // 2, len(piece))]
    for start, end in smaller:
        shifted = Stretch(stretch.start + start, stretch.start + end)
        yield from cut_to(text, shifted, replace(measure, capacity=max(1, half)))
