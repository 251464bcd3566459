"""Progress of a long command, on stderr: a bar at a terminal, at most a few lines otherwise."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from threading import Lock, Timer
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from sift_rag_cli.output import console, count_of, is_terminal, one_line, say

if TYPE_CHECKING:
    from rich.live import Live
    from rich.spinner import Spinner

T = TypeVar("T")

LONG_RUN = 20
"""Number of tasks above which progress is reported even without a terminal."""

QUIET_SECONDS = 0.3
"""Seconds of loading before which nothing is shown."""

LEAST_SECONDS = 1.0
"""Seconds of work before which nothing is said about the time left."""


class ProgressState(NamedTuple):
    """Progress as the bar shows it."""

    done: int
    of: int
    """The total, in the unit of ``done``; 0 while it is unknown."""
    counts: str
    """Words beside the bar; the time taken and the time left follow them."""
    is_preparing: bool = False
    """True if this is not the work itself: its time does not count."""


@contextmanager
def progress_bar(beginning: str) -> Iterator[Callable[[ProgressState, int], None] | None]:
    """Yield a function that moves the bar, given the state and the number to show a rate of; None without a terminal.

    Args:
        beginning: words in place of the counts until the function is called; the clock starts anew then.
    """
    if not is_terminal(sys.stderr):
        yield None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    bar = Progress(
        BarColumn(bar_width=None),
        TextColumn("{task.percentage:>3.0f}%", markup=False),
        TextColumn("{task.fields[counts]}", markup=False),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}", markup=False, style="progress.remaining"),
        console=console(stderr=True),
        transient=True,
        expand=True,
    )
    pace: _Pace | None = None
    with bar:
        task = bar.add_task("", total=None, counts=beginning, left="")

        def advance(state: ProgressState, rated: int) -> None:
            nonlocal pace
            if pace is None and not state.is_preparing:
                bar.reset(task, counts="", left="")  # the time before would falsify the rate and the time left
                pace = _Pace()
            if pace is not None:
                pace.tell(bar.tasks[0].elapsed or 0.0, state.done, rated)
            rate, left = ("", "") if pace is None else (pace.rate, pace.left(state.of))
            bar.update(task, total=state.of or None, completed=state.done, counts=f"{state.counts}{rate}", left=left)

        yield advance


class _Pace:
    """The rate of a run and the time left, by all that was done since the first of what is rated."""

    def __init__(self) -> None:
        self._idle_until, self._done_before = 0.0, 0
        self._seconds, self._done, self._rated = 0.0, 0, 0

    def tell(self, elapsed: float, done: int, rated: int) -> None:
        """Take note of the seconds since the beginning, of what is done, and of the number to show a rate of."""
        if not rated:
            self._idle_until, self._done_before = elapsed, done
        self._seconds, self._done, self._rated = elapsed - self._idle_until, done, rated

    @property
    def rate(self) -> str:
        """The rate, with a space before it; "" while there is none."""
        return f" {self._rated / self._seconds:,.0f}/s" if self._rated and self._seconds > 0 else ""

    def left(self, of: int) -> str:
        """Return the time left; "" while it cannot be told."""
        done = self._done - self._done_before
        if done <= 0 or self._seconds < LEAST_SECONDS or of < self._done:
            return ""
        minutes, seconds = divmod(round(self._seconds * (of - self._done) / done), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02} left"


@contextmanager
def loading(*names: str | None) -> Iterator[Callable[[str], None]]:
    """Show at a terminal what is being loaded, if it takes longer than a moment; the line is gone afterwards.

    Yields a function that puts other words there, while something else is being done.

    Args:
        names: what is loaded; None is left out.
    """
    words = " and ".join(one_line(name) for name in names if name is not None)
    if not words or not is_terminal(sys.stderr):
        yield lambda _: None
        return
    line = _LoadingLine(f"loading {words} ...")
    timer = Timer(QUIET_SECONDS, line.show)  # in a thread: imports of a second each are what is waited for
    timer.daemon = True
    timer.start()
    try:
        yield lambda stage: line.say(f"{one_line(stage)} ...")
    finally:
        timer.cancel()
        line.end()


class _LoadingLine:
    """A line with a spinner that a timer shows, unless it was ended before."""

    def __init__(self, words: str) -> None:
        self._words = words
        self._lock = Lock()
        self._live: Live | None = None
        self._spinner: Spinner | None = None
        self._is_over = False

    def say(self, words: str) -> None:
        """Replace the words, shown or not yet shown."""
        with self._lock:
            self._words = words
            if self._spinner is not None:
                self._spinner.update(text=words)

    def show(self) -> None:
        """Show the line."""
        from rich.live import Live
        from rich.spinner import Spinner

        with self._lock:
            if not self._is_over:
                # What others write on stderr meanwhile goes above the line; stdout is not touched.
                shown = self._spinner = Spinner("dots", text=self._words)
                self._live = Live(shown, console=console(stderr=True), transient=True, redirect_stdout=False)
                self._live.start()

    def end(self) -> None:
        """Remove the line, for good."""
        with self._lock:
            self._is_over = True
            if self._live is not None:
                self._live.stop()


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
