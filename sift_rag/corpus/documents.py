"""Read a file as text: recognise its format and divide it into sections."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

from sift_rag import defaults
from sift_rag.corpus.decoding import decode, one_line, valid_name
from sift_rag.corpus.formats import CONTAINERS, SYNTAXES, UNSUPPORTED, Container, Syntax
from sift_rag.corpus.front_matter import front_matter
from sift_rag.corpus.headings import find_headings
from sift_rag.corpus.sections import SECTION_BREAK, Section
from sift_rag.corpus.tabular import Rows
from sift_rag.errors import SkippedDocument, UnreadableDocument
from sift_rag.types import JsonValue


@dataclass(frozen=True, slots=True)
class FileState:
    """The file system's view of a file. If two states are equal, the file was not written in between."""

    size: int
    modified_ns: int
    changed_ns: int


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """A document as text."""

    content_hash: str
    """BLAKE2b of its bytes, 64 hexadecimal digits."""
    state: FileState
    title: str
    """Stated title, else the first heading of level 1, else the file's name without its suffix."""
    syntax: Syntax
    sections: Iterable[Section]
    """One section or more, each with text; can be iterated again. Rows of JSON lines and CSV are read as they are
    iterated over, and raise ``UnreadableDocument`` if they cannot be."""


def stat_file(path: Path) -> FileState:
    """Return the state of a file, links followed.

    Raises:
        UnreadableDocument: the file does not exist, or access is denied.
    """
    try:
        return _state(path.stat())
    except OSError as error:
        raise _unreadable(error) from error


def read_document(path: Path, *, max_bytes: int = defaults.MAX_BYTES, text_field: str | None = None) -> SourceDocument:
    """Read a file as text, with the state and the hash that belong to that text.

    Memory: the file's bytes and their text, so at most a few times ``max_bytes``.

    Args:
        path: a regular file, or a link to one.
        max_bytes: larger files are not opened.
        text_field: field of JSON lines, or column of CSV, that holds the text; None: found by ``tabular.TEXT_FIELDS``.

    Raises:
        MissingExtra: the package that reads this format is not installed.
        SkippedDocument: the file is empty, binary, too large, of a format that is not read, or not a regular file.
        UnreadableDocument: the file should be readable and is not; the message says why.
    """
    suffix = path.suffix.lower()
    data, state = _read_unchanged(path, max_bytes, opened=suffix not in UNSUPPORTED)
    if not data.strip():
        raise SkippedDocument("empty")
    container: Container | None = CONTAINERS.get(suffix) or ("pdf" if data.startswith(b"%PDF-") else None)
    title, syntax, sections = _take_apart(data, container, SYNTAXES.get(suffix, "plain"), text_field)
    if next(iter(sections), None) is None:
        raise SkippedDocument("it holds no text (is it a scan?)" if container == "pdf" else "empty")
    return SourceDocument(
        content_hash=blake2b(data, digest_size=32).hexdigest(),
        state=state,
        title=_shortened(title or _first_heading(sections, syntax) or one_line(valid_name(path.stem))),
        syntax=syntax,
        sections=sections,
    )


def _read_unchanged(path: Path, max_bytes: int, *, opened: bool) -> tuple[bytes, FileState]:
    """Return the bytes of a file, and the state that it had before and after they were read."""
    try:
        state = path.stat()
        if not stat.S_ISREG(state.st_mode):  # checked before opening: opening a pipe or a device has effects
            raise SkippedDocument(f"{_kind(state.st_mode)}, not a file")
        if not opened:
            raise SkippedDocument(f"unsupported format ({path.suffix.lower()})")
        for _ in range(2):
            with open(path, "rb", opener=_open_at_once) as file:
                before = os.fstat(file.fileno())
                if before.st_size > max_bytes:
                    raise SkippedDocument(f"larger than {_megabytes(max_bytes)}: {_megabytes(before.st_size)}")
                data = file.read(before.st_size + 1)
                after = os.fstat(file.fileno())
            if _state(before) == _state(after) and len(data) == before.st_size:
                return data, _state(after)
    except OSError as error:
        raise _unreadable(error) from error
    raise UnreadableDocument("changed while it was being read; ingest again")


def _open_at_once(path: str, flags: int) -> int:
    """Open without blocking, in case the file has become a pipe since it was checked."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _state(status: os.stat_result) -> FileState:
    return FileState(size=status.st_size, modified_ns=status.st_mtime_ns, changed_ns=status.st_ctime_ns)


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    if stat.S_ISFIFO(mode):
        return "a named pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def _unreadable(error: OSError) -> UnreadableDocument:
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return UnreadableDocument("no such file: it disappeared, or a link leads nowhere")
    if error.errno in {errno.EACCES, errno.EPERM}:
        return UnreadableDocument("permission denied")
    return UnreadableDocument(f"cannot be read: {error.strerror or error}")


def _megabytes(size: int) -> str:
    return f"{size / (1 << 20):.3g} MB"


def _take_apart(
    data: bytes, container: Container | None, syntax: Syntax, text_field: str | None
) -> tuple[str, Syntax, Iterable[Section]]:
    """Return the stated title, the syntax of the text, and its sections. Converters are imported when needed."""
    match container:
        case None:
            text = decode(data)
            if syntax == "plain" and find_headings(text[: 1 << 16], "rst"):
                syntax = "rst"  # plain text has always had underlined titles
            title, sections = _plain(text, syntax)
            return title, syntax, sections
        case "jsonl" | "csv":
            return "", "plain", Rows(decode(data), container, text_field)
        case "pdf":
            from sift_rag.corpus.pdf import read_pdf

            title, pages = read_pdf(data)
            return title, "plain", _with_starts(pages)
        case _:
            from sift_rag.corpus.conversion import convert

            title, sections = convert(data, container)
            return title, "markdown", _with_starts(sections)


def _with_starts(sections: Iterable[Section]) -> list[Section]:
    """Set each section's start in the document's text."""
    placed: list[Section] = []
    start = 0
    for section in sections:
        placed.append(replace(section, start=start))
        start += len(section.text) + len(SECTION_BREAK)
    return placed


_LATEX_TITLE = re.compile(
    r"^[^%\n]*\\title\s{0,9}(?:\[[^\]]{0,200}\])?\s{0,9}\{((?:[^{}]|\{[^{}]{0,200}\}){0,500})\}", re.MULTILINE
)


def _plain(text: str, syntax: Syntax) -> tuple[str, list[Section]]:
    """Return the stated title and the one section of a text file; Markdown's front matter becomes its metadata."""
    title, line = "", 1
    metadata: Mapping[str, JsonValue] = {}
    if syntax == "markdown" and (front := front_matter(text)):
        title, metadata = front.title, front.metadata
        text, line = text[len(front.text) :], 1 + front.text.count("\n")
    elif syntax == "latex" and (stated := _LATEX_TITLE.search(text)):
        title = one_line(stated[1])
    return title, [Section(text, line=line, metadata=metadata)] if text.strip() else []


def _first_heading(sections: Iterable[Section], syntax: Syntax) -> str:
    """Return the first heading of level 1 near the beginning, for syntaxes whose headings serve as titles."""
    if syntax not in {"markdown", "rst"}:
        return ""
    beginning = next(iter(sections)).text[: 1 << 16]
    return next((heading.title for heading in find_headings(beginning, syntax) if heading.level == 1), "")


def _shortened(title: str) -> str:
    return title if len(title) <= 200 else f"{title[:199]}…"  # it goes before every passage
