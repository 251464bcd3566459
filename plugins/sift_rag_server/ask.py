"""``/v1/ask``: an answer with citations from a collection, streamed or whole."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from sift_rag.answering.assistant import Assistant
from sift_rag.answering.settings import AnswerSettings
from sift_rag_server.answer_writer import AnswerWriter
from sift_rag_server.collection_bodies import AskFields, Parsed, body_model
from sift_rag_server.embeddings import QueuedEmbedder
from sift_rag_server.errors import HTTPError
from sift_rag_server.event_stream import EventStream
from sift_rag_server.handlers import Operation, RequestContext, client_error, handle
from sift_rag_server.openapi import operation
from sift_rag_server.replies import AskReply
from sift_rag_server.validation import read_object

if TYPE_CHECKING:
    from sift_rag.answering.conversation import Conversation
    from sift_rag.answering.stream import AnswerStream
    from sift_rag.protocols import LanguageModel
    from sift_rag.types import JsonValue
    from sift_rag_server.service import Service

_EVENT_SCHEMA = {
    "type": "object",
    "properties": {"event": {"enum": ["passages", "text", "done", "error"]}, "data": {"type": "string"}},
    "required": ["event", "data"],
}


def ask_routes(service: Service) -> APIRouter:
    """Return the route of answers."""
    router = APIRouter(tags=["collections"])
    answering = Operation(
        service=service,
        work=lambda content, context: _ask(service, content, context),
        seconds=service.settings.limits.answer_seconds,
    )

    async def ask(request: Request) -> Response:
        """Answer a question from a collection, with citations.

        With ``stream`` (the default) the reply is a sequence of server-sent events: ``passages`` (the reply of
        ``/v1/search``), ``text`` for each piece of the answer, and ``done`` (the whole reply). If something fails, an
        ``error`` event with the body of an error reply takes the place of the rest. Without ``stream`` the reply is the
        object of ``done``.
        """
        return await handle(request, answering)

    described = operation(body_model(AskFields, "AskBody", "A question to answer from a collection."), AskReply)
    described["responses"][200]["content"] = {"text/event-stream": {"schema": _EVENT_SCHEMA}}
    router.add_api_route("/v1/ask", ask, methods=["POST"], **described)
    return router


@dataclass(frozen=True, slots=True)
class Written:
    """An answer that is being written, and how to reply with it."""

    collection: str
    fields: AskFields
    stream: AnswerStream

    def passages(self) -> dict[str, JsonValue]:
        """Return the retrieval, as ``/v1/search`` replies."""
        return {"collection": self.collection, **self.stream.retrieval.to_dict(explain=self.fields.explain)}

    def reply(self) -> dict[str, JsonValue]:
        """Return the whole reply, once the answer is complete."""
        return {"collection": self.collection, **self.stream.answer.to_dict(explain=self.fields.explain)}


async def _ask(service: Service, content: bytes, context: RequestContext) -> Response:
    model = language_model_of(service)
    parsed = await service.parsed(_parse, content)
    answer, writer = await begin_answer(service, model, parsed, context)
    if answer.fields.stream:
        pieces = timed_pieces(writer, service, context)
        failed = partial(_event, "error")
        return answer_stream(_events(answer, pieces), failed, writer, service, context)
    await written_whole(writer, service)
    return JSONResponse(answer.reply())


def language_model_of(service: Service) -> LanguageModel:
    """Return the server's language model, once the server is ready.

    Raises:
        HTTPError: it is not ready, or has no language model.
    """
    service.check_ready()
    model = service.settings.language_model
    if model is None:
        raise HTTPError(
            HTTPStatus.NOT_IMPLEMENTED,
            "This server has no language model. Ask /v1/search for the passages, or start the server with --model, or "
            "with --base-url and --model.",
        )
    return model


async def begin_answer(
    service: Service,
    model: LanguageModel,
    parsed: Parsed[AskFields],
    context: RequestContext,
    conversation: Conversation | None = None,
) -> tuple[Written, AnswerWriter]:
    """Retrieve, and begin to write the answer. Closing the writer stops it.

    Raises:
        HTTPError: the model is writing as many answers as it may.
        SiftRagError: see ``Assistant.stream``.
    """
    with ExitStack() as held:
        abandon = held.enter_context(service.answering(fine_tuned=parsed.fields.mode != "context"))
        answer = await service.in_worker(_prepare, service, model, parsed, context, conversation)
        return answer, AnswerWriter(answer.stream, held.pop_all(), abandon, streamed=answer.fields.stream)


def _parse(service: Service, content: bytes) -> Parsed[AskFields]:
    return Parsed(read_object(content), AskFields, service.settings.limits)


def _prepare(
    service: Service,
    model: LanguageModel,
    parsed: Parsed[AskFields],
    context: RequestContext,
    conversation: Conversation | None,
) -> Written:
    """Retrieve and build the prompt. Waits for the embedder: call it on a worker thread."""
    asked = parsed.fields
    settings = AnswerSettings(
        system=asked.system,
        max_new_tokens=asked.max_new_tokens,
        steps=asked.steps,
        min_gain=asked.min_gain,
        check=asked.check,
    )
    collection = asked.collection or service.settings.collection
    with service.collection(collection) as store:
        retriever = parsed.options.retriever(
            QueuedEmbedder(service.collection_queue(store), waiting=context.waiting), store, service.settings.relevance
        )
        stream = Assistant(retriever, model, settings).stream(
            parsed.query, asked.mode, decompose=asked.decompose, conversation=conversation
        )
    service.metrics.retrieved(stream.retrieval.timings_ms)
    return Written(collection, asked, stream)


def answer_stream(
    events: AsyncGenerator[bytes, None],
    failed: Callable[[Mapping[str, object]], bytes],
    writer: AnswerWriter,
    service: Service,
    context: RequestContext,
) -> EventStream:
    """Return the reply of an answer's events; ``failed`` writes the last one, of the body of an error reply."""
    return EventStream(
        events,
        lambda error: failed(context.error_body(client_error(error, context), context.id)),
        service.lifetimes,
        seconds=service.settings.limits.answer_seconds,
        close=writer.close,
    )


async def written_whole(writer: AnswerWriter, service: Service) -> None:
    """Wait until an answer is written that is not streamed, and observe how long that takes."""
    with closing(writer), service.metrics.stage("answer"):
        async for _ in writer.pieces():
            pass


async def timed_pieces(writer: AnswerWriter, service: Service, context: RequestContext) -> AsyncGenerator[str, None]:
    """Iterate over the text as it is written, and observe how long that takes."""
    metrics = service.metrics
    first = True
    with metrics.stage("answer"):
        async for piece in writer.pieces():
            if first:
                metrics.first_token.observe(perf_counter() - context.started)
                first = False
            yield piece


async def _events(answer: Written, pieces: AsyncGenerator[str, None]) -> AsyncGenerator[bytes, None]:
    yield _event("passages", answer.passages())
    async for piece in pieces:
        yield _event("text", {"text": piece})
    yield _event("done", answer.reply())


def _event(name: str, data: Mapping[str, object]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data, allow_nan=False)}\n\n".encode()
