"""Set what holds for every test: no network, one thread."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
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

if "PYTEST_XDIST_WORKER" not in os.environ:  # the workers share one
    _CACHE = TemporaryDirectory(prefix="sift-rag-cache-")
    _USUAL = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    for name in ("huggingface", "matplotlib"):
        (Path(_CACHE.name) / name).symlink_to(_USUAL / name)
    os.environ["XDG_CACHE_HOME"] = _CACHE.name  # exported embedders go there, here and in child processes


def pytest_configure(config: pytest.Config) -> None:
    """Draw fewer examples of each property in the fast lane, unless a profile is asked for."""
    if config.option.markexpr == "not slow" and not config.getoption("--hypothesis-profile"):
        from hypothesis import settings

        from tests.examples import FAST

        settings.load_profile(FAST)


@pytest.fixture(scope="session", autouse=True)
def certificates_read_once() -> Iterator[None]:
    """Give every HTTP client the same context: each would read all authorities anew, and no test speaks TLS."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", cache(ssl.create_default_context))
        yield


@pytest.fixture
def qdrant() -> Iterator[QdrantStub]:
    """A stub of a Qdrant server on both of its protocols, without a key; see ``tests/qdrant_stub/server.py``."""
    from tests.qdrant_stub.server import QdrantStub

    with QdrantStub() as stub:
        yield stub
