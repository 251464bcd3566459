"""Print a calibration as a table with remarks, or as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sift_rag_cli.evaluations import say_unmatched
from sift_rag_cli.output import one_line, say, write_table

if TYPE_CHECKING:
    from sift_rag.evaluation import Calibration, Plan

_COLUMNS = ("setting", "current", "proposed", "improvement, 95 %")


def write_proposals(calibration: Calibration) -> None:
    """Write one line per setting and per threshold."""
    from sift_rag.evaluation.calibration_report import proposal_rows

    write_table(_COLUMNS, proposal_rows(calibration), numeric=_COLUMNS[1:3])


def say_proposals(calibration: Calibration) -> None:
    """Report unmatched items, the verdict, and the lines of ``sift-rag.toml`` that apply the proposals."""
    say_unmatched(calibration.unmatched)
    say(one_line(calibration.verdict))
    for threshold in calibration.thresholds:
        say(one_line(threshold.note))
    if lines := calibration.toml():
        say(f"To apply the proposals, add this to sift-rag.toml:\n\n{lines}")


def calibration_json(calibration: Calibration, *, collection: str, plan: Plan) -> dict[str, object]:
    """Return the object that ``--json`` prints."""
    return {
        "collection": collection,
        "search": plan.options.to_dict(),
        "k": list(plan.ks),
        **calibration.to_dict(),
        "toml": calibration.toml(),
    }
