"""Spans of OpenTelemetry, with the SDK's exporter that keeps them in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sift_rag_server import tracing
from tests.http.models import ScriptedModel
from tests.http.serving import Served, serving

sdk: Any = pytest.importorskip("opentelemetry.sdk.trace", reason="needs opentelemetry-sdk: pip install 'sift-rag[dev]'")

TRACE = "0af7651916cd43dd8448eb211c80319c"
HEADERS = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
SECRET = "does the red fox eat secrets?"


@pytest.fixture(scope="module")
def answering(store: Path) -> Iterator[Served]:
    with serving(store=store, language_model=ScriptedModel("Mice [1].")) as running:
        yield running


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return the spans by name, once requests have ended."""
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    kept, provider = InMemorySpanExporter(), sdk.TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(tracing, "_tracer", lambda: provider.get_tracer("tests"))

    def ended(last: str) -> dict[str, Any]:
        while not any(span.name == last for span in kept.get_finished_spans()):
            pass
        return {span.name: span for span in kept.get_finished_spans()}

    yield ended
    provider.shutdown()


@pytest.mark.parametrize(
    ("path", "body", "parts"),
    [
        ("/v1/search", {"query": SECRET}, {"embed", "search", "select"}),
        ("/v1/ask", {"query": SECRET, "stream": False}, {"embed", "search", "select", "generate"}),
        ("/v1/ask", {"query": SECRET}, {"embed", "search", "select", "generate"}),
        ("/rerank", {"query": SECRET, "documents": ["a fox", "b"]}, {"embed", "select"}),
    ],
)
def test_the_parts_of_a_request_belong_to_the_callers_trace(
    answering: Served, spans: Any, path: str, body: dict[str, Any], parts: set[str]
) -> None:
    assert answering.client.post(path, json=body, headers=HEADERS).status_code == 200
    found = spans(f"POST {path}")
    request = found.pop(f"POST {path}")
    assert request.parent.trace_id == int(TRACE, 16)
    assert request.attributes["http.response.status_code"] == 200
    assert found.keys() == parts
    for part in found.values():
        assert part.parent.span_id == request.context.span_id
        assert part.start_time <= part.end_time
    assert SECRET not in "".join(span.to_json() for span in (request, *found.values()))


def test_a_header_that_is_no_trace_begins_a_new_one(answering: Served, spans: Any) -> None:
    answering.client.post("/v1/search", json={"query": "fox"}, headers={"traceparent": "00-?-\x7f"})
    assert spans("POST /v1/search")["POST /v1/search"].parent is None


def test_a_refused_request_is_traced_without_its_path(answering: Served, spans: Any) -> None:
    answering.client.get("/a/private/path")
    assert spans("GET other")["GET other"].attributes["http.response.status_code"] == 404


def test_without_the_api_nothing_changes(answering: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "_tracer", lambda: None)
    assert answering.client.post("/v1/ask", json={"query": "fox", "stream": False}).status_code == 200
