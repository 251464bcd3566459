"""An answer while it is written."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from sift_rag.answering.answer import Answer
from sift_rag.answering.checking import CheckedSentence
from sift_rag.answering.citations import find_citations
from sift_rag.answering.looping import WithoutLoops
from sift_rag.answering.prepared import PreparedPrompt
from sift_rag.answering.prompt import Prompt
from sift_rag.answering.reasoning import WithoutReasoning, split_unopened
from sift_rag.answering.settings import AnswerSettings, Mode
from sift_rag.answering.tuning import TuningReport
from sift_rag.errors import ModelUnsuitable, Remedy
from sift_rag.models.adapter_server import push_adapter
from sift_rag.protocols import FinishReason, LanguageModel
from sift_rag.types import Retrieval

if TYPE_CHECKING:
    from sift_rag.finetuning import TuningResult


class AnswerPieces:
    """Iterates over the pieces of an answer: without reasoning, leading blanks and loops.

    Raises:
        ModelUnavailable: the endpoint does not answer.
        ModelUnsuitable: the answer is empty.
        ValueError: the prompt leaves no room for an answer.
    """

    def __init__(self, model: LanguageModel, prompt: Prompt, *, max_new_tokens: int) -> None:
        self._name = model.name
        self._limit = max_new_tokens
        self._answer = WithoutReasoning(model.stream(prompt.messages, max_new_tokens=max_new_tokens))
        self._pieces = WithoutLoops(iter(self._answer))

    @property
    def reasoning(self) -> str:
        """The model's reasoning, without the marks around it; empty if there is none."""
        return self._answer.reasoning

    @property
    def finish_reason(self) -> FinishReason:
        """The reason of the end, once that is reached."""
        return self._pieces.finish_reason

    @property
    def notice(self) -> str | None:
        """The sentence for the user on how the answer ended; None if the model finished it."""
        return _NOTICES[self.finish_reason].format(limit=self._limit) if self.finish_reason in _NOTICES else None

    def __iter__(self) -> Generator[str, None, None]:
        begun = False
        for piece in self._pieces:
            text = piece if begun else piece.lstrip()
            if text:
                begun = True
                yield text
        if not begun:
            raise self._empty()

    def _empty(self) -> ModelUnsuitable:
        """Return the error for an answer without text, with a remedy only where more tokens may be one."""
        begins = f"The model {self._name!r} gave an empty answer"
        if self.finish_reason == "length":
            used = "used" if self.reasoning else "may have used"
            return ModelUnsuitable(
                f"{begins}: it {used} its {self._limit} tokens to think.",
                remedy=Remedy("longer-answer", limit=self._limit),
            )
        if self.finish_reason == "content_filter":
            return ModelUnsuitable(f"{begins}: its provider's filter removed it.")
        ended = "it only thought" if self.reasoning else "it ended before the first word"
        return ModelUnsuitable(f"{begins}: {ended}; ask again, or choose another model.")


_NOTICES = {
    "length": "The answer was cut off at {limit} tokens, or where the model's context ended.",
    "content_filter": "The answer was cut off by the filter of the model's provider.",
    "repetition": "The answer was stopped where the model began to repeat itself.",
}
_THOUGHT = "The text up to </think> is the model's reasoning: it is not part of the answer, and is not checked."


class AnswerStream(Iterator[str]):
    """The pieces of an answer, in order. Use it in a ``with`` block.

        with assistant.stream(question, "both") as stream:
            for piece in stream:
                print(piece, end="")
        print(stream.answer.citations)

    Entering the block (or asking for the first piece) fine-tunes the model, if the mode asks for it. The weights are
    restored at the end of the answer, by ``close``, by an exception, and on leaving the block, whichever comes first.
    Retrieval is over by then: the store may be closed. Enter, iterate and close on one thread, which alone may read
    the fine-tuned weights.
    """

    prepared: PreparedPrompt
    """Retrieval and prompt."""
    tuning: TuningReport | None
    """Report on the fine-tuning, once that has happened or was declined; None in the mode ``context``."""
    text: str
    """Text so far."""

    def __init__(
        self,
        prepared: PreparedPrompt,
        model: LanguageModel,
        settings: AnswerSettings,
        learn: Callable[[], AbstractContextManager[TuningResult]] | None,
        check: Callable[[str], Sequence[CheckedSentence]] | None = None,
    ) -> None:
        """Make a stream; ``Assistant.stream`` does.

        Args:
            prepared: the question and its prompt.
            model: answers.
            settings: the length of the answer, and where to save the adapter.
            learn: fine-tunes the model for the length of a ``with`` block; None to answer with the model as it is.
            check: checks the sentences of the answer; None to leave them unchecked.
        """
        self.prepared = prepared
        self.tuning = prepared.tuning
        self.text = ""
        self._model = model
        self._settings = settings
        self._learn = learn
        self._check = check
        self._answer: Answer | None = None
        self._weights = ExitStack()
        self._written: AnswerPieces | None = None
        self._pieces: Generator[str, None, None] | None = None
        self._open = True

    @property
    def retrieval(self) -> Retrieval:
        """The passages retrieved for the prompt; in the mode ``finetune``, those for training."""
        return self.prepared.retrieval

    @property
    def training(self) -> Retrieval | None:
        """The passages to fine-tune on; None in the mode ``context``."""
        return self.prepared.training

    @property
    def prompt(self) -> Prompt:
        """The messages sent to the model."""
        return self.prepared.prompt

    @property
    def mode(self) -> Mode:
        """The way the passages are used."""
        return self.prepared.mode

    @property
    def notices(self) -> tuple[str, ...]:
        """The sentences for the user: one may be added at the end, on an answer that was cut off."""
        return self.prepared.notices if self._answer is None else self._answer.notices

    @property
    def reasoning(self) -> str:
        """The model's reasoning before the answer: complete from the first piece on; empty if there is none."""
        return "" if self._written is None else self._written.reasoning

    @property
    def answer(self) -> Answer:
        """The whole answer.

        Raises:
            ValueError: the stream has not been read to its end.
        """
        if self._answer is None:
            raise ValueError("The answer is not complete: read the stream to its end first.")
        return self._answer

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        self._begin()
        if self._pieces is None:
            raise StopIteration
        try:
            piece = next(self._pieces, None)
        except BaseException:
            self.close()
            raise
        if piece is None:
            self.close()
            self._answer = self._finished()
            raise StopIteration
        self.text += piece
        return piece

    def close(self) -> None:
        """Stop the model and restore its weights. Closing twice is allowed, and so is closing at the end."""
        pieces, self._pieces, self._open = self._pieces, None, False
        try:
            if pieces is not None:
                pieces.close()
        finally:
            self._weights.close()

    def _begin(self) -> None:
        """Fine-tune the model, if the stream is new and the mode asks for it."""
        if not self._open or self._pieces is not None:
            return
        try:
            self._fine_tune()
            limit = self._settings.max_new_tokens
            self._written = AnswerPieces(self._model, self.prompt, max_new_tokens=limit)
            self._pieces = iter(self._written)
        except BaseException:
            self.close()
            raise

    def _fine_tune(self) -> None:
        if self._learn is None or self.training is None:
            return
        result = self._weights.enter_context(self._learn())
        if self._settings.save_adapter is not None:
            result.save_adapter(self._settings.save_adapter)
            if self._settings.push_adapter is not None:
                push_adapter(self._settings.save_adapter, self._settings.push_adapter)
        self.tuning = TuningReport.of(self.training, result)

    def _checked(self, text: str) -> tuple[tuple[CheckedSentence, ...] | None, tuple[str, ...]]:
        """Check the sentences. Returns them, or None, and notices."""
        if self._check is None:
            return None, ()
        try:
            return tuple(self._check(text)), ()
        except Exception as error:  # noqa: BLE001 - the answer is there, and a notice says what it lacks
            return None, (f"The sentences of the answer could not be checked: {error}",)

    def _finished(self) -> Answer:
        if self._written is None:
            raise ValueError("The answer has not begun: read the stream first.")
        unopened, text = split_unopened(self.text)
        sentences, unchecked = self._checked(text)
        cut_off = () if self._written.notice is None else (self._written.notice,)
        thought = (_THOUGHT,) if unopened else ()
        return Answer(
            text=text,
            citations=find_citations(text, self.prompt),
            retrieval=self.retrieval,
            tuning=self.tuning,
            prompt=self.prompt,
            model=self._model.name,
            mode=self.mode,
            notices=(*self.prepared.notices, *thought, *cut_off, *unchecked),
            finish_reason=self._written.finish_reason,
            reasoning=self._written.reasoning or unopened,
            conversation=self.prepared.conversation.with_turn(
                self.prompt, text, self.prepared.asked, self.retrieval.hits
            ),
            sentences=sentences,
        )
