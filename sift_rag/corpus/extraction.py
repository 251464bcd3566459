"""Extract the text of a file's bytes: a reader for each format. To add a file type, add it to ``formats.py`` first.

A reader imports its library when it is called. None reads anything but the bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from sift_rag.corpus.decoding import decode, decode_html, one_line
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
        return _text_file(decode(data), SYNTAXES.get(suffix, "plain"))
    return _READERS[container](data, options)


def container_of(data: bytes, suffix: str) -> Container | None:
    """Return the format that the text must be extracted from; None for a text file."""
    return CONTAINERS.get(suffix) or ("pdf" if data.startswith(b"%PDF-") else None)


_LATEX_TITLE = re.compile(
    r"^[^%\n]*\\title\s{0,9}(?:\[[^\]]{0,200}\])?\s{0,9}\{((?:[^{}]|\{[^{}]{0,200}\}){0,500})\}", re.MULTILINE
)


def _text_file(text: str, syntax: Syntax) -> Extracted:
    """Return the one section of a text file; Markdown's front matter becomes its metadata."""
    if syntax == "plain" and find_headings(text[: 1 << 16], "rst"):
        syntax = "rst"  # plain text has always had underlined titles
    title, line = "", 1
    metadata: Mapping[str, JsonValue] = {}
    if syntax == "markdown" and (front := front_matter(text)):
        title, metadata = front.title, front.metadata
        text, line = text[len(front.text) :], 1 + front.text.count("\n")
    elif syntax == "latex" and (stated := _LATEX_TITLE.search(text)):
        title = one_line(stated[1])
    return Extracted([Section(text, line=line, metadata=metadata)] if text.strip() else [], syntax, title)


def _json(data: bytes, options: IngestOptions) -> Extracted:
    """Return the records of an array of objects; other JSON is a text."""
    text = decode(data)
    array = array_of_objects(text)
    return Extracted(RecordSections(array, options.text_field)) if array else _text_file(text, "plain")


def _json_lines(data: bytes, options: IngestOptions) -> Extracted:
    return Extracted(RecordSections(JsonLines(decode(data)), options.text_field))


def _attachments(options: IngestOptions) -> Extract:
    """Return the function that reads an attachment of a message."""
    return lambda data, suffix: extract(data, suffix, options)


_READERS: dict[Container, Callable[[bytes, IngestOptions], Extracted]] = {
    "csv": lambda data, options: read_csv(decode(data), options),
    "docx": lambda data, _: read_word(data),
    "eml": lambda data, options: read_message(data, _attachments(options)),
    "epub": lambda data, _: read_epub(data),
    "html": lambda data, _: read_html(decode_html(data)),
    "ipynb": lambda data, _: read_notebook(data),
    "json": _json,
    "jsonl": _json_lines,
    "mbox": lambda data, options: read_mailbox(data, _attachments(options)),
    "odp": lambda data, _: read_open_slides(data),
    "odt": lambda data, _: read_open_text(data),
    "pdf": lambda data, _: read_pdf(data),
    "pptx": lambda data, _: read_slides(data),
    "rtf": lambda data, _: read_rich_text(data),
    "spreadsheet": read_spreadsheet,
    "srt": lambda data, _: read_subtitles(decode(data), "srt"),
    "tsv": lambda data, options: read_csv(decode(data), options, prefers_tabs=True),
    "vtt": lambda data, _: read_subtitles(decode(data), "vtt"),
}
