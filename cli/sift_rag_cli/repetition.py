"""Print how much of a collection repeats: at a terminal shortened to its width, in a pipe nothing is cut."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING

from sift_rag_cli.hits import copy_lines, heading_path, locate
from sift_rag_cli.output import (
    console,
    count_of,
    is_terminal,
    one_line,
    printable,
    show,
    write,
    write_table,
    write_wrapped,
)

if TYPE_CHECKING:
    from sift_rag.repetition import CopyGroup, Duplicates, NearestPlaces

_LINES_SHOWN = 2
_INDENT = "   "


def first_line(found: Duplicates) -> str:
    """Return the number and the share of the passages that repeat an earlier one."""
    share = f"{found.share_repeated:.1%}"
    return f"{found.repeated:,} of {count_of(found.passages, 'passage')} ({share}) repeat an earlier one"


def write_duplicates(found: Duplicates, *, limit: int) -> None:
    """Write the totals, then at most ``limit`` groups and as many files, the largest first."""
    write(first_line(found))
    write(f"{count_of(found.distinct, 'distinct passage')}, {len(found.groups):,} of them in several places")
    if found.places.probes:
        write_wrapped(_places(found.places, found.passages), "  ")
    if found.groups:
        write(f"\nLargest groups of copies{_of(limit, len(found.groups))}")
        for group in found.groups[:limit]:
            _write_group(group)
    if found.documents:
        write(f"Files whose passages also stand in other files{_of(limit, len(found.documents))}")
        write_table(
            ("elsewhere", "passages", "source"),
            [(f"{one.elsewhere:,}", f"{one.passages:,}", one.source) for one in found.documents[:limit]],
            numeric=("elsewhere", "passages"),
            path="source",
        )


def _places(places: NearestPlaces, passages: int) -> str:
    """Return the places lost to copies, and what was asked: no question of the user's, but passages themselves."""
    asked = "the one passage" if places.probes == 1 else f"each of {places.probes:,} passages"
    of_all = "" if places.probes == passages else ", evenly spaced,"
    return (
        f"nearest neighbour spends {places.copies:.2f} of {places.k:,} places on copies "
        f"({asked}{of_all} taken as a question)"
    )


def _of(limit: int, total: int) -> str:
    return "" if total <= limit else f", {limit:,} of {total:,} (--limit)"


def _write_group(group: CopyGroup) -> None:
    parts = (f"{len(group):,} times", locate(group.passage), heading_path(group.passage))
    head = "  ".join(part for part in parts if part)
    text = printable(group.passage.text.strip("\n"))
    if not is_terminal(sys.stdout):
        write(head)
        write(textwrap.indent(text, _INDENT))
        write("".join(f"{_INDENT}{line}\n" for line in copy_lines(group.copies, limit=None)))
        return
    from rich.text import Text

    width = console().width
    line = Text(head, style="bold")
    line.truncate(width, overflow="ellipsis")
    wrapped = Text(one_line(" ".join(text.split()))).wrap(console(), max(width - len(_INDENT), 20))
    shown = [*list(wrapped)[:_LINES_SHOWN], *(Text(copy, style="dim") for copy in copy_lines(group.copies))]
    show(line, *(Text(_INDENT).append_text(part) for part in shown), "")
