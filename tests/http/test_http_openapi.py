"""The OpenAPI document, and requests made from it: valid ones, and ones that it forbids."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.specs.openapi.checks import positive_data_acceptance

from sift_rag import defaults
from sift_rag.selection.settings import selector_settings
from sift_rag_server.dialects import PATHS
from tests.http.models import ScriptedModel
from tests.http.serving import Served, serving

EXAMPLES = 25
"""Example requests for each operation."""

SETTINGS = {name for selector in defaults.SELECTORS for name in selector_settings(selector)}

ACROSS_FIELDS = re.compile(
    r"There are \d+ embeddings for|The embeddings|An embedding of a text|has no text under|asks for a .* at most"
    r"|The last message must|dimensions is|has room for"
    r"|Expected one weight for each|Weights apply to the questions as asked|not all 0|has no setting|exact|repeat"
    rf"|(?<!\w)({'|'.join(map(re.escape, SETTINGS))}) must be"
)
"""Errors that no schema can state: fields that depend on each other, and the ranges of settings."""

RERANK = tuple(PATHS)
OPENAI = ("/v1/chat/completions", "/v1/embeddings")
ASKED = [f"POST {path}" for path in (*RERANK, "/v1/search", "/v1/ask", *OPENAI)]
TOLD = [f"GET {path}" for path in ("/v1/models", "/v1/models/{name}", "/health", "/ready", "/metrics")]


@pytest.fixture(scope="module")
def document(served: Served) -> Any:
    return served.client.get("/openapi.json").json()


def test_it_describes_every_route(document: Any) -> None:
    described = {f"{method.upper()} {path}" for path, routes in document["paths"].items() for method in routes}
    assert described == {*ASKED, *TOLD}


def test_it_says_that_a_key_is_needed_only_where_one_is(document: Any) -> None:
    assert "security" not in document
    with serving(api_key="a-key") as keyed:
        assert keyed.client.get("/openapi.json").json()["security"] == [{"key": []}]


@pytest.fixture(scope="module")
def answering(store: Path) -> Iterator[Served]:
    with serving(store=store, idle_seconds=0, language_model=ScriptedModel("Mice ", "[1].")) as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("label", [*ASKED, *TOLD])
def test_what_it_allows_is_answered_and_what_it_forbids_is_refused_as_it_says(label: str, answering: Served) -> None:
    schema = schemathesis.openapi.from_url(f"{answering.url}/openapi.json")
    operation = next(found.ok() for found in schema.get_all_operations() if found.ok().label == label)

    @hypothesis.given(operation.as_strategy())
    @hypothesis.settings(
        max_examples=EXAMPLES,
        phases=[hypothesis.Phase.generate],
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    def check(case: schemathesis.Case) -> None:
        reply = case.call(timeout=30)
        if reply.status_code == 501 and "fine-tuned" in reply.text:
            return  # a mode that this server's model does not have
        case.validate_response(reply, excluded_checks=[positive_data_acceptance])
        allowed = case.meta is not None and case.meta.generation.mode.is_positive
        if allowed and reply.status_code not in {200, 404}:
            assert ACROSS_FIELDS.search(reply.json()["message"]), reply.text

    check()
