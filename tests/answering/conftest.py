"""A real small model to count tokens with, and an endpoint whose answer a test sets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sift_rag.models.local import LocalModel, load_local_model
from sift_rag.models.remote import RemoteModel
from tests.models.conftest import LANGUAGE_MODEL
from tests.models.stub_endpoint import StubEndpoint, stub_endpoint


@pytest.fixture(scope="session")
def language_model() -> LocalModel:
    return load_local_model(str(LANGUAGE_MODEL), device="cpu")


@pytest.fixture
def endpoint() -> Iterator[StubEndpoint]:
    with stub_endpoint() as stub:
        yield stub


@pytest.fixture
def told(endpoint: StubEndpoint) -> RemoteModel:
    """A model whose answer is what ``endpoint.pieces`` says."""
    return RemoteModel("told", base_url=endpoint.url, max_retries=0)
