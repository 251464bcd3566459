"""Slides of PowerPoint and Open Document are read from the top, without what every slide repeats."""

from __future__ import annotations

import io

import pytest

from sift_rag.corpus.open_document import read_open_slides
from sift_rag.corpus.slides import read_slides


def _saved(presentation: object) -> bytes:
    buffer = io.BytesIO()
    presentation.save(buffer)  # type: ignore[attr-defined]
    return buffer.getvalue()


def test_a_slide_gives_its_title_lists_tables_charts_and_notes() -> None:
    pptx = pytest.importorskip("pptx", reason="python-pptx makes the slides that are read here")
    from pptx.chart.data import CategoryChartData
    from pptx.enum.chart import XL_CHART_TYPE

    presentation = pptx.Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[1])
    slide.shapes.title.text = "Opening\vhours"
    body = slide.placeholders[1].text_frame
    body.text = "On weekdays"
    inner = body.add_paragraph()
    inner.text, inner.level = "from seven", 1
    table = slide.shapes.add_table(2, 2, 0, 5_000_000, 1_000_000, 1_000_000).table
    for number, text in enumerate(["day", "open | close", "Mon", ""]):
        table.cell(number // 2, number % 2).text = text
    data = CategoryChartData()
    data.categories = ["May", "June"]
    data.add_series("Visitors", (120, 340.5))
    chart = slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, 0, 6_000_000, 1_000_000, 1_000_000, data).chart
    for titled, title in ((chart.category_axis, "month"), (chart.value_axis, "thousands")):
        titled.axis_title.text_frame.text = title
    chart.chart_title.text_frame.text = "At the pool"
    box = slide.shapes.add_textbox(0, 7_000_000, 1_000_000, 1_000_000)
    box.text_frame.text = "A box at the bottom"
    group = slide.shapes.add_group_shape()
    group.top = 8_000_000
    group.shapes.add_textbox(0, 8_000_000, 1, 1).text_frame.text = "In a group"
    slide.notes_slide.notes_text_frame.text = "Say it slowly."
    presentation.slides.add_slide(presentation.slide_layouts[6])

    [section] = read_slides(_saved(presentation)).sections
    assert section.page == 1
    assert section.text.split("\n\n") == [
        "# Opening hours",
        "- On weekdays\n  - from seven",
        "| day | open \\| close |\n| --- | --- |\n| Mon |  |",
        "At the pool (thousands)",
        "| month | Visitors |\n| --- | --- |\n| May | 120 |\n| June | 340.5 |",
        "A box at the bottom",
        "In a group",
        "Notes:",
        "Say it slowly.",
    ]


def test_a_chart_of_points_gives_no_table_without_rows() -> None:
    pptx = pytest.importorskip("pptx", reason="python-pptx makes the slides that are read here")
    from pptx.chart.data import XyChartData
    from pptx.enum.chart import XL_CHART_TYPE

    presentation = pptx.Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[5])
    slide.shapes.title.text = "Runs"
    data = XyChartData()
    data.add_series("Run").add_data_point(1, 2)
    slide.shapes.add_chart(XL_CHART_TYPE.XY_SCATTER, 0, 0, 1_000_000, 1_000_000, data)

    [section] = read_slides(_saved(presentation)).sections
    assert section.text == "# Runs"


def test_of_a_picture_the_description_is_read_and_its_name_is_not() -> None:
    pptx = pytest.importorskip("pptx", reason="python-pptx makes the slides that are read here")
    pixel = bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001"
        "a5f645400000000049454e44ae426082"
    )
    presentation = pptx.Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[5])
    slide.shapes.title.text = "Chart"
    for description in ("Visitors by month", ""):
        picture = slide.shapes.add_picture(io.BytesIO(pixel), 0, 0)
        picture._element._nvXxPr.cNvPr.set("descr", description)

    [section] = read_slides(_saved(presentation)).sections
    assert section.text == "# Chart\n\nVisitors by month"


def test_open_document_slides_are_read_alike() -> None:
    odfdo = pytest.importorskip("odfdo", reason="odfdo makes the slides that are read here")
    document = odfdo.Document("presentation")
    document.body.clear()
    for number in (1, 2):
        page = odfdo.DrawPage(f"p{number}", name=f"Slide {number}")
        for kind, content in (
            ("outline", "<text:list><text:list-item><text:p>One</text:p></text:list-item></text:list>"),
            ("title", f"<text:p>Title {number}</text:p>"),
            ("footer", "<text:p>ACME</text:p>"),
        ):
            frame = f'<draw:frame presentation:class="{kind}"><draw:text-box>{content}</draw:text-box></draw:frame>'
            page.append(odfdo.Element.from_tag(frame))
        notes = "<draw:frame><draw:text-box><text:p>Say it slowly.</text:p></draw:text-box></draw:frame>"
        page.append(odfdo.Element.from_tag(f"<presentation:notes>{notes}</presentation:notes>"))
        document.body.append(page)

    sections = list(read_open_slides(_saved(document)).sections)
    assert [(section.page, section.text) for section in sections] == [
        (1, "# Title 1\n\n- One\n\nNotes:\n\nSay it slowly."),
        (2, "# Title 2\n\n- One\n\nNotes:\n\nSay it slowly."),
    ]


def test_the_name_of_a_column_goes_before_the_column() -> None:
    pptx = pytest.importorskip("pptx", reason="python-pptx makes the slides that are read here")
    presentation = pptx.Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[4])
    slide.shapes.title.text = "Who helps"
    for number, text in zip((1, 3, 2, 4), ("IT desk", "HR", "Passwords\nPrinters", "Contracts\nHolidays"), strict=True):
        slide.placeholders[number].text = text

    [section] = read_slides(_saved(presentation)).sections
    assert section.text.split("\n\n")[1:] == ["IT desk", "- Passwords\n- Printers", "HR", "- Contracts\n- Holidays"]
