"""Read and split files in child processes, so that a bad file costs itself and nothing else.

The children are started with ``python -c``, not by ``multiprocessing``: a script without a main guard that ingests
would run itself again in each of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.spawn import get_executable
from pathlib import Path
from threading import Lock, Timer, local
from time import monotonic
from typing import IO, TYPE_CHECKING, Any, cast

from sift_rag.corpus.conversion_worker import (
    MEMORY_LIMIT,
    Answer,
    MoreTime,
    Request,
    Splitting,
    bytes_of,
    receive,
    send,
)
from sift_rag.corpus.documents import SourceDocument
from sift_rag.corpus.options import IngestOptions
from sift_rag.errors import SiftRagError, UnreadableDocument

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_BOOTSTRAP = (
    "import sys; sys.path[:] = sys.argv[2:]\n"  # before any import: the current folder, which is first, may be hostile
    "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    "from sift_rag.corpus.conversion_worker import serve; serve(int(sys.argv[1]))\n"
)

_START_TIMEOUT = 60.0
"""Seconds within which a child has to be ready."""

_MAX_WORKERS = 4


class ChildLost(UnreadableDocument):
    """The process could not read the file: it could not be started, took too much time or memory, or was killed."""


class ConversionPool:
    """Child processes that read files: started when there is something to convert, replaced when they die."""

    def __init__(self, options: IngestOptions, workers: int | None = None) -> None:
        """Prepare a pool; nothing is started yet.

        Args:
            options: how to read files, and for how long at most.
            workers: number of files read at once; by default one for each processor, up to 4.
        """
        self.workers = workers or max(1, min(_MAX_WORKERS, os.cpu_count() or 1))
        self._options = options
        self._threads = ThreadPoolExecutor(self.workers, thread_name_prefix="sift-rag-conversion")
        self._own = local()
        self._lock = Lock()
        self._children: list[_Child] = []
        self._closed = False
        self._tokenizer: str | None = None

    def split_with(self, tokenizer: Tokenizer) -> None:
        """Set the tokenizer, before the first file that is to be split."""
        self._tokenizer = tokenizer.to_str()

    def read(self, path: Path, splitting: Splitting | None = None) -> Future[SourceDocument]:
        """Begin to read a file as ``read_document`` does, and to split it as ``split_document`` does if it can be.

        The result is its exceptions too, and ``ChildLost`` if it took too much time or memory, or the process did not
        survive it.
        """
        return self._threads.submit(self._read, path, splitting)

    def close(self) -> None:
        """End all children, also those in the middle of a file. Closing twice is allowed."""
        with self._lock:
            self._closed = True
        for child in self._children:
            child.end()
        self._threads.shutdown(cancel_futures=True)
        for child in self._children:
            child.close_pipes()

    def _read(self, path: Path, splitting: Splitting | None) -> SourceDocument:
        child: _Child | None = getattr(self._own, "child", None)
        if child is None or child.is_dead:
            child = self._own.child = self._start()
        request = Request(path, self._options, splitting)
        if splitting is not None and not child.has_tokenizer:
            request = request._replace(tokenizer=self._tokenizer)
            child.has_tokenizer = True
        result = child.convert(request)
        if isinstance(result, SiftRagError):
            raise result
        return result

    def _start(self) -> _Child:
        with self._lock:
            if self._closed:
                raise UnreadableDocument("the ingest has ended")
            for dead in [child for child in self._children if child.is_dead]:
                dead.end()
                dead.close_pipes()
                self._children.remove(dead)
            child = _Child()
            self._children.append(child)
        child.wait_until_ready()
        return child


class _Lost(Exception):
    """The child ended before it answered."""


class _Child:
    """One child process, used by one thread; any thread may kill it."""

    def __init__(self) -> None:
        command = [get_executable() or sys.executable, "-c", _BOOTSTRAP, str(os.getpid()), *sys.path]
        process = subprocess.Popen(  # noqa: S603 - Python itself
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._requests, self._answers = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
        self._process = process
        self._lock = Lock()
        self._waiting = self._timed_out = False
        self._limit = 0.0  # seconds that the answer may take
        self._timer = Timer(0.0, self._end_for_time)
        self._inherited = 0  # bytes that count as used by the child, but were used by this process before it started
        self.is_dead = False
        self.has_tokenizer = False

    def wait_until_ready(self) -> None:
        """Return once it waits for requests.

        Raises:
            UnreadableDocument: it could not be started.
        """
        try:
            self._inherited = self._answer(_START_TIMEOUT)
        except _Lost as error:
            raise ChildLost("the process that converts files could not be started") from error

    def convert(self, request: Request) -> SourceDocument | SiftRagError:
        """Return the document of a file, or the exception that says why there is none."""
        try:
            answer: Answer = self._answer(request.options.file_timeout, request)
        except _Lost:
            if self._timed_out:
                return ChildLost(f"took longer than {self._limit:g} s")
            is_large = self.end() > max(MEMORY_LIMIT // 2, self._inherited)
            return _too_much_memory() if is_large else ChildLost("the conversion crashed")
        return _too_much_memory() if answer.out_of_memory else answer.result

    def end(self) -> int:
        """End the process at once, and return the memory that it has used at most, in bytes; 0 if that is unknown."""
        self.is_dead = True
        with self._lock:
            if self._process.returncode is not None:
                return 0
            self._process.kill()
            if sys.platform == "win32" or self._process.returncode is not None:
                self._process.wait()
                return 0
            _, status, usage = os.wait4(self._process.pid, 0)
            self._process.returncode = os.waitstatus_to_exitcode(status)
            return bytes_of(usage.ru_maxrss)

    def close_pipes(self) -> None:
        """Release what is left of a process that has ended, and that no thread is waiting for."""
        self._answers.close()
        with suppress(OSError):  # a request that it did not read any more
            self._requests.close()

    def _answer(self, timeout: float, request: Request | None = None) -> Any:
        """Send the request, if there is one, and return the next answer; the process is killed if it takes longer.

        The child may ask for more time while it is at work.
        """
        started = monotonic()
        self._waiting = True
        self._allow(timeout, started)
        try:
            if request is not None:
                send(self._requests, request)
            answer = receive(self._answers)
            while isinstance(answer, MoreTime):
                self._allow(self._limit + answer.seconds, started)
                answer = receive(self._answers)
        except (EOFError, OSError) as error:
            self.is_dead = True
            raise _Lost from error
        else:
            return answer
        finally:
            with self._lock:
                self._timer.cancel()
                self._waiting = False

    def _allow(self, seconds: float, started: float) -> None:
        """Let the answer take so many seconds from its start."""
        with self._lock:
            self._timer.cancel()
            self._limit = seconds
            self._timer = Timer(max(0.0, started + seconds - monotonic()), self._end_for_time, [seconds])
            self._timer.daemon = True
            self._timer.start()

    def _end_for_time(self, limit: float = 0.0) -> None:
        with self._lock:
            if self._waiting and limit == self._limit:  # else more time was given just now
                self._timed_out = True
                self._process.kill()


def _too_much_memory() -> ChildLost:
    return ChildLost(f"needs more than {MEMORY_LIMIT / (1 << 30):.1f} GB of memory")
