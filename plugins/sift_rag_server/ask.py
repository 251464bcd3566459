"""``/v1/ask``: an answer with citations from a collection, as it is written or whole."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from threading import Event, Thread
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from sift_rag.answering.answer import find_citations, stream_answer
from sift_rag.answering.prompt import Prompt, build_prompt
from sift_rag_server.bodies import AskBody, AskReply
from sift_rag_server.dialects import questions_of, read_body, read_object
from sift_rag_server.errors import HTTPError, error_body
from sift_rag_server.guard import Exchange
from sift_rag_server.handlers import answered, known_fault
from sift_rag_server.openapi import operation
from sift_rag_server.search import retrieval_json, retrieve

if TYPE_CHECKING:
    from sift_rag.protocols import LanguageModel
    from sift_rag_server.service import Service

_EVENT_SCHEMA = {
    "type": "object",
    "properties": {"event": {"enum": ["passages", "text", "done", "error"]}, "data": {"type": "string"}},
    "required": ["event", "data"],
}


def ask_routes(service: Service) -> APIRouter:
    """One route."""
    router = APIRouter(tags=["collections"])

    async def ask(request: Request) -> Response:
        """Answer a question from a collection, with citations.

        With ``stream`` (the default) events: ``passages`` (what the model is given, as ``/v1/search`` replies), then
        ``text`` with a piece of the answer each, then ``done`` with model and citations; or ``error`` in place of what
        would follow, as the reply to a failed request. Without, one object of all this.
        """
        return await answered(
            request,
            service,
            lambda content, exchange: _ask(service, content, exchange),
            seconds=service.settings.limits.answer_seconds,
        )

    described = operation(AskBody, AskReply)
    described["responses"][200]["content"] = {"text/event-stream": {"schema": _EVENT_SCHEMA}}
    router.add_api_route("/v1/ask", ask, methods=["POST"], **described)
    return router


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question with all that its answer needs."""

    body: AskBody
    prompt: Prompt
    passages: dict[str, object]


async def _ask(service: Service, content: bytes, exchange: Exchange) -> Response:
    service.queue  # noqa: B018 - not ready is told before anything is opened
    model = service.settings.language_model
    if model is None:
        raise HTTPError(
            HTTPStatus.NOT_IMPLEMENTED,
            "This server has no language model to answer with: ask /v1/search for the passages, or start it with "
            "--model, or with --base-url and --model.",
        )
    asked = await service.in_worker(_prepare, service, model, content)
    if service.answering >= service.settings.limits.answers:
        raise HTTPError(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"{service.answering} answers are being written, which is as many as are at once: try again.",
            retry_after=5,
        )
    answer = _Answer(service, model, asked)
    if asked.body.stream:
        return StreamingResponse(
            _events(service, asked, answer, exchange),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},  # or proxies hold pieces back
        )
    text = "".join([piece async for piece in answer.pieces()])
    return JSONResponse(asked.passages | {"answer": text} | _ending(asked, model, text))


async def _events(service: Service, asked: _Asked, answer: _Answer, exchange: Exchange) -> AsyncIterator[str]:
    try:
        yield _event("passages", asked.passages)
        taken: list[str] = []
        async with asyncio.timeout(service.settings.limits.answer_seconds):
            async for piece in answer.pieces():
                taken.append(piece)
                yield _event("text", {"text": piece})
        yield _event("done", _ending(asked, answer.model, "".join(taken)))
    except Exception as error:  # noqa: BLE001 - the head is sent: an event is all that can still tell
        yield _event("error", error_body(known_fault(error, exchange), "object", exchange.id))


class _Answer:
    """An answer being written on a thread of its own, from the moment that its pieces are asked for."""

    def __init__(self, service: Service, model: LanguageModel, asked: _Asked) -> None:
        self.model = model
        self._service = service
        self._asked = asked

    async def pieces(self) -> AsyncIterator[str]:
        """As they come. Left early, the model stops at its next piece.

        Raises:
            ModelError: the model cannot answer.
        """
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[str | Exception | None] = asyncio.Queue()
        unwanted = Event()

        def on_loop(function: Callable[..., None], *arguments: object) -> None:
            with suppress(RuntimeError):  # the loop is closed: the server has ended, and nobody waits
                loop.call_soon_threadsafe(function, *arguments)

        def ended() -> None:
            self._service.answering -= 1

        def write() -> None:
            pieces = stream_answer(self.model, self._asked.prompt, max_new_tokens=self._asked.body.max_new_tokens)
            try:
                for piece in pieces:
                    if unwanted.is_set():
                        break
                    on_loop(arrived.put_nowait, piece)
                on_loop(arrived.put_nowait, None)
            except Exception as error:  # noqa: BLE001 - it is raised where the pieces are awaited
                on_loop(arrived.put_nowait, error)
            finally:
                on_loop(ended)

        self._service.answering += 1
        Thread(target=write, name="answer", daemon=True).start()
        try:
            while (item := await arrived.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            unwanted.set()


def _prepare(service: Service, model: LanguageModel, content: bytes) -> _Asked:
    body = read_body(AskBody, read_object(content))
    retrieval = retrieve(service, body)
    prompt = build_prompt(
        questions_of(body.query),
        [hit.passage for hit in retrieval.hits],
        model=model,
        system=body.system,
        max_new_tokens=body.max_new_tokens,
    )
    return _Asked(body, prompt, retrieval_json(retrieval, body.collection or service.settings.collection))


def _ending(asked: _Asked, model: LanguageModel, text: str) -> dict[str, object]:
    return {
        "model": model.name,
        "citations": [
            {"number": number, "id": passage.id, "source": passage.source}
            for number, passage in find_citations(text, asked.prompt)
        ],
    }


def _event(name: str, data: dict[str, object]) -> str:
    return f"event: {name}\ndata: {json.dumps(data, allow_nan=False)}\n\n"
