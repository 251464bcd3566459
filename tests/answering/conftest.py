"""A real small model to count tokens with, and an endpoint whose answer a test sets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event
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


def _set(event: Event) -> Event:
    event.set()
    return event


@dataclass
class StubAdapterServer:
    """A server that loads adapters, or refuses to."""

    url: str
    status: int = 200
    kind: str = "text/plain"
    reply: bytes | None = None
    """Body of its answer; None for one that goes with the status."""
    answers: Event = field(default_factory=lambda: _set(Event()))
    """While it is not set, the server keeps silent."""
    requests: list[tuple[str, Any]] = field(default_factory=list)


class _AdapterHandler(StubHandler):
    def respond(self, body: Any) -> None:
        self.stub.requests.append((self.path, body))
        self.stub.answers.wait()
        usual = b"done" if self.stub.status == 200 else b"no such path"
        with suppress(BrokenPipeError, ConnectionResetError):  # the client may have gone
            self.send_whole(self.stub.status, self.stub.kind, usual if self.stub.reply is None else self.stub.reply)


@pytest.fixture
def adapter_server() -> Iterator[StubAdapterServer]:
    with loopback(_AdapterHandler, StubAdapterServer) as stub:
        yield stub


@pytest.fixture
def told(endpoint: StubEndpoint) -> RemoteModel:
    """A model whose answer is what ``endpoint.pieces`` says."""
    return RemoteModel("told", base_url=endpoint.url, max_retries=0)
