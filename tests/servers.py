"""Collections on a server for the contract tests: over the stub on each protocol, and on a real Qdrant where one is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cache

import pytest

from sift_rag.errors import CollectionNotFound
from sift_rag.protocols import PassageStore
from sift_rag.stores.registry import open_database
from sift_rag.types import CollectionInfo
from tests.qdrant_stub.server import QdrantStub

STUB_GRPC, STUB_REST, REAL = "server, stub, grpc", "server, stub, rest", "server"
REAL_URL = os.environ.get("SIFT_RAG_TEST_QDRANT_URL")
SERVERS = (STUB_GRPC, STUB_REST, *([REAL] if REAL_URL else []))

NO_PORT = 9
"""Nothing listens here: a store that is to speak REST is told that gRPC is."""


@cache
def stub() -> QdrantStub:
    """One for all tests of a file, started by the first that needs it."""
    return QdrantStub()


@pytest.fixture(scope="module", autouse=True)
def stub_ends() -> Iterator[None]:
    """To be imported by a file that uses the stub."""
    yield
    if stub.cache_info().currsize:
        stub().close()
        stub.cache_clear()


def url_of(kind: str) -> str:
    if kind == REAL:
        return str(REAL_URL)
    return f"{stub().url}?grpc_port={stub().grpc_port if kind == STUB_GRPC else NO_PORT}"


def made_on_server(kind: str, info: CollectionInfo) -> PassageStore:
    """An empty one; what an earlier test or run left of that name is dropped."""
    database = open_database(url_of(kind))
    with suppress(CollectionNotFound):
        database.drop(info.name)
    return database.create(info)


def opened_on_server(kind: str, name: str) -> PassageStore:
    return open_database(url_of(kind)).open(name)
