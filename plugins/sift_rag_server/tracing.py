"""Spans of OpenTelemetry for requests and their parts. The only module that imports ``opentelemetry``.

Without an SDK that the process has configured (such as by ``opentelemetry-instrument``) a span costs microseconds and
goes nowhere; without ``opentelemetry-api`` there is none. Spans hold routes and sizes, never contents of requests.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from time import time_ns
from typing import TYPE_CHECKING

from sift_rag import __version__

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

    from sift_rag_server.handlers import RequestContext


@contextmanager
def request_span(context: RequestContext, route: str, headers: Mapping[str, str]) -> Iterator[None]:
    """Trace a request as part of the trace that its headers name. A block's spans are its children.

    Args:
        context: the request; its status is read at the end.
        route: path, or one word for all unknown paths.
        headers: may have ``traceparent`` and ``tracestate``.
    """
    tracer = _tracer()
    if tracer is None:
        yield
        return
    from opentelemetry.trace import SpanKind, Status, StatusCode
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    names = {"http.request.method": context.method, "http.route": route, "sift_rag.request": context.id}
    with tracer.start_as_current_span(
        f"{context.method} {route}",
        TraceContextTextMapPropagator().extract(headers),
        kind=SpanKind.SERVER,
        attributes=names,
        record_exception=False,  # a message could hold a text of the request
        set_status_on_exception=False,
    ) as span:
        yield
        span.set_attribute("http.response.status_code", context.status)
        if context.status >= 500:
            span.set_status(Status(StatusCode.ERROR))


@contextmanager
def span(name: str) -> Iterator[None]:
    """Trace a block as a part of the current request."""
    tracer = _tracer()
    if tracer is None:
        yield
        return
    # not made the current one: an async generator may leave the block in another context than it entered it in
    part = tracer.start_span(name)
    try:
        yield
    finally:
        part.end()


def record_spans(milliseconds: Mapping[str, float]) -> None:
    """Trace parts of the current request that have just ended, one after the other, given their durations."""
    tracer = _tracer()
    if tracer is None:
        return
    start = time_ns() - round(1e6 * sum(milliseconds.values()))
    for name, duration in milliseconds.items():
        end = start + round(1e6 * duration)
        tracer.start_span(name, start_time=start).end(end)
        start = end


@cache
def _tracer() -> Tracer | None:
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.trace") is None:
        return None
    from opentelemetry.trace import get_tracer

    return get_tracer("sift_rag", __version__)
