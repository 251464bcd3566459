"""SIGTERM for a process that is at work."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.slow
LONG = 60.0
ENDS = 10.0
"""Seconds within which a stopped server ends, by its promise."""
ASKED = {"query": "What does the red fox eat?"}
FOLDER = Path(__file__).resolve().parents[2]


class Process:
    """A server that is ready."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.http.stoppable", kind, str(folder)],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
            cwd=FOLDER,
        )
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if line.startswith("{") and json.loads(line)["event"] == "listening":
                self.url = json.loads(line)["url"]
                break
        self.lines: list[str] = []
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stderr or ()))
        self.reader.start()
        while kind != "load" and httpx.get(f"{self.url}/ready").status_code != 200:
            time.sleep(0.02)

    def post(self, path: str, body: object) -> httpx.Response:
        return httpx.post(f"{self.url}{path}", json=body, timeout=LONG)

    def call(self, tool: str, **arguments: object) -> httpx.Response:
        """Call a tool of ``/mcp``, as an agent that follows progress."""
        asked = {"name": tool, "arguments": arguments, "_meta": {"progressToken": 1}}
        return httpx.post(
            f"{self.url}/mcp",
            json={"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": asked},
            headers={"accept": "application/json, text/event-stream"},
            timeout=LONG,
        )

    def wait_for_requests(self, number: int) -> None:
        while f"sift_rag_requests_in_flight {number}.0" not in httpx.get(f"{self.url}/metrics").text:
            time.sleep(0.02)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(ENDS)


@contextmanager
def serving(kind: str, folder: Path) -> Iterator[Process]:
    server = Process(kind, folder)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()
        server.reader.join()
        assert server.process.stderr is not None
        server.process.stderr.close()


def check_busy(reply: Future[httpx.Response]) -> None:
    assert (reply.result().status_code, reply.result().headers["retry-after"]) == (503, "5")


@pytest.mark.parametrize("kind", ["answer", "fine-tune"])
def test_it_ends_while_a_model_is_at_work(kind: str, tmp_path: Path) -> None:
    asked = ASKED if kind == "answer" else {**ASKED, "mode": "finetune", "steps": 1000, "min_gain": 0.0}
    with serving(kind, tmp_path) as server, ThreadPoolExecutor() as others:
        streamed = others.submit(server.post, "/v1/ask", asked)
        server.wait_for_requests(1)
        if kind == "answer":
            whole = others.submit(server.post, "/v1/ask", {**asked, "stream": False})
            server.wait_for_requests(2)
        time.sleep(0.5)
        assert server.stop() == 0
        *_, last = streamed.result().text.strip().split("\n\n")
        assert last.startswith("event: error\n"), streamed.result().text[-1000:]
        if kind == "answer":
            check_busy(whole)
    assert json.loads(server.lines[-1])["event"] == "stopped"
    assert not [line for line in server.lines if '"level": "error"' in line]


def test_it_ends_while_agents_and_chat_windows_wait_for_a_model(tmp_path: Path) -> None:
    pytest.importorskip("mcp", reason="needs the package mcp: pip install 'sift-rag[mcp]'")
    with serving("answer", tmp_path) as server, ThreadPoolExecutor() as others, httpx.Client() as idle:
        assert idle.post(f"{server.url}/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "ping"}).is_success
        asked = {"messages": [{"role": "user", "content": ASKED["query"]}], "stream": True}
        streamed = others.submit(server.post, "/v1/chat/completions", asked)
        server.wait_for_requests(1)
        called = others.submit(server.call, "ask", questions=[ASKED["query"]])
        server.wait_for_requests(2)
        time.sleep(0.5)
        assert server.stop() == 0
        *_, last = streamed.result().text.strip().split("\n\n")
        assert "stopping" in json.loads(last.removeprefix("data: "))["error"]["message"]
        check_busy(called)
        assert (called.result().json()["id"], called.result().json()["error"]["code"]) == (7, -32000)
    assert json.loads(server.lines[-1])["event"] == "stopped"
    assert not [line for line in server.lines if '"level": "error"' in line]


def test_it_ends_while_an_agent_ingests(tmp_path: Path) -> None:
    pytest.importorskip("mcp", reason="needs the package mcp: pip install 'sift-rag[mcp]'")
    with serving("ingest", tmp_path) as server, ThreadPoolExecutor() as others:
        assert server.call("status").is_success  # which loads what agents need
        followed = others.submit(server.call, "ingest", paths=["."])
        server.wait_for_requests(1)
        time.sleep(2.0)
        assert server.stop() == 0
        *_, last = followed.result().text.strip().split("\n\n")
        assert last.startswith("event: message\ndata: ")
        told = json.loads(last.partition("data: ")[2])
        assert (told["id"], told["error"]["code"]) == (7, -32000)
    assert json.loads(server.lines[-1])["event"] == "stopped"
    assert not [line for line in server.lines if '"level": "error"' in line]


def test_it_ends_while_the_embedder_is_at_work_and_requests_wait(tmp_path: Path) -> None:
    with serving("embed", tmp_path) as server, ThreadPoolExecutor() as others:
        replies = [
            others.submit(server.post, "/rerank", {"query": "q", texts: ["a", "b"]})
            for texts in ("documents", "texts", "texts")
        ]
        replies.append(others.submit(server.post, "/v1/search", {**ASKED, "known_texts": ["known"]}))
        server.wait_for_requests(4)
        assert server.stop() == 0
        for reply in replies:
            check_busy(reply)
        assert ["error_type" in reply.result().json() for reply in replies] == [False, True, True, False]
    assert json.loads(server.lines[-1])["event"] == "stopped"


def test_it_ends_while_it_loads(tmp_path: Path) -> None:
    with serving("load", tmp_path) as server:
        assert httpx.get(f"{server.url}/ready").status_code == 503
        assert server.stop() == 0
    assert json.loads(server.lines[-1])["event"] == "stopped"


def test_slow_connections_do_not_keep_it(tmp_path: Path) -> None:
    with serving("none", tmp_path) as server:
        address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
        with socket.create_connection(address) as idle, socket.create_connection(address) as slow:
            idle.sendall(b"GET /hea")
            slow.sendall(b"POST /rerank HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{")
            time.sleep(0.2)
            assert server.stop() == 0
            assert slow.recv(65_536).startswith(b"HTTP/1.1 503")
