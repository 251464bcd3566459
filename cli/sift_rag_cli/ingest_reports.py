"""Print what an ingest has done: all of it, or what a watch saw change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sift_rag_cli.output import count_of, one_line, say
from sift_rag_cli.remedies import with_remedy

if TYPE_CHECKING:
    from sift_rag.corpus.report import IngestReport, Outcome, Problem

LINES_SHOWN = 20
"""Number of documents that are named; --json names all."""


def say_report(report: IngestReport, *, dry_run: bool, ocr: str) -> None:
    """Say what an ingest has done, and what to know of documents and of the whole run."""
    _say_notes(report, ocr=ocr)
    say_totals(report)
    say(
        ("Would be: " if dry_run else "")
        + f"{report.new:,} new, {report.updated:,} updated, {report.unchanged:,} unchanged, "
        f"{report.removed:,} removed, {report.skipped:,} skipped, {report.failed:,} failed"
    )


def say_totals(report: IngestReport) -> None:
    """Say how many passages an ingest has added, deleted and left."""
    name = f"collection '{one_line(report.collection)}'"
    total = f"{report.passages_total:,} in {name}" if report.has_collection else f"so there is no {name}"
    say(
        f"{count_of(report.passages_added, 'passage')} added, {report.passages_deleted:,} deleted, "
        f"{total} ({report.seconds:.1f} s)"
    )


def say_changes(report: IngestReport, *, ocr: str) -> None:
    """Say what became of the documents that have changed, a line for each; if they are many, only how many."""
    if len(report.outcomes) + len(report.problems) > LINES_SHOWN:
        say_report(report, dry_run=False, ocr=ocr)
        return
    lines = list(map(_outcome_line, report.outcomes))
    if lines:
        lines[-1] += f" ({report.seconds:.1f} s)"
    for line in lines:
        say(line)
    _say_notes(report, ocr=ocr)


def report_json(report: IngestReport) -> dict[str, object]:
    """Return the report of an ingest as JSON."""
    return {
        "collection": report.collection,
        "files": {
            "new": report.new,
            "updated": report.updated,
            "unchanged": report.unchanged,
            "removed": report.removed,
            "skipped": report.skipped,
            "failed": report.failed,
        },
        "passages": {
            "added": report.passages_added,
            "deleted": report.passages_deleted,
            "total": report.passages_total,
        },
        "problems": [{"source": problem.source, "reason": problem.reason} for problem in report.problems],
        "notices": [
            {"source": notice.source, "notice": with_remedy(notice.reason, notice.remedy)} for notice in report.notices
        ],
        "pages_without_text": report.pages_without_text,
        "seconds": round(report.seconds, 3),
    }


def changes_json(report: IngestReport) -> dict[str, object]:
    """Return the report of what a watch saw change as JSON."""
    changes = [
        {"source": outcome.source, "change": outcome.kind, "passages": outcome.passages}
        | ({"moved_from": outcome.moved_from} if outcome.moved_from else {})
        for outcome in report.outcomes
    ]
    return {**report_json(report), "changes": changes}


def _say_notes(report: IngestReport, *, ocr: str) -> None:
    """Say what went wrong, then what to know of documents, then of the run."""
    of_documents = [notice for notice in report.notices if notice.source]
    _say_problems([*report.problems, *of_documents])
    for notice in report.notices:
        if not notice.source:
            say(one_line(with_remedy(notice.reason, notice.remedy)))
    if report.pages_without_text:
        say(f"{count_of(report.pages_without_text, 'page')} without text, probably scans{_ocr_remedy(ocr)}")


def _say_problems(problems: Sequence[Problem]) -> None:
    for problem in problems[:LINES_SHOWN]:
        say(f"{one_line(problem.source)}: {one_line(problem.reason)}")
    if len(problems) > LINES_SHOWN:
        say(f"... and {len(problems) - LINES_SHOWN:,} more; --json lists all")


def _outcome_line(outcome: Outcome) -> str:
    source = one_line(outcome.source)
    if outcome.kind == "removed":
        return f"{source}: removed"
    what = f"moved from {one_line(outcome.moved_from)}" if outcome.kind == "moved" else outcome.kind
    return f"{source}: {what}, {count_of(outcome.passages, 'passage')}"


def _ocr_remedy(ocr: str) -> str:
    """Return what to do about scans."""
    from sift_rag.corpus.ocr import is_installed

    if not is_installed():
        return ": pip install 'sift-rag[ocr]' and ingest again to read them"
    return ": --ocr auto reads them" if ocr == "off" else ""
