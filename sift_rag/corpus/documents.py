"""Read a file as text, with the state and the hash that belong to it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from sift_rag.corpus.decoding import one_line, valid_name
from sift_rag.corpus.extraction import container_of, extract
from sift_rag.corpus.formats import CONTAINERS, STREAMED, UNSUPPORTED, Syntax
from sift_rag.corpus.headings import find_headings
from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.sections import Extracted, Section
from sift_rag.errors import SkippedDocument, UnreadableDocument
from sift_rag.types import Embedding, Passage


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
    notices: tuple[str, ...] = ()
    """Notices on how it was read, a clause each."""
    pages_without_text: int = 0
    passages: Sequence[Passage] | None = None
    """Its passages, if it was split where it was read."""
    vector: Embedding | None = None
    """Vector of its only passage, if it came with one."""


def stat_file(path: Path) -> FileState:
    """Return the state of a file, links followed.

    Raises:
        UnreadableDocument: the file does not exist, or access is denied.
    """
    try:
        return _state(path.stat())
    except OSError as error:
        raise _unreadable(error) from error


def read_document(path: Path, options: IngestOptions | None = None) -> SourceDocument:
    """Read a file as text, with the state and the hash that belong to that text.

    Memory: the file's bytes and their text, so at most a few times ``options.max_bytes``.

    Args:
        path: a regular file, or a link to one.
        options: how to read it; by default as an ingest does without options.

    Raises:
        MissingExtra: the package that reads this format is not installed.
        SkippedDocument: the file is empty, binary, too large, of a format that is not read, or not a regular file.
        UnreadableDocument: the file should be readable and is not; the message says why.
    """
    options = options or IngestOptions()
    suffix = path.suffix.lower()
    data, state = _read_unchanged(path, options.max_bytes, opened=suffix not in UNSUPPORTED)
    if not data.strip():
        raise SkippedDocument("empty")
    found = extract(data, suffix, options)
    if next(iter(found.sections), None) is None:
        raise SkippedDocument("empty")
    return SourceDocument(
        content_hash=blake2b(data, digest_size=32).hexdigest(),
        state=state,
        title=_shortened(found.title or _first_heading(found) or one_line(valid_name(path.stem))),
        syntax=found.syntax,
        sections=found.sections,
        notices=found.notices,
        pages_without_text=found.pages_without_text,
    )


def is_converted(path: Path) -> bool:
    """Return True if a library has to convert the file, which is better done in a process of its own.

    Records that are read as they are used are not converted.
    """
    suffix = path.suffix.lower()
    if suffix in CONTAINERS or suffix in UNSUPPORTED:
        return CONTAINERS.get(suffix) not in {None, *STREAMED}
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with open(path, "rb", opener=open_at_once, buffering=0) as file:
            return container_of(file.read(8), suffix) is not None
    except OSError:
        return False  # reading it will say why


def open_at_once(path: str, flags: int) -> int:
    """Open without blocking, as an ``opener`` of ``open``: the file may have become a pipe since it was checked."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _read_unchanged(path: Path, max_bytes: int, *, opened: bool) -> tuple[bytes, FileState]:
    """Return the bytes of a file, and the state that it had before and after they were read."""
    try:
        state = path.stat()
        if not stat.S_ISREG(state.st_mode):  # checked before opening: opening a pipe or a device has effects
            raise SkippedDocument(f"{_kind(state.st_mode)}, not a file")
        if not opened:
            raise SkippedDocument(f"unsupported format ({path.suffix.lower()})")
        for _ in range(2):
            with open(path, "rb", opener=open_at_once) as file:
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


def _first_heading(found: Extracted) -> str:
    """Return the first heading of level 1 near the beginning, for syntaxes whose headings serve as titles."""
    if found.syntax not in {"markdown", "rst"}:
        return ""
    beginning = next(iter(found.sections)).text[: 1 << 16]
    return next((heading.title for heading in find_headings(beginning, found.syntax) if heading.level == 1), "")


def _shortened(title: str) -> str:
    return title if len(title) <= 200 else f"{title[:199]}…"  # it goes before every passage
