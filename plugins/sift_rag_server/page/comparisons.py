"""A small comparison of context and fine-tuning: started, watched and cancelled from the page. One at a time.

``GET /page/comparisons/current`` replies with the state of the last comparison of this server, so that a second tab
sees it::

    {"state": "none", "running", "done", "cancelled", "out of time" or "failed", "possible": whether there is a model
     that can be fine-tuned, "model", "limits", "collection", "k", "command": the same at the command line,
     "texts": [{"name", "characters", "measured": [{"arm", "selector", "percent": bits, those of the model alone are
                100, "seconds"}]}],
     "now": {"text", "arm", "selector", "step"} or null, "done": share in [0, 1], "seconds": time since the start, in
     steps of 5, while it runs, else null, "error": a sentence or null,
     "result": {"verdict", "base_bits_per_byte", "rows", "facts", "left_out", "report"} or null}

``POST /page/comparisons`` with ``{"texts": [{"name", "text"}], "k", "collection"}`` starts one, ``POST
/page/comparisons/cancel`` ends it; both need the page's token. ``POST /page/comparisons/events`` streams the state as
``state`` events until it no longer changes. ``GET /page/comparisons/report`` is the report as a page, if matplotlib is
installed.

The model belongs to a comparison until it ends, as it does to a fine-tuned answer: questions get 429 meanwhile. It is
restored bit for bit however the comparison ends.
"""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import partial
from http import HTTPStatus
from importlib.util import find_spec
from threading import Event, Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from sift_rag import __version__
from sift_rag_server.collection_bodies import COLLECTION_NAME
from sift_rag_server.embeddings import QueuedEmbedder
from sift_rag_server.errors import HTTPError
from sift_rag_server.event_stream import EventStream
from sift_rag_server.handlers import Operation, RequestContext, client_error, handle
from sift_rag_server.page.session import check_token
from sift_rag_server.validation import Body, Whole, read_body, read_object

if TYPE_CHECKING:
    from sift_rag.evaluation.outcomes import About, Comparison, Outcome, Progress
    from sift_rag.evaluation.rows import Row
    from sift_rag.evaluation.summary import Summary
    from sift_rag.evaluation.tasks import Task
    from sift_rag.models.local import LocalModel
    from sift_rag_server.service import Service

MOST_TEXTS = 3
MOST_CHARACTERS = 10_000
"""Largest number of characters of one text."""
MOST_K = 10
SECONDS = 600.0
"""Time of one comparison; what is measured until then is reported."""

ARMS = ("context", "finetune", "both")
SELECTORS = ("nearest", "sift")

_Name = Annotated[str, Field(min_length=1, max_length=200)]
_Text = Annotated[str, Field(pattern=r"\S", max_length=MOST_CHARACTERS)]


class GivenText(Body):
    """A text to predict."""

    name: _Name
    text: _Text


class ComparisonBody(Body):
    """The body of a new comparison."""

    texts: Annotated[list[GivenText], Field(min_length=1, max_length=MOST_TEXTS)]
    k: Whole = Field(5, ge=1, le=MOST_K)
    collection: Annotated[str, Field(pattern=COLLECTION_NAME)] | None = None


class Ended(Exception):
    """A comparison is to end before it is complete."""

    def __init__(self, state: str) -> None:
        super().__init__(state)
        self.state = state


@dataclass(frozen=True, slots=True)
class Given:
    """The comparison that somebody asked for."""

    tasks: tuple[Task, ...]
    k: int
    collection: str

    @property
    def units(self) -> int:
        """Number of measurements and steps, if there are enough passages."""
        return len(self.tasks) * (1 + len(SELECTORS) * (len(ARMS) + self.k))


@dataclass(frozen=True, slots=True)
class State:
    """A moment of a comparison."""

    given: Given
    state: str = "running"
    now: dict[str, object] | None = None
    units: int = 0
    measured: tuple[tuple[dict[str, object], ...], ...] = ()
    """The measurements of each task."""
    error: str | None = None
    result: dict[str, object] | None = None

    def to_dict(self) -> dict[str, object]:
        """Return its JSON shape."""
        texts = zip(self.given.tasks, self.measured, strict=True)
        return {
            "state": self.state,
            "collection": self.given.collection,
            "k": self.given.k,
            "texts": [
                {"name": task.id, "characters": len(task.text), "measured": list(measured)} for task, measured in texts
            ],
            "now": self.now,
            "done": 1.0 if self.state != "running" else min(1.0, self.units / self.given.units),
            "error": self.error,
            "result": self.result,
        }


@dataclass
class Running:
    """A comparison on a thread of its own."""

    service: Service
    model: LocalModel
    state: State
    report: str | None = None
    """The report as HTML, once there is one."""
    cancelled: Event = field(default_factory=Event)
    begun: float = field(default_factory=monotonic)
    _base: float = 0.0

    def start(self, held: AbstractContextManager[object]) -> None:
        """Begin. ``held`` is left once the model is free again."""
        Thread(target=self._run, args=(held,), name="comparison", daemon=True).start()

    @property
    def running(self) -> bool:
        """True until it has ended."""
        return self.state.state == "running"

    def _run(self, held: AbstractContextManager[object]) -> None:
        outcomes: list[Outcome] = []
        ended: dict[str, Any] = {"state": "done"}
        until = monotonic() + SECONDS
        about: About | None = None
        try:
            with held:
                try:
                    about = self._measure(outcomes, until)
                except Ended as end:
                    ended = {"state": end.state}
            if outcomes:
                ended["result"] = self._result(outcomes, about)
        except Exception as error:  # noqa: BLE001 - nobody waits here: the state reports it
            message = client_error(error, RequestContext()).message
            ended = {"state": "failed", "error": message}
        self.state = replace(self.state, now=None, **ended)

    def _measure(self, outcomes: list[Outcome], until: float) -> About:
        from sift_rag.evaluation import compare
        from sift_rag.evaluation.about import about_run

        given, comparison = self.state.given, _comparison(self.state.given.k)
        with self.service.collection(given.collection) as store:
            about = about_run(
                comparison,
                self.model,
                store,
                version=__version__,
                date=datetime.now().astimezone().isoformat(" ", "minutes"),
                command=command_of(self.model.name, given),
            )
            self._about = about
            measured = compare(
                given.tasks,
                model=self.model,
                embedder=QueuedEmbedder(self.service.collection_queue(store)),
                store=store,
                comparison=comparison,
                on_progress=partial(self._note, until),
            )
            outcomes.extend(measured)  # those measured before an error stay
        return about

    def _note(self, until: float, progress: Progress) -> None:
        """Keep what has happened.

        Raises:
            Ended: the comparison is to end here.
        """
        if self.cancelled.is_set() or self.service.closing.is_set():
            raise Ended("cancelled")
        if monotonic() > until:
            raise Ended("out of time")
        state, place = self.state, self.state.given.tasks.index(progress.task)
        now: dict[str, object] = {
            "text": place,
            "arm": progress.arm,
            "selector": progress.selector,
            "step": progress.step,
        }
        measured = list(state.measured)
        if progress.measured is not None:
            if progress.arm == "base":
                self._base = progress.measured.bits_per_byte
            percent = 100.0 * progress.measured.bits_per_byte / self._base
            figures = {"percent": round(percent, 2), "seconds": round(progress.measured.seconds, 3)}
            measured[place] = (*measured[place], {"arm": progress.arm, "selector": progress.selector, **figures})
        counts = progress.step > 0 or progress.measured is not None
        self.state = replace(state, now=now, units=state.units + counts, measured=tuple(measured))

    def _result(self, outcomes: list[Outcome], about: About | None) -> dict[str, object]:
        from sift_rag.evaluation import summarise
        from sift_rag.evaluation.report import render_report

        facts = about or self._about
        summary = summarise(outcomes)
        if find_spec("matplotlib") is not None:
            self.report = render_report(outcomes, summary, facts)
        return result_of(summary, facts, report=self.report is not None)


def result_of(summary: Summary, about: About, *, report: bool) -> dict[str, object]:
    """Return the JSON shape of a comparison's result."""
    rows = sorted(summary.all_rows, key=lambda row: row.percent_of_base)
    return {
        "verdict": summary.verdict,
        "texts": summary.tasks,
        "base_bits_per_byte": summary.base_bits_per_byte,
        "rows": [_row(row, is_recommended=row == summary.decision.recommended) for row in rows],
        "left_out": summary.left_out,
        "facts": asdict(about),
        "report": report,
    }


def _row(row: Row, *, is_recommended: bool) -> dict[str, object]:
    """Return a row with the names that ``sift-rag compare --json`` gives its figures."""
    low, high = row.difference.low, row.difference.high
    figures = {name: value for name, value in asdict(row).items() if name != "difference"}
    return {**figures, "difference_low": low, "difference_high": high, "recommended": is_recommended}


def command_of(model: str, given: Given) -> str:
    """Return the command that compares the same way."""
    asked = ["--arms", ",".join(ARMS), "-k", str(given.k), "-c", given.collection]
    return shlex.join(["sift-rag", "compare", "--texts", "held-out/", "--model", model, *asked])


class Comparisons:
    """The comparisons of a server: the last one is kept. Safe to share between threads."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._lock = Lock()
        self.last: Running | None = None

    def start(self, body: ComparisonBody) -> None:
        """Start a comparison. Opens the collection: call it on a worker thread.

        Raises:
            HTTPError: one is running, the model writes an answer, or there is no model that can be fine-tuned.
            SiftRagError: the collection cannot be opened.
        """
        model = local_model_of(self._service)
        if model is None:
            raise HTTPError(
                HTTPStatus.NOT_IMPLEMENTED,
                "A comparison fine-tunes a model, and this server has none in its own process. Start it with --model.",
            )
        given = _given(body, self._service)
        with self._service.collection(given.collection):
            pass
        with self._lock:
            if self.last is not None and self.last.running:
                raise HTTPError(HTTPStatus.CONFLICT, "A comparison is running. Wait for its end, or cancel it.")
            with ExitStack() as held:
                held.enter_context(self._service.answering(fine_tuned=True))
                running = Running(self._service, model, State(given, measured=((),) * len(given.tasks)))
                self.last = running
                running.start(held.pop_all())

    def cancel(self) -> None:
        """Let the comparison end at its next step. Nothing happens if none is running."""
        if self.last is not None:
            self.last.cancelled.set()

    def to_dict(self) -> dict[str, object]:
        """Return the state of the last comparison as JSON."""
        held = self._service.settings.language_model
        last = self.last
        return {
            "state": "none",
            "seconds": 5 * int((monotonic() - last.begun) / 5) if last is not None and last.running else None,
            **({} if last is None else last.state.to_dict()),
            "possible": local_model_of(self._service) is not None,
            "model": None if held is None else held.name,
            "limits": {"texts": MOST_TEXTS, "characters": MOST_CHARACTERS, "k": MOST_K, "minutes": SECONDS / 60},
            "command": None if last is None else command_of(last.model.name, last.state.given),
        }


def local_model_of(service: Service) -> LocalModel | None:
    """Return the server's language model if it can be fine-tuned: a model in this process."""
    model = service.settings.language_model
    if model is None:
        return None
    from sift_rag.models.local import LocalModel

    return model if isinstance(model, LocalModel) else None


def _given(body: ComparisonBody, service: Service) -> Given:
    from sift_rag.evaluation.tasks import Task

    names: list[str] = []
    for given in body.texts:
        name, again = given.name, 1
        while name in names:
            again += 1
            name = f"{given.name} ({again})"
        names.append(name)
    tasks = tuple(Task(name, "texts", given.text) for name, given in zip(names, body.texts, strict=True))
    return Given(tasks, body.k, body.collection or service.settings.collection)


def _comparison(k: int) -> Comparison:
    from sift_rag.evaluation import Comparison

    return Comparison(arms=ARMS, selectors=SELECTORS, ks=(k,))


def comparison_routes(service: Service) -> APIRouter:
    """Return the routes of comparisons."""
    router = APIRouter(include_in_schema=False)
    comparisons = Comparisons(service)
    operation = partial(Operation, service=service, seconds=service.settings.limits.seconds)

    async def begin(content: bytes, context: RequestContext) -> Response:
        del context
        service.check_ready()
        body = read_body(ComparisonBody, read_object(content))
        await service.in_worker(comparisons.start, body)
        return JSONResponse(comparisons.to_dict(), HTTPStatus.ACCEPTED)

    async def end(content: bytes, context: RequestContext) -> Response:
        del content, context
        comparisons.cancel()
        return JSONResponse(comparisons.to_dict())

    async def tell(content: bytes, context: RequestContext) -> Response:
        del content, context
        return JSONResponse(await service.in_worker(comparisons.to_dict))

    async def watch(content: bytes, context: RequestContext) -> Response:
        del content
        failed = partial(_failed, context)
        return EventStream(_states(comparisons), failed, service.lifetimes, seconds=2 * SECONDS, close=_nothing)

    async def show(content: bytes, context: RequestContext) -> Response:
        del content, context
        report = None if comparisons.last is None else comparisons.last.report
        if report is None:
            raise HTTPError(HTTPStatus.NOT_FOUND, "There is no report: no comparison has ended.")
        return Response(report, media_type="text/html; charset=utf-8")

    @router.post("/page/comparisons")
    async def start(request: Request) -> Response:
        return await handle(request, operation(work=_with_token(service, request, begin)))

    @router.post("/page/comparisons/cancel")
    async def cancel(request: Request) -> Response:
        return await handle(request, operation(work=_with_token(service, request, end)))

    @router.get("/page/comparisons/current")
    async def current(request: Request) -> Response:
        return await handle(request, operation(work=tell))

    @router.post("/page/comparisons/events")
    async def events(request: Request) -> Response:
        return await handle(request, operation(work=watch))

    @router.get("/page/comparisons/report")
    async def report(request: Request) -> Response:
        return await handle(request, operation(work=show))

    return router


def _with_token(service: Service, request: Request, work: Any) -> Any:
    async def checked(content: bytes, context: RequestContext) -> Response:
        check_token(service, request.headers)
        response: Response = await work(content, context)
        return response

    return checked


async def _states(comparisons: Comparisons) -> AsyncGenerator[bytes, None]:
    told = ""
    while True:
        running = comparisons.last is not None and comparisons.last.running
        state = json.dumps(comparisons.to_dict(), allow_nan=False)
        if state != told:
            yield f"event: state\ndata: {state}\n\n".encode()
            told = state
        if not running:
            return
        await asyncio.sleep(0.2)


def _failed(context: RequestContext, error: Exception) -> bytes:
    body = context.error_body(client_error(error, context), context.id)
    return f"event: error\ndata: {json.dumps(body)}\n\n".encode()


def _nothing() -> None:
    pass
