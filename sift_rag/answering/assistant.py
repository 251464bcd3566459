"""An assistant: retrieve, fine-tune, prompt, stream, cite. Start with ``Assistant.prepare``.

query ──decompose──▶ questions ──retrieve──▶ passages ──▶ prompt ──────────┐
                              └─retrieve──▶ training passages ──gate──▶ tune ──▶ stream ──▶ answer, citations
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from math import nan
from types import TracebackType
from typing import TYPE_CHECKING, Self

from sift_rag import defaults
from sift_rag.answering.answer import Answer
from sift_rag.answering.checking import CheckedSentence, check_answer
from sift_rag.answering.conversation import Conversation
from sift_rag.answering.prepared import PreparedPrompt
from sift_rag.answering.prompt import build_prompt
from sift_rag.answering.questions import decompose as decompose_question
from sift_rag.answering.settings import AnswerSettings, Mode
from sift_rag.answering.stream import AnswerStream
from sift_rag.answering.tuning import gate, require_trainable
from sift_rag.errors import ConfigurationError, NoEvidence, Remedy
from sift_rag.models.adapter_server import check_adapter_server
from sift_rag.protocols import LanguageModel
from sift_rag.retrieval.options import SearchOptions
from sift_rag.retrieval.queries import Query
from sift_rag.retrieval.retriever import Retriever
from sift_rag.selection import fine_tuning_selector
from sift_rag.suggestions import suggestion
from sift_rag.types import Retrieval, Timings

if TYPE_CHECKING:
    from sift_rag.finetuning import Tuner, TuningResult, TuningStep

__all__ = ["ALL_SHOWN", "AnswerSettings", "Assistant", "Mode"]

ALL_SHOWN = "Every passage has been shown already."


class Assistant:
    """Answers questions from a collection, with citations.

    Holds no state between questions; a conversation is a value that the caller passes on. Threads may share it if they
    may share its parts: answers without fine-tuning are written at the same time, and while the model is fine-tuned
    for one question, any other gets ``ModelInUse``.
    """

    def __init__(
        self,
        retriever: Retriever,
        model: LanguageModel | None,
        settings: AnswerSettings | None = None,
        *,
        options: SearchOptions | None = None,
    ) -> None:
        """Build an assistant from its parts. ``sift_rag.open_assistant`` opens them by name.

        Args:
            retriever: finds the passages.
            model: answers; None for prompts alone, see ``prepare``.
            settings: how to answer.
            options: k, filter, stopping rules and so on of a question that is asked as plain text.
        """
        self.retriever = retriever
        self.model = model
        self.settings = settings or AnswerSettings()
        self.options = options or SearchOptions()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the retriever."""
        self.retriever.close()

    def ask(
        self,
        query: Query | str | Sequence[str],
        mode: Mode = "context",
        *,
        conversation: Conversation | None = None,
        decompose: bool = False,
        on_step: Callable[[TuningStep], None] | None = None,
    ) -> Answer:
        """Return the answer to a question, or to several that are answered together.

        Args:
            query: the question; as a ``Query`` with its own k, filter and so on.
            mode: ``context`` puts passages into the prompt, ``finetune`` fine-tunes the model on passages selected for
                this question and restores it afterwards, ``both`` does both.
            conversation: earlier turns. Passages that they show are not retrieved again, and their questions count
                as further targets, with less weight.
            decompose: let the model split the question into simpler ones, and retrieve for all of them.
            on_step: called after each step of fine-tuning.

        Raises:
            ConfigurationError: there is no model, or it cannot be fine-tuned because it is at an endpoint; an adapter
                is to be saved and cannot.
            ModelInUse: the model is being fine-tuned for another question.
            ModelUnavailable: the endpoint does not answer.
            ModelUnsuitable: the question does not fit the model's context, the answer is empty, or the model cannot
                be fine-tuned as asked.
            NoEvidence: no passage can answer.
            TrainingFailed: the loss is not a number, or memory ran out. The weights are restored.
            ValueError: an argument is out of range.
        """
        with self.stream(query, mode, conversation=conversation, decompose=decompose, on_step=on_step) as stream:
            for _ in stream:
                pass
        return stream.answer

    def stream(
        self,
        query: Query | str | Sequence[str],
        mode: Mode = "context",
        *,
        conversation: Conversation | None = None,
        decompose: bool = False,
        on_step: Callable[[TuningStep], None] | None = None,
    ) -> AnswerStream:
        """Retrieve now, and return the answer as a stream of pieces. Arguments and errors are those of ``ask``."""
        if self.model is None:
            raise ConfigurationError("There is no language model to answer.", remedy=Remedy("model-required"))
        prepared = self.prepare(query, mode, conversation=conversation, decompose=decompose)
        training = prepared.training
        learn = None
        if training is not None and prepared.tuning is None:
            texts = [hit.passage.text for hit in training.hits]

            def learn() -> AbstractContextManager[TuningResult]:
                return self._tuner.tuned(texts, on_step=on_step)

        return AnswerStream(prepared, self.model, self.settings, learn, self._check_of(prepared))

    def prepare(
        self,
        query: Query | str | Sequence[str],
        mode: Mode = "context",
        *,
        conversation: Conversation | None = None,
        decompose: bool = False,
    ) -> PreparedPrompt:
        """Retrieve and build the prompt, without answering. Needs a model only for fine-tuning and ``decompose``."""
        self._check(mode)
        asked = self._query(query)
        searched = self._decomposed(asked) if decompose else asked
        earlier = conversation or Conversation()
        if self.model is not None:
            earlier = earlier.trimmed(self.model)
        searched = _with_subject(searched, earlier)
        if mode == "finetune":
            return self._prepare_training(asked, searched, earlier)
        context, notices = self._context(searched, earlier)
        training = self._training(searched) if mode == "both" else None
        return self._prepared(asked, mode, context, training, earlier, notices)

    def _check_of(self, prepared: PreparedPrompt) -> Callable[[str], Sequence[CheckedSentence]] | None:
        """Return what checks the answer; None if it is not to be checked, or the prompt has no passages."""
        numbered = prepared.prompt.numbered
        if not self.settings.check or not numbered:
            return None
        embedder, language = self.retriever.embedder, self.retriever.language

        def check(text: str) -> Sequence[CheckedSentence]:
            return check_answer(text, numbered, embedder, questions=prepared.asked, language=language)

        return check

    def _prepare_training(self, asked: Query, searched: Query, earlier: Conversation) -> PreparedPrompt:
        """Prepare a prompt without passages; they are retrieved for training only."""
        if searched.max_variance is not None:
            self.retriever.retrieve(searched)  # raises NoEvidence if the collection cannot tell
        training = self._training(searched)
        return self._prepared(asked, "finetune", training, training, earlier, ())

    def _prepared(
        self,
        asked: Query,
        mode: Mode,
        retrieval: Retrieval,
        training: Retrieval | None,
        earlier: Conversation,
        notices: tuple[str, ...],
    ) -> PreparedPrompt:
        prompt = build_prompt(
            asked.questions,
            None if mode == "finetune" else [hit.in_context for hit in retrieval.hits],
            model=self.model,
            system=self.settings.system,
            max_new_tokens=self.settings.max_new_tokens,
            history=earlier.history,
            shown=earlier.shown,
        )
        if prompt.dropped:
            plural = "" if prompt.dropped == 1 else "s"
            notices += (f"{prompt.dropped} passage{plural} did not fit the model's context and went unused.",)
        declined = None if training is None else gate(training, self.settings.min_gain)
        if declined is not None and declined.reason is not None:
            notices += (declined.reason, *self.settings.adapter_not_saved)
        return PreparedPrompt(
            asked=asked.questions,
            mode=mode,
            retrieval=retrieval,
            training=training,
            prompt=prompt,
            conversation=earlier,
            notices=notices,
            tuning=declined,
        )

    def _check(self, mode: Mode) -> None:
        """Raise an error if the mode is unknown, or the settings or the model do not allow it."""
        if mode not in defaults.MODES:
            raise ValueError(
                f"The mode is {mode!r}: expected one of {', '.join(defaults.MODES)}.{suggestion(mode, defaults.MODES)}"
            )
        if mode == "context":
            if self.settings.save_adapter is not None:
                raise ConfigurationError(
                    "Only fine-tuning has an adapter to save, but the mode is 'context'.",
                    remedy=Remedy("save-adapter-mode"),
                )
            return
        require_trainable(self.model, mode)
        self.settings.check_adapter_folder()
        if self.settings.push_adapter is not None:
            check_adapter_server(self.settings.push_adapter)

    def _query(self, query: Query | str | Sequence[str]) -> Query:
        return query if isinstance(query, Query) else self.options.query(query)

    def _decomposed(self, query: Query) -> Query:
        """Return the query with the simpler questions that the model splits its questions into."""
        model = self.model
        if model is None:
            raise ConfigurationError(
                "Splitting a question into simpler ones needs a language model.",
                remedy=Remedy("decompose-needs-model"),
            )
        if query.weights is not None:
            raise ValueError("Weights apply to the questions as asked: leave them out, or do not decompose.")
        parts = dict.fromkeys(part for question in query.questions for part in decompose_question(question, model))
        return replace(query, questions=tuple(parts))

    def _context(self, query: Query, earlier: Conversation) -> tuple[Retrieval, tuple[str, ...]]:
        """Return the passages for the prompt. Within a conversation there may be none, with a notice that says so."""
        known = earlier.known
        try:
            retrieval = self.retriever.retrieve(replace(query, known=(*query.known, *known)))
        except NoEvidence:
            if not known:
                raise
            self.retriever.retrieve(query)  # raises again if it is not because of what was shown
            return _nothing(query), (ALL_SHOWN,)
        if not retrieval.hits and not earlier.turns:
            raise NoEvidence(
                f"No passage was chosen from {retrieval.candidates} candidates: {_ENDED[retrieval.stopped]}.",
                remedy=Remedy("no-passage-chosen", stopped=retrieval.stopped),
            )
        return retrieval, ()

    def _training(self, query: Query) -> Retrieval:
        """Return the passages to fine-tune on, one per step. A token budget applies to the prompt only."""
        stopping = query.stopping and replace(query.stopping, tokens=None, fill=False)
        steps = Query(
            query.questions,
            self.settings.steps,
            where=query.where,
            weights=query.weights,
            stopping=stopping,
            exact_search=query.exact_search,
        )
        return self._training_retriever.retrieve(steps)

    @cached_property
    def _training_retriever(self) -> Retriever:
        return Retriever(
            self.retriever.embedder,
            self.retriever.store,
            selector=fine_tuning_selector(),
            candidate_limit=defaults.TRAINING_CANDIDATES,
        )

    @cached_property
    def _tuner(self) -> Tuner:
        """The tuner for all questions. Two threads may create it at once: one then gets ``ModelInUse``."""
        from sift_rag.finetuning import Tuner

        return Tuner(require_trainable(self.model), self.settings.finetuning)


_ENDED = {
    "k": "none was asked for",
    "exhausted": "none is left",
    "variance": "the variance is low enough without any",
    "explained": "the variance is explained without any",
    "alpha": "the first one brings too little",
    "tokens": "none fits the token budget",
}


def _with_subject(query: Query, earlier: Conversation) -> Query:
    """Return the query with the questions of the last turns as further targets, of less weight."""
    subject = {question: weight for question, weight in earlier.subject.items() if question not in query.questions}
    if not subject:
        return query
    weights = query.weights or (1.0,) * len(query.questions)
    return replace(query, questions=(*query.questions, *subject), weights=(*weights, *subject.values()))


def _nothing(query: Query) -> Retrieval:
    """Return a retrieval without hits."""
    return Retrieval(
        questions=query.questions,
        hits=(),
        prior_variance=nan,
        irreducible_variance=nan,
        passed_over=(),
        candidates=0,
        targets=len(query.questions),
        stopped="exhausted",
        timings_ms=Timings(0.0, 0.0, 0.0),
    )
