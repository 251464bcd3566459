"""Render a calibration as an HTML report."""

from __future__ import annotations

from html import escape

from sift_rag.evaluation import plots
from sift_rag.evaluation.calibration import Calibration, Combination, Proposal, Threshold
from sift_rag.evaluation.found import points_in_words
from sift_rag.evaluation.page import facts_list, render_page, section, table, unmatched_section
from sift_rag.evaluation.trials import Values

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
        unmatched_section(calibration.unmatched),
    ]
    return render_page(f"Settings for {collection}", sections)


def number_in_words(value: float | None) -> str:
    """Return a value as written in ``sift-rag.toml``; a dash for None."""
    return "–" if value is None else f"{value:g}"


def brings_in_words(proposal: Proposal) -> str:
    """Return the improvement from a changed setting, in points with its interval; empty for an unchanged one."""
    return "" if proposal.brings is None else f"{points_in_words(proposal.brings)} points"


def refuses_in_words(threshold: Threshold) -> str:
    """Return the shares of questions that a threshold refuses, in per cent; empty without a proposal."""
    if threshold.answerable is None:
        return ""
    own = f"refuses {100 * threshold.answerable:.0f} %"
    if threshold.foreign is None:
        return own
    rate = threshold.foreign
    return f"{own}, foreign {100 * rate.mean:.0f} % [{100 * rate.low:.0f}, {100 * rate.high:.0f}]"


def proposal_rows(calibration: Calibration) -> list[list[str]]:
    """Return a row per setting and per threshold: name, current value, proposed value, effect."""
    effects: list[tuple[Proposal | Threshold, str]] = [
        *((one, brings_in_words(one)) for one in calibration.proposals),
        *((one, refuses_in_words(one)) for one in calibration.thresholds),
    ]
    return [[one.name, number_in_words(one.current), number_in_words(one.proposed), effect] for one, effect in effects]


def _proposals(calibration: Calibration) -> str:
    notes = "".join(f"<p class=note>{escape(one.note)}</p>" for one in calibration.thresholds)
    return f"<h2>Proposals</h2>{table(_PROPOSALS, proposal_rows(calibration))}{notes}"


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
_PROPOSALS = ("setting", "current", "proposed", "improvement")
_HEAD = (*Values._fields, "recall", "vs current")


def _combinations(calibration: Calibration) -> str:
    if not calibration.combinations:
        return ""
    proposed = Values(*(one.proposed for one in calibration.proposals))
    ordered = sorted(calibration.combinations, key=lambda one: -one.found)
    rows = [
        [*(number_in_words(value) for value in one.values), f"{100 * one.found:.1f}", points_in_words(one.difference)]
        for one in ordered
    ]
    best = [one.values for one in ordered].index(proposed)
    return (
        f"<h2>All combinations</h2><p class=note>{_COMBINATIONS_NOTE} Bold: proposed.</p>{table(_HEAD, rows, [best])}"
    )
