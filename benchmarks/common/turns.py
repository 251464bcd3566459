"""Comparisons with a peer: both sides take turns, and the ratio is taken pair by pair.

A machine whose speed drifts slows both sides of a pair, so that the median of the ratios drifts less than either time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import numpy as np


@dataclass(frozen=True)
class Row:
    """One comparison. ``ratio`` is ours over theirs."""

    what: str
    ours: float
    peer: str
    theirs: float
    ratio: float
    ratio_min: float
    ratio_max: float
    unit: str
    goal: str


def compare(
    what: str, ours: Callable[[], float], peer: str, theirs: Callable[[], float], *, runs: int, unit: str, goal: str
) -> Row:
    """Call both sides in turn, ``runs`` times each; a call returns one figure. Print the row and return it."""
    pairs = [(ours(), theirs()) for _ in range(runs)]
    ratios = [a / b for a, b in pairs]
    row = Row(
        what,
        median(a for a, _ in pairs),
        peer,
        median(b for _, b in pairs),
        median(ratios),
        min(ratios),
        max(ratios),
        unit,
        goal,
    )
    print(as_line(row), flush=True)
    return row


def compare_times(
    what: str, ours: Callable[[], object], peer: str, theirs: Callable[[], object], *, runs: int, goal: str
) -> Iterator[Row]:
    """Compare wall time in milliseconds, then processor time, which other work on the machine hardly changes."""
    spent: dict[str, list[float]] = {"ours": [], "theirs": []}

    def timed(side: str, work: Callable[[], object]) -> float:
        begun, begun_cpu = perf_counter(), process_time()
        work()
        seconds, cpu = perf_counter() - begun, process_time() - begun_cpu
        spent[side].append(1e3 * cpu)
        return 1e3 * seconds

    yield compare(
        what, lambda: timed("ours", ours), peer, lambda: timed("theirs", theirs), runs=runs, unit="ms", goal=goal
    )
    us, them = iter(spent["ours"]), iter(spent["theirs"])
    yield compare(
        "the same, processor time", lambda: next(us), peer, lambda: next(them), runs=runs, unit="ms", goal=goal
    )


def as_line(row: Row) -> str:
    """Return the row in Markdown."""
    return (
        f"| {row.what} | {row.ours:.4g} {row.unit} | {row.peer} | {row.theirs:.4g} {row.unit} | "
        f"{row.ratio:.3g} ({row.ratio_min:.3g} to {row.ratio_max:.3g}) | {row.goal} |"
    )


def print_head() -> None:
    """Print the machine and the head of the table."""
    print(f"Python {platform.python_version()}, {platform.processor() or platform.machine()}, numpy {np.__version__}\n")
    print("| what | ours | peer | theirs | ratio: median (min to max) | goal |\n|---|---|---|---|---|---|")


def save(rows: Sequence[Row], file: Path | None) -> None:
    """Write the rows as JSON unless ``file`` is None."""
    if file is not None:
        file.write_text(json.dumps([asdict(row) for row in rows], indent=2), encoding="utf-8")


def run_parts(
    parts: Mapping[str, Callable[[argparse.Namespace], Iterable[Row]]], parser: argparse.ArgumentParser
) -> None:
    """Add ``--only`` and ``--json`` to the parser, measure the parts named and print the table."""
    parser.add_argument("--only", default=",".join(parts), help="parts to measure, separated by commas")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows there")
    options = parser.parse_args()
    print_head()
    rows: list[Row] = []
    for part in options.only.split(","):
        rows += parts[part](options)
    save(rows, options.json)


def unit_rows(n: int, d: int, seed: int, *, clusters: int = 0) -> np.ndarray:
    """Return ``(n, d)`` unit rows, around ``clusters`` centres as the embeddings of a corpus are."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, d)).astype(np.float32)
    if clusters:
        rows = 0.7 * rows + rng.normal(size=(clusters, d)).astype(np.float32)[rng.integers(clusters, size=n)]
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def run(command: Sequence[str]) -> float:
    """Return the wall seconds of one process; it must succeed."""
    started = perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return perf_counter() - started


def run_timed(command: Sequence[str]) -> tuple[float, float]:
    """Return the wall seconds and the processor seconds of one process; it must succeed. Not on Windows."""
    started = perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command)
    return perf_counter() - started, used.ru_utime + used.ru_stime
