"""A real small model to count tokens with, and an endpoint whose answer a test sets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from sift_rag.models.local import LocalModel, load_local_model
from sift_rag.models.options import ModelOptions
from sift_rag.models.remote import RemoteModel
from tests.loopback import StubHandler, loopback
from tests.models.conftest import LANGUAGE_MODEL
from tests.models.stub_endpoint import StubEndpoint, stub_endpoint


@pytest.fixture(scope="session")
def language_model() -> LocalModel:
    return load_local_model(str(LANGUAGE_MODEL), options=ModelOptions(device="cpu"))


@pytest.fixture
def endpoint() -> Iterator[StubEndpoint]:
    with stub_endpoint() as stub:
        yield stub


@dataclass
class StubAdapterServer:
    """A server that loads adapters, or refuses to."""

    url: str
    status: int = 200
    requests: list[tuple[str, Any]] = field(default_factory=list)


class _AdapterHandler(StubHandler):
    def respond(self, body: Any) -> None:
        self.stub.requests.append((self.path, body))
        self.send_whole(self.stub.status, "text/plain", b"done" if self.stub.status == 200 else b"no such path")


@pytest.fixture
def adapter_server() -> Iterator[StubAdapterServer]:
    with loopback(_AdapterHandler, StubAdapterServer) as stub:
        yield stub


@pytest.fixture
def told(endpoint: StubEndpoint) -> RemoteModel:
    """A model whose answer is what ``endpoint.pieces`` says."""
    return RemoteModel("told", base_url=endpoint.url, max_retries=0)
