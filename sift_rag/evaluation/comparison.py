"""Every arm on every task: the model as it is, with passages in its context, fine-tuned on them, and both.

What can be shared is: one embedding and one search a task, one base score, one fine-tuning for all k (the model is
scored on its way, after k steps; but see ``orders.sweeps``), one score for all k whose passages fill the window alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Literal, TypeAlias

import numpy as np

from sift_rag.evaluation.contexts import ANSWER_TOKENS, ContextBuilder
from sift_rag.evaluation.metrics import contains_answer, exact_match, token_f1
from sift_rag.evaluation.selectors import (
    COMPARED_SELECTORS,
    ComparedSelector,
    order_for_context,
    order_for_weights,
    sweeps,
)
from sift_rag.evaluation.tasks import Task
from sift_rag.finetuning import FineTuning, Tuner, TuningStep, score_text
from sift_rag.finetuning.sequences import can_teach
from sift_rag.models.local import LocalModel
from sift_rag.protocols import Embedder, PassageIndex
from sift_rag.retrieval.candidates import distinct_candidates
from sift_rag.retrieval.queries import cut_into_pieces
from sift_rag.selection import GreedySelection, SelectorSettings
from sift_rag.types import Candidate, Embedding

Arm: TypeAlias = Literal["base", "context", "finetune", "both"]

ARMS: tuple[Arm, ...] = ("context", "finetune", "both")
"""What the base is compared with."""

LONGEST_TEXT = 64
"""A text is searched with at most so many times what the embedder reads; more is refused, not cut."""

OVERLAP = 60
"""Characters that a passage and a text must share at their ends to count as neighbours in one document."""

EXAMPLES = 3
"""Passages of a selection that an outcome shows."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What is compared.

    Raises:
        ValueError: an unknown or missing arm, selector or k.
    """

    arms: tuple[Arm, ...] = ("context", "finetune")
    selectors: tuple[ComparedSelector, ...] = ("nearest", "sift")
    ks: tuple[int, ...] = (5, 20, 50)
    """Passages in the context; steps of training."""
    candidate_limit: int = 200
    """Distinct nearest candidates of each target that are selected from (the paper's K)."""
    tuning: FineTuning = field(default_factory=FineTuning)
    training: SelectorSettings = field(default_factory=SelectorSettings.for_fine_tuning)
    """Its surrogate chooses what is trained on."""

    def __post_init__(self) -> None:
        for name, given, known in (
            ("arms", self.arms, ARMS),
            ("selectors", self.selectors, tuple(COMPARED_SELECTORS)),
        ):
            wrong = [value for value in given if value not in known]
            if wrong or not given:
                raise ValueError(f"{name} is {', '.join(wrong) or 'empty'}: give some of {', '.join(known)}.")
        if not self.ks or min(self.ks) < 1:
            raise ValueError(f"k is {self.ks}: give at least one number, each at least 1.")
        if self.candidate_limit < 1:
            raise ValueError(f"candidate_limit must be >= 1, but got {self.candidate_limit}.")
        if set(self.selectors) == {"repeated-nearest"} and "finetune" not in self.arms:
            raise ValueError(
                f"arms is {', '.join(self.arms)}, and repeated-nearest is for fine-tuning only: add the arm finetune, "
                "or another selector."
            )


@dataclass(frozen=True, slots=True)
class AnswerScore:
    """How a question was answered."""

    exact_match: bool
    f1: float
    """Of the words, in [0, 1]."""
    in_passages: bool
    """Whether the reference stands in what was selected."""
    answer: str


@dataclass(frozen=True, slots=True)
class Measurement:
    """One arm with one selection, on one task."""

    arm: Arm
    selector: str
    """Empty for the base."""
    k: int
    """Passages chosen, or steps made; 0 for the base."""
    bits_per_byte: float
    seconds: float
    """To learn and to score: without loading, embedding and searching, which are the same for all."""
    tokens: int
    """Put into the context and trained on."""
    passages: int
    """That were in the context; fewer than k where the window is full. 0 without a context."""
    predicted: float | None = None
    """Share of the prior variance that the selection explains; None for the base."""
    answered: AnswerScore | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """A passage that was selected, for a person to see."""

    source: str
    text: str
    times: int
    """How often it is trained on."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """All measurements of one task."""

    task: Task
    base: Measurement
    measurements: tuple[Measurement, ...]
    left_out: int
    """Candidates that were the text itself, or a part of it."""
    examples: dict[str, tuple[Example, ...]]
    """By selector: the first passages that it chose."""


def compare(
    tasks: Sequence[Task],
    *,
    model: LocalModel,
    embedder: Embedder,
    store: PassageIndex,
    comparison: Comparison,
    on_task: Callable[[Task], None] | None = None,
) -> Iterator[Outcome]:
    """The outcomes, one after the other. Equal input gives equal figures but for the times.

    A text that stands in the collection itself does not help to predict it: candidates that hold it, or that it holds,
    are left out.

    Raises:
        ModelInUse: the model is at work elsewhere.
        ModelUnsuitable: it cannot be fine-tuned as asked, or its window has no room.
        TrainingFailed: the loss is no number, or memory ran out.
        ValueError: a text is longer than ``LONGEST_TEXT`` times what the embedder reads. Told before the first outcome.
    """
    pieces = [_pieces(task, embedder) for task in tasks]
    tunes = any(arm != "context" for arm in comparison.arms)
    tuner = Tuner(model, comparison.tuning) if tunes else None
    for task, asked in zip(tasks, pieces, strict=True):
        if on_task is not None:
            on_task(task)
        yield _Run(task, model, comparison).outcome(embedder.embed_queries(asked), store, tuner)


class _Run:
    """One task, measured."""

    def __init__(self, task: Task, model: LocalModel, comparison: Comparison) -> None:
        self._task = task
        self._model = model
        self._comparison = comparison
        self._contexts = ContextBuilder(model, task)
        self._measurements: list[Measurement] = []

    def outcome(self, targets: Embedding, store: PassageIndex, tuner: Tuner | None) -> Outcome:
        comparison = self._comparison
        found = distinct_candidates(store, targets, comparison.candidate_limit)
        candidates = [one for one in found if self._task.question is not None or not _holds(self._task.text, one)]
        rows = np.stack([one.embedding for one in candidates]) if candidates else np.zeros_like(targets[:0])
        most = max(comparison.ks)
        base = self._measure("base", "", ())
        examples: dict[str, tuple[Example, ...]] = {}
        for selector in comparison.selectors:
            for_context = None
            if set(comparison.arms) & {"context", "both"}:
                for_context = order_for_context(selector, targets, rows, most)
            if for_context is not None:
                examples[selector] = _examples(candidates, for_context)
            if for_context is not None and "context" in comparison.arms:
                self._in_context(selector, candidates, for_context)
            if tuner is None:
                continue
            for ks in sweeps(selector, comparison.ks):
                for_weights = order_for_weights(selector, targets, rows, max(ks), comparison.training)
                examples[selector] = _examples(candidates, for_weights)
                self._tuned(selector, ks, candidates, for_weights, for_context, tuner)
        return Outcome(self._task, base, tuple(self._measurements), len(found) - len(candidates), examples)

    def _in_context(self, selector: str, candidates: Sequence[Candidate], order: GreedySelection) -> None:
        known: dict[tuple[int, ...], Measurement] = {}
        for k in self._comparison.ks:
            texts = _texts(candidates, order, k)
            tokens = self._contexts.build(texts).tokens
            if tokens not in known:
                known[tokens] = self._measure("context", selector, texts)
            self._add(known[tokens], k, order, texts)

    def _tuned(
        self,
        selector: str,
        ks: Sequence[int],
        candidates: Sequence[Candidate],
        order: GreedySelection,
        for_context: GreedySelection | None,
        tuner: Tuner,
    ) -> None:
        trained = _texts(candidates, order, max(ks))

        def measure(ks: Sequence[int], learning: float, learnt: int) -> None:
            if "finetune" in self._comparison.arms:
                measured = self._measure("finetune", selector, (), learning, learnt)
                for k in ks:
                    self._add(measured, k, order, trained[:k])
            if "both" in self._comparison.arms and for_context is not None:
                for k in ks:
                    texts = _texts(candidates, for_context, k)
                    self._add(self._measure("both", selector, texts, learning, learnt), k, order, trained[:k] + texts)

        left = _ks_by_steps(ks, can_teach(self._model.tokenizer, trained))

        def on_step(step: TuningStep) -> None:
            if step.number in left:
                measure(left.pop(step.number), step.seconds, step.tokens)

        if 0 in left:
            measure(left.pop(0), 0.0, 0)  # it has learnt nothing: it is the base
        if not left:
            return
        with tuner.tuned(trained[: max(k for ks in left.values() for k in ks)], on_step=on_step) as tuning:
            if left:  # out of time
                measure([k for ks in left.values() for k in ks], tuning.seconds, tuning.tokens)

    def _measure(
        self, arm: Arm, selector: str, passages: Sequence[str], learning: float = 0.0, learnt: int = 0
    ) -> Measurement:
        """The model as it is now, with passages before the task; for k = 0."""
        started = perf_counter()
        context = self._contexts.build(passages)
        score = score_text(self._model, self._contexts.scored_text, context=context.tokens)
        answered = self._answer(passages[: context.passages]) if self._task.question is not None else None
        return Measurement(
            arm=arm,
            selector=selector,
            k=0,
            bits_per_byte=score.bits / len(self._task.text.encode()),
            seconds=learning + perf_counter() - started,
            tokens=learnt + (len(context.tokens) if context.passages else 0),
            passages=context.passages,
            answered=answered,
        )

    def _answer(self, shown: Sequence[str]) -> AnswerScore:
        pieces = self._model.stream(self._contexts.messages(shown), max_new_tokens=ANSWER_TOKENS)
        answer = "".join(pieces).strip().partition("\n")[0].strip()
        return AnswerScore(
            exact_match=exact_match(answer, self._task.text),
            f1=token_f1(answer, self._task.text),
            in_passages=False,
            answer=answer,
        )

    def _add(self, measured: Measurement, k: int, order: GreedySelection, selected: Sequence[str]) -> None:
        """What was measured, as the figure for k: of the choice the first k, whose texts are ``selected``."""
        answered = measured.answered
        if answered is not None:
            answered = replace(answered, in_passages=contains_answer(selected, self._task.text))
        self._measurements.append(replace(measured, k=k, predicted=_explained(order, k), answered=answered))


def _ks_by_steps(ks: Sequence[int], teaches: Sequence[bool]) -> dict[int, list[int]]:
    """After how many steps the first k passages are learnt, for each k: those that teach nothing make no step."""
    found: dict[int, list[int]] = {}
    for k in sorted(set(ks)):
        found.setdefault(sum(teaches[:k]), []).append(k)
    return found


def _pieces(task: Task, embedder: Embedder) -> list[str]:
    """What is searched for, in pieces that the embedder reads whole."""
    try:
        return cut_into_pieces(task.text if task.question is None else task.question, embedder, limit=LONGEST_TEXT)
    except ValueError as error:
        raise ValueError(
            f"{task.id!r} is longer than {LONGEST_TEXT} times what the embedder reads: shorten or divide it."
        ) from error


def _texts(candidates: Sequence[Candidate], order: GreedySelection, k: int) -> list[str]:
    return [candidates[index].passage.text for index in order.indices[:k].tolist()]


def _explained(order: GreedySelection, k: int) -> float:
    """Share of the prior variance that the first k choices explain."""
    chosen = min(k, len(order))
    if not chosen or not order.prior_variance > 0:
        return 0.0
    return float(1.0 - order.posterior_variances[chosen - 1] / order.prior_variance)


def _examples(candidates: Sequence[Candidate], order: GreedySelection) -> tuple[Example, ...]:
    indices = order.indices.tolist()
    return tuple(
        Example(candidates[index].passage.source, candidates[index].passage.text, indices.count(index))
        for index in list(dict.fromkeys(indices))[:EXAMPLES]
    )


def _holds(text: str, candidate: Candidate) -> bool:
    """Whether a passage is the text or a part of it, holds it, or runs on over one of its ends; white space apart."""
    whole = " ".join(text.split())
    parts = (" ".join(passage.text.split()) for passage in (candidate.passage, *candidate.copies))
    return any(part in whole or whole in part or _continues(part, whole) or _continues(whole, part) for part in parts)


def _continues(first: str, second: str) -> bool:
    """Whether ``second`` begins with what ``first`` ends with, ``OVERLAP`` characters or more."""
    at = second.find(first[-OVERLAP:])
    return len(first) >= OVERLAP and at >= 0 and first.endswith(second[: at + OVERLAP])
