"""Progress of a long command, on stderr: a bar at a terminal, at most a few lines otherwise."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import NamedTuple, TypeVar

from sift_rag_cli.output import console, count_of, is_terminal, one_line, say

T = TypeVar("T")

LONG_RUN = 20
"""Number of tasks above which progress is reported even without a terminal."""


class ProgressState(NamedTuple):
    """Progress as the bar shows it."""

    done: int
    of: int
    """The total, in the unit of ``done``; 0 while it is unknown."""
    counts: str
    """Words beside the bar; the time taken and the time left follow them."""


@contextmanager
def progress_bar(beginning: str) -> Iterator[Callable[[ProgressState, int], None] | None]:
    """Yield a function that moves the bar, given the state and the number to show a rate of; None without a terminal.

    Args:
        beginning: words in place of the counts until the function is called; the clock starts anew then.
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

        begun = False

        def advance(state: ProgressState, rated: int) -> None:
            nonlocal begun
            if not begun:  # what came before, such as loading a model, would falsify the rate and the time left
                bar.reset(task)
                begun = True
            elapsed = bar.tasks[0].elapsed or 0.0
            rate = f" {rated / elapsed:,.0f}/s" if elapsed > 0 else ""
            bar.update(task, total=state.of or None, completed=state.done, counts=f"{state.counts}{rate}")

        yield advance


@contextmanager
def counted_progress(doing: str, noun: str, total: int, done: int = 0) -> Iterator[Callable[[str], None]]:
    """Yield a function to call with each task's name when it is done.

    It advances a bar on a terminal; elsewhere it writes a line per tenth of a long run.

    Args:
        doing: description to show until the first task is done.
        noun: what to call one task.
        total: number of tasks.
        done: number already done.
    """
    from rich.progress import Progress

    measured = done
    terminal = is_terminal(sys.stderr)
    with Progress(console=console(stderr=True), disable=not terminal, transient=True) as bar:
        shown = bar.add_task(doing, total=total, completed=done)

        def advance(name: str) -> None:
            nonlocal measured
            measured += 1
            bar.update(shown, advance=1, description=one_line(name)[:40])
            if total >= LONG_RUN and not terminal and 10 * measured // total > 10 * (measured - 1) // total:
                say(f"{measured} of {count_of(total, noun)}")

        yield advance


def collected(
    results: Iterable[T], total: int, *, doing: str, least: int, names: Iterable[str] | None = None
) -> tuple[list[T], KeyboardInterrupt | None]:
    """Return the results of a run over questions, and the interruption if one came after at least ``least`` of them.

    Args:
        results: one per question.
        total: number of questions.
        doing: description to show until the first question is done.
        least: number of results that are worth keeping.
        names: a name per question; by default its number.
    """
    found: list[T] = []
    named = map(str, count(1)) if names is None else iter(names)
    try:
        with counted_progress(doing, "question", total) as advance:
            for one in results:
                found.append(one)
                advance(f"question {next(named)}")
    except KeyboardInterrupt as error:
        if len(found) < least:
            raise
        say(f"Interrupted after {len(found)} of {count_of(total, 'question')}.")
        return found, error
    return found, None
