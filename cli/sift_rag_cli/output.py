"""The two streams: data on stdout, remarks on stderr, control characters on neither.

Text from documents, file names, models and stores may hold escape sequences. It passes through :func:`printable` or
:func:`one_line` before it is shown, and is never read as markup.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Literal, TextIO

import typer

from sift_rag.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from sift_rag.types import Document

# C0 but tab and newline, DEL, C1; the bidirectional embeddings, overrides and isolates, with which a text can be made
# to show in another order than it is stored; surrogates, which no stream can encode.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_NARROWEST_PATH = 12
_BREAKS = str.maketrans({"\n": "\\n", "\t": "\\t"})


def printable(text: str) -> str:
    """Return the text with terminal control characters escaped in hexadecimal; newlines and tabs stay."""
    return _UNSAFE.sub(_written_out, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """Return the text as :func:`printable` does, with newlines and tabs escaped as well: for names and cells."""
    return printable(text).translate(_BREAKS)


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def write(text: str = "", *, end: str = "\n") -> None:
    """Write data to stdout, unchanged."""
    typer.echo(text + end, nl=False)


def say(text: str) -> None:
    """Write a remark to stderr."""
    typer.echo(text, err=True)


def say_wrapped(text: str) -> None:
    """Write a remark to stderr, at a terminal wrapped between words; a longer word, such as a path, stays whole."""
    if is_terminal(sys.stderr):
        text = fill(text, console(stderr=True).width, break_on_hyphens=False, break_long_words=False)
    say(text)


def write_json(value: Mapping[str, object], *, indent: int | None = 2) -> None:
    """Write a JSON object to stdout: exact, with terminal control characters escaped; on one line if not indented."""
    readable = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    text = json.dumps(value, ensure_ascii=not readable, allow_nan=False, indent=indent)
    write(_UNSAFE.sub(lambda match: match[0] if match[0] < " " else f"\\u{ord(match[0]):04x}", text))


def check_writable(*files: Path | None) -> None:
    """Raise ``ConfigurationError`` if a file cannot be written, before any work is done."""
    for file in files:
        if file is None:
            continue
        if file.is_dir():
            raise ConfigurationError(f"{str(file)!r} is a folder: name a file to write.")
        if not file.parent.is_dir():
            raise ConfigurationError(f"There is no folder {str(file.parent)!r} to write {file.name} to.")
        if not os.access(file if file.exists() else file.parent, os.W_OK):
            raise ConfigurationError(f"{str(file)!r} cannot be written: permission denied.")


def write_page(path: Path, page: str) -> None:
    """Write a report or a page to share.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"The page cannot be written to {str(path)!r}: {error.strerror}.") from error


def is_terminal(stream: TextIO) -> bool:
    """Return True if the stream is a terminal."""
    return stream.isatty()


def console(*, stderr: bool = False) -> Console:
    """Return a rich console on the current stream that takes text literally."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, highlight=False, emoji=False)


def show(*renderables: RenderableType) -> None:
    """Write styled data to a terminal."""
    to = console()
    for renderable in renderables:
        to.print(renderable)


def write_wrapped(text: str, indent: str = "") -> None:
    """Write data to stdout: at a terminal wrapped between words, further lines indented; in a pipe as it is."""
    if is_terminal(sys.stdout):
        text = fill(text, console().width, subsequent_indent=indent, break_on_hyphens=False)
    write(text)


def write_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, numeric: Sequence[str] = (), path: str = ""
) -> None:
    """Write rows of cells: aligned under a header at a terminal, tab-separated and without a header in a pipe.

    Cells are made safe here, and none is shortened. Columns named in ``numeric`` are aligned on the right. Where a row
    is too wide, the cells of the column ``path`` are broken after a slash, if that is enough.
    """
    if not is_terminal(sys.stdout):
        for row in rows:
            write("\t".join(one_line(cell) for cell in row))
        return
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    cells = [[one_line(cell) for cell in row] for row in rows]
    others = [column for column, name in enumerate(header) if name != path]
    taken = sum(max(cell_len(row[column]) for row in (header, *cells)) + 2 for column in others)
    room = console().width - taken
    fits = bool(path) and room >= _NARROWEST_PATH
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in header:
        justify: Literal["left", "right"] = "right" if name in numeric else "left"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=fits and name != path)
    for row in cells:
        broken = [
            broken_path(cell, room) if fits and name == path else cell for name, cell in zip(header, row, strict=True)
        ]
        table.add_row(*map(Text, broken))
    show(table)


def broken_path(path: str, width: int) -> str:
    """Return a path with line breaks after slashes, so that no line is wider; a longer part has a line of its own."""
    from rich.cells import cell_len

    lines = [""]
    for part in re.findall(r"[^/]*/|[^/]+", path):
        if lines[-1] and cell_len(lines[-1] + part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def bar(fraction: float, width: int) -> str:
    """Return a bar of ``width`` cells filled to ``fraction``, in eighths of a cell."""
    eighths = round(min(max(fraction, 0.0), 1.0) * width * 8) if math.isfinite(fraction) else 0
    full, rest = divmod(eighths, 8)
    return ("█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")).ljust(width, "·")


def human_size(size: int) -> str:
    """Return a number of bytes in human-readable units."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def local_time(moment: str) -> str:
    """Return an ISO 8601 time as local time, to the minute; an empty string if there is none."""
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M") if moment else ""


def count_of(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun: ``1 passage``, ``1,204 passages``; by default the plural ends in s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def document_json(document: Document) -> dict[str, object]:
    """Return the record of a file as JSON."""
    return {
        "source": document.source,
        "state": document.state,
        "passages": document.passages,
        "bytes": document.size,
        "title": document.title,
        "location": document.location,
        "ingested_at": document.ingested_at or None,
        "reason": document.reason or None,
        "notices": list(document.notices),
        "pages_without_text": document.pages_without_text,
        "language": document.language or None,
    }
