"""A LlamaIndex query engine that answers questions from a collection."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.response.schema import RESPONSE_TYPE, Response, StreamingResponse
from llama_index.core.callbacks import CallbackManager
from llama_index.core.prompts.mixin import PromptMixinType
from llama_index.core.schema import NodeWithScore, QueryBundle

from sift_rag import AnswerSettings, AnswerStream, Assistant, LanguageModel, Mode, open_model
from sift_rag_llama_index.query import options_for
from sift_rag_llama_index.retriever import SiftRetriever, nodes_of


class SiftQueryEngine(BaseQueryEngine):
    """Answers with passages in the prompt, with a model fine-tuned on passages, or with both.

    The response's ``metadata`` is ``Answer.to_dict()``: citations, hits, fine-tuning. A streaming response has it once
    the text has been read.
    """

    def __init__(
        self,
        retriever: SiftRetriever,
        model: str | LanguageModel,
        *,
        mode: Mode = "context",
        base_url: str | None = None,
        api_key: str | None = None,
        settings: AnswerSettings | None = None,
        decompose: bool = False,
        streaming: bool = False,
        callback_manager: CallbackManager | None = None,
    ) -> None:
        """Load the model: raises what ``sift_rag.open_model`` does.

        Args:
            retriever: the retriever, whose options say which passages are selected.
            model: a language model, or its name: local, or at an OpenAI-compatible endpoint if there is a ``base_url``.
            mode: "context", "finetune" or "both"; the last two need a local model.
            base_url: URL of an OpenAI-compatible endpoint.
            api_key: API key of the endpoint.
            settings: settings of generation and fine-tuning.
            decompose: let the model split the question, and retrieve for the parts too.
            streaming: respond with a ``StreamingResponse``.
            callback_manager: LlamaIndex's.
        """
        super().__init__(callback_manager or retriever.callback_manager)
        self.retriever = retriever
        self.model = open_model(model, base_url=base_url, api_key=api_key) if isinstance(model, str) else model
        self.mode: Mode = mode
        self.settings = settings
        self.decompose = decompose
        self.streaming = streaming

    def retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        """Return the nodes that an answer in mode "context" is based on."""
        return self.retriever.retrieve(query_bundle)

    def _get_prompt_modules(self) -> PromptMixinType:
        return {}

    def _query(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        options = options_for(query_bundle, self.retriever.options)
        assistant = Assistant(self.retriever.configured(options), self.model, self.settings, options=options)
        questions = query_bundle.embedding_strs
        if not self.streaming:
            answer = assistant.ask(questions, self.mode, decompose=self.decompose)
            return Response(answer.text, nodes_of(answer.retrieval), answer.to_dict())
        stream = assistant.stream(questions, self.mode, decompose=self.decompose)
        metadata: dict[str, Any] = {}
        return StreamingResponse(_pieces(stream, metadata), nodes_of(stream.retrieval), metadata)

    async def _aquery(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        return await asyncio.to_thread(self._query, query_bundle)


def _pieces(stream: AnswerStream, metadata: dict[str, Any]) -> Generator[str, None, None]:
    with stream:
        yield from stream
    metadata.update(stream.answer.to_dict())
