"""Extract the text of a file's bytes: a reader for each format. To add a file type, add it to ``formats.py`` first.

A reader imports its library when it is called. None reads anything but the bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from sift_rag.corpus.cleaning import CleanSections, clean_markdown
from sift_rag.corpus.decoding import Decoded, decode, one_line
from sift_rag.corpus.formats import CONTAINERS, SYNTAXES, Container, Syntax
from sift_rag.corpus.front_matter import front_matter
from sift_rag.corpus.headings import find_headings
from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.sections import Extracted, Section
from sift_rag.corpus.tabular import Rows, json_records
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
    found = _read(data, suffix, options)
    return replace(found, sections=CleanSections(found.sections))


def _read(data: bytes, suffix: str, options: IngestOptions) -> Extracted:
    match container_of(data, suffix):
        case None:
            return _text_file(decode(data, options.encoding), suffix)
        case "jsonl" | "csv" as form:
            decoded = decode(data, options.encoding)
            rows = Rows(decoded.text, form, options.text_field, options.header)
            return Extracted(rows, notices=(*decoded.notices, *rows.notices))
        case "json":
            decoded = decode(data, options.encoding)
            records = json_records(decoded.text, options.text_field)
            return _text_file(decoded, suffix) if records is None else Extracted(records, notices=decoded.notices)
        case "pdf":
            from sift_rag.corpus.pdf import read_pdf

            return read_pdf(data, options)
        case form:
            from sift_rag.corpus.conversion import convert

            return convert(data, form, options.encoding)


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
    elif syntax == "latex" and (stated := _LATEX_TITLE.search(text)):
        title = one_line(stated[1])
    sections = [Section(text, line=line, metadata=metadata)] if text.strip() else []
    return Extracted(sections, syntax, title, decoded.notices)
