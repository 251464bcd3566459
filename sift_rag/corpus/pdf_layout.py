"""Find the lines, columns and tables of a PDF's page, and the order in which they are read.

What the file draws is kept in the order in which it draws it, unless nothing on the page stands beside anything else.
Columns that are drawn row by row are divided, and cells that stand below one another in three rows or more become a
table.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from operator import attrgetter
from statistics import median
from typing import NamedTuple, TypeAlias

from sift_rag.corpus.pdf_pages import GAP, Segment

_SAME_LINE = 0.45
"""Difference of two baselines, in font sizes, up to which they are of one line: raised figures lie 0.3 to 0.4 higher,
the next line 1.0 or more lower."""

_NARROWEST = 0.7
"""Width, in font sizes, that is left of a gutter after all of its lines."""

_LEAST_ROWS = 3
_MANY = 3
"""Gutters from which two rows alone are a table, the beginning of one that goes on overleaf for example."""
_FAR = 4.0
"""Distance between two lines, in font sizes, that ends a gutter."""

_TIGHT = 1.4
"""Distance between two lines, in font sizes, up to which they may be of one cell."""

_MOST_SEGMENTS = 20_000
"""Segments of a page above which neither columns nor tables are looked for: no page for reading has as many."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Lines that follow one another downwards in one column."""

    lines: tuple[Segment, ...]
    right: float
    """Where the column ends: a line that is much shorter was ended on purpose."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table; every row has as many cells as the first, "" for an empty one."""

    rows: tuple[tuple[str, ...], ...]
    lefts: tuple[float, ...] = field(default=(), compare=False)
    """Left edge of the text of each column, in points."""


Block: TypeAlias = Flow | Table


class Row(NamedTuple):
    """Segments of one height, from left to right."""

    segments: tuple[Segment, ...]
    baseline: float
    size: float

    @property
    def text(self) -> str:
        """Text of the row."""
        return " ".join(segment.text for segment in self.segments)


def lay_out(segments: Sequence[Segment]) -> list[Block]:
    """Return the blocks of a page in reading order."""
    return list(_blocks(_ordered(_arranged(_with_code_joined(_rejoined(segments))))))


_SPACE = 0.6
"""Gap, in font sizes, up to which two pieces of a line are joined although they are not drawn one after the other."""
_ABOVE = 0.75
"""Height, in font sizes, up to which a mark is raised above the line that it begins."""
_MARK = re.compile(r"\d{1,3}|[*†‡]{1,3}")


def _rejoined(segments: Sequence[Segment]) -> list[Segment]:
    """Return the segments with those joined that are pieces of one line, drawn at different times.

    Programs draw a line with a link or a note after the rest of the page. The line then stands where its earlier piece
    does. A raised mark before a line is joined to it.
    """
    by_order = {segment.order: segment for segment in segments}
    for row in rows_of([segment for segment in segments if not segment.mono]):
        for left, right in pairwise(row.segments):
            here = by_order.get(left.order, left)
            is_next = right.order == left.order + 1
            if -0.1 * here.size < right.left - here.right < _SPACE * here.size and not is_next and _alike(here, right):
                whole = joined((here, right))
                for order in (here.order, right.order):
                    by_order.pop(order, None)
                by_order[whole.order] = whole
    kept: list[Segment] = []
    for segment in sorted(by_order.values(), key=lambda segment: segment.order):
        mark = kept[-1] if kept else None
        if mark is not None and _marks(mark, segment):
            number = f"[{mark.text}]" if mark.text.isdecimal() else mark.text
            kept[-1] = segment._replace(text=f"{number} {segment.text}", left=mark.left, order=mark.order, gaps=())
        else:
            kept.append(segment)
    return kept


def _alike(one: Segment, other: Segment) -> bool:
    return abs(one.size - other.size) <= 0.15 * max(one.size, other.size)


def _marks(mark: Segment, line: Segment) -> bool:
    """Return True if a segment is a raised mark, such as the number of a note, before a line."""
    raised = mark.baseline - line.baseline
    return (
        _MARK.fullmatch(mark.text) is not None
        and mark.size < 0.9 * line.size
        and 0.15 * line.size < raised < _ABOVE * line.size
        and -0.1 * line.size < line.left - mark.right < line.size
    )


def lay_out_pages(pages: Sequence[Sequence[Segment]]) -> list[list[Block]]:
    """Return the blocks of each page, with its header above a table that goes on from the page before.

    Such a table begins its page, ends the page before but for notes, and has the same columns at the same places.
    """
    result: list[list[Block]] = []
    open_table: Table | None = None
    for segments in pages:
        blocks = lay_out(segments)
        if open_table is not None and blocks:
            blocks = _with_table_of_page_before(open_table, blocks, segments)
        tables = [number for number, block in enumerate(blocks) if isinstance(block, Table)]
        is_open = bool(tables) and tables[-1] >= len(blocks) - 2
        last = blocks[tables[-1]] if is_open else None
        open_table = last if isinstance(last, Table) else None
        result.append(blocks)
    return result


def _with_table_of_page_before(table: Table, blocks: list[Block], segments: Sequence[Segment]) -> list[Block]:
    """Return the blocks of a page, with the header of a table that goes on from the page before if it begins it."""
    first = blocks[0]
    if isinstance(first, Table):
        goes_on = _goes_on_overleaf(table, first)
        return [replace(first, rows=(table.rows[0], *first.rows)), *blocks[1:]] if goes_on else blocks
    rows = _last_rows(table, rows_of(segments))
    if not rows:
        return blocks
    taken = {segment.order for row in rows for segment in row.segments}
    cells = [""] * len(table.lefts)
    for row in rows:
        for segment in row.segments:
            column = _column_at(table, segment)
            cells[column] = f"{cells[column]} {segment.text}".strip()
    rest = [segment for segment in segments if segment.order not in taken]
    return [replace(table, rows=(table.rows[0], tuple(cells))), *lay_out(rest)]


def _last_rows(table: Table, rows: Sequence[Row]) -> list[Row]:
    """Return the lines of a single row of a table at the top of a page; none if the page begins with something else.

    Each cell begins in a column of its own, the first one and most of them where the column does. Further lines of
    cells stand close below, beside nothing in the first column.
    """
    if not rows or len(table.lefts) < _LEAST_COLUMNS:
        return []
    columns = [_column_at(table, segment) for segment in rows[0].segments]
    exact = [_begins_column(table, segment) for segment in rows[0].segments]
    if len(columns) < max(2, len(table.lefts) / 2) or len(set(columns)) < len(columns):
        return []
    if not exact[0] or 2 * sum(exact) <= len(exact):
        return []
    found = [rows[0]]
    for row in rows[1:]:
        is_close = found[-1].baseline - row.baseline <= _TIGHT * row.size
        in_cells = all(_begins_column(table, segment) and _column_at(table, segment) for segment in row.segments)
        if not (is_close and in_cells):
            break
        found.append(row)
    return found


_LEAST_COLUMNS = 3
"""Columns of a table from which a single line is known for a row of it: two pieces may stand beside one another."""


def _column_at(table: Table, segment: Segment) -> int:
    return max(0, sum(left <= segment.left + _SAME_PLACE for left in table.lefts) - 1)


def _begins_column(table: Table, segment: Segment) -> bool:
    return any(abs(left - segment.left) <= _SAME_PLACE for left in table.lefts)


def _goes_on_overleaf(one: Table, other: Table) -> bool:
    """Return True if a table has the columns of another, and not its header again."""
    pairs = list(zip(one.lefts, other.lefts, strict=False))
    same = len(one.lefts) == len(other.lefts) and sum(abs(a - b) <= _SAME_PLACE for a, b in pairs) > len(pairs) / 2
    return same and one.rows[0] != other.rows[0]


_SAME_PLACE = 3.0


def evened(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """Return the segments of a page that was read by OCR in reading order: rows, or columns where there are any.

    The height of a piece depends on its letters: only pieces that are much higher than most keep a size of their own.
    Lines of two columns need not be of one height, so any that overlap in height count as a row here.
    """
    if not segments:
        return ()
    size = median(segment.size for segment in segments)
    even = [segment if segment.size >= _MUCH_HIGHER * size else segment._replace(size=size) for segment in segments]
    rows = rows_of(even, _BESIDE)
    columns: dict[int, _Region] = {}
    taken: set[int] = set()
    for gutter in _gutters(rows):
        span = _span_of_columns(rows, gutter)
        region = _region(rows, gutter, span)
        if taken.isdisjoint(span) and all(map(_is_prose, region.columns())):
            columns[span.start] = region
            taken.update(span)
    ordered: list[Segment] = []
    for number, row in enumerate(rows):
        if number in columns:
            for column in columns[number].columns():
                ordered += sorted(column, key=lambda segment: -segment.baseline)
        elif number not in taken:
            ordered += [segment for finer in rows_of(row.segments) for segment in finer.segments]
    return tuple(segment._replace(order=order) for order, segment in enumerate(ordered))


_MUCH_HIGHER = 1.35
_BESIDE = 0.8
"""Difference of two baselines, in font sizes, up to which two lines stand beside one another."""


def rows_of(segments: Sequence[Segment], tolerance: float = _SAME_LINE) -> list[Row]:
    """Return the rows of a page, from the top; baselines of a row differ by ``tolerance`` font sizes at the most."""
    rows: list[Row] = []
    current: list[Segment] = []
    for segment in sorted(sorted(segments, key=_ACROSS), key=_BASELINE, reverse=True):
        if current:
            size = max(current[0].size, segment.size)
            if current[0].baseline - segment.baseline > tolerance * size:
                rows.append(_row(current))
                current = []
        current.append(segment)
    return [*rows, _row(current)] if current else rows


_ACROSS = attrgetter("left", "order")
_BASELINE = attrgetter("baseline")
_SIZE = attrgetter("size")


def _row(segments: list[Segment]) -> Row:
    if len(segments) == 1:
        return Row(tuple(segments), segments[0].baseline, segments[0].size)
    largest = max(segments, key=_SIZE)
    return Row(tuple(sorted(segments, key=_left)), largest.baseline, largest.size)


_left = attrgetter("left")


def joined(segments: Sequence[Segment], gap: str = " ") -> Segment:
    """Return segments of one line as one."""
    if len(segments) == 1:
        return segments[0]
    longest = max(segments, key=lambda segment: len(segment.text))
    return longest._replace(
        text=gap.join(segment.text for segment in segments),
        left=min(segment.left for segment in segments),
        right=max(segment.right for segment in segments),
        order=min(segment.order for segment in segments),
        gaps=(),
    )


def _with_code_joined(segments: Sequence[Segment]) -> list[Segment]:
    """Join the segments of each line of code: its gaps are neither columns' nor tables'."""
    result: list[Segment] = []
    for segment in segments:
        last = result[-1] if result else None
        if last and last.mono and segment.mono and _on_one_line(last, segment) and segment.left > last.right:
            width = max(0.1, (last.right - last.left) / len(last.text))
            result[-1] = joined((last, segment), " " * min(80, max(1, round((segment.left - last.right) / width))))
        else:
            result.append(segment)
    return result


def _on_one_line(one: Segment, other: Segment) -> bool:
    return abs(one.baseline - other.baseline) <= _SAME_LINE * max(one.size, other.size)


# Gutters


@dataclass(slots=True)
class _Gutter:
    """An upright stretch of a page that no segment of its rows enters."""

    left: float
    right: float
    first: int
    """First row with text on both sides."""
    last: int
    """Last row with text on both sides."""
    rows: int = 1
    """Number of rows with text on both sides."""

    @property
    def middle(self) -> float:
        return (self.left + self.right) / 2

    def narrowed(self, row: Row) -> tuple[float, float]:
        """Return what is left of it beside the segments of a row."""
        free: list[tuple[float, float]] = [(self.left, self.right)]
        for segment in row.segments:
            if segment.right > self.left and segment.left < self.right:
                free = [piece for stretch in free for piece in _without(stretch, segment)]
        return max(free, key=lambda stretch: stretch[1] - stretch[0], default=(self.left, self.left))


def _without(stretch: tuple[float, float], segment: Segment) -> list[tuple[float, float]]:
    pieces = [(stretch[0], min(stretch[1], segment.left)), (max(stretch[0], segment.right), stretch[1])]
    return [piece for piece in pieces if piece[1] > piece[0]]


def _gutters(rows: Sequence[Row]) -> list[_Gutter]:
    """Return the gutters between segments that stand beside one another in enough rows, the longest first."""
    live: list[_Gutter] = []
    found: list[_Gutter] = []
    for number, row in enumerate(rows):
        if number and rows[number - 1].baseline - row.baseline > _FAR * max(row.size, rows[number - 1].size):
            found += live
            live = []
        kept = []
        for gutter in live:
            left, right = gutter.narrowed(row)
            if right - left < _NARROWEST * row.size:
                found.append(gutter)
                continue
            gutter.left, gutter.right = left, right
            if row.segments[0].left < left and row.segments[-1].right > right:
                gutter.last, gutter.rows = number, gutter.rows + 1
            kept.append(gutter)
        live = kept
        for one, other in pairwise(row.segments):
            is_new = not any(gutter.left < other.left and gutter.right > one.right for gutter in live)
            if other.left - one.right >= GAP * row.size and is_new:
                live.append(_Gutter(one.right, other.left, number, number))
    found += live
    pairs = Counter((gutter.first, gutter.last) for gutter in found if gutter.rows == _LEAST_ROWS - 1)
    enough = [
        gutter
        for gutter in found
        if gutter.rows >= _LEAST_ROWS
        or (pairs[gutter.first, gutter.last] >= _MANY and gutter.last == gutter.first + 1 and gutter.rows > 1)
    ]
    return sorted(enough, key=lambda gutter: (-gutter.rows, gutter.first, gutter.left))


# Regions


class _Item(NamedTuple):
    key: tuple[int, int]
    """Place in the order of drawing."""
    top: float
    bottom: float
    content: Segment | Table


class _Region(NamedTuple):
    rows: tuple[Row, ...]
    gutters: tuple[_Gutter, ...]
    """Gutters, from left to right."""

    def column_of(self, segment: Segment) -> int:
        middle = (segment.left + segment.right) / 2
        return sum(gutter.middle < middle for gutter in self.gutters)

    def columns(self) -> list[list[Segment]]:
        columns: list[list[Segment]] = [[] for _ in range(len(self.gutters) + 1)]
        for row in self.rows:
            for segment in row.segments:
                columns[self.column_of(segment)].append(segment)
        return columns


def _arranged(segments: Sequence[Segment], depth: int = 0) -> list[_Item]:
    """Return the lines and tables, each with its place in the order of drawing."""
    if len(segments) < 2 * _LEAST_ROWS or len(segments) > _MOST_SEGMENTS or depth > 2:
        return _lines(segments)
    rows = rows_of(segments)
    items: list[_Item] = []
    taken: set[int] = set()
    for gutter in _within_headings(rows, _gutters(rows)):
        span = range(gutter.first, gutter.last + 1)
        if not taken.isdisjoint(span):
            continue
        found = _region_items(rows, gutter, depth)
        if found:
            span, made = found
            if taken.isdisjoint(span):
                items += made
                taken.update(span)
    rest = [segment for number, row in enumerate(rows) if number not in taken for segment in row.segments]
    return items + _lines(sorted(rest, key=lambda segment: segment.order))


_LARGER = 1.12
"""Size of a heading, to that of the rows above it, from which it ends a table."""


def _within_headings(rows: Sequence[Row], gutters: Sequence[_Gutter]) -> Iterator[_Gutter]:
    """Yield the gutters, those of tables divided at headings that stand between two tables."""
    for gutter in gutters:
        span = range(gutter.first, gutter.last + 1)
        size = median(rows[number].size for number in span)
        headings = [
            number for number in span if len(rows[number].segments) == 1 and rows[number].size >= _LARGER * size
        ]
        if not headings or all(map(_is_prose, _region(rows, gutter, span).columns())):
            yield gutter
            continue
        for before, after in pairwise([gutter.first - 1, *headings, gutter.last + 1]):
            beside = [number for number in range(before + 1, after) if _is_divided(rows[number], gutter)]
            if len(beside) >= _LEAST_ROWS:
                yield _Gutter(gutter.left, gutter.right, beside[0], beside[-1], len(beside))


def _is_divided(row: Row, gutter: _Gutter) -> bool:
    return row.segments[0].left < gutter.left and row.segments[-1].right > gutter.right


def _region_items(rows: Sequence[Row], gutter: _Gutter, depth: int) -> tuple[range, list[_Item]] | None:
    """Return the items that a gutter makes of its rows; None if they are neither columns nor a table."""
    region = _region(rows, gutter, range(gutter.first, gutter.last + 1))
    columns = region.columns()
    by_row = _drawn_by_row(region)
    if all(map(_is_prose, columns)):
        span = _span_of_columns(rows, gutter) if by_row else range(gutter.first, gutter.last + 1)
        columns = _region(rows, gutter, span).columns()
        first = min(segment.order for column in columns for segment in column)
        items: list[_Item] = []
        for number, column in enumerate(columns):
            made = _arranged(sorted(column, key=lambda segment: segment.order), depth + 1)
            items += [item._replace(key=(first, number)) for item in made] if by_row else made
        return span, items
    if not by_row and _drawn_by_column(columns) and not _in_line(region):
        return None
    if _is_list(columns):
        return None
    span = range(gutter.first, _end_of_cells(rows, region, gutter))
    region = _with_narrow_gutters(region._replace(rows=tuple(rows[number] for number in span)))
    lefts = tuple(min((segment.left for segment in column), default=0.0) for column in region.columns())
    table = Table(tuple(_table_rows(region)), lefts)
    if len(table.rows) < 2:
        return None
    order = min(segment.order for row in region.rows for segment in row.segments)
    top, bottom = region.rows[0], region.rows[-1]
    return span, [_Item((order, 0), top.baseline + 0.8 * top.size, bottom.baseline - 0.2 * bottom.size, table)]


def _region(rows: Sequence[Row], gutter: _Gutter, span: range) -> _Region:
    """Return the rows with all gutters that run through them."""
    chosen = tuple(rows[number] for number in span)
    least = max(2, -(-len(chosen) // 4))
    others = [other for other in _gutters_within(chosen) if other.rows >= least]
    apart = [other for other in others if other.right <= gutter.left or other.left >= gutter.right]
    return _Region(chosen, tuple(sorted([gutter, *apart], key=lambda other: other.left)))


_NARROW = 0.38
"""Width, in font sizes, that is left of a gutter between two columns of a table that is known to be one."""


def _with_narrow_gutters(region: _Region) -> _Region:
    """Return a table whose cells are divided where gaps that are wider than spaces stand below one another."""
    rows = tuple(
        row._replace(segments=tuple(piece for segment in row.segments for piece in _pieces(segment)))
        for row in region.rows
    )
    least = max(2, -(-len(rows) // 3))
    narrow = [gutter for gutter in _gutters_within(rows, _NARROW) if gutter.rows >= least]
    new = [
        gutter
        for gutter in narrow
        if all(gutter.right <= other.left or gutter.left >= other.right for other in region.gutters)
    ]
    if not new:
        return region
    gutters = sorted([*region.gutters, *new], key=lambda gutter: gutter.left)
    return _Region(rows, tuple(gutters))


def _pieces(segment: Segment) -> Iterator[Segment]:
    """Yield the pieces of a segment between gaps that are wider than spaces."""
    first, left = 0, segment.left
    for place, end, begin in segment.gaps:
        yield segment._replace(text=segment.text[first:place].rstrip(), left=left, right=end, gaps=())
        first, left = place, begin
    yield segment._replace(text=segment.text[first:], left=left, gaps=())


def _gutters_within(rows: Sequence[Row], least: float = _NARROWEST) -> Iterator[_Gutter]:
    """Yield the stretches that no segment of any of the rows enters, at least so many font sizes wide."""
    segments = sorted((segment for row in rows for segment in row.segments), key=_left)
    right = segments[0].right
    for segment in segments:
        width = least * segment.size
        if segment.left - right >= width:
            beside = sum(row.segments[0].left < right and row.segments[-1].right > segment.left for row in rows)
            yield _Gutter(right, segment.left, 0, len(rows) - 1, beside)
        right = max(right, segment.right)


def _is_prose(column: Sequence[Segment]) -> bool:
    """Return True for a column of running text: lines of several words that mostly fill it."""
    if len(column) < _LEAST_ROWS:
        return False
    width = max(segment.right for segment in column) - min(segment.left for segment in column)
    lines = [row.segments for row in rows_of(column)]  # stretched to the margin, a line may be in several pieces
    words = median(sum(segment.text.count(" ") + 1 for segment in line) for line in lines)
    return words >= 4 and median(line[-1].right - line[0].left for line in lines) >= 0.6 * width


def _drawn_by_row(region: _Region) -> bool:
    """Return True if most rows are drawn from end to end before the next."""
    rows = [row.segments for row in region.rows if len(row.segments) > 1]
    at_once = sum(max(s.order for s in row) - min(s.order for s in row) == len(row) - 1 for row in rows)
    return 2 * at_once > len(rows)


def _drawn_by_column(columns: Sequence[Sequence[Segment]]) -> bool:
    return all(
        max(segment.order for segment in one) < min(segment.order for segment in other)
        for one, other in pairwise(column for column in columns if column)
    )


def _in_line(region: _Region) -> bool:
    """Return True if the cells of three columns or more are short and stand in line with those beside them."""
    if len(region.gutters) < 2:
        return False  # an index, rather
    beside = sum(len(row.segments) > 1 for row in region.rows)
    words = [segment.text.count(" ") + 1 for row in region.rows for segment in row.segments]
    return 2 * beside > len(region.rows) and median(words) <= 3


_MARKER = re.compile(r"[•▪◦‣·●○■□–—*-]|\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[.)]|[\dA-Z](?:\.\d{1,3})+\.?")
"""A bullet, or the number of an item or a heading."""


def _is_list(columns: Sequence[Sequence[Segment]]) -> bool:
    return len(columns) == 2 and all(_MARKER.fullmatch(segment.text) for segment in columns[0])


def _span_of_columns(rows: Sequence[Row], gutter: _Gutter) -> range:
    """Return the rows of two columns, either of which may begin higher and end lower than the other."""
    leading = median(one.baseline - other.baseline for one, other in pairwise(rows[gutter.first : gutter.last + 1]))
    first, last = gutter.first, gutter.last
    while first > 0 and _is_beside(gutter, rows[first - 1], rows[first], leading):
        first -= 1
    while last + 1 < len(rows) and _is_beside(gutter, rows[last + 1], rows[last], leading):
        last += 1
    return range(first, last + 1)


def _is_beside(gutter: _Gutter, row: Row, other: Row, leading: float) -> bool:
    """Return True if a row next to another belongs to the columns that a gutter divides."""
    left, right = gutter.narrowed(row)
    wide = right - left >= _NARROWEST * row.size
    return wide and abs(row.size - other.size) <= 1 and abs(row.baseline - other.baseline) <= 1.6 * leading


# Tables


def _end_of_cells(rows: Sequence[Row], region: _Region, gutter: _Gutter) -> int:
    """Return one past the last row: below the last that is divided, cells may go on in lines of their own."""
    number = gutter.last + 1
    while number < len(rows):
        row, before = rows[number], rows[number - 1]
        crossed = any(other.narrowed(row)[1] - other.narrowed(row)[0] <= 0 for other in region.gutters)
        far = before.baseline - row.baseline > _TIGHT * row.size
        in_first = any(region.column_of(segment) == 0 for segment in row.segments)
        if crossed or far or (in_first and not _padded(region)):
            break
        number += 1
    return number


def _table_rows(region: _Region) -> Iterator[tuple[str, ...]]:
    group: list[Row] = []
    distances = [one.baseline - other.baseline for one, other in pairwise(region.rows)]
    padded = _padded(region)
    for number, row in enumerate(region.rows):
        if group and not _goes_on(region, group, row, distances[number - 1], padded=padded):
            yield _cells(region, group)
            group = []
        group.append(row)
    if group:
        yield _cells(region, group)


def _padded(region: _Region) -> bool:
    """Return True if rows of the table stand farther apart than lines of a paragraph."""
    size = max(row.size for row in region.rows)
    return any(one.baseline - other.baseline > _TIGHT * size for one, other in pairwise(region.rows))


def _goes_on(region: _Region, group: Sequence[Row], row: Row, distance: float, *, padded: bool) -> bool:
    """Return True if a row holds further lines of the cells above it."""
    if distance > _TIGHT * row.size:
        return False
    here = {region.column_of(segment) for segment in row.segments}
    above = {region.column_of(segment) for part in group for segment in part.segments}
    if padded:  # the rows of the table stand apart: lines that do not are of one row
        goes_on_small = len(here) < len(above) and row.segments[0].text[0].islower()
        return len(here) == 1 or not (0 in here and 0 in above) or goes_on_small
    begins_small = all(segment.text[0].islower() for segment in row.segments)
    return 0 not in here and here <= above and len(here) < len(region.gutters) + 1 and begins_small


def _cells(region: _Region, group: Sequence[Row]) -> tuple[str, ...]:
    cells = [""] * (len(region.gutters) + 1)
    for row in group:
        for segment in row.segments:
            column = region.column_of(segment)
            cells[column] = f"{cells[column]} {segment.text}".strip()
    return tuple(cells)


# Order


def _lines(segments: Sequence[Segment]) -> list[_Item]:
    """Return the segments as lines: those that are drawn one after the other at one height are joined."""
    lines: list[list[Segment]] = []
    for segment in segments:
        last = lines[-1][-1] if lines else None
        follows = last is not None and _on_one_line(last, segment) and segment.order == last.order + 1
        if last is not None and follows and segment.left > last.left:
            lines[-1].append(segment)
        else:
            lines.append([segment])
    return [_line_item(joined(line)) for line in lines]


def _line_item(line: Segment) -> _Item:
    return _Item((line.order, 0), line.baseline + 0.75 * line.size, line.baseline - 0.15 * line.size, line)


def _ordered(items: list[_Item]) -> list[_Item]:
    """Sort from top to bottom if nothing stands beside anything else, else in the order of drawing."""
    downwards = sorted(items, key=lambda item: -item.top)
    lowest = float("inf")
    for item in downwards:
        if item.top > lowest + 0.35 * (item.top - item.bottom):
            return sorted(items, key=lambda item: item.key)
        lowest = min(lowest, item.bottom)
    return downwards


def _blocks(items: Sequence[_Item]) -> Iterator[Block]:
    """Yield tables, and between them the lines of each column."""
    lines: list[Segment] = []
    for item in items:
        content = item.content
        if isinstance(content, Table):
            yield from _flow(lines)
            lines = []
            yield content
            continue
        if lines and _leaves(lines[-1], content):
            yield from _flow(lines)
            lines = []
        lines.append(content)
    yield from _flow(lines)


def _leaves(last: Segment, line: Segment) -> bool:
    """Return True if a line is in another column than the one before it."""
    down = last.baseline - line.baseline
    if -0.5 * line.size <= down <= 2 * line.size and (line.mono or abs(down) > 0.5 * line.size):
        return False  # right below
    return down < 0 or line.left > last.right + line.size or line.right < last.left - line.size


def _flow(lines: list[Segment]) -> Iterator[Flow]:
    if lines:
        yield Flow(tuple(lines), max(line.right for line in lines))
