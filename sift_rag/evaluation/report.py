"""The report of a comparison: one self-contained page, readable on paper and on a phone."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from sift_rag.evaluation import plots
from sift_rag.evaluation.outcomes import FEWEST, About, Example, Outcome
from sift_rag.evaluation.page import LISTED, cut, facts_list, render_page, rest_of, section, table
from sift_rag.evaluation.rows import ALL, Row, best_rows, percents_of_base
from sift_rag.evaluation.summary import Summary

EXAMPLES = 3
"""Number of tasks shown with the passages selected for them."""


def render_report(outcomes: Sequence[Outcome], summary: Summary, about: About) -> str:
    """Render the report as an HTML page that refers to nothing outside itself.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    sections = [
        f"<h1>Context or fine-tuning</h1><p class=verdict>{escape(summary.verdict)}</p>",
        _best(summary),
        facts_list(_facts(summary, about)),
        f"<h2>Over k</h2>{_panels(_over_k(summary), _K_NOTE)}",
        f"<div class=sides>{_texts(outcomes, summary)}{_groups(summary)}{_predictions(outcomes, summary)}</div>",
        _text_table(outcomes, summary.best[1:]),
        f"<h2>Gain against cost</h2>{_panels(_costs(summary), _COST_NOTE)}",
        f"<h2>What was selected</h2>{''.join(map(_example, outcomes[:EXAMPLES]))}",
        _tables(summary),
    ]
    return render_page(f"Context or fine-tuning: {about.model}", sections)


_PROTOCOLS = {
    "texts": "each text is predicted; passages are selected for it (bits per byte of the text)",
    "questions": "each reference answer is predicted after its question (bits per byte of the answer)",
}
_K_NOTE = (
    "k: passages offered to the context (as many are used as the window holds), or steps of training. Mean over tasks "
    "of each one's bits per byte in per cent of what the model needs alone; bars: standard error. Lower is better."
)
_COST_NOTE = (
    "Means over tasks, one point for each k. Seconds: to learn, to read the context and to score. Tokens: in the "
    "context and trained on; reading one is much cheaper than training on it."
)
_BEST_NOTE = (
    "The best setting of each arm. % of base: bits per byte, each task in per cent of what the model needs alone, "
    "averaged; lower is better. Interval: of the difference from 100, 95 %, bootstrap over tasks. Seconds: per "
    "task, to read the context, to fine-tune and to score. Chosen on the same tasks, the best of many settings "
    "looks a little better than it is."
)


def _best(summary: Summary) -> str:
    rows = sorted(summary.best, key=lambda row: row.percent_of_base)
    recommended = summary.decision.recommended
    bold = [number for number, row in enumerate(rows) if row == recommended]
    cells = [_best_cells(row) for row in rows]
    shown = table(_BEST_HEAD, cells, bold, arms=[row.arm for row in rows])
    return f"{shown}<p class=note>{escape(_BEST_NOTE)} Bold: recommended.</p>"


_BEST_HEAD = ("arm", "selector", "k", "% of base", "interval", "seconds")


def _best_cells(row: Row) -> list[str]:
    return [
        _name(row.arm),
        row.selector,
        str(row.k or ""),
        f"{row.percent_of_base:.1f}",
        _interval(row),
        f"{row.seconds_per_task:.2f}",
    ]


def _name(arm: str) -> str:
    return plots.ARM_NAMES.get(arm, "model alone")


def _interval(row: Row) -> str:
    return f"{row.difference.low:+.1f} to {row.difference.high:+.1f}" if row.k and row.tasks > 1 else ""


def _facts(summary: Summary, about: About) -> dict[str, str]:
    facts = {
        "model": f"{about.model}, reads {about.context_length:,} tokens",
        "limited context": "" if about.window is None else f"{about.window:,} tokens, with the text",
        "the model alone": _alone(summary),
        "tasks": f"{summary.tasks:,}: {_PROTOCOLS[summary.protocol]}",
        "collection": f"{about.collection}, {about.passages:,} passages",
        "embedder": about.embedder,
        "fine-tuning": about.fine_tuning,
        "speed": _speed(summary),
        "device": about.device,
        "date": about.date,
        "sift-rag": about.version,
        "command": about.command,
    }
    return {name: value for name, value in facts.items() if value}


def _alone(summary: Summary) -> str:
    text = f"{summary.base_bits_per_byte:.3f} bits per byte"
    if summary.base_f1 is not None and summary.base_exact_match is not None:
        text += f", F1 {summary.base_f1:.2f}, exact match {summary.base_exact_match:.0%}"
    return text


def _speed(summary: Summary) -> str:
    """Return seconds per 1,000 tokens, from the rows with the most of them."""
    rows = sorted((row for row in summary.rows if row.group == ALL), key=lambda row: -row.tokens_per_task)
    reading = [row.reading_per_1000 for row in rows if row.arm in {"context", "window"} and row.reading_per_1000]
    training = [row.training_per_1000 for row in rows if row.training_per_1000]
    parts = [
        *(f"reading {value:.2g} s" for value in reading[:1]),
        *(f"training {value:.2g} s" for value in training[:1]),
    ]
    return f"{' and '.join(parts)} per 1,000 tokens" if parts else ""


def _panels(figures: Sequence[str], note: str) -> str:
    sides = "".join(f"<figure>{figure}</figure>" for figure in figures)
    return f"<div class=sides>{sides}</div><p class=note>{escape(note)}</p>"


def _over_k(summary: Summary) -> list[str]:
    arms = [arm for arm in plots.ARM_NAMES if any(row.arm == arm for row in summary.rows)]
    return [plots.over_k(summary.rows, arm) for arm in arms]


def _costs(summary: Summary) -> list[str]:
    return [plots.gain_and_cost(summary.rows, "seconds"), plots.gain_and_cost(summary.rows, "tokens")]


def _texts(outcomes: Sequence[Outcome], summary: Summary) -> str:
    best = min(summary.best[1:], key=lambda row: row.percent_of_base)
    percents = percents_of_base(outcomes, best.arm, best.selector, best.k)
    helped = sum(percent < 100 for percent in percents)
    note = (
        f"{_capital(_name(best.arm))} ({best.selector}, k = {best.k}), the arm with the fewest bits: {helped:,} of "
        f"{len(percents):,} tasks need fewer bits than the model alone."
    )
    return _cell(section("Each text", plots.per_task(percents, best.arm), note))


def _text_table(outcomes: Sequence[Outcome], best: Sequence[Row]) -> str:
    rows = []
    for outcome in outcomes:
        found = [percents_of_base([outcome], row.arm, row.selector, row.k) for row in best]
        cells = [f"{values[0]:.1f}" if values else "" for values in found]
        lowest = min((values[0] for values in found if values), default=100.0)
        rows.append((lowest, [outcome.task.id, outcome.task.group, "", f"{outcome.base.bits_per_byte:.3f}", *cells]))
    rows.sort(key=lambda row: row[0])
    head = ("task", "group", "", "alone, bits per byte", *(f"{_name(row.arm)}, %" for row in best))
    shown = table(head, [cells for _, cells in rows[:LISTED]])
    return f"<details><summary>All tasks, the most helped first</summary>{shown}{rest_of(len(rows))}</details>"


def _cell(part: str) -> str:
    """Return a section as one cell of the grid."""
    return f"<div>{part}</div>"


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]


def _groups(summary: Summary) -> str:
    groups = [group for group in dict.fromkeys(row.group for row in summary.rows) if group != ALL]
    if not groups:
        return ""
    best = [(group, best_rows([row for row in summary.rows if row.group == group])) for group in groups]
    return _cell(section("By group", plots.by_group(best), "The best selector and k of each arm in each group."))


def _predictions(outcomes: Sequence[Outcome], summary: Summary) -> str:
    wanted = ("finetune", "sift")
    shown = next((one for one in summary.predictions if (one.arm, one.selector) == wanted), summary.predictions[-1])
    if shown.rank_correlation is not None:
        correlation = f"rank correlation {shown.rank_correlation:.2f}"
    elif summary.tasks < FEWEST:
        correlation = f"no rank correlation for fewer than {FEWEST} tasks"
    else:
        correlation = "no rank correlation: one of the two is the same for all tasks"
    figure = plots.predicted_and_realised(outcomes, shown.arm, shown.selector, shown.k)
    note = f"{_capital(_name(shown.arm))} ({shown.selector}, k = {shown.k}): {correlation}."
    return _cell(section("Predicted against realised gain", figure, note))


def _example(outcome: Outcome) -> str:
    task = outcome.task
    sides = "".join(
        f"<div><h3>{escape(selector)}</h3>{''.join(map(_passage, examples))}</div>"
        for selector, examples in outcome.examples.items()
    )
    question = f"<p>{escape(task.question)}</p>" if task.question is not None else ""
    return (
        f"<details open><summary><bdi>{escape(task.id)}</bdi> (<bdi>{escape(task.group)}</bdi>)</summary>{question}"
        f"<pre>{escape(cut(task.text))}</pre><div class=sides>{sides}</div></details>"
    )


def _passage(example: Example) -> str:
    times = f", {example.times} times" if example.times > 1 else ""
    return f"<div class=note>{escape(example.source)}{times}</div><pre>{escape(cut(example.text))}</pre>"


def _tables(summary: Summary) -> str:
    parts = []
    for group in dict.fromkeys(row.group for row in summary.rows):
        rows = [row for row in summary.all_rows if row.group == group]
        best = best_rows(row for row in rows if row.arm != "base")
        head = _HEAD + (_ANSWER_HEAD if rows[0].f1 is not None else ())
        bold = [number for number, row in enumerate(rows) if row in best]
        shown = table(head, [_cells(row) for row in rows], bold, arms=[row.arm for row in rows])
        opened = " open" if group == ALL else ""
        parts.append(
            f"<details{opened}><summary><bdi>{escape(group)}</bdi>: {rows[0].tasks} tasks</summary>{shown}</details>"
        )
    return f"<h2>All figures</h2><p class=note>Bold: the best of each arm. {_FIGURES_NOTE}</p>{''.join(parts)}"


_FIGURES_NOTE = (
    "In context: passages per task. Read, trained: seconds per 1,000 tokens that the context adds to the score of a "
    "text, and that fine-tuning takes."
)
_HEAD = (*_BEST_HEAD[:4], "± s.e.", *_BEST_HEAD[4:], "tokens", "in context", "read", "trained")
_ANSWER_HEAD = ("exact", "F1", "in passages")


def _cells(row: Row) -> list[str]:
    cells = _best_cells(row)
    cells = [
        *cells[:4],
        f"{row.standard_error:.1f}" if row.tasks > 1 else "",
        *cells[4:],
        f"{row.tokens_per_task:,.0f}",
        f"{row.passages_per_task:.1f}",
        _rate(row.reading_per_1000),
        _rate(row.training_per_1000),
    ]
    if row.f1 is not None and row.exact_match is not None and row.in_passages is not None:
        cells += [f"{row.exact_match:.0%}", f"{row.f1:.2f}", f"{row.in_passages:.0%}" if row.k else ""]
    return cells


def _rate(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.3g}"
