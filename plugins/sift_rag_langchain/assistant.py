"""A LangChain runnable that answers questions from a collection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from langchain_core.runnables import RunnableConfig, RunnableSerializable
from langchain_core.runnables.utils import AddableDict
from pydantic import ConfigDict, GetPydanticSchema, PrivateAttr, SecretStr, SkipValidation
from pydantic_core import core_schema

from sift_rag import AnswerSettings, Assistant, LanguageModel, Mode, open_model
from sift_rag_langchain.retriever import SiftRetriever

Questions = str | Sequence[str]
_INSTANCE = GetPydanticSchema(lambda kind, _: core_schema.is_instance_schema(kind))


class SiftAssistant(RunnableSerializable[Questions, dict[str, Any]]):
    """Answers with passages in the prompt, with a model fine-tuned on passages, or with both.

    The input is a question, or several asked together. The output is ``Answer.to_dict()`` (``answer``, ``citations``,
    ``hits``, ``tuning``, ...) and ``context``: the passages as documents. ``stream`` gives the same in parts: first
    ``context``, then the text of the answer piece by piece, and the rest last. ``invoke(question, mode="both", k=10)``
    overrides the mode and any option of the retriever for one call.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    retriever: SiftRetriever
    """The retriever, whose options say which passages are selected."""
    model: SkipValidation[str | LanguageModel]
    """A language model, or its name: local, or at an OpenAI-compatible endpoint if there is a ``base_url``."""
    base_url: str | None = None
    """URL of an OpenAI-compatible endpoint."""
    api_key: SecretStr | None = None
    """API key of the endpoint."""
    mode: Mode = "context"
    """Mode of answering: "context", "finetune" or "both"; the last two need a local model."""
    settings: Annotated[AnswerSettings, _INSTANCE] = AnswerSettings()
    """Settings of generation and fine-tuning."""

    _model: LanguageModel = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Load the model: raises what ``sift_rag.open_model`` does."""
        super().model_post_init(context)
        model, api_key = self.model, self.api_key.get_secret_value() if self.api_key else None
        self._model = open_model(model, base_url=self.base_url, api_key=api_key) if isinstance(model, str) else model

    def invoke(self, input: Questions, config: RunnableConfig | None = None, **kwargs: Any) -> dict[str, Any]:  # noqa: A002 - LangChain's signature
        """Answer: raises what ``sift_rag.Assistant.ask`` does."""
        return self._call_with_config(self._answer, input, config, **kwargs)

    def stream(
        self,
        input: Questions,  # noqa: A002 - LangChain's signature
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[dict[str, Any]]:
        """Answer in parts that add up to what ``invoke`` returns."""
        yield from self._transform_stream_with_config(iter((input,)), self._parts, config, **kwargs)

    def _answer(
        self, questions: Questions, *, mode: Mode | None = None, decompose: bool = False, **overrides: Any
    ) -> dict[str, Any]:
        answer = self._assistant(overrides).ask(questions, mode or self.mode, decompose=decompose)
        return {"context": self.retriever.documents_of(answer.retrieval), **answer.to_dict()}

    def _parts(
        self, inputs: Iterator[Questions], *, mode: Mode | None = None, decompose: bool = False, **overrides: Any
    ) -> Iterator[dict[str, Any]]:
        assistant = self._assistant(overrides)
        for questions in inputs:
            with assistant.stream(questions, mode or self.mode, decompose=decompose) as stream:
                yield AddableDict(context=self.retriever.documents_of(stream.retrieval))
                for piece in stream:
                    yield AddableDict(answer=piece)
            yield AddableDict({name: value for name, value in stream.answer.to_dict().items() if name != "answer"})

    def _assistant(self, overrides: dict[str, Any]) -> Assistant:
        options = self.retriever.options(**overrides)
        return Assistant(self.retriever.configured(options), self._model, self.settings, options=options)
