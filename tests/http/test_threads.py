"""A server leaves the processors to other requests."""

from __future__ import annotations

import pytest
from threadpoolctl import threadpool_info

from sift_rag_server import RunningServer, ServerSettings


def threads_of_numpy() -> list[int]:
    return [library["num_threads"] for library in threadpool_info() if "numpy" in library["filepath"]]


def test_numpy_computes_on_one_thread_while_a_server_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    before = threads_of_numpy()
    if not before:
        pytest.skip("numpy is built on a library that has no threads to set.")
    server = RunningServer(ServerSettings(port=0))
    seen: list[int] = []
    monkeypatch.setattr(server._server, "run", lambda sockets: seen.extend(threads_of_numpy()))
    server.run()
    assert seen == [1] * len(before)
    assert threads_of_numpy() == before
