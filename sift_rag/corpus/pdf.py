"""Extract the text of a PDF: paragraphs, headings, lists and tables as Markdown, a section or more for each page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from sift_rag.corpus import ocr
from sift_rag.corpus.more_time import ask_for
from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.pdf_contents import without_contents
from sift_rag.corpus.pdf_headings import Headings, headings_of, largest_line
from sift_rag.corpus.pdf_hyphens import Words
from sift_rag.corpus.pdf_layout import Block, Flow, evened, lay_out_pages
from sift_rag.corpus.pdf_pages import Page, Pages, Piece, Segment, read_pages
from sift_rag.corpus.pdf_paragraphs import Part, Writer
from sift_rag.corpus.pdf_running import without_running_rows, without_stamps
from sift_rag.corpus.sections import SECTION_BREAK, Extracted, Section, placed
from sift_rag.errors import SkippedDocument

if TYPE_CHECKING:
    from sift_rag.corpus.pdf_pages import Image

_JUNK_TITLE = re.compile(
    r"(?i)(?:microsoft (?:word|powerpoint|excel)\b.*|untitled\W*\d*|\(?(?:anonymous|unspecified)\)?|document\s?\d*|"
    r"print|slide\s?\d*|presentation\s?\d*|.*\.(?:docx?|pptx?|xlsx?|odt|rtf|tex|dvi|indd|qxd|pdf|html?|txt|md))"
)
"""Titles that a program made up."""


def read_pdf(data: bytes, options: IngestOptions | None = None) -> Extracted:
    """Return the text of a PDF as Markdown, page by page, and its title.

    A section ends with its page, and at a heading that ends one begun on an earlier page. Running headers and footers
    and tables of contents are left out. Pages without text are read by OCR, if it is installed and ``options.ocr`` says
    so.

    Raises:
        MissingExtra: ``pypdfium2`` is not installed.
        SkippedDocument: no page holds text.
        UnreadableDocument: the file or each of its pages is broken, or it needs a password.
    """
    options = options or IngestOptions()
    wants_ocr = options.ocr == "auto" and ocr.is_installed()
    found = read_pages(data, partial(_read_image, options) if wants_ocr else None)
    pages = [replace(page, segments=evened(page.segments)) if page.by_ocr else page for page in found.pages]
    numbers = [page.number for page in pages if page.is_scan]
    if len(pages) > 2:
        pages = without_contents(without_stamps(pages))
    blocks = lay_out_pages(without_running_rows(pages))
    lines = [(page.number, _lines(laid)) for page, laid in zip(pages, blocks, strict=True)]
    headings = headings_of(lines, found.outline)
    writer = Writer(headings, Words(line.text for _, page_lines in lines for line in page_lines))
    sections = placed(_sections(pages, blocks, writer))
    if not sections:
        raise SkippedDocument(_nothing(pages, options))
    return Extracted(
        sections,
        "markdown",
        title=_title(found, lines, headings),
        notices=tuple(_notices(pages, numbers)),
        pages_without_text=len(numbers),
    )


def _read_image(options: IngestOptions, image: Image) -> list[Piece]:
    """Read a page by OCR, in time of its own: a scan of many pages takes minutes."""
    ask_for(options.ocr_timeout)
    return ocr.read_image(image)


def _lines(blocks: Sequence[Block]) -> list[Segment]:
    return [line for block in blocks if isinstance(block, Flow) for line in block.lines]


def _sections(pages: Sequence[Page], blocks: Sequence[Sequence[Block]], writer: Writer) -> Iterator[Section]:
    """Yield the sections, each with the headings in force where it begins."""
    path: list[Part] = []
    for page, laid in zip(pages, blocks, strict=True):
        outer = tuple(path)
        parts: list[Part] = []
        for part in writer.parts(page, laid):
            if part.level:
                if _CHAPTER.fullmatch(" ".join(word for above in parts for word in above.text.split())):
                    parts = []
                path = [heading for heading in path if heading.level < part.level]
                if any(heading not in path for heading in outer):  # it ends a heading of an earlier page
                    yield from _section(page, parts, outer)
                    outer, parts = tuple(path), []
                path.append(part)
            parts.append(part)
        yield from _section(page, parts, outer)


_CHAPTER = re.compile(r"(?i)(?:chapter|part|appendix|kapitel|teil|anhang|chapitre|partie|cap[ií]tulo)\s+\w{1,9}\.?")
"""Word and number that stand above the title of a chapter, in a line of their own."""


def _section(page: Page, parts: Sequence[Part], outer: Sequence[Part]) -> Iterator[Section]:
    text = SECTION_BREAK.join(part.text for part in parts)
    if text.strip():
        yield Section(text, page=page.number, headings=tuple(heading.title for heading in outer))


def _title(found: Pages, lines: Sequence[tuple[int, Sequence[Segment]]], headings: Headings) -> str:
    """Return the stated title unless a program made it up, else the largest line of the first page."""
    if found.title and not _JUNK_TITLE.fullmatch(found.title):
        return found.title
    return largest_line(lines[0][1], headings.body) if lines else ""


# Messages


def _notices(pages: Sequence[Page], without_text: Sequence[int]) -> Iterator[str]:
    if without_text:
        one = len(without_text) == 1
        verb, guess = ("has", "a scan?") if one else ("have", "scans?")
        yield f"{_numbers(without_text)} of {len(pages)} {verb} no text ({guess})"
    by_ocr = [page.number for page in pages if page.by_ocr]
    if by_ocr:
        yield f"{_numbers(by_ocr)} {'was' if len(by_ocr) == 1 else 'were'} read by OCR"
    broken = [page.number for page in pages if page.is_broken]
    if broken:
        verbs = "is broken and was" if len(broken) == 1 else "are broken and were"
        yield f"{_numbers(broken)} of {len(pages)} {verbs} not read"


def _nothing(pages: Sequence[Page], options: IngestOptions) -> str:
    """Return why a document without text is skipped."""
    count = "its only page is" if len(pages) == 1 else f"none of its {len(pages)} pages has text: they are"
    if not any(page.is_scan for page in pages):
        return "it holds no text: its pages are empty"
    scans = f"it holds no text ({count} a scan?)" if len(pages) == 1 else f"it holds no text ({count} scans?)"
    if options.ocr == "off":
        return f"{scans}; OCR is off"
    if ocr.is_installed():
        return f"{scans}; OCR found none either"
    return f"{scans}; pip install 'sift-rag[ocr]' to read them"


def _numbers(numbers: Sequence[int]) -> str:
    """Return "page 2", or "pages 2-4 and 7"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    names = [f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"page{'s' if len(numbers) > 1 else ''} {listed}"
