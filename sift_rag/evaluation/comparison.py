"""Measure every arm on every task: the model as it is, with passages in its context, fine-tuned on them, and both.

With a limited context, the passages of the context are also measured within that many tokens.

Work is shared where it can be: one embedding and one search per task, one base score, one score for all k whose
passages fill the window alike, and one fine-tuning for all k if they have one learning rate (``selectors.sweeps``): the
model is scored on the way, after k steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from time import perf_counter

import numpy as np

from sift_rag.evaluation.contexts import ANSWER_TOKENS, Context, ContextBuilder
from sift_rag.evaluation.metrics import contains_answer, exact_match, token_f1
from sift_rag.evaluation.outcomes import AnswerScore, Arm, Comparison, Example, Measurement, Outcome, Progress
from sift_rag.evaluation.selectors import COMPARED_SELECTORS, sweeps
from sift_rag.evaluation.tasks import Task
from sift_rag.finetuning import Tuner, TuningStep, score_text
from sift_rag.finetuning.sequences import can_teach
from sift_rag.models.local import LocalModel
from sift_rag.protocols import Embedder, PassageIndex
from sift_rag.retrieval.candidates import distinct_candidates
from sift_rag.retrieval.queries import cut_into_pieces
from sift_rag.selection import GreedySelection, Pool, Texts, fine_tuning_selector
from sift_rag.types import Candidate, Embedding, explained_share

LONGEST_TEXT = 64
"""Longest text, in multiples of what the embedder reads at once. A longer one is refused, not cut."""

OVERLAP = 60
"""Characters that a passage and a text must share at their ends to count as neighbours in one document."""

WARM_UP = 400
"""Characters that the model reads before anything is timed."""

EXAMPLES = 3
"""Number of passages per selection that an outcome keeps for people to read."""


def compare(
    tasks: Sequence[Task],
    *,
    model: LocalModel,
    embedder: Embedder,
    store: PassageIndex,
    comparison: Comparison,
    on_task: Callable[[Task], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Iterator[Outcome]:
    """Yield the outcome of each task. Equal input gives equal figures, except for times.

    A text that is in the collection must not help to predict itself: candidates that contain it, or that it contains,
    are left out.

    ``on_task`` is called before each task, ``on_progress`` before and after each measurement and after each step of a
    fine-tuning. What they raise ends the comparison, and the model is as it was.

    Raises:
        ModelInUse: the model is in use elsewhere.
        ModelUnsuitable: the model cannot be fine-tuned as asked, or its window has no room.
        TrainingFailed: the loss is not a number, or memory ran out.
        ValueError: a text is longer than ``LONGEST_TEXT`` times what the embedder reads, or the limited context is no
            smaller than the model's; raised before any outcome.
    """
    require_smaller(comparison.window, model)
    pieces = [_pieces(task, embedder) for task in tasks]
    tuner = Tuner(model, comparison.tuning) if comparison.tunes else None
    if tasks:
        score_text(model, tasks[0].text[:WARM_UP])  # the first run of a model is slower than all others
    for task, asked in zip(tasks, pieces, strict=True):
        if on_task is not None:
            on_task(task)
        run = _Run(task, model, comparison, on_progress or _ignored)
        yield run.outcome(asked, embedder.embed_queries(asked), store, tuner)


def _ignored(_: Progress) -> None:
    pass


def require_smaller(window: int | None, model: LocalModel) -> None:
    """Raise ``ValueError`` if a limited context, in tokens, is not smaller than the model's own."""
    if window is not None and window >= model.context_length:
        raise ValueError(
            f"window is {window:,} tokens, but {model.name!r} itself reads {model.context_length:,}: expected fewer."
        )


class _Run:
    """The measurements of one task."""

    def __init__(
        self, task: Task, model: LocalModel, comparison: Comparison, on_progress: Callable[[Progress], None]
    ) -> None:
        self._on_progress = on_progress
        self._task = task
        self._model = model
        self._comparison = comparison
        self._contexts = ContextBuilder(model, task)
        self._measurements: list[Measurement] = []

    def outcome(self, asked: Sequence[str], targets: Embedding, store: PassageIndex, tuner: Tuner | None) -> Outcome:
        comparison = self._comparison
        found = distinct_candidates(store, targets, comparison.candidate_limit)
        candidates = [one for one in found if self._task.question is not None or not _holds(self._task.text, one)]
        rows = np.stack([one.embedding for one in candidates]) if candidates else np.zeros_like(targets[:0])
        pool = Pool(targets, rows, texts=Texts(asked, [one.passage.embedding_text for one in candidates]))
        most = max(comparison.ks)
        base = self._measure("base", "", ())
        examples: dict[str, tuple[Example, ...]] = {}
        for name in comparison.selectors:
            selector = COMPARED_SELECTORS[name]
            for_context = None
            if selector.for_context is not None and comparison.shows:
                for_context = selector.for_context.select(pool, most).selection
                examples[name] = _examples(candidates, for_context)
            if for_context is not None:
                self._in_context(name, candidates, for_context)
            if tuner is None:
                continue
            training = fine_tuning_selector(name, comparison.training)
            for ks in sweeps(selector, comparison.ks, one_rate=comparison.tuning.learning_rate is not None):
                steps = training.select(pool, max(ks)).selection
                examples[name] = _examples(candidates, steps)
                self._tuned(name, ks, candidates, steps, for_context, tuner)
        return Outcome(self._task, base, tuple(self._measurements), len(found) - len(candidates), examples)

    def _in_context(self, selector: str, candidates: Sequence[Candidate], order: GreedySelection) -> None:
        arms: list[tuple[Arm, ContextBuilder]] = []
        if "context" in self._comparison.arms:
            arms.append(("context", self._contexts))
        if self._comparison.window is not None:
            arms.append(("window", replace(self._contexts, window=self._comparison.window)))
        measured: dict[tuple[int, ...], Measurement] = {}
        for arm, contexts in arms:
            for k in self._comparison.ks:
                texts = _texts(candidates, order, k)
                context = contexts.build(texts)
                if context.tokens not in measured:
                    measured[context.tokens] = self._measure(arm, selector, texts, context)
                self._add(replace(measured[context.tokens], arm=arm), k, order, texts)

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
                measured = self._measure("finetune", selector, (), learning=learning, learnt=learnt)
                for k in ks:
                    self._add(measured, k, order, trained[:k])
            if "both" in self._comparison.arms and for_context is not None:
                for k in ks:
                    texts = _texts(candidates, for_context, k)
                    measured = self._measure("both", selector, texts, learning=learning, learnt=learnt)
                    self._add(measured, k, order, trained[:k] + texts)

        left = _ks_by_steps(ks, can_teach(self._model.tokenizer, trained))

        def on_step(step: TuningStep) -> None:
            self._on_progress(Progress(self._task, "finetune", selector, step.number))
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
        self,
        arm: Arm,
        selector: str,
        passages: Sequence[str],
        context: Context | None = None,
        *,
        learning: float = 0.0,
        learnt: int = 0,
    ) -> Measurement:
        """Measure the model as it is now, with passages before the task, as many as its window holds; k is left 0."""
        self._on_progress(Progress(self._task, arm, selector))
        context = context or self._contexts.build(passages)
        started = perf_counter()
        score = score_text(self._model, self._contexts.scored_text, context=context.tokens)
        reading = perf_counter() - started
        answered = self._answer(passages[: context.passages]) if self._task.question is not None else None
        measured = Measurement(
            arm=arm,
            selector=selector,
            k=0,
            bits_per_byte=score.bits / len(self._task.text.encode()),
            seconds=learning + perf_counter() - started,
            tokens=learnt + (len(context.tokens) if context.passages else 0),
            passages=context.passages,
            answered=answered,
            learning_seconds=learning,
            reading_seconds=reading,
            learnt_tokens=learnt,
        )
        self._on_progress(Progress(self._task, arm, selector, measured=measured))
        return measured

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
        """Record a measurement for the first k passages of a selection, whose texts are ``selected``."""
        answered = measured.answered
        if answered is not None:
            answered = replace(answered, in_passages=contains_answer(selected, self._task.text))
        left = order.posterior_variances[:k]
        predicted = explained_share(order.prior_variance, float(left[-1])) if len(left) else 0.0
        self._measurements.append(replace(measured, k=k, predicted=predicted, answered=answered))


def _ks_by_steps(ks: Sequence[int], teaches: Sequence[bool]) -> dict[int, list[int]]:
    """Return the ks by the number of steps that their passages need: a passage that teaches nothing needs none."""
    found: dict[int, list[int]] = {}
    for k in sorted(set(ks)):
        found.setdefault(sum(teaches[:k]), []).append(k)
    return found


def _pieces(task: Task, embedder: Embedder) -> list[str]:
    """Return the text to search for, in pieces that the embedder reads whole."""
    try:
        return cut_into_pieces(task.text if task.question is None else task.question, embedder, limit=LONGEST_TEXT)
    except ValueError as error:
        raise ValueError(
            f"{task.id!r} is longer than {LONGEST_TEXT} times what the embedder reads: shorten or split it."
        ) from error


def _texts(candidates: Sequence[Candidate], order: GreedySelection, k: int) -> list[str]:
    return [candidates[index].passage.text for index in order.indices[:k].tolist()]


def _examples(candidates: Sequence[Candidate], order: GreedySelection) -> tuple[Example, ...]:
    indices = order.indices.tolist()
    return tuple(
        Example(candidates[index].passage.source, candidates[index].passage.text, indices.count(index))
        for index in list(dict.fromkeys(indices))[:EXAMPLES]
    )


def _holds(text: str, candidate: Candidate) -> bool:
    """Return True if a passage contains the text, is a part of it, or overlaps one of its ends, white space aside."""
    whole = " ".join(text.split())
    parts = (" ".join(passage.text.split()) for passage in (candidate.passage, *candidate.copies))
    return any(part in whole or whole in part or _continues(part, whole) or _continues(whole, part) for part in parts)


def _continues(first: str, second: str) -> bool:
    """Return True if ``second`` begins with the end of ``first``, ``OVERLAP`` characters or more."""
    at = second.find(first[-OVERLAP:])
    return len(first) >= OVERLAP and at >= 0 and first.endswith(second[: at + OVERLAP])
