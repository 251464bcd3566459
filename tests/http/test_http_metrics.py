"""Times of stages, and of the first text of a streamed answer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.http.models import ScriptedModel
from tests.http.serving import Served, serving

ASKED = {"query": "What does the red fox eat?"}


def counts(served: Served) -> Mapping[str, int]:
    """Number of observations of each stage, and of first texts."""
    lines = served.client.get("/metrics").text.splitlines()
    told = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    stages = {
        name: f'sift_rag_stage_seconds_count{{stage="{name}"}}' for name in ("embed", "search", "select", "answer")
    }
    names = {**stages, "first": "sift_rag_first_token_seconds_count"}
    return {name: int(float(told[metric])) for name, metric in names.items()}


@pytest.mark.parametrize(
    ("path", "body", "stages"),
    [
        ("/rerank", {"query": "q", "documents": ["a", "b"]}, {"embed", "select"}),
        ("/v1/search", ASKED, {"embed", "search", "select"}),
        ("/v1/ask", ASKED, {"embed", "search", "select", "answer", "first"}),
        ("/v1/ask", {**ASKED, "stream": False}, {"embed", "search", "select", "answer"}),
        ("/v1/search", {"query": ""}, set()),
    ],
)
def test_each_stage_of_a_request_is_observed_once(
    store: Path, path: str, body: Mapping[str, object], stages: set[str]
) -> None:
    with serving(store=store, idle_seconds=0, language_model=ScriptedModel("Mice ", "[1].")) as served:
        assert set(counts(served).values()) == {0}
        served.client.post(path, json=body)
        assert {name: 1 if name in stages else 0 for name in counts(served)} == counts(served)


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v1/models/sift", "/v1/models/{name}"),
        ("/v1/search/", "/v1/search"),
        ("/v1/search/../../etc", "other"),
        ("/unknown", "other"),
    ],
)
def test_requests_are_counted_under_their_route(path: str, route: str) -> None:
    with serving() as served:
        served.client.get(path)
        assert f'sift_rag_requests_total{{route="{route}",status="' in served.client.get("/metrics").text
