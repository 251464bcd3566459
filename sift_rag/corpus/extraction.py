"""Extract the text of a file's bytes: a reader for each format. To add a file type, add it to ``formats.py`` first.

A reader imports its library when it is called. None reads anything but the bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

from sift_rag.corpus.cleaning import CleanSections, clean_latex, clean_markdown, clean_rst
from sift_rag.corpus.decoding import Decoded, decode, decode_html, one_line
from sift_rag.corpus.epub import read_epub
from sift_rag.corpus.formats import CONTAINERS, SYNTAXES, Container, Syntax
from sift_rag.corpus.front_matter import front_matter
from sift_rag.corpus.headings import find_headings
from sift_rag.corpus.html_page import read_html
from sift_rag.corpus.json_lines import JsonLines, array_of_objects
from sift_rag.corpus.mail import Extract, read_mailbox, read_message
from sift_rag.corpus.notebook import read_notebook
from sift_rag.corpus.open_document import read_open_slides, read_open_text
from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.pdf import read_pdf
from sift_rag.corpus.records import RecordSections
from sift_rag.corpus.rich_text import read_rich_text
from sift_rag.corpus.sections import Extracted, Section
from sift_rag.corpus.slides import read_slides
from sift_rag.corpus.spreadsheet import read_spreadsheet
from sift_rag.corpus.subtitles import read_subtitles
from sift_rag.corpus.tabular import read_csv
from sift_rag.corpus.word import read_word
from sift_rag.types import JsonValue


def extract(data: bytes, suffix: str, options: IngestOptions) -> Extracted:
    """Return the text of a file.

    Args:
        data: its bytes, at least one of which is not white space.
        suffix: suffix of its name, in lower case, which decides the format: ``.md``.
        options: how to read it.

    Raises:
        MissingExtra: the package that reads this format is not installed.
        SkippedDocument: the bytes are not text.
        UnreadableDocument: the file should be readable and is not; the message says why.
    """
    container = container_of(data, suffix)
    if container is None:
        found = _text_file(decode(data, options.encoding), suffix)
    else:
        found = _READERS[container](data, options)
    return replace(found, sections=CleanSections(found.sections))


def container_of(data: bytes, suffix: str) -> Container | None:
    """Return the format that the text must be extracted from; None for a text file."""
    return CONTAINERS.get(suffix) or ("pdf" if data.startswith(b"%PDF-") else None)


_LATEX_TITLE = re.compile(
    r"^[^%\n]*\\title\s{0,9}(?:\[[^\]]{0,200}\])?\s{0,9}\{((?:[^{}]|\{[^{}]{0,200}\}){0,500})\}", re.MULTILINE
)


def _text_file(decoded: Decoded, suffix: str) -> Extracted:
    """Return the one section of a text file; Markdown's front matter becomes its metadata."""
    text = decoded.text
    syntax: Syntax = SYNTAXES.get(suffix, "plain")
    if syntax == "plain" and find_headings(text[: 1 << 16], "rst"):
        syntax = "rst"  # plain text has always had underlined titles
    title, line = "", 1
    metadata: Mapping[str, JsonValue] = {}
    if syntax == "markdown":
        if front := front_matter(text):
            title, metadata = front.title, front.metadata
            text, line = text[len(front.text) :], 1 + front.text.count("\n")
        text = clean_markdown(text, is_mdx=suffix == ".mdx")
    elif syntax == "latex":
        stated = _LATEX_TITLE.search(text)
        title = one_line(stated[1]) if stated else ""
        text = clean_latex(text)
    elif suffix in {".rst", ".rest"}:
        text = clean_rst(text)
    sections = [Section(text, line=line, metadata=metadata)] if text.strip() else []
    return Extracted(sections, syntax, title, decoded.notices)


def _told(found: Extracted, decoded: Decoded) -> Extracted:
    """Add what is to be told of how the text was decoded."""
    return replace(found, notices=(*decoded.notices, *found.notices))


def _json(data: bytes, options: IngestOptions) -> Extracted:
    """Return the records of an array of objects; other JSON is a text."""
    decoded = decode(data, options.encoding)
    array = array_of_objects(decoded.text)
    return _told(Extracted(RecordSections(array, options.text_field)), decoded) if array else _text_file(decoded, "")


def _json_lines(data: bytes, options: IngestOptions) -> Extracted:
    decoded = decode(data, options.encoding)
    return _told(Extracted(RecordSections(JsonLines(decoded.text), options.text_field)), decoded)


def _csv(data: bytes, options: IngestOptions, *, prefers_tabs: bool = False) -> Extracted:
    decoded = decode(data, options.encoding)
    return _told(read_csv(decoded.text, options, prefers_tabs=prefers_tabs), decoded)


def _html(data: bytes, options: IngestOptions) -> Extracted:
    decoded = decode_html(data, options.encoding)
    return _told(read_html(decoded.text), decoded)


def _subtitles(data: bytes, options: IngestOptions, form: Literal["srt", "vtt"]) -> Extracted:
    decoded = decode(data, options.encoding)
    return _told(read_subtitles(decoded.text, form), decoded)


def _attachments(options: IngestOptions) -> Extract:
    """Return the function that reads an attachment of a message."""
    return lambda data, suffix: extract(data, suffix, options)


_READERS: dict[Container, Callable[[bytes, IngestOptions], Extracted]] = {
    "csv": _csv,
    "docx": lambda data, _: read_word(data),
    "eml": lambda data, options: read_message(data, _attachments(options)),
    "epub": lambda data, _: read_epub(data),
    "html": _html,
    "ipynb": lambda data, _: read_notebook(data),
    "json": _json,
    "jsonl": _json_lines,
    "mbox": lambda data, options: read_mailbox(data, _attachments(options)),
    "odp": lambda data, _: read_open_slides(data),
    "odt": lambda data, _: read_open_text(data),
    "pdf": read_pdf,
    "pptx": lambda data, _: read_slides(data),
    "rtf": lambda data, _: read_rich_text(data),
    "spreadsheet": read_spreadsheet,
    "srt": lambda data, options: _subtitles(data, options, "srt"),
    "tsv": lambda data, options: _csv(data, options, prefers_tabs=True),
    "vtt": lambda data, options: _subtitles(data, options, "vtt"),
}
