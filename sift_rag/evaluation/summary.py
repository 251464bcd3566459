"""Turn outcomes into rows, and rows into a verdict in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from sift_rag.evaluation.metrics import rank_correlation
from sift_rag.evaluation.outcomes import FEWEST, Outcome
from sift_rag.evaluation.rows import ALL, Row, base_row, best_rows, rows_of
from sift_rag.evaluation.verdict import Decision, decide, in_words


@dataclass(frozen=True, slots=True)
class Prediction:
    """The quality of the explained variance as a prediction of the gain, over the tasks."""

    arm: str
    """Name of the arm."""
    selector: str
    """Name of the selector."""
    k: int
    """Largest k that was measured."""
    rank_correlation: float | None
    """Spearman's rank correlation of the share of variance explained and the share of bits saved; None for fewer than
    ``FEWEST`` tasks, or if undefined."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The result of a comparison."""

    protocol: str
    """Kind of the tasks: ``texts`` or ``questions``."""
    tasks: int
    """Number of tasks."""
    base_bits_per_byte: float
    """All bits over all bytes, for the model as it is."""
    base_exact_match: float | None
    """Share of the questions that the model answers exactly as it is; None for texts."""
    base_f1: float | None
    """Mean F1 score of the model as it is; None for texts."""
    base_seconds_per_task: float
    """Mean time to score the model as it is."""
    base: tuple[Row, ...]
    """Row of the model as it is: for all tasks first, then by group."""
    rows: tuple[Row, ...]
    """Rows of all tasks first, then by group; each by arm, selector and k."""
    window: int | None
    """Tokens of the limited context; None if there was none."""
    predictions: tuple[Prediction, ...]
    """Predictions by arm and selector."""
    left_out: int
    """Number of candidates that were left out as the text itself, over all tasks."""
    decision: Decision
    """Recommended arm, weighed against the next best."""
    verdict: str
    """The decision in words: which arm is ahead, by how much, and at what cost."""

    @property
    def all_rows(self) -> tuple[Row, ...]:
        """Group by group, the model as it is, then the other rows."""
        groups = dict.fromkeys(row.group for row in self.rows)
        return tuple(row for group in groups for row in (*self.base, *self.rows) if row.group == group)

    @property
    def best(self) -> list[Row]:
        """Row of the model as it is, then the best row of each arm, over all tasks."""
        return [self.base[0], *best_rows(row for row in self.rows if row.group == ALL)]


def summarise(outcomes: Sequence[Outcome], *, window: int | None = None) -> Summary:
    """Return rows and verdict.

    Args:
        outcomes: in the order of the tasks.
        window: ``Comparison.window``.

    Raises:
        ValueError: there are no outcomes, or no task was measured in every arm.
    """
    if not outcomes:
        raise ValueError("There are no outcomes to summarise: expected at least one.")
    groups = list(dict.fromkeys(outcome.task.group for outcome in outcomes))
    base, rows = [base_row(ALL, outcomes)], rows_of(ALL, outcomes)
    best = [*base, *best_rows(rows)]
    if len(groups) > 1:
        for group in groups:
            name = f"{group} (group)" if group == ALL else group
            own = [outcome for outcome in outcomes if outcome.task.group == group]
            base.append(base_row(name, own))
            rows += rows_of(name, own)
    decision = decide(outcomes, best)
    sizes = [len(outcome.task.text.encode()) for outcome in outcomes]
    bits = sum(outcome.base.bits_per_byte * size for outcome, size in zip(outcomes, sizes, strict=True))
    answers = [outcome.base.answered for outcome in outcomes if outcome.base.answered is not None]
    return Summary(
        protocol="texts" if outcomes[0].task.question is None else "questions",
        tasks=len(outcomes),
        base_bits_per_byte=bits / sum(sizes),
        base_exact_match=fmean(answer.exact_match for answer in answers) if answers else None,
        base_f1=fmean(answer.f1 for answer in answers) if answers else None,
        base_seconds_per_task=fmean(outcome.base.seconds for outcome in outcomes),
        base=tuple(base),
        rows=tuple(rows),
        window=window,
        predictions=tuple(_predictions(outcomes)),
        left_out=sum(outcome.left_out for outcome in outcomes),
        decision=decision,
        verdict=in_words(decision, best, window=window),
    )


def _predictions(outcomes: Sequence[Outcome]) -> list[Prediction]:
    keys = {(one.arm, one.selector) for outcome in outcomes for one in outcome.measurements}
    found = []
    for arm, selector in sorted(keys):
        pairs = [
            (outcome, [one for one in outcome.measurements if (one.arm, one.selector) == (arm, selector)])
            for outcome in outcomes
        ]
        k = max(one.k for _, ones in pairs for one in ones)
        last = [(outcome, one) for outcome, ones in pairs for one in ones if one.k == k]
        predicted = [one.predicted or 0.0 for _, one in last]
        saved = [1 - one.bits_per_byte / outcome.base.bits_per_byte for outcome, one in last]
        correlation = rank_correlation(predicted, saved) if len(last) >= FEWEST else None
        found.append(Prediction(arm, selector, k, correlation))
    return found
