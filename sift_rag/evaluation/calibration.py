"""Propose settings for a collection: values that raise recall, cross-validated, and thresholds.

Values are proposed only if, chosen on part of the questions, they find significantly more than the current ones on the
held-out rest. A threshold is a percentile over questions that the collection can answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

import numpy as np

from sift_rag import defaults
from sift_rag.evaluation.found import interval_in_words, questions_in_words
from sift_rag.evaluation.judge import Judge, Unmatched
from sift_rag.evaluation.judged_questions import JudgedQuestion
from sift_rag.evaluation.metrics import SEED, Interval, bootstrap, bootstraps, share
from sift_rag.evaluation.outcomes import FEWEST
from sift_rag.evaluation.trials import Origin, Plan, Trial, Uncertainty, Values, measure_foreign, try_out, values_json
from sift_rag.protocols import Embedder, PassageIndex, Relevance
from sift_rag.types import JsonValue

FOLDS = 5
DIGITS = 5
"""Decimals of a threshold, rounded so as never to refuse more questions."""


@dataclass(frozen=True, slots=True)
class Combination:
    """One combination of values, scored over all questions."""

    values: Values
    found: float
    """Mean recall, in [0, 1]."""
    difference: Interval
    """Paired difference from the current values, not corrected for multiple comparisons."""

    def to_dict(self) -> dict[str, JsonValue]:
        """Return its JSON shape."""
        return {**values_json(self.values), "found": self.found, "difference": {**self.difference._asdict()}}


@dataclass(frozen=True, slots=True)
class Proposal:
    """The proposed value of one setting."""

    name: str
    """Name of the setting."""
    current: float
    proposed: float
    """The current value, unless another finds significantly more."""
    brings: Interval | None
    """Improvement in recall from this change alone, on held-out questions; None if the value stays."""

    @property
    def changed(self) -> bool:
        """Return True if another value is proposed."""
        return self.proposed != self.current

    def to_dict(self) -> dict[str, JsonValue]:
        """Return its JSON shape."""
        brings: JsonValue = None if self.brings is None else {**self.brings._asdict()}
        return {"name": self.name, "current": self.current, "proposed": self.proposed, "brings": brings}


@dataclass(frozen=True, slots=True)
class Threshold:
    """The proposed value of a threshold: a percentile over answerable questions."""

    name: str
    """``max_variance`` or ``min_gain``."""
    current: float | None
    """None if not set."""
    proposed: float | None
    """None if nothing can be proposed."""
    answerable: float | None
    """Share of answerable questions that the proposal refuses, at most 0.05; None without a proposal."""
    foreign: Interval | None
    """Share of foreign questions that it refuses; None without a proposal or without foreign questions."""
    note: str
    """Sentence that states the proposal, or why there is none."""

    def to_dict(self) -> dict[str, JsonValue]:
        """Return its JSON shape."""
        foreign: JsonValue = None if self.foreign is None else {**self.foreign._asdict()}
        return {
            "name": self.name,
            "current": self.current,
            "proposed": self.proposed,
            "refuses": {"answerable": self.answerable, "foreign": foreign},
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Calibration:
    """The result of a calibration."""

    origin: Origin
    """Origin of the questions."""
    questions: int
    """Number of questions measured."""
    left: int
    """Number of questions left out because the run was interrupted."""
    proposals: tuple[Proposal, ...]
    """One per setting; empty for generated questions."""
    brings: Interval | None
    """Improvement in recall, on held-out questions; None for generated questions."""
    thresholds: tuple[Threshold, ...]
    combinations: tuple[Combination, ...]
    """All combinations compared; empty for generated questions."""
    found: float
    """Mean recall of the current values, in [0, 1]."""
    verdict: str
    """Sentence on the settings."""
    answerable: tuple[Uncertainty, ...]
    """Uncertainty left for each answerable question."""
    foreign: tuple[Uncertainty, ...]
    """Uncertainty left for each foreign question."""
    unmatched: tuple[Unmatched, ...]
    """Relevant items that are not in the collection."""

    def changes(self) -> dict[str, dict[str, float]]:
        """Return the proposals that differ from the current values, by table of ``sift-rag.toml``."""
        search = {one.name: one.proposed for one in self.proposals if one.changed}
        limits = {
            one.name: one.proposed
            for one in self.thresholds
            if one.proposed is not None and one.proposed != one.current
        }
        ask = {name: value for name, value in limits.items() if name == "min_gain"}
        search |= {name: value for name, value in limits.items() if name not in ask}
        return {name: table for name, table in (("search", search), ("ask", ask)) if table}

    def toml(self) -> str:
        """Return these changes as lines of ``sift-rag.toml``; an empty string if there are none."""
        return "\n".join(
            "".join((f"[{name}]\n", *(f"{key} = {value!r}\n" for key, value in table.items())))
            for name, table in self.changes().items()
        )

    def to_dict(self) -> dict[str, JsonValue]:
        """Return its JSON shape."""
        changes: dict[str, JsonValue] = {name: {**table} for name, table in self.changes().items()}
        return {
            "origin": self.origin,
            "questions": self.questions,
            "left": self.left,
            "found": self.found,
            "answerable": len(self.answerable),
            "foreign": len(self.foreign),
            "proposals": [one.to_dict() for one in self.proposals],
            "brings": None if self.brings is None else {**self.brings._asdict()},
            "thresholds": [one.to_dict() for one in self.thresholds],
            "combinations": [one.to_dict() for one in self.combinations],
            "verdict": self.verdict,
            "changes": changes,
            "unmatched": [one.to_dict() for one in self.unmatched],
        }


def calibrate(
    questions: Sequence[JudgedQuestion],
    *,
    embedder: Embedder,
    store: PassageIndex,
    plan: Plan | None = None,
    foreign: Sequence[Sequence[str]] = (),
    relevance: Relevance | None = None,
) -> Calibration:
    """Propose values of ``words``, ``noise_variance`` and ``follow``, and thresholds, for a collection.

    Args:
        questions: what to search for; at least one.
        embedder: the one that the collection was made with.
        store: the collection.
        plan: the current search, and what to compare with it.
        foreign: questions that the collection cannot answer, each one text or several asked together.
        relevance: a reranker that scores the candidates of every search.

    Raises:
        NoEvidence: the collection is empty, or nothing in it passes the filter.
        ValueError: there is no question, or one is too long.
    """
    plan = plan or Plan()
    judge = Judge(questions, store)
    trials = list(try_out(plan, judge, embedder=embedder, store=store, relevance=relevance))
    choice = choose(plan, trials)
    measured = measure_foreign(plan, choice.values, foreign, embedder=embedder, store=store, relevance=relevance)
    return sum_up(plan, choice, trials, list(measured), judge)


class Choice(NamedTuple):
    """Proposed values and their improvement in recall."""

    values: Values
    """The current values, unless others find significantly more."""
    brings: Interval | None
    """Difference in recall from the current values, on held-out questions; None if not compared."""
    parts: dict[str, Interval]
    """Recall lost if one setting alone keeps its current value, by setting."""


def choose(plan: Plan, trials: Sequence[Trial]) -> Choice:
    """Return the values to propose after these trials, possibly an incomplete run.

    Raises:
        ValueError: there are no trials.
    """
    if not trials:
        raise ValueError("There are no questions to calibrate with: expected at least one.")
    tried, current = plan.combinations, plan.current
    if len(tried) == 1:
        return Choice(current, None, {})
    found = np.array([trial.found for trial in trials])
    kept = tried.index(current)
    folds = np.random.default_rng(SEED).permutation(len(trials)) % FOLDS
    total = np.zeros(len(trials))
    parts = {name: np.zeros(len(trials)) for name in Values._fields}
    for fold in range(min(FOLDS, len(trials))):
        out = folds == fold
        chosen = _best(found[~out], tried, kept) if len(trials) > 1 else kept
        total[out] = found[out, chosen] - found[out, kept]
        for name, part in parts.items():
            without = tried.index(tried[chosen]._replace(**{name: getattr(current, name)}))
            part[out] = found[out, chosen] - found[out, without]
    brings = bootstrap(total.tolist())
    proven = len(trials) >= FEWEST and brings.low > 0
    values = tried[_best(found, tried, kept)] if proven else current
    return Choice(values, brings, {name: bootstrap(part.tolist()) for name, part in parts.items()})


def _best(found: np.ndarray, tried: Sequence[Values], kept: int) -> int:
    """Return the combination to choose: among those within a standard error of the best, the one that changes least.

    Args:
        found: ``(n, p)``, n > 0.
        tried: p combinations.
        kept: the current one.
    """
    means = found.mean(axis=0)
    behind = found[:, [int(means.argmax())]] - found
    error = behind.std(axis=0, ddof=min(1, len(found) - 1)) / np.sqrt(len(found))
    near = np.flatnonzero(behind.mean(axis=0) <= error + 1e-12)
    places: list[int] = near.tolist()
    return min(places, key=lambda place: (tried[place].changes(tried[kept]), -means[place], place))


def sum_up(
    plan: Plan, choice: Choice, trials: Sequence[Trial], foreign: Sequence[Uncertainty], judge: Judge
) -> Calibration:
    """Return proposals and thresholds.

    Args:
        plan: what was compared.
        choice: that of ``choose`` for the trials.
        trials: the trials measured, possibly for only some of the judge's questions.
        foreign: uncertainty left for the foreign questions, with the values of ``choice``.
        judge: the judge of all questions.
    """
    place = plan.combinations.index(choice.values)
    answerable = tuple(Uncertainty(trial.variances[place], trial.gain) for trial in trials if trial.answerable)
    measured = {trial.question.id for trial in trials}
    judged = plan.origin == "judged"
    kept = plan.combinations.index(plan.current)
    found = fmean(trial.found[kept] for trial in trials)
    return Calibration(
        origin=plan.origin,
        questions=len(trials),
        left=len(judge.questions) - len(trials),
        proposals=_proposals(plan, choice) if judged else (),
        brings=choice.brings,
        thresholds=_thresholds(plan, answerable, foreign),
        combinations=_combinations(plan, trials) if judged else (),
        found=found,
        verdict=_verdict(plan, choice, found, len(trials)),
        answerable=answerable,
        foreign=tuple(foreign),
        unmatched=tuple(one for one in judge.unmatched if one.question in measured),
    )


def _proposals(plan: Plan, choice: Choice) -> tuple[Proposal, ...]:
    return tuple(
        Proposal(name, own, proposed, choice.parts[name] if proposed != own else None)
        for name, own, proposed in zip(Values._fields, plan.current, choice.values, strict=True)
    )


def _combinations(plan: Plan, trials: Sequence[Trial]) -> tuple[Combination, ...]:
    found = np.array([trial.found for trial in trials])
    gaps = bootstraps(found - found[:, [plan.combinations.index(plan.current)]])
    means = found.mean(axis=0).tolist()
    return tuple(Combination(*one) for one in zip(plan.combinations, means, gaps, strict=True))


def _thresholds(
    plan: Plan, answerable: Sequence[Uncertainty], foreign: Sequence[Uncertainty]
) -> tuple[Threshold, Threshold]:
    variances, gains = ([one[part] for one in answerable] for part in (0, 1))
    theirs, their_gains = ([one[part] for one in foreign] for part in (0, 1))
    return (
        _threshold("max_variance", plan.options.max_variance, variances, theirs),
        _threshold("min_gain", plan.min_gain, gains, their_gains, sign=-1),
    )


def _threshold(
    name: str, current: float | None, values: Sequence[float], foreign: Sequence[float], *, sign: int = 1
) -> Threshold:
    """Return the threshold that 95 % of the values pass: those at most it, or with sign -1 at least it."""
    if len(values) < FEWEST:
        note = f"No {name}: at least {FEWEST} answerable questions are needed, and there are {len(values)}."
        return Threshold(name, current, None, None, None, note)
    limit = percentile([sign * value for value in values])
    proposed = sign * limit

    def refused(some: Sequence[float]) -> list[bool]:
        return [sign * value > limit for value in some]

    own = share(refused(values)).mean
    told = share(refused(foreign)) if foreign else None
    percent = round(100 * (defaults.ANSWERED_SHARE if sign == 1 else 1 - defaults.ANSWERED_SHARE))
    what = f"{name} = {proposed:g} is the {percent}th percentile over {len(values):,} answerable questions"
    if told is None:
        return Threshold(name, current, proposed, own, None, f"{what}; not checked on foreign questions.")
    rate = f"{100 * told.mean:.0f} % {interval_in_words(100 * told.low, 100 * told.high)}"
    if told.low <= 1 - defaults.ANSWERED_SHARE:
        note = f"No {name} separates the questions: {what}, but refuses only {rate} of {len(foreign):,} foreign ones."
        return Threshold(name, current, None, None, None, note)
    return Threshold(name, current, proposed, own, told, f"{what}; it refuses {rate} of {len(foreign):,} foreign ones.")


def percentile(values: Sequence[float]) -> float:
    """Return the smallest value that 95 % of the values do not exceed, rounded up to five decimals."""
    exact = float(np.quantile(np.asarray(values, dtype=np.float64), defaults.ANSWERED_SHARE, method="inverted_cdf"))
    rounded = round(exact, DIGITS)
    return rounded if rounded >= exact else round(rounded + 10**-DIGITS, DIGITS)


def _verdict(plan: Plan, choice: Choice, found: float, count: int) -> str:
    if choice.brings is None:
        return (
            "Generated questions give thresholds only: they share words with their own passage, so settings that find "
            "it may not suit real questions."
        )
    low, high = 100 * choice.brings.low, 100 * choice.brings.high
    brings = f"{100 * choice.brings.mean:+z.1f} points {interval_in_words(low, high)} on held-out questions"
    on = questions_in_words(count)
    now = f"the current settings find {100 * found:.1f} %"
    if choice.values != plan.current:
        pairs = zip(_assigned(choice.values), plan.current, choice.values, strict=True)
        changed = ", ".join(text for text, own, proposed in pairs if own != proposed)
        return f"{changed} finds significantly more: {brings}; {now}, {on}."
    *first, last = _assigned(plan.current)
    kept = f"Keep {', '.join(first)} and {last}"
    if count < FEWEST:
        return f"{kept}: a change needs at least {FEWEST} questions; {now}, {on}."
    return f"{kept}: no other values find significantly more ({brings}); {now}, {on}."


def _assigned(values: Values) -> list[str]:
    return [f"{name} = {value:g}" for name, value in values._asdict().items()]
