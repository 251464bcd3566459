"""A process that makes processes which are killed: forked with everything imported, so that a round takes no second.

It reads a job a line from stdin and answers with a line: what the job said before its end, and how that came. Run as
``python -m tests.reliability.nursery``; ``Nursery`` is the other end.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

ROOT = Path(__file__).parents[2]


class Ended(NamedTuple):
    """The end of a job."""

    said: list[tuple[str, ...]]
    killed: bool
    """True if the job was killed; False if it ended before."""


class Nursery:
    """Runs the functions of ``work`` in processes of their own, and kills them in time."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.reliability.nursery"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)

    def run(self, job: str, *arguments: object, lines: int | None = None, seconds: float = 0.0) -> Ended:
        """Kill the job (SIGKILL) so many seconds after it said so many lines; without ``lines`` let it end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps([job, arguments, lines, seconds])}\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert answer["killed"] or answer["status"] == 0, f"{job} raised, as its traceback on stderr says"
        return Ended([tuple(fact) for fact in answer["said"]], answer["killed"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(timeout=60)


def serve() -> None:
    """Do one job after the other, until stdin ends."""
    from tests.reliability import work

    for line in sys.stdin:
        job, arguments, lines, seconds = json.loads(line)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            os.dup2(writing, 1)
            getattr(work, job)(*arguments)
            return
        os.close(writing)
        sys.stdout.write(f"{json.dumps(_outlive(child, reading, lines, seconds))}\n")
        sys.stdout.flush()


def _outlive(child: int, reading: int, lines: int | None, seconds: float) -> dict[str, object]:
    """Return the child's output until it ended or was killed. It is reaped last, so its id cannot be reused before."""
    said = b""
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while (lines is None or said.count(b"\n") < lines) and (chunk := pipe.read(4096)):
            said += chunk
        if lines is not None:
            time.sleep(seconds)  # when it dies is left to chance: what is asserted holds for every moment
            os.kill(child, signal.SIGKILL)
        while chunk := pipe.read(4096):
            said += chunk
    status = os.waitpid(child, 0)[1]
    return {
        "said": [json.loads(line) for line in said.splitlines()],
        "killed": os.WIFSIGNALED(status),
        "status": status,
    }


if __name__ == "__main__":
    serve()
