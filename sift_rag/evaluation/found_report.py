"""Render an evaluation of searches as an HTML report."""

from __future__ import annotations

from html import escape

from sift_rag.evaluation import plots
from sift_rag.evaluation.found import Evaluation, Failure, FoundRow, Score, points_in_words
from sift_rag.evaluation.page import LISTED, cut, facts_list, render_page, rest_of, section, table, unmatched_section
from sift_rag.types import Hit


def render_found(evaluation: Evaluation, *, collection: str, settings: str = "") -> str:
    """Render the report as a self-contained HTML page.

    Args:
        evaluation: the result.
        collection: name of the collection.
        settings: settings that differ from the defaults, as text.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    left = f", {evaluation.left:,} left out: interrupted" if evaluation.left else ""
    facts = {
        "questions": f"{evaluation.questions:,}{left}",
        "collection": collection,
        "settings": settings or "the defaults",
    }
    sections = [
        f"<h1>Comparison of searches</h1><p class=verdict>{escape(evaluation.verdict)}</p>",
        facts_list(facts),
        section("Over k", plots.found_over_k(evaluation.rows), _NOTE),
        _table(evaluation),
        _failures(evaluation),
        unmatched_section(evaluation.unmatched),
    ]
    return render_page(f"Comparison of searches: {collection}", sections)


_NOTE = (
    "Recall: share of the relevant items that the first k hits find, averaged over questions. Several passages of one "
    "relevant source count once. Bars: 95 % paired bootstrap intervals of the difference from nearest."
)
_TABLE_NOTE = (
    "In per cent; differences from nearest in points, with 95 % intervals. Bold: highest recall at each k. The best of "
    "several, chosen on the same questions, looks a little better than it is."
)
_HEAD = ("selector", "k", "", "recall", "vs nearest", "nDCG@10", "vs nearest", "MRR", "vs nearest")


def _table(evaluation: Evaluation) -> str:
    rows = evaluation.rows
    most = {k: max(row.recall.mean for row in rows if row.k == k) for k in {row.k for row in rows}}
    bold = [number for number, row in enumerate(rows) if row.recall.mean == most[row.k]]
    return f"<h2>All figures</h2><p class=note>{_TABLE_NOTE}</p>{table(_HEAD, [_cells(row) for row in rows], bold)}"


def _cells(row: FoundRow) -> list[str]:
    cells = [row.selector, str(row.k), ""]
    for score in (row.recall, row.ndcg, row.reciprocal_rank):
        cells += [f"{100 * score.mean:.1f}", difference_in_words(score)]
    return cells


def difference_in_words(score: Score) -> str:
    """Return the difference from the baseline, in points, with its interval; empty for the baseline."""
    return "" if score.difference is None else points_in_words(score.difference)


def _failures(evaluation: Evaluation) -> str:
    count = len(evaluation.failures)
    if not count:
        return ""
    shown = "".join(map(_failure, evaluation.failures[:LISTED]))
    return (
        f"<h2>Where {escape(evaluation.best)} finds nothing</h2><p class=note>{count:,} of {evaluation.questions:,} "
        f"questions, with the first hits.</p>{shown}{rest_of(count)}"
    )


def _failure(failure: Failure) -> str:
    question = failure.question
    wanted = "; ".join(cut(one.name) for one in question.relevant)
    return (
        f"<details><summary>{escape(' / '.join(question.questions))}</summary>"
        f"<p class=note>{escape(question.id)}; relevant: {escape(wanted)}</p>"
        f"{''.join(map(_hit, failure.hits))}</details>"
    )


def _hit(hit: Hit) -> str:
    line = "" if hit.passage.span.line is None else f":{hit.passage.span.line}"
    return f"<div class=note>{escape(hit.passage.source)}{line}</div><pre>{escape(cut(hit.passage.text))}</pre>"
