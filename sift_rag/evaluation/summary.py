"""Turn outcomes into rows, and rows into a verdict in one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from sift_rag.evaluation.metrics import Interval, bootstrap, rank_correlation, standard_error
from sift_rag.evaluation.outcomes import Measurement, Outcome

ALL = "all"
"""Name of the group that all tasks belong to."""

FEWEST = 10
"""Number of tasks below which the verdict warns that there are few."""


@dataclass(frozen=True, slots=True)
class Row:
    """One arm with one selection, over the tasks of one group."""

    group: str
    """Name of the group."""
    arm: str
    """Name of the arm."""
    selector: str
    """Name of the selector."""
    k: int
    """Number of passages in the context, or of training steps."""
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
    exact_match: float | None
    """Share of the questions that are answered exactly; None for texts."""
    f1: float | None
    """Mean F1 score of the answers; None for texts."""
    in_passages: float | None
    """Share of the questions whose reference is in a selected passage; None for texts."""


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
    """Spearman's rank correlation of the share of variance explained and the share of bits saved; None if undefined."""


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
    rows: tuple[Row, ...]
    """Rows of all tasks first, then by group; each by arm, selector and k."""
    predictions: tuple[Prediction, ...]
    """Predictions by arm and selector."""
    left_out: int
    """Number of candidates that were left out as the text itself, over all tasks."""
    verdict: str
    """Sentence that says which arm is ahead, by how much, and at what cost."""


def summarise(outcomes: Sequence[Outcome]) -> Summary:
    """Return rows and verdict.

    Raises:
        ValueError: there are no outcomes.
    """
    if not outcomes:
        raise ValueError("There are no outcomes to summarise: expected at least one.")
    groups = list(dict.fromkeys(outcome.task.group for outcome in outcomes))
    everything, rows = _rows(ALL, outcomes), []
    if len(groups) > 1:
        for group in groups:
            name = f"{group} (group)" if group == ALL else group
            rows += _rows(name, [outcome for outcome in outcomes if outcome.task.group == group])
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
        rows=(*everything, *rows),
        predictions=tuple(_predictions(outcomes)),
        left_out=sum(outcome.left_out for outcome in outcomes),
        verdict=_verdict(outcomes, everything),
    )


def percents_of_base(outcomes: Iterable[Outcome], arm: str, selector: str, k: int) -> list[float]:
    """Return, for each task measured so, the bits per byte in per cent of the base's."""
    return [
        100 * measured.bits_per_byte / outcome.base.bits_per_byte
        for outcome in outcomes
        for measured in outcome.measurements
        if (measured.arm, measured.selector, measured.k) == (arm, selector, k)
    ]


def _rows(group: str, outcomes: Sequence[Outcome]) -> list[Row]:
    measured: dict[tuple[str, str, int], list[tuple[Outcome, Measurement]]] = {}
    for outcome in outcomes:
        for one in outcome.measurements:
            measured.setdefault((one.arm, one.selector, one.k), []).append((outcome, one))
    return [_row(group, *key, measured[key]) for key in sorted(measured)]


def _row(group: str, arm: str, selector: str, k: int, pairs: Sequence[tuple[Outcome, Measurement]]) -> Row:
    percents = [100 * one.bits_per_byte / outcome.base.bits_per_byte for outcome, one in pairs]
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
        exact_match=fmean(answer.exact_match for answer in answers) if answers else None,
        f1=fmean(answer.f1 for answer in answers) if answers else None,
        in_passages=fmean(answer.in_passages for answer in answers) if answers else None,
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
        found.append(Prediction(arm, selector, k, rank_correlation(predicted, saved)))
    return found


def _verdict(outcomes: Sequence[Outcome], rows: Sequence[Row]) -> str:
    """Compare the best row of each arm with the other's, in words."""
    best = {
        arm: min((row for row in rows if row.arm == arm), key=lambda row: row.percent_of_base)
        for arm in ("context", "finetune")
        if any(row.arm == arm for row in rows)
    }
    count = len(outcomes)
    few = f" Only {count} task{'s' if count > 1 else ''}: use more for a firmer result." if count < FEWEST else ""
    if len(best) < 2:
        row = min(rows, key=lambda row: row.percent_of_base)
        what = f"{_NAMES[row.arm]} with {row.selector} at k = {row.k}"
        return f"{what} needs {row.percent_of_base:.0f} % of the bits that the model needs alone.{few}"
    context, tuned = best["context"], best["finetune"]
    pairs = [
        (
            percents_of_base([outcome], "context", context.selector, context.k),
            percents_of_base([outcome], "finetune", tuned.selector, tuned.k),
        )
        for outcome in outcomes
    ]
    gap = bootstrap([ours[0] - theirs[0] for ours, theirs in pairs if ours and theirs])
    setting = (
        f"{_NAMES['finetune']} ({tuned.selector}, k = {tuned.k}) needs {tuned.percent_of_base:.0f} % of the bits that "
        f"the model needs alone, context ({context.selector}, k = {context.k}) {context.percent_of_base:.0f} %"
    )
    interval = f"95 % interval {gap.low:+.1f} to {gap.high:+.1f}"
    winner = "fine-tuning" if gap.mean > 0 else "context"
    if count == 1:
        outcome = f"{winner} is ahead by {abs(gap.mean):.0f} points on the one task"
    elif not gap.excludes_zero:
        outcome = f"no difference beyond chance on this corpus ({gap.mean:+.1f} points, {interval})"
    else:
        outcome = f"{winner} wins by {abs(gap.mean):.0f} points on this corpus ({interval})"
    return f"{setting}: {outcome}; {_cost(context, tuned)}.{few}"


_NAMES = {"context": "Context", "finetune": "Fine-tuning", "both": "Both"}


def _cost(context: Row, tuned: Row) -> str:
    ratio = tuned.seconds_per_task / max(context.seconds_per_task, 1e-9)
    if ratio >= 1:
        return f"context is {ratio:.3g} times cheaper"
    return f"fine-tuning is {1 / ratio:.3g} times cheaper"
