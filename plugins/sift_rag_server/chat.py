"""``/v1/chat/completions``: a collection as a model of OpenAI's API, for chat windows and their libraries.

The last message of the user is the question, earlier ones are the conversation. ``sift`` in the body holds every option
of ``/v1/ask``. Which model to ask for: ``sift/COLLECTION``, or any other name of ``/v1/models`` for the default one.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from http import HTTPStatus
from time import time
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BeforeValidator, Field, create_model

from sift_rag.answering.citations import citation_marks, without_citations
from sift_rag.answering.conversation import Conversation, Turn
from sift_rag.answering.prompt import locate
from sift_rag.protocols import Message
from sift_rag_server.ask import Written, answer_stream, begin_answer, language_model_of, timed_pieces, written_whole
from sift_rag_server.collection_bodies import COLLECTION_NAME, AnswerFields, AskFields, Parsed, body_model
from sift_rag_server.errors import HTTPError
from sift_rag_server.handlers import Operation, RequestContext, handle
from sift_rag_server.openai_replies import ChatReply
from sift_rag_server.openapi import operation
from sift_rag_server.service import COLLECTION_PREFIX, RERANKER_NAME
from sift_rag_server.validation import Body, check_names, read_body, read_object, whole

if TYPE_CHECKING:
    from sift_rag.answering.answer import Answer
    from sift_rag.protocols import LanguageModel
    from sift_rag_server.service import Service

_SOURCES = "\n\nSources:\n"
_LISTED_SOURCES = re.compile(r"\n\nSources:\n(?:- \[\d+\] .*(?:\n|\Z))+\Z")
_BEFORE_STOP = re.compile(r"[ \t]+(?=[.,;:!?\n]|\Z)")
_SYSTEM = ("system", "developer")
_SiftOptions: Any = body_model(AnswerFields, "SiftOptions", "Options of the search, and how the answer is written.")


class TextPart(Body):
    """A part of a message."""

    type: Literal["text"]
    text: str


class ChatMessage(Body):
    """A message."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[TextPart] | None = None

    @property
    def text(self) -> str:
        """Its text."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(Body):
    """Options of a stream."""

    include_usage: bool = Field(False, description="End with a chunk that holds the numbers of tokens.")


_Tokens = Annotated[int, Field(ge=1, le=32_768), BeforeValidator(whole)]


class ChatBody(Body):
    """A chat. Other fields of OpenAI's API are accepted and have no effect."""

    model: str = Field(
        "", description=f"{COLLECTION_PREFIX}COLLECTION, or another name of /v1/models for the default collection."
    )
    messages: Annotated[list[ChatMessage], Field(min_length=1, description="The last one is the user's question.")]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: _Tokens | None = None
    max_completion_tokens: _Tokens | None = None
    n: Annotated[int, Field(ge=1, le=1), BeforeValidator(whole)] | None = Field(None, description="Only 1.")
    sift: dict[str, Any] | None = None


_DescribedBody = create_model(
    "ChatBody",
    __base__=ChatBody,
    sift=(_SiftOptions | None, Field(None, description="Options of the search, and how the answer is written.")),
)
"""The body as the OpenAPI document describes it."""


class Chat(NamedTuple):
    """A parsed chat."""

    parsed: Parsed[AskFields]
    conversation: Conversation
    model: str
    """Name of the model, as it was asked for."""
    include_usage: bool


def chat_routes(service: Service) -> APIRouter:
    """Return the route of chats."""
    router = APIRouter(tags=["openai"])
    chatting = Operation(
        service=service,
        work=lambda content, context: _chat(service, content, context),
        seconds=service.settings.limits.answer_seconds,
    )

    async def chat_completions(request: Request) -> Response:
        """Answer the last message from a collection, in the shape of OpenAI's chat completions.

        The answer cites passages as [1]; they are listed under it, and in ``annotations`` of the message.
        """
        return await handle(request, chatting)

    router.add_api_route(
        "/v1/chat/completions", chat_completions, methods=["POST"], **operation(_DescribedBody, ChatReply)
    )
    return router


async def _chat(service: Service, content: bytes, context: RequestContext) -> Response:
    model = language_model_of(service)
    chat = await service.parsed(_parse, content)
    answer, writer = await begin_answer(service, model, chat.parsed, context, chat.conversation)
    reply = _Reply(f"chatcmpl-{context.id}", int(time()), chat, answer, model)
    if answer.fields.stream:
        return answer_stream(reply.events(timed_pieces(writer, service, context)), _event, writer, service, context)
    await written_whole(writer, service)
    return JSONResponse(reply.whole())


def _parse(service: Service, content: bytes) -> Chat:
    body = read_body(ChatBody, read_object(content))
    said = [message for message in body.messages if message.role not in _SYSTEM]
    if not said or said[-1].role != "user" or not said[-1].text.strip():
        raise HTTPError(HTTPStatus.BAD_REQUEST, "The last message must be a text of the user.")
    check_names(body.sift or {}, tuple(_SiftOptions.model_fields))
    system = "\n\n".join(message.text for message in body.messages if message.role in _SYSTEM and message.text)
    asked: dict[str, Any] = {
        **(body.sift or {}),
        "query": said[-1].text,
        "collection": _collection(service, body.model),
        "stream": bool(body.stream),
    }
    if system:
        asked["system"] = system
    if limit := body.max_completion_tokens or body.max_tokens:
        asked["max_new_tokens"] = limit
    return Chat(
        Parsed(asked, AskFields, service.settings.limits),
        _conversation(said[:-1]),
        body.model or service.model_names[0],
        body.stream_options is not None and body.stream_options.include_usage,
    )


def _collection(service: Service, model: str) -> str | None:
    """Return the collection that a model's name stands for; None for the default one.

    Raises:
        HTTPError: there is no such model.
    """
    name = model.removeprefix(COLLECTION_PREFIX)
    if not model or model in service.model_names:
        return None
    if name != model and re.fullmatch(COLLECTION_NAME, name):
        return name
    raise HTTPError(
        HTTPStatus.NOT_FOUND,
        f"There is no model of this name. Ask for {RERANKER_NAME!r}, for '{COLLECTION_PREFIX}COLLECTION' with the name "
        "of a collection, or for another name of /v1/models; or start the server with --served-name and the name that "
        "your client sends.",
    )


def _conversation(messages: Sequence[ChatMessage]) -> Conversation:
    """Return the turns of questions with answers, without citations and sources: their passages are not in them."""
    turns: list[Turn] = []
    question: str | None = None
    for message in messages:
        if message.role == "user":
            question = message.text
        elif message.role == "assistant" and question and message.text.strip():
            answer = _BEFORE_STOP.sub("", without_citations(_LISTED_SOURCES.sub("", message.text)))
            turns.append(Turn(Message("user", question), Message("assistant", answer), (), (question,)))
            question = None
    return Conversation(tuple(turns))


class _Reply(NamedTuple):
    """The reply to a chat."""

    id: str
    created: int
    chat: Chat
    answer: Written
    writer: LanguageModel

    def whole(self) -> dict[str, Any]:
        """Return the completion, once the answer is complete."""
        answer = self.answer.stream.answer
        message = {
            "role": "assistant",
            "content": answer.text + _sources(answer),
            "refusal": None,
            "annotations": _annotations(answer, answer.text),
        }
        if answer.reasoning:
            message["reasoning_content"] = answer.reasoning
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish_reason(answer)}
        return {**self._head("chat.completion"), "choices": [choice], "usage": self._usage(answer)}

    async def events(self, pieces: AsyncGenerator[str, None]) -> AsyncGenerator[bytes, None]:
        """Yield the chunks of a stream, given the pieces of the answer."""
        yield self._chunk({"role": "assistant", "content": ""})
        written: list[str] = []
        async for piece in pieces:
            if not written and (reasoning := self.answer.stream.reasoning):
                yield self._chunk({"reasoning_content": reasoning})
            written.append(piece)
            yield self._chunk({"content": piece})
        answer = self.answer.stream.answer
        if sources := _sources(answer):
            yield self._chunk({"content": sources, "annotations": _annotations(answer, "".join(written))})
        yield self._chunk({}, _finish_reason(answer))
        if self.chat.include_usage:
            yield _event({**self._head("chat.completion.chunk"), "choices": [], "usage": self._usage(answer)})
        yield b"data: [DONE]\n\n"

    def _chunk(self, delta: Mapping[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        chunk = {**self._head("chat.completion.chunk"), "choices": [choice]}
        return _event(chunk | {"usage": None} if self.chat.include_usage else chunk)

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.chat.model}

    def _usage(self, answer: Answer) -> dict[str, int]:
        # without the chat's own tokens; as the user's, since many templates refuse a chat that the assistant begins
        said, silent = ([Message("user", text)] for text in (answer.text, ""))
        written = self.writer.count_tokens(said) - self.writer.count_tokens(silent)
        prompt = answer.prompt.tokens or 0
        return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}


def _sources(answer: Answer) -> str:
    """Return the list of the passages that an answer cites, to stand under it; empty if it cites none."""
    if not answer.citations:
        return ""
    return _SOURCES + "\n".join(f"- [{number}] {locate(passage)}" for number, passage in answer.citations)


def _annotations(answer: Answer, text: str) -> list[dict[str, Any]]:
    """Return a citation for each number in the brackets of a text, as OpenAI's API has them for pages of the web."""
    cited = dict(answer.citations)
    return [
        {
            "type": "url_citation",
            "url_citation": {
                "start_index": mark.start,
                "end_index": mark.end,
                "title": locate(cited[number]),
                "url": f"sift-rag://documents/{quote(cited[number].source)}#{cited[number].id}",
            },
        }
        for mark in citation_marks(text, cited)
        for number in mark.numbers
    ]


def _finish_reason(answer: Answer) -> str:
    return "stop" if answer.finish_reason == "repetition" else answer.finish_reason


def _event(data: Mapping[str, object]) -> bytes:
    return f"data: {json.dumps(data, allow_nan=False)}\n\n".encode()
