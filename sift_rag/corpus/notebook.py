"""Read Jupyter notebooks: cells with the text of their outputs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from sift_rag.corpus.archives import reason
from sift_rag.corpus.decoding import one_line, universal_newlines, without_surrogates
from sift_rag.corpus.markup import fenced
from sift_rag.corpus.sections import Extracted, Section
from sift_rag.errors import UnreadableDocument

_OUTPUT_LINES = 20
"""Lines of an output that are kept."""
_LINE_LENGTH = 300
_IMAGE = re.compile(r"!\[([^\]\n]{0,1000})\]\((?:data|attachment):[^)\n]*\)")
_HTML_IMAGE = re.compile(r"<img\s[^>]*?>", re.IGNORECASE)
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
"""Colours of terminals, which tracebacks are written with."""
_PROMPT = re.compile(r"^\s*%%(\w+)")
_MAGICS = {"bash": "bash", "sh": "bash", "html": "html", "javascript": "javascript", "js": "javascript", "sql": "sql",
           "latex": "latex", "markdown": "markdown", "R": "r", "perl": "perl", "ruby": "ruby"}  # fmt: skip


def read_notebook(data: bytes) -> Extracted:
    """Return the cells as one section of Markdown: code in fences with its language, then the text it has put out.

    Of an output its stream, plain text or error is kept, up to twenty lines; images and other data are not.

    Raises:
        UnreadableDocument: the file is no notebook.
    """
    try:
        notebook = json.loads(data.decode("utf-8-sig"))
        language = _language(notebook)
        pieces = [piece for cell in _cells(notebook) for piece in _cell(cell, language)]
        stated = _mapping(notebook.get("metadata")).get("title")
    except (ValueError, RecursionError, TypeError, AttributeError) as error:
        raise UnreadableDocument(f"conversion failed: {reason(error)}") from error
    text = universal_newlines(without_surrogates("\n\n".join(filter(None, pieces))))
    title = one_line(without_surrogates(stated)) if isinstance(stated, str) else ""
    return Extracted([Section(text)] if text.strip() else [], "markdown", title)


def _cells(notebook: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """Yield the cells; until 2015 they stood in worksheets."""
    if not isinstance(notebook.get("cells", notebook.get("worksheets")), list):
        raise ValueError("it has no cells")
    holders = [notebook, *_list(notebook.get("worksheets"))]
    for holder in holders:
        yield from map(_mapping, _list(_mapping(holder).get("cells")))


def _language(notebook: Mapping[str, object]) -> str:
    metadata = _mapping(notebook.get("metadata"))
    for holder, name in (("kernelspec", "language"), ("language_info", "name")):
        found = _mapping(metadata.get(holder)).get(name)
        if isinstance(found, str) and re.fullmatch(r"[\w+#.-]{1,20}", found):
            return found.lower()
    return "python"


def _cell(cell: Mapping[str, object], language: str) -> Iterator[str]:
    source = _text(cell.get("source", cell.get("input"))).strip("\n")
    match cell.get("cell_type"):
        case "markdown":
            yield _HTML_IMAGE.sub("", _IMAGE.sub(r"\1", source)).strip()
        case "heading":
            level = cell.get("level")
            yield f"{'#' * (level if isinstance(level, int) and 0 < level < 7 else 1)} {one_line(source)}"
        case "code":
            magic = _PROMPT.match(source)
            if source.strip():
                yield fenced(source, _MAGICS.get(magic[1], language) if magic else language)
            outputs = (_output(_mapping(output)) for output in _list(cell.get("outputs")))
            shown = "\n".join(filter(None, outputs))
            if shown.strip():
                yield fenced(_cut(shown), "text")
        case _:
            if source.strip():
                yield fenced(source, "")


def _output(output: Mapping[str, object]) -> str:
    """Return the text of an output, or ""."""
    if output.get("output_type") in {"error", "pyerr"}:
        return one_line(f"{_text(output.get('ename'))}: {_ESCAPE.sub('', _text(output.get('evalue')))}")[:1000]
    data = _mapping(output.get("data"))
    text = _text(output.get("text")) or _text(data.get("text/plain")) or _text(data.get("text/markdown"))
    kept = _ESCAPE.sub("", _overwritten(text)).strip("\n")
    is_name_of_object = re.fullmatch(r"<[\w.]+(?: [^<>\n]*)?>", kept) is not None  # <Figure size 640x480 with 1 Axes>
    return "" if is_name_of_object else kept


def _overwritten(text: str) -> str:
    """Return what a terminal shows of lines that a progress bar has written over."""
    text = text.replace("\r\n", "\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))


def _cut(output: str) -> str:
    lines = [line if len(line) <= _LINE_LENGTH else f"{line[:_LINE_LENGTH]}..." for line in output.split("\n")]
    more = len(lines) - _OUTPUT_LINES
    return "\n".join([*lines[:_OUTPUT_LINES], f"... ({more} more lines)"] if more > 1 else lines)


def _text(value: object) -> str:
    """Return a text that may be given in lines."""
    if isinstance(value, list):
        return "".join(line for line in value if isinstance(line, str))
    return value if isinstance(value, str) else ""


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else []
