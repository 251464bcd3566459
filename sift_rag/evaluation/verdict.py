"""The verdict of a comparison: which way to use the model, by how much it is ahead, and at what cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from sift_rag.evaluation.metrics import Interval, bootstrap
from sift_rag.evaluation.outcomes import FEWEST, Outcome
from sift_rag.evaluation.rows import Row, percents_of_base

ORDER = ("base", "context", "window", "finetune", "both")
"""Arms, simplest first: of two that are equal in bits and time, the simpler one is recommended."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A recommendation, with the alternative that it was weighed against."""

    recommended: Row
    """Recommended setting: the best one, or the cheapest of those that are no worse beyond chance."""
    alternative: Row
    """Best of the other arms if the best setting is recommended, else the best setting."""
    margin: Interval
    """Points of ``percent_of_base`` by which the better of the two is ahead, at least 0, with the 95 % bootstrap
    interval over the tasks."""
    beyond_chance: bool
    """True if the whole interval lies above 0: the recommended setting is ahead."""


def decide(outcomes: Sequence[Outcome], best: Sequence[Row]) -> Decision:
    """Weigh the best row of each arm, the base among them, against the others.

    Raises:
        ValueError: there are fewer than two rows, or no task was measured in all of them.
    """
    if len(best) < 2:
        raise ValueError(f"There are {len(best)} arms to decide between: expected at least two.")
    measured = [one for one in (_percents(outcome, best) for outcome in outcomes) if one is not None]
    if not measured:
        raise ValueError("No task was measured in every arm: expected at least one.")
    shares = dict(zip(best, zip(*measured, strict=True), strict=True))
    first, *others = sorted(best, key=lambda row: (fmean(shares[row]), row.seconds_per_task, ORDER.index(row.arm)))
    margins = {
        row: bootstrap([theirs - ours for theirs, ours in zip(shares[row], shares[first], strict=True)])
        for row in others
    }
    level = [row for row, margin in margins.items() if not margin.low > 0]
    recommended = min([first, *level], key=lambda row: (row.seconds_per_task, ORDER.index(row.arm)))
    alternative = others[0] if recommended is first else first
    margin = margins[alternative if recommended is first else recommended]
    return Decision(recommended, alternative, margin, margin.low > 0 and len(measured) > 1)


def _percents(outcome: Outcome, rows: Sequence[Row]) -> list[float] | None:
    """Return the task's per cent of the base in each row's setting; None if one was not measured."""
    found = [
        [100.0] if row.arm == "base" else percents_of_base([outcome], row.arm, row.selector, row.k) for row in rows
    ]
    return [values[0] for values in found] if all(found) else None


def in_words(decision: Decision, best: Sequence[Row], *, window: int | None) -> str:
    """Return the decision as a few sentences.

    Args:
        decision: result of ``decide``.
        best: the rows that it was made from.
        window: tokens of the limited context, if there was one.
    """
    chosen = decision.recommended
    others = sorted((row for row in best if row is not chosen and row.arm != "base"), key=_by_bits)
    head, *rest = others if chosen.arm == "base" else [chosen, *others]
    share = f"the model needs {head.percent_of_base:.0f} % of the bits that it needs alone"
    told = "".join(f", {_setting(row, window)} {row.percent_of_base:.0f} %" for row in rest)
    advice = f"{_ADVICE[chosen.arm]}: {_setting(head, window)} {share}{told}."
    return f"{advice} {_weighed(decision)}{_few(chosen.tasks)}"


_ADVICE = {
    "base": "Leave the model as it is",
    "context": "Put passages into the context",
    "window": "Put passages into a limited context",
    "finetune": "Fine-tune the model on passages",
    "both": "Put passages into the context and fine-tune on them",
}
_NAMES = {
    "base": "the model alone",
    "context": "the context",
    "window": "the limited context",
    "finetune": "fine-tuning",
    "both": "doing both",
}


def _setting(row: Row, window: int | None) -> str:
    if row.arm == "finetune":
        return f"after {row.k} step{'s' if row.k > 1 else ''} of fine-tuning ({row.selector})"
    if row.arm == "both":
        return f"with both ({row.selector}, k = {row.k})"
    shown = round(row.passages_per_task)
    passages = f"{row.k} passage{'s' if row.k > 1 else ''}"
    number = passages if shown >= row.k else f"{f'about {shown}' if shown else 'hardly any'} of {passages}"
    where = f"within {window:,} tokens" if row.arm == "window" and window is not None else "in the context"
    return f"with {number} {where} ({row.selector})"


def _weighed(decision: Decision) -> str:
    chosen, margin = decision.recommended, decision.margin
    ours, theirs = _NAMES[chosen.arm], _NAMES[decision.alternative.arm]
    interval = f"95 % interval {margin.low:.1f} to {margin.high:.1f}"
    points = f"{_number(margin.mean)} point{'' if _number(margin.mean) == '1' else 's'}"
    cost = _cost(chosen.seconds_per_task, decision.alternative.seconds_per_task)
    if decision.beyond_chance:
        return f"{_capital(ours)} is ahead of {theirs} by {points} ({interval}) and {cost}."
    if chosen.tasks == 1:
        return f"{_capital(ours)} is ahead of {theirs} by {points} on the one task and {cost}."
    level = f"There is no difference beyond chance between {ours} and {theirs} ({points}, {interval})"
    return f"{level}; {ours} {cost}."


def _cost(ours: float, theirs: float) -> str:
    """Return the verb phrase that compares a time with another's."""
    ratio = max(ours, 1e-9) / max(theirs, 1e-9)
    if 1 / 1.1 < ratio < 1.1:
        return "takes about as long"
    return f"takes {_number(ratio)} times as long" if ratio > 1 else f"is {_number(1 / ratio)} times as fast"


def _number(value: float) -> str:
    """Return a positive number with one decimal if it is below ten and has one."""
    return f"{value:.1f}".removesuffix(".0") if value < 9.95 else f"{value:,.0f}"


def _capital(name: str) -> str:
    return name[0].upper() + name[1:]


def _few(count: int) -> str:
    return f" Only {count} task{'s' if count > 1 else ''}: use more for a firmer result." if count < FEWEST else ""


def _by_bits(row: Row) -> tuple[float, float, int]:
    return row.percent_of_base, row.seconds_per_task, ORDER.index(row.arm)
