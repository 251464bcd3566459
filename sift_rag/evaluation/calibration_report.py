"""Render a calibration as an HTML report."""

from __future__ import annotations

from html import escape

from sift_rag.evaluation import plots
from sift_rag.evaluation.calibration import Calibration, Combination, Proposal, Threshold
from sift_rag.evaluation.found import interval_in_words
from sift_rag.evaluation.metrics import Interval
from sift_rag.evaluation.page import cut, facts_list, render_page, section
from sift_rag.evaluation.trials import Values

UNMATCHED = 50
"""Maximum number of unmatched items on the page."""

_ORIGINS = {
    "judged": "judged",
    "sentences": "sentences of the collection's passages",
    "model": "written by a language model about the collection's passages",
}


def render_calibration(calibration: Calibration, *, collection: str) -> str:
    """Render the report as a self-contained HTML page.

    Args:
        calibration: the result.
        collection: name of the collection.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    left = f", {calibration.left:,} left out: interrupted" if calibration.left else ""
    facts = {
        "collection": collection,
        "questions": f"{calibration.questions:,}, {_ORIGINS[calibration.origin]}{left}",
        "answerable": f"{len(calibration.answerable):,} have a relevant item in the collection",
        "current recall": f"{100 * calibration.found:.1f} %",
        "foreign questions": f"{len(calibration.foreign):,}",
    }
    sections = [
        f"<h1>Settings for this collection</h1><p class=verdict>{escape(calibration.verdict)}</p>",
        facts_list(facts),
        _proposals(calibration),
        _apply(calibration),
        _one_at_a_time(calibration),
        _remaining(calibration),
        _combinations(calibration),
        _unmatched(calibration),
    ]
    return render_page(f"Settings for {collection}", sections)


def number_in_words(value: float | None) -> str:
    """Return a value as written in ``sift-rag.toml``; a dash for None."""
    return "–" if value is None else f"{value:g}"


def brings_in_words(proposal: Proposal) -> str:
    """Return the improvement from a changed setting, in points with its interval; empty for an unchanged one."""
    return "" if proposal.brings is None else f"{_points(proposal.brings)} points"


def refuses_in_words(threshold: Threshold) -> str:
    """Return the shares of questions that a threshold refuses, in per cent; empty without a proposal."""
    if threshold.answerable is None:
        return ""
    own = f"refuses {100 * threshold.answerable:.0f} %"
    if threshold.foreign is None:
        return own
    rate = threshold.foreign
    return f"{own}, foreign {100 * rate.mean:.0f} % [{100 * rate.low:.0f}, {100 * rate.high:.0f}]"


def _points(interval: Interval) -> str:
    return f"{100 * interval.mean:+z.1f} {interval_in_words(100 * interval.low, 100 * interval.high)}"


def _table(head: tuple[str, ...], rows: list[list[str]], best: int | None = None) -> str:
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(
        f"<tr{' class=best' if number == best else ''}>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>"
        for number, row in enumerate(rows)
    )
    return f"<div class=scroll><table><tr>{cells}</tr>{body}</table></div>"


def _proposals(calibration: Calibration) -> str:
    rows = [
        [one.name, number_in_words(one.current), number_in_words(one.proposed), brings_in_words(one)]
        for one in calibration.proposals
    ]
    rows += [
        [one.name, number_in_words(one.current), number_in_words(one.proposed), refuses_in_words(one)]
        for one in calibration.thresholds
    ]
    notes = "".join(f"<p class=note>{escape(one.note)}</p>" for one in calibration.thresholds)
    return f"<h2>Proposals</h2>{_table(('setting', 'current', 'proposed', 'improvement'), rows)}{notes}"


def _apply(calibration: Calibration) -> str:
    lines = calibration.toml()
    return f"<h2>For sift-rag.toml</h2><pre>{escape(lines)}</pre>" if lines else ""


def _one_at_a_time(calibration: Calibration) -> str:
    if not calibration.combinations:
        return ""
    current = Values(*(one.current for one in calibration.proposals))
    lines = {name: along(calibration, name, current) for name in Values._fields}
    return section("One setting at a time", plots.one_setting_at_a_time(lines, current), _ONE_NOTE)


def along(calibration: Calibration, name: str, current: Values) -> list[Combination]:
    """Return the combinations that differ from the current values in at most this setting, in order of its value."""
    return [
        one for one in calibration.combinations if one.values == current._replace(**{name: getattr(one.values, name)})
    ]


def _remaining(calibration: Calibration) -> str:
    if not calibration.answerable:
        return ""
    limits = {one.name: one.proposed for one in calibration.thresholds}
    figure = plots.remaining(
        calibration.answerable, calibration.foreign, limits.get("max_variance"), limits.get("min_gain")
    )
    return section("Answerable and foreign questions", figure, _REMAINING_NOTE)


_ONE_NOTE = (
    "Difference in recall from the current values, in points, with one setting changed; 95 % paired bootstrap "
    "intervals over all questions. Unlike the proposal, these figures are not checked on held-out questions."
)
_REMAINING_NOTE = (
    "Cumulative share of questions. Left: variance left by all candidates together; max_variance refuses questions to "
    "the right of the line; the lowest tenth is not shown. Right: share of the variance that the training passages "
    "explain; questions to the left of the line, below min_gain, are not fine-tuned on."
)
_COMBINATIONS_NOTE = (
    "Recall in per cent; difference from the current values in points, with 95 % intervals. The best of many "
    "combinations looks better than it is."
)
_HEAD = (*Values._fields, "recall", "vs current")


def _combinations(calibration: Calibration) -> str:
    if not calibration.combinations:
        return ""
    proposed = Values(*(one.proposed for one in calibration.proposals))
    ordered = sorted(calibration.combinations, key=lambda one: -one.found)
    rows = [
        [*(number_in_words(value) for value in one.values), f"{100 * one.found:.1f}", _points(one.difference)]
        for one in ordered
    ]
    best = [one.values for one in ordered].index(proposed)
    return f"<h2>All combinations</h2><p class=note>{_COMBINATIONS_NOTE} Bold: proposed.</p>{_table(_HEAD, rows, best)}"


def _unmatched(calibration: Calibration) -> str:
    if not calibration.unmatched:
        return ""
    items = "".join(
        f"<li>{escape(cut(one.name))} <span class=note>{escape(one.question)}</span></li>"
        for one in calibration.unmatched[:UNMATCHED]
    )
    rest = len(calibration.unmatched) - UNMATCHED
    more = f"<p class=note>... and {rest:,} more.</p>" if rest > 0 else ""
    return (
        f"<h2>Not in the collection</h2><p class=note>{len(calibration.unmatched):,} relevant items match no "
        f"source, passage id or text, and count as not found.</p><ul>{items}</ul>{more}"
    )
