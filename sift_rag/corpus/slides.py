"""Read PowerPoint presentations. The only module that knows python-pptx."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from sift_rag.corpus.archives import check_archive, reason
from sift_rag.corpus.decoding import one_line, universal_newlines, without_surrogates
from sift_rag.corpus.markup import markdown_table, with_unit
from sift_rag.corpus.sections import Extracted, Section, placed
from sift_rag.errors import UnreadableDocument
from sift_rag.extras import require

if TYPE_CHECKING:
    from pptx.chart.chart import Chart
    from pptx.shapes.autoshape import Shape
    from pptx.shapes.base import BaseShape
    from pptx.slide import Slide

_DEEPEST = 20


def read_slides(data: bytes) -> Extracted:
    """Return a section of Markdown for each slide: its title, its texts and tables from the top, and its notes.

    Footers, dates and slide numbers are left out; images are their descriptions.

    Raises:
        MissingExtra: ``python-pptx`` is not installed.
        UnreadableDocument: the file is broken, needs a password, or would unpack to far more than its size.
    """
    require("pptx", "office")
    import pptx

    check_archive(data)
    try:
        slides = [_slide(slide) for slide in pptx.Presentation(io.BytesIO(data)).slides]
    except Exception as error:  # on a broken file the library raises whatever its code ran into
        raise UnreadableDocument(f"conversion failed: {reason(error)}") from error
    sections = [Section(text, page=number) for number, text in enumerate(slides, start=1) if text]
    return Extracted(placed(sections), "markdown")


def _slide(slide: Slide) -> str:
    title = slide.shapes.title
    blocks = [f"# {one_line(title.text_frame.text)}"] if title is not None and title.text_frame.text.strip() else []
    blocks += (block for shape in _in_order(slide.shapes) if shape != title for block in _blocks(shape))
    if slide.has_notes_slide and (frame := slide.notes_slide.notes_text_frame) is not None and frame.text.strip():
        blocks += ["Notes:", _clean(frame.text)]
    return without_surrogates("\n\n".join(block for block in blocks if block.strip()))


def _in_order(shapes: Iterable[BaseShape]) -> list[BaseShape]:
    """Return the shapes from the top, and those of equal height from the left; the name of a column before the column.

    A shape of one line is the name of the next one below it that begins at the same place, if another such pair stands
    beside it.
    """
    ordered = sorted(shapes, key=lambda shape: (shape.top or 0, shape.left or 0))
    below = {id(shape): _column_below(shape, ordered) for shape in ordered}
    named = [shape for shape in ordered if below[id(shape)] is not None]
    tops = Counter(shape.top for shape in named)
    result: list[BaseShape] = []
    for shape in ordered:
        column = below[id(shape)]
        if any(shape is placed for placed in result):
            continue
        result.append(shape)
        if column is not None and tops[shape.top] > 1 and not any(column is placed for placed in result):
            result.append(column)
    return result


def _column_below(shape: BaseShape, ordered: Sequence[BaseShape]) -> BaseShape | None:
    """Return the nearest shape below one of a single line that begins as far left; None if there is none."""
    if not shape.has_text_frame or shape.top is None or "\n" in shape.text_frame.text.strip():  # type: ignore[attr-defined]
        return None
    return next((other for other in ordered if (other.top or 0) > shape.top and other.left == shape.left), None)


def _blocks(shape: BaseShape, depth: int = 0) -> Iterator[str]:
    """Yield the text of a shape in blocks of Markdown."""
    from pptx.shapes.autoshape import Shape
    from pptx.shapes.graphfrm import GraphicFrame
    from pptx.shapes.group import GroupShape
    from pptx.shapes.picture import Picture

    if _is_repeated(shape):
        return
    match shape:
        case GroupShape() if depth < _DEEPEST:
            for inner in _in_order(shape.shapes):
                yield from _blocks(inner, depth + 1)
        case GraphicFrame() if shape.has_table:
            rows = [["" if cell.is_spanned else cell.text for cell in row.cells] for row in shape.table.rows]
            yield markdown_table(rows)
        case GraphicFrame() if shape.has_chart:
            yield _chart(shape.chart)
        case Picture():
            yield one_line(shape._element._nvXxPr.cNvPr.get("descr", ""))  # noqa: SLF001 - the library has no name for it
        case Shape():
            yield _text(shape)
        case _:
            pass


def _is_repeated(shape: BaseShape) -> bool:
    """Return True for what stands on every slide: date, footer, number."""
    from pptx.enum.shapes import PP_PLACEHOLDER

    repeated = {PP_PLACEHOLDER.DATE, PP_PLACEHOLDER.FOOTER, PP_PLACEHOLDER.HEADER, PP_PLACEHOLDER.SLIDE_NUMBER}
    return shape.is_placeholder and shape.placeholder_format.type in repeated


def _text(shape: Shape) -> str:
    """Return the paragraphs of a shape, a list if it is a body of more than one."""
    lines = [(paragraph.level, _clean(paragraph.text)) for paragraph in shape.text_frame.paragraphs]
    lines = [(level, line) for level, line in lines if line]
    if len(lines) > 1 and shape.is_placeholder:
        return "\n".join(f"{'  ' * level}- {one_line(line)}" for level, line in lines)
    return "\n".join(line for _, line in lines)


def _chart(chart: Chart) -> str:
    """Return the titles and the figures of a chart; the titles alone for a kind whose figures cannot be read."""
    title = with_unit(_title_of(chart, "chart_title"), _title_of(_axis(chart, "value_axis"), "axis_title"))
    try:
        categories = [str(category) for category in chart.plots[0].categories]
        series = list(chart.plots[0].series)
    except (ValueError, IndexError, KeyError, AttributeError):
        return title
    values = [list(line.values) for line in series]
    rows = [[_title_of(_axis(chart, "category_axis"), "axis_title"), *(line.name or "" for line in series)]]
    for number, category in enumerate(categories):
        rows.append([category, *(_figure(line[number]) if number < len(line) else "" for line in values)])
    return "\n\n".join(filter(None, (title, markdown_table(rows) if categories else "")))


def _figure(value: float | None) -> str:
    return "" if value is None else str(int(value) if float(value).is_integer() else value)


def _axis(chart: Chart, name: Literal["category_axis", "value_axis"]) -> object:
    """Return an axis; None if the chart has none, a pie for example."""
    try:
        return getattr(chart, name)
    except ValueError:
        return None


def _title_of(part: object, name: Literal["chart_title", "axis_title"]) -> str:
    if not getattr(part, "has_title", False):
        return ""
    title = getattr(part, name)
    return one_line(title.text_frame.text) if title.has_text_frame else ""


def _clean(text: str) -> str:
    return universal_newlines(text.replace("\v", "\n")).strip()
