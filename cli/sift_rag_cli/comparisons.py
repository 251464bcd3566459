"""A comparison's rows and verdict as a table, as JSON and as CSV."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from sift_rag.errors import ConfigurationError
from sift_rag_cli.output import write_table

if TYPE_CHECKING:
    from sift_rag.evaluation import Row, Summary

_COLUMNS = ("group", "arm", "selector", "k", "% of base", "±", "95 %", "seconds", "tokens")
_ANSWER_COLUMNS = ("exact", "F1", "found")


def write_rows(summary: Summary) -> None:
    """Write a line for each row, best first within a group."""
    answers = summary.protocol == "questions"
    rows = sorted(summary.rows, key=lambda row: (_position(summary, row.group), row.percent_of_base))
    header = _COLUMNS + (_ANSWER_COLUMNS if answers else ())
    write_table(header, [_cells(row, answers=answers) for row in rows], numeric=header[3:])


def summary_json(summary: Summary, *, model: str, window: int) -> dict[str, object]:
    """Return the object that ``--json`` prints."""
    return {
        "model": model,
        "context_window": window,
        "protocol": summary.protocol,
        "prompts": summary.tasks,
        "base_bits_per_byte": summary.base_bits_per_byte,
        "base_exact_match": summary.base_exact_match,
        "base_f1": summary.base_f1,
        "base_seconds_per_prompt": summary.base_seconds_per_task,
        "rows": [row_json(row) for row in summary.rows],
        "predictions": [
            {"arm": one.arm, "selector": one.selector, "k": one.k, "rank_correlation": one.rank_correlation}
            for one in summary.predictions
        ],
        "left_out": summary.left_out,
        "verdict": summary.verdict,
    }


def row_json(row: Row) -> dict[str, object]:
    """Return a row's fields by name."""
    return {
        "group": row.group,
        "arm": row.arm,
        "selector": row.selector,
        "k": row.k,
        "prompts": row.tasks,
        "percent_of_base": row.percent_of_base,
        "standard_error": row.standard_error,
        "difference_low": row.difference.low,
        "difference_high": row.difference.high,
        "seconds_per_prompt": row.seconds_per_task,
        "tokens_per_prompt": row.tokens_per_task,
        "passages_in_context": row.passages_per_task,
        "exact_match": row.exact_match,
        "f1": row.f1,
        "answer_in_passages": row.in_passages,
    }


def save_csv(summary: Summary, path: Path) -> None:
    """Write the rows as CSV, under their names.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    rows = [row_json(row) for row in summary.rows]
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]) if rows else [])
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise ConfigurationError(f"The table cannot be written to {str(path)!r}: {error.strerror}.") from error


def _position(summary: Summary, group: str) -> int:
    return [row.group for row in summary.rows].index(group)


def _cells(row: Row, *, answers: bool) -> list[str]:
    cells = [
        row.group,
        row.arm,
        row.selector,
        str(row.k),
        f"{row.percent_of_base:.1f}",
        f"{row.standard_error:.1f}",
        f"{row.difference.low:+.1f} {row.difference.high:+.1f}",
        f"{row.seconds_per_task:.2f}",
        f"{row.tokens_per_task:,.0f}",
    ]
    if answers and row.exact_match is not None and row.f1 is not None and row.in_passages is not None:
        cells += [f"{row.exact_match:.0%}", f"{row.f1:.2f}", f"{row.in_passages:.0%}"]
    return cells
