"""A Haystack component that answers questions from a collection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict
from threading import Lock
from typing import Any

from haystack import GeneratedAnswer, component, default_from_dict, default_to_dict
from haystack.dataclasses import StreamingChunk
from haystack.utils import Secret

from sift_rag import AnswerSettings, Assistant, FineTuning, LanguageModel, Mode, open_model
from sift_rag_haystack.options import add_inputs, override
from sift_rag_haystack.retriever import SiftRetriever, documents_of


@component
class SiftAssistant:
    """Answers with passages in the prompt, with a model fine-tuned on passages, or with both.

    The ``documents`` of an answer are the hits; its ``meta`` is ``sift_rag.Answer.to_dict()``: citations, fine-tuning.
    The collection and the model are opened by ``warm_up``, or the first run.
    """

    def __init__(
        self,
        retriever: SiftRetriever,
        model: str,
        *,
        mode: Mode = "context",
        base_url: str | None = None,
        api_key: Secret | None = None,
        settings: AnswerSettings | None = None,
    ) -> None:
        """Keep the arguments. Nothing is opened yet.

        Args:
            retriever: a retriever of the assistant's own, in no pipeline; its options say which passages are selected.
            model: name of a language model: local, or at an OpenAI-compatible endpoint if there is a ``base_url``.
            mode: "context", "finetune" or "both"; the last two need a local model.
            base_url: URL of an OpenAI-compatible endpoint.
            api_key: API key of the endpoint.
            settings: settings of generation and fine-tuning.
        """
        self.retriever = retriever
        self.model = model
        self.mode: Mode = mode
        self.base_url = base_url
        self.api_key = api_key
        self.settings = settings
        self._model: LanguageModel | None = None
        self._opening = Lock()
        add_inputs(self)

    def warm_up(self) -> None:
        """Open the collection and load the model: raises what ``open_retriever`` and ``open_model`` do."""
        self.retriever.warm_up()
        self._open_model()

    def close(self) -> None:
        """Close the collection; the next run opens it again."""
        self.retriever.close()

    @component.output_types(answers=list[GeneratedAnswer])
    def run(
        self,
        query: str | list[str],
        mode: Mode | None = None,
        top_k: int | None = None,
        decompose: bool = False,
        streaming_callback: Callable[[StreamingChunk], None] | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Return ``answers`` with one answer: raises what ``sift_rag.Assistant.ask`` does.

        Args:
            query: a question, or several that are asked together.
            mode: mode of answering, in place of the configured one.
            top_k: number of passages.
            decompose: let the model split the question, and retrieve for the parts too.
            streaming_callback: called with each piece of the answer.
            options: search options of this run.
        """
        asked = override(self.retriever.options, {**options, "top_k": top_k})
        assistant = Assistant(self.retriever.configured(asked), self._open_model(), self.settings, options=asked)
        with assistant.stream(query, mode or self.mode, decompose=decompose) as stream:
            for piece in stream:
                if streaming_callback is not None:
                    streaming_callback(StreamingChunk(piece))
        answer = stream.answer
        question = "\n".join(stream.prepared.asked)
        return {
            "answers": [GeneratedAnswer(answer.text, question, documents_of(answer.retrieval), dict(answer.to_dict()))]
        }

    @component.output_types(answers=list[GeneratedAnswer])
    async def run_async(
        self,
        query: str | list[str],
        mode: Mode | None = None,
        top_k: int | None = None,
        decompose: bool = False,
        streaming_callback: Callable[[StreamingChunk], None] | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Return the result of ``run``, from a thread of its own."""
        result: dict[str, Any] = await asyncio.to_thread(
            self.run, query, mode, top_k, decompose, streaming_callback, **options
        )
        return result

    def to_dict(self) -> dict[str, Any]:
        """Return the component for a saved pipeline."""
        saved: dict[str, Any] = default_to_dict(
            self,
            retriever=self.retriever,
            model=self.model,
            mode=self.mode,
            base_url=self.base_url,
            api_key=self.api_key,
            settings=_save_settings(self.settings),
        )
        return saved

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SiftAssistant:
        """Make the component that ``to_dict`` saved."""
        saved = data["init_parameters"]
        parameters = {
            **saved,
            "retriever": SiftRetriever.from_dict(saved["retriever"]),
            "settings": _load_settings(saved.get("settings")),
        }
        loaded: SiftAssistant = default_from_dict(cls, {**data, "init_parameters": parameters})
        return loaded

    def _open_model(self) -> LanguageModel:
        with self._opening:
            if self._model is None:
                api_key = self.api_key.resolve_value() if self.api_key else None
                self._model = open_model(self.model, base_url=self.base_url, api_key=api_key)
            return self._model


def _save_settings(settings: AnswerSettings | None) -> dict[str, Any] | None:
    if settings is None:
        return None
    folder = settings.save_adapter
    return {**asdict(settings), "save_adapter": None if folder is None else str(folder)}


def _load_settings(saved: Mapping[str, Any] | None) -> AnswerSettings | None:
    if saved is None:
        return None
    finetuning = saved.get("finetuning")
    return AnswerSettings(**{**saved, "finetuning": None if finetuning is None else FineTuning(**finetuning)})
