"""Rankings in processes: the same replies, whatever happens to the processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest

from tests.http.serving import Served, serving

pytestmark = pytest.mark.slow
LONG = 60.0
DOCUMENTS = [f"document {number} on foxes and {number % 7} whales" for number in range(30)]


def wait_until(condition: Any) -> None:
    until = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture(scope="module")
def many() -> Iterator[Served]:
    """A server with two processes that are ready."""
    with serving(processes=2) as running:
        wait_until(lambda: running.server.service.processes_ready)
        yield running


def answers(served: Served, bodies: list[dict[str, Any]]) -> list[tuple[int, Any]]:
    """Statuses and results of requests that come at the same time."""
    with ThreadPoolExecutor(len(bodies)) as clients:
        replies = list(clients.map(lambda body: served.client.post("/rerank", json=body), bodies))
    return [(reply.status_code, reply.json().get("results") or reply.json()["message"]) for reply in replies]


BODIES: list[dict[str, Any]] = [
    *({"query": f"what of whale {number}?", "documents": DOCUMENTS} for number in range(8)),
    {"query": ["a", "b"], "documents": DOCUMENTS, "sift": {"weights": [1, 2], "known_texts": DOCUMENTS[:2]}},
    {"query": "a", "documents": ["x", "y"], "embeddings": [[1.0] * 64, None], "return_documents": True},
    {"query": "a", "documents": ["x", "y"], "embeddings": [[0.0] * 64, None]},  # an error
    {"query": "a " * 400, "documents": DOCUMENTS},
]


def test_replies_are_those_of_threads(many: Served) -> None:
    with serving() as threads:
        expected = [one for body in BODIES for one in answers(threads, [body])]
    assert [status for status, _ in expected].count(400) == 1
    assert answers(many, BODIES * 3) == expected * 3


def test_processes_that_are_killed_are_replaced_and_no_request_fails(many: Served) -> None:
    processes = [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]
    assert len(processes) == 2
    with ThreadPoolExecutor() as others:
        running = others.submit(answers, many, BODIES[:8] * 6)
        for process in processes:
            process.kill()
        assert {status for status, _ in running.result()} == {200}
    wait_until(lambda: many.server.service.processes_ready)
    assert {status for status, _ in answers(many, BODIES[:8])} == {200}


SERVER = """
from sift_rag_server import RunningServer, ServerSettings
from tests.doubles import HashingEmbedder
from threading import Thread
import time

if __name__ == "__main__":
    server = RunningServer(ServerSettings(port=0, processes=2), embedder=HashingEmbedder())
    Thread(target=server.run, daemon=True).start()
    while not server.service.processes_ready:
        time.sleep(0.05)
    print("ready", flush=True)
    time.sleep(600)
"""


def test_no_process_outlives_a_server_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        children = psutil.Process(server.pid).children(recursive=True)
        assert len(children) >= 2
        os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children))
