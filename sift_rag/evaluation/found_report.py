"""Render an evaluation of searches as an HTML report."""

from __future__ import annotations

from html import escape

from sift_rag.evaluation import plots
from sift_rag.evaluation.found import Evaluation, Failure, FoundRow, Score, interval_in_words
from sift_rag.evaluation.page import cut, facts_list, render_page, section
from sift_rag.types import Hit

FAILURES = 50
"""Maximum number of questions without a relevant hit on the page."""


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
        _unmatched(evaluation),
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
    most = {k: max(row.recall.mean for row in evaluation.rows if row.k == k) for k in {r.k for r in evaluation.rows}}
    body = "".join(_table_row(row, best=row.recall.mean == most[row.k]) for row in evaluation.rows)
    head = "".join(f"<th>{name}</th>" for name in _HEAD)
    return (
        f"<h2>All figures</h2><p class=note>{_TABLE_NOTE}</p>"
        f"<div class=scroll><table><tr>{head}</tr>{body}</table></div>"
    )


def _table_row(row: FoundRow, *, best: bool) -> str:
    cells = [row.selector, str(row.k), ""]
    for score in (row.recall, row.ndcg, row.reciprocal_rank):
        cells += [f"{100 * score.mean:.1f}", difference_in_words(score)]
    mark = " class=best" if best else ""
    return f"<tr{mark}>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"


def difference_in_words(score: Score) -> str:
    """Return the difference from the baseline, in points, with its interval; empty for the baseline."""
    gap = score.difference
    return "" if gap is None else f"{100 * gap.mean:+z.1f} {interval_in_words(100 * gap.low, 100 * gap.high)}"


def _failures(evaluation: Evaluation) -> str:
    shown = evaluation.failures[:FAILURES]
    if not shown:
        return ""
    rest = len(evaluation.failures) - len(shown)
    more = f"<p class=note>... and {rest:,} more.</p>" if rest else ""
    return (
        f"<h2>Where {escape(evaluation.best)} finds nothing</h2><p class=note>{len(evaluation.failures):,} of "
        f"{evaluation.questions:,} questions, with the first hits.</p>{''.join(map(_failure, shown))}{more}"
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


def _unmatched(evaluation: Evaluation) -> str:
    if not evaluation.unmatched:
        return ""
    items = "".join(
        f"<li>{escape(cut(one.name))} <span class=note>{escape(one.question)}</span></li>"
        for one in evaluation.unmatched[:FAILURES]
    )
    rest = len(evaluation.unmatched) - FAILURES
    more = f"<p class=note>... and {rest:,} more.</p>" if rest > 0 else ""
    return (
        f"<h2>Not in the collection</h2><p class=note>{len(evaluation.unmatched):,} relevant items match no "
        f"source, passage id or text, and count as not found.</p><ul>{items}</ul>{more}"
    )
