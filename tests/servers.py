"""Collections on a server for the contract tests.

In the fast lane the server is qdrant-client's own local mode, in this process: the store is the same, but for what lies
between it and the wire. In the slow lane it is the stub, on each of its protocols, and a real Qdrant if there is one.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache

import pytest
from _pytest.mark import ParameterSet
from qdrant_client import QdrantClient

from sift_rag.errors import CollectionNotFound
from sift_rag.protocols import PassageStore
from sift_rag.stores.qdrant import collections
from sift_rag.stores.qdrant.connection import Connection
from sift_rag.stores.qdrant.options import ServerOptions
from sift_rag.stores.qdrant.store import QdrantStore
from sift_rag.stores.registry import open_database
from sift_rag.types import CollectionInfo
from tests.qdrant_stub.server import QdrantStub

LOCAL, STUB_GRPC, STUB_REST, REAL = "qdrant, local", "qdrant, stub, grpc", "qdrant, stub, rest", "qdrant"
REAL_URL = os.environ.get("SIFT_RAG_TEST_QDRANT_URL")
SERVERS = (STUB_GRPC, STUB_REST, *([REAL] if REAL_URL else []))
"""Those that a collection outlives the closing of its store on."""

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


def in_two_lanes(kinds: Iterable[str]) -> list[ParameterSet]:
    """Parameters of a test: those that are asked over a socket are slow."""
    return [pytest.param(kind, marks=[pytest.mark.slow] if kind in SERVERS else [], id=kind) for kind in kinds]


def made_locally(info: CollectionInfo) -> QdrantStore:
    """A new, empty one in qdrant-client's local mode; it ends with the store."""
    connection = Connection(QdrantClient(":memory:"), where="qdrant-client's local mode")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Payload indexes have no effect")
        collections.create(connection, info, ServerOptions())
    return QdrantStore(connection, *collections.find_own(connection, info.name))


def made_on_server(kind: str, info: CollectionInfo) -> PassageStore:
    """An empty one; what an earlier test or run left of that name is dropped."""
    database = open_database(url_of(kind))
    with suppress(CollectionNotFound):
        database.drop(info.name)
    return database.create(info)


def opened_on_server(kind: str, name: str) -> PassageStore:
    return open_database(url_of(kind)).open(name)
