"""Read Rich Text Format. The only module that knows striprtf."""

from __future__ import annotations

import re
from itertools import groupby

from sift_rag.corpus.archives import reason
from sift_rag.corpus.decoding import one_line, universal_newlines, without_surrogates
from sift_rag.corpus.markup import markdown_table
from sift_rag.corpus.sections import Extracted, Section
from sift_rag.errors import UnreadableDocument
from sift_rag.extras import require

_TITLE = re.compile(r"\{\\info[^{}]{0,200}(?:\{[^{}]{0,1000}\}[^{}]{0,200}){0,20}?\{\\title ([^{}]{1,1000})\}")


def read_rich_text(data: bytes) -> Extracted:
    """Return the text as one section, its tables as Markdown with the first row as header.

    Raises:
        MissingExtra: ``striprtf`` is not installed.
        UnreadableDocument: the file is broken.
    """
    require("striprtf", "office")
    source = data.decode("latin-1")
    if not source.lstrip().startswith("{\\rtf"):
        raise UnreadableDocument("broken RTF: it does not begin as one")
    try:
        text = _plain(source)
        stated = _TITLE.search(source)
        title = one_line(_plain(f"{{\\rtf1\\ansi {stated[1]}}}")) if stated else ""
    except (ValueError, IndexError, KeyError, OverflowError, LookupError, RecursionError, TypeError) as error:
        raise UnreadableDocument(f"broken RTF: {reason(error)}") from error
    markdown = "\n\n".join(_blocks(text))
    return Extracted([Section(markdown)] if markdown else [], "markdown", title)


def _plain(source: str) -> str:
    from striprtf.striprtf import rtf_to_text

    return _readable(str(rtf_to_text(source, encoding="cp1252", errors="replace")))  # type: ignore[no-untyped-call]


def _readable(text: str) -> str:
    """Return the text with pairs of surrogates joined, as RTF writes what is beyond 16 bits."""
    joined = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return universal_newlines(without_surrogates(joined)).replace("\0", "").replace("\xad", "")


def _blocks(text: str) -> list[str]:
    """Return paragraphs and tables. In the text that striprtf gives, a bar stands after every cell of a table."""
    blocks: list[str] = []
    lines = [line.strip() for line in text.split("\n")]
    for is_table, group in groupby(lines, key=lambda line: line.endswith("|") and line.count("|") > 1):
        rows = list(group)
        blocks += (
            [markdown_table([row.removesuffix("|").split("|") for row in rows])] if is_table else filter(None, rows)
        )
    return blocks
