"""The rows of a comparison: each arm with each selection, over the tasks of a group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from sift_rag.evaluation.metrics import Interval, bootstrap, standard_error
from sift_rag.evaluation.outcomes import Measurement, Outcome

ALL = "all"
"""Name of the group that all tasks belong to."""


@dataclass(frozen=True, slots=True)
class Row:
    """One arm with one selection, over the tasks of one group."""

    group: str
    """Name of the group."""
    arm: str
    """Name of the arm."""
    selector: str
    """Name of the selector; empty for the base."""
    k: int
    """Number of passages in the context, or of training steps; 0 for the base."""
    tasks: int
    """Number of tasks."""
    percent_of_base: float
    """Mean over the tasks of bits per byte, each in per cent of what the model needs as it is. Lower is better."""
    standard_error: float
    """Standard error of ``percent_of_base``."""
    difference: Interval
    """Difference of ``percent_of_base`` from 100, in points, with its 95 % bootstrap interval over the tasks."""
    seconds_per_task: float
    """Mean time to learn and to score."""
    tokens_per_task: float
    """Mean number of tokens put into the context and trained on."""
    passages_per_task: float
    """Mean number of passages in the context."""
    reading_per_1000: float | None
    """Seconds that 1,000 tokens of context add to the score of a text. None without a context, or if it is too short to
    tell."""
    training_per_1000: float | None
    """Seconds of fine-tuning per 1,000 tokens; None without fine-tuning."""
    exact_match: float | None
    """Share of the questions that are answered exactly; None for texts."""
    f1: float | None
    """Mean F1 score of the answers; None for texts."""
    in_passages: float | None
    """Share of the questions whose reference is in a selected passage; None for texts."""


def percents_of_base(outcomes: Iterable[Outcome], arm: str, selector: str, k: int) -> list[float]:
    """Return, for each task measured so, the bits per byte in per cent of the base's."""
    return [
        100 * measured.bits_per_byte / outcome.base.bits_per_byte
        for outcome in outcomes
        for measured in outcome.measurements
        if (measured.arm, measured.selector, measured.k) == (arm, selector, k)
    ]


def best_rows(rows: Iterable[Row]) -> list[Row]:
    """Return the row with the fewest bits for each arm, in the order in which the arms come."""
    best: dict[str, Row] = {}
    for row in rows:
        if row.arm not in best or row.percent_of_base < best[row.arm].percent_of_base:
            best[row.arm] = row
    return list(best.values())


def base_row(group: str, outcomes: Sequence[Outcome]) -> Row:
    """Return the row of the model as it is: 100 per cent of itself, and its time."""
    return _row(group, "base", "", 0, [(outcome, outcome.base) for outcome in outcomes])


def rows_of(group: str, outcomes: Sequence[Outcome]) -> list[Row]:
    """Return a row for each arm, selector and k, in this order."""
    measured: dict[tuple[str, str, int], list[tuple[Outcome, Measurement]]] = {}
    for outcome in outcomes:
        for one in outcome.measurements:
            measured.setdefault((one.arm, one.selector, one.k), []).append((outcome, one))
    return [_row(group, *key, measured[key]) for key in sorted(measured)]


def _row(group: str, arm: str, selector: str, k: int, pairs: Sequence[tuple[Outcome, Measurement]]) -> Row:
    percents = [100.0 * (one.bits_per_byte / outcome.base.bits_per_byte) for outcome, one in pairs]
    answers = [one.answered for _, one in pairs if one.answered is not None]
    return Row(
        group=group,
        arm=arm,
        selector=selector,
        k=k,
        tasks=len(pairs),
        percent_of_base=fmean(percents),
        standard_error=standard_error(percents),
        difference=bootstrap([percent - 100 for percent in percents]),
        seconds_per_task=fmean(one.seconds for _, one in pairs),
        tokens_per_task=fmean(one.tokens for _, one in pairs),
        passages_per_task=fmean(one.passages for _, one in pairs),
        reading_per_1000=_reading_per_1000(pairs),
        training_per_1000=_per_1000(sum(one.learning_seconds for _, one in pairs), _learnt(pairs)),
        exact_match=fmean(answer.exact_match for answer in answers) if answers else None,
        f1=fmean(answer.f1 for answer in answers) if answers else None,
        in_passages=fmean(answer.in_passages for answer in answers) if answers else None,
    )


def _reading_per_1000(pairs: Sequence[tuple[Outcome, Measurement]]) -> float | None:
    """Return what the context adds to the time of the base's score, per 1,000 of its tokens."""
    seconds = sum(one.reading_seconds - outcome.base.reading_seconds for outcome, one in pairs)
    return _per_1000(seconds, sum(one.tokens for _, one in pairs) - _learnt(pairs)) if seconds > 0 else None


def _per_1000(seconds: float, tokens: int) -> float | None:
    return 1000 * seconds / tokens if tokens else None


def _learnt(pairs: Sequence[tuple[Outcome, Measurement]]) -> int:
    return sum(one.learnt_tokens for _, one in pairs)
