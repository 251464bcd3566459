"""A calibration as a table, as remarks and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sift_rag_cli.output import count_of, one_line, say, write_table

if TYPE_CHECKING:
    from sift_rag.evaluation import Calibration, Plan

SHOWN = 3
"""Number of things not in the collection that are named."""

_COLUMNS = ("setting", "current", "proposed", "brings, 95 %")


def write_proposals(calibration: Calibration) -> None:
    """Write a line for each setting and each threshold."""
    from sift_rag.evaluation.calibration_report import brings_in_words, number_in_words, refuses_in_words

    rows = [
        [one.name, number_in_words(one.current), number_in_words(one.proposed), brings_in_words(one)]
        for one in calibration.proposals
    ]
    rows += [
        [one.name, number_in_words(one.current), number_in_words(one.proposed), refuses_in_words(one)]
        for one in calibration.thresholds
    ]
    write_table(_COLUMNS, rows, numeric=_COLUMNS[1:3])


def say_proposals(calibration: Calibration) -> None:
    """Say what the proposals are, what is missing, and the lines of ``sift-rag.toml`` that apply them."""
    if calibration.unmatched:
        count = count_of(len(calibration.unmatched), "relevant name or text")
        names = ", ".join(f"{one.name[:60]!r} ({one.question})" for one in calibration.unmatched[:SHOWN])
        more = ", ..." if len(calibration.unmatched) > SHOWN else ""
        say(one_line(f"{count} not in the collection, counted as not found: {names}{more}."))
    say(one_line(calibration.verdict))
    for threshold in calibration.thresholds:
        say(one_line(threshold.note))
    if lines := calibration.toml():
        say(f"To apply this, put it into sift-rag.toml:\n\n{lines}")


def calibration_json(calibration: Calibration, *, collection: str, plan: Plan) -> dict[str, object]:
    """Return the object that ``--json`` prints."""
    return {
        "collection": collection,
        "search": plan.options.to_dict(),
        "k": list(plan.ks),
        **calibration.to_dict(),
        "toml": calibration.toml(),
    }
