"""The report of a comparison: one self-contained page, readable on paper and on a phone."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from sift_rag.evaluation import plots
from sift_rag.evaluation.outcomes import Comparison, Example, Outcome
from sift_rag.evaluation.page import cut, facts_list, render_page, section, table
from sift_rag.evaluation.summary import ALL, Row, Summary

EXAMPLES = 3
"""Number of tasks shown with the passages selected for them."""


def render_report(
    outcomes: Sequence[Outcome], summary: Summary, comparison: Comparison, *, model: str, collection: str, window: int
) -> str:
    """Render the report as an HTML page that refers to nothing outside itself.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    facts = {
        "model": f"{model}, window of {window:,} tokens",
        "protocol": _PROTOCOLS[summary.protocol],
        "tasks": f"{summary.tasks}",
        "collection": collection,
        "the model alone": _alone(summary),
        "fine-tuning": _tuning(comparison),
    }
    sections = [
        f"<h1>Context or fine-tuning</h1><p class=verdict>{escape(summary.verdict)}</p>",
        facts_list(facts),
        section("Over k", _over_k(summary), _K_NOTE),
        _groups(summary),
        _predictions(outcomes, summary),
        section("Gain against cost", plots.gain_and_cost(summary.rows), "Seconds to learn and to score, mean."),
        f"<h2>What was selected</h2>{''.join(map(_example, outcomes[:EXAMPLES]))}",
        _tables(summary),
    ]
    return render_page(f"Context or fine-tuning: {model}", sections)


_PROTOCOLS = {
    "texts": "each text is predicted; passages are selected for it (bits per byte of the text)",
    "questions": "each reference answer is predicted after its question (bits per byte of the answer)",
}
_K_NOTE = (
    "k: passages offered to the context (as many are used as the window holds), or steps of training. Mean over tasks "
    "of each one's bits per byte in per cent of what the model needs alone; bars: standard error. Lower is better."
)


def _alone(summary: Summary) -> str:
    text = f"{summary.base_bits_per_byte:.3f} bits per byte"
    if summary.base_f1 is not None and summary.base_exact_match is not None:
        text += f", F1 {summary.base_f1:.2f}, exact match {summary.base_exact_match:.0%}"
    return text


def _tuning(comparison: Comparison) -> str:
    tuning = comparison.tuning
    method = f"LoRA of rank {tuning.rank}" if tuning.method == "lora" else "all weights"
    rate = "the default rate" if tuning.learning_rate is None else f"rate {tuning.learning_rate:g}"
    return f"{method}, {rate}, one step per passage, the model restored after each task"


def _over_k(summary: Summary) -> str:
    arms = [arm for arm in plots.ARM_NAMES if any(row.arm == arm for row in summary.rows)]
    return f"<div class=sides>{''.join(plots.over_k(summary.rows, arm) for arm in arms)}</div>"


def _groups(summary: Summary) -> str:
    groups = [group for group in dict.fromkeys(row.group for row in summary.rows) if group != ALL]
    if not groups:
        return ""
    best = [(group, best_rows([row for row in summary.rows if row.group == group])) for group in groups]
    return section("By group", plots.by_group(best), "The best selector and k of each arm in each group.")


def best_rows(rows: Sequence[Row]) -> list[Row]:
    """Return the row with the fewest bits for each arm."""
    arms = dict.fromkeys(row.arm for row in rows)
    return [min((row for row in rows if row.arm == arm), key=lambda row: row.percent_of_base) for arm in arms]


def _predictions(outcomes: Sequence[Outcome], summary: Summary) -> str:
    wanted = ("finetune", "sift")
    shown = next((one for one in summary.predictions if (one.arm, one.selector) == wanted), summary.predictions[-1])
    correlation = "-" if shown.rank_correlation is None else f"{shown.rank_correlation:.2f}"
    return section(
        "Predicted against realised gain",
        plots.predicted_and_realised(outcomes, shown.arm, shown.selector, shown.k),
        f"{plots.ARM_NAMES[shown.arm]}, {shown.selector}, k = {shown.k}: rank correlation {correlation}.",
    )


def _example(outcome: Outcome) -> str:
    task = outcome.task
    sides = "".join(
        f"<div><h3>{escape(selector)}</h3>{''.join(map(_passage, examples))}</div>"
        for selector, examples in outcome.examples.items()
    )
    question = f"<p>{escape(task.question)}</p>" if task.question is not None else ""
    return (
        f"<details open><summary>{escape(task.id)} ({escape(task.group)})</summary>{question}"
        f"<pre>{escape(cut(task.text))}</pre><div class=sides>{sides}</div></details>"
    )


def _passage(example: Example) -> str:
    times = f", {example.times} times" if example.times > 1 else ""
    return f"<div class=note>{escape(example.source)}{times}</div><pre>{escape(cut(example.text))}</pre>"


def _tables(summary: Summary) -> str:
    parts = []
    for group in dict.fromkeys(row.group for row in summary.rows):
        rows = [row for row in summary.rows if row.group == group]
        best = best_rows(rows)
        head = _HEAD + (_ANSWER_HEAD if rows[0].f1 is not None else ())
        bold = [number for number, row in enumerate(rows) if row in best]
        parts.append(
            f"<details{' open' if group == ALL else ''}><summary>{escape(group)}: {rows[0].tasks} tasks</summary>"
            f"{table(head, [_cells(row) for row in rows], bold)}</details>"
        )
    note = (
        "Bold: the best of each arm; these are what the sentence at the top compares. Chosen on the same tasks, the "
        "best of many settings looks a little better than it is. The interval is of the difference from 100, 95 %, "
        "bootstrap over tasks."
    )
    return f"<h2>All figures</h2><p class=note>{note}</p>{''.join(parts)}"


_HEAD = ("arm", "selector", "k", "% of base", "± s.e.", "interval", "seconds", "tokens", "in context")
_ANSWER_HEAD = ("exact", "F1", "in passages")


def _cells(row: Row) -> list[str]:
    cells = [
        row.arm,
        row.selector,
        str(row.k),
        f"{row.percent_of_base:.1f}",
        f"{row.standard_error:.1f}",
        f"{row.difference.low:+.1f} to {row.difference.high:+.1f}",
        f"{row.seconds_per_task:.2f}",
        f"{row.tokens_per_task:,.0f}",
        f"{row.passages_per_task:.1f}",
    ]
    if row.f1 is not None and row.exact_match is not None and row.in_passages is not None:
        cells += [f"{row.exact_match:.0%}", f"{row.f1:.2f}", f"{row.in_passages:.0%}"]
    return cells
