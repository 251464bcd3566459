"""Run ``ingest --watch``: until Ctrl-C, or until the process is asked to end."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from sift_rag_cli.ingest_reports import changes_json, report_json, say_changes, say_report
from sift_rag_cli.inputs import STDIN
from sift_rag_cli.output import say, write_json

if TYPE_CHECKING:
    from types import FrameType

    from sift_rag.corpus.report import IngestReport, Problem

TERMINATED = 128 + signal.SIGTERM
"""Exit code that a shell reports for a process that SIGTERM has ended."""


def refuse_watch(paths: Sequence[str], **others: bool) -> None:
    """Check that everything else on the command line goes together with ``--watch``.

    Args:
        paths: the paths as they were typed.
        others: options that do not, by name, with True for those that are given.

    Raises:
        ValueError: one is given.
    """
    given = [f"--{name.replace('_', '-')}" for name, is_given in others.items() if is_given]
    if STDIN in paths:
        given.append("a list of files on stdin")
    if given:
        raise ValueError(f"--watch does not go together with {' and '.join(given)}.")


def say_reports(first: IngestReport, later: Iterator[IngestReport], *, ocr: str, json: bool) -> None:
    """Print the first ingest, then what changes, until the reports end; as JSON, an object on each line."""
    if json:
        write_json(report_json(first), indent=None)
    else:
        say_report(first, dry_run=False, ocr=ocr)
        say("Watching for changes. Ctrl-C ends.")
    told = set(map(_subject, _of_the_whole(first)))
    for report in later:
        if json:
            write_json(changes_json(report), indent=None)
            continue
        new = [notice for notice in _of_the_whole(report) if _subject(notice) not in told]
        of_documents = [notice for notice in report.notices if notice.source]
        say_changes(replace(report, notices=(*of_documents, *new)), ocr=ocr)
        told |= set(map(_subject, new))


def _of_the_whole(report: IngestReport) -> list[Problem]:
    return [notice for notice in report.notices if not notice.source]


def _subject(notice: Problem) -> str:
    """Return what a notice is about: with other figures, it is told no second time."""
    return notice.reason if notice.remedy is None else notice.remedy.key


@contextmanager
def ended_by_signal() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, with an exit code of its own."""
    terminated = False

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        nonlocal terminated
        terminated = True
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except KeyboardInterrupt:
        say("What has been ingested is kept.")
        if terminated:
            raise typer.Exit(TERMINATED) from None
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
