"""Set what holds for every test: no network, one thread."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.qdrant_stub.server import QdrantStub

# Before torch is imported, here or in a child process. The models of the tests are so small that a second thread only
# waits for the first: on a busy machine with two cores it makes them ten times slower.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
# Frameworks tell their makers how they are used, unless this stands there before they are imported.
os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
os.environ["LANGSMITH_TRACING"] = os.environ["LANGCHAIN_TRACING_V2"] = "false"
for name in [name for name in os.environ if name.startswith("SIFT_RAG_") and not name.startswith("SIFT_RAG_TEST_")]:
    del os.environ[name]  # a person's own settings are not the tests'


@pytest.fixture
def qdrant() -> Iterator[QdrantStub]:
    """A stub of a Qdrant server on both of its protocols, without a key; see ``tests/qdrant_stub/server.py``."""
    from tests.qdrant_stub.server import QdrantStub

    with QdrantStub() as stub:
        yield stub
