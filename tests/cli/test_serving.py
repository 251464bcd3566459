"""What ``sift-rag serve`` says: to a person at a terminal, and to software that reads its log."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from select import select
from time import monotonic

import httpx
import pytest

pytestmark = pytest.mark.slow

SECRET = "Who may see this question?"


class Terminal:
    """A process whose stderr is a terminal, with all that it has said so far."""

    def __init__(self, process: subprocess.Popen[bytes], end: int) -> None:
        self.process = process
        self.said = ""
        self._end = end

    def until(self, pattern: str) -> re.Match[str]:
        """Read until a pattern has been said."""
        begun = monotonic()
        while (found := re.search(pattern, self.said)) is None:
            assert monotonic() < begun + 60, self.said
            if select([self._end], [], [], 1)[0]:
                self.said += self._read()
        return found

    def rest(self) -> str:
        """Wait for the process to end, and return all that it said."""
        while more := self._read():
            self.said += more
        self.process.wait(60)
        return self.said

    def _read(self) -> str:
        try:
            return os.read(self._end, 65536).decode().replace("\r\n", "\n")
        except OSError:  # Linux: the other end has closed
            return ""


@contextmanager
def serving(tmp_path: Path, *options: str) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [
            sys.executable, "-c", "from sift_rag_cli.app import main; main()",
            "serve", "--port", "0", "--processes", "0", "-s", str(tmp_path / "store"), *options,
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "200", "NO_COLOR": "1"},
        cwd=tmp_path,
    )  # fmt: skip
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_at_a_terminal_it_says_where_it_is_and_how_to_stop_it(tmp_path: Path) -> None:
    with serving(tmp_path) as terminal:
        url = terminal.until(r"http://127\.0\.0\.1:\d+")[0]
        terminal.until("Ctrl-C")
        httpx.post(f"{url}/v1/search", json={"query": SECRET})
        terminal.until(r"POST /v1/search  \d{3}  [\d.]+ ms")
        terminal.process.send_signal(signal.SIGINT)
        said = terminal.rest()
    assert terminal.process.returncode in (0, 130)
    assert "Traceback" not in said
    assert SECRET not in said
    assert not any(line.startswith("{") for line in said.splitlines())


def test_with_log_json_every_line_is_an_object_without_texts(tmp_path: Path) -> None:
    with serving(tmp_path, "--log-json") as terminal:
        url = terminal.until(r"http://127\.0\.0\.1:\d+")[0]
        httpx.post(f"{url}/v1/search", json={"query": SECRET})
        terminal.until("/v1/search")
        terminal.process.send_signal(signal.SIGTERM)
        said = terminal.rest()
    lines = [json.loads(line) for line in said.splitlines()]
    assert all({"time", "level", "logger", "event"} <= set(line) for line in lines)
    [request] = [line for line in lines if line["event"] == "request"]
    assert (request["route"], request["method"]) == ("/v1/search", "POST")
    assert SECRET not in said
    assert terminal.process.returncode == 0
