"""Collections on a server for the contract tests.

In the fast lane the server is qdrant-client's own local mode, in this process: all of the store but the wire is tested.
In the slow lane it is the stub, on each of its protocols, and a real Qdrant where there is one.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from typing import Any

import pytest
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

LOCAL = "qdrant-client's local mode"
STUB_GRPC, STUB_REST, REAL = "server, stub, grpc", "server, stub, rest", "server"
REAL_URL = os.environ.get("SIFT_RAG_TEST_QDRANT_URL")
SERVERS = (STUB_GRPC, STUB_REST, *([REAL] if REAL_URL else []))

PROTOCOLS = [pytest.param("rest", marks=pytest.mark.slow), "grpc"]
"""Protocols of a server, as parameters of tests. REST is what the local mode is asked with, but for the wire."""

NO_PORT = 9
"""Port where nothing listens: named as the gRPC port of a store that is to speak REST."""


@cache
def stub() -> QdrantStub:
    """Return the stub of all tests of a file, started by the first that needs it."""
    return QdrantStub()


@pytest.fixture(scope="module", autouse=True)
def stub_ends() -> Iterator[None]:
    """Close the stub after the last test of a file; a file that uses the stub imports this fixture."""
    yield
    if stub.cache_info().currsize:
        stub().close()
        stub.cache_clear()


def kinds(of: Iterable[str]) -> list[Any]:
    """Return the kinds of stores as parameters of tests: those on a server are slow, the others are in every run."""
    return [pytest.param(kind, marks=pytest.mark.slow) if kind in SERVERS else kind for kind in of]


def url_of(kind: str) -> str:
    if kind == REAL:
        return str(REAL_URL)
    return f"{stub().url}?grpc_port={stub().grpc_port if kind == STUB_GRPC else NO_PORT}"


def made_locally(info: CollectionInfo) -> QdrantStore:
    """Create an empty collection in qdrant-client's local mode; it is gone when the store is closed."""
    connection = Connection(QdrantClient(":memory:"), where=LOCAL)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Payload indexes have no effect")
        collections.create(connection, info, ServerOptions())
    return QdrantStore(connection, *collections.find_own(connection, info.name))


def made_on_server(kind: str, info: CollectionInfo) -> PassageStore:
    """Create an empty collection; what an earlier test or run left of that name is dropped."""
    database = open_database(url_of(kind))
    with suppress(CollectionNotFound):
        database.drop(info.name)
    return database.create(info)


def opened_on_server(kind: str, name: str) -> PassageStore:
    return open_database(url_of(kind)).open(name)
