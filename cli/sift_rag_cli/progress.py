"""How far a long command is: a bar on stderr while a person watches, nothing otherwise."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from sift_rag_cli.output import console, is_terminal


class ProgressState(NamedTuple):
    """What the bar shows."""

    done: int
    of: int
    """In the same unit; 0 while that is unknown."""
    counts: str
    """In words, beside the bar; the time taken and left follow."""


@contextmanager
def progress_bar(beginning: str) -> Iterator[Callable[[ProgressState, int], None] | None]:
    """Gives a function that moves the bar and is told, besides, of how much to show the rate; None without a terminal.

    Args:
        beginning: in place of the counts until the function is called.
    """
    if not is_terminal(sys.stderr):
        yield None
        return
    from rich.progress import BarColumn, Progress, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.text import Text

    class _TimeLeft(TimeRemainingColumn):
        def render(self, task: Task) -> Text:
            left = super().render(task)
            return Text.assemble(left, " left") if left.plain else left

    bar = Progress(
        BarColumn(bar_width=None),
        TextColumn("{task.percentage:>3.0f}%", markup=False),
        TextColumn("{task.fields[counts]}", markup=False),
        TimeElapsedColumn(),
        _TimeLeft(),
        console=console(stderr=True),
        transient=True,
        expand=True,
    )
    with bar:
        task = bar.add_task("", total=None, counts=beginning)

        def advance(stand: ProgressState, rated: int) -> None:
            elapsed = bar.tasks[0].elapsed or 0.0
            rate = f" {rated / elapsed:,.0f}/s" if elapsed > 0 else ""
            bar.update(task, total=stand.of or None, completed=stand.done, counts=f"{stand.counts}{rate}")

        yield advance
