"""Who may use a collection: one writer, or any number of readers.

A writer holds ``<collection>/lock``, whose content names it, for as long as the collection is open. A reader holds
``<collection>/readers/<its own>/lock`` (``readers.py``), and looks at the first one only for a moment, when it begins.
A writer takes the first one, which keeps new readers out, and then waits until those of before have left: so readers
cannot starve it. Whoever takes a lock holds the root's, ``<root>/.lock``, at that moment.

The kernel drops a lock with the process that held it, however that ended, so a lock file left behind means nothing.
A lock belongs to the file, not to its name: it moves with the folder when that is renamed.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, NamedTuple, TypeVar
from uuid import uuid4

from filelock import lock_descriptor

from sift_rag.errors import Remedy, StoreError, StoreInUse
from sift_rag.stores.embedded.manifest import LOCK, READERS, os_errors
from sift_rag.stores.waiting import Wait, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_T = TypeVar("_T")

QUIET_SECONDS = 0.3
"""Seconds of waiting before anybody is told."""
_PAUSE = 0.02
"""Seconds between two attempts to take a lock."""
_SHORT_PAUSE = 0.002
"""The same for the root's, which is held for milliseconds."""
_LONGEST_COMMAND = 80
_LONGEST = 4096
_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
_RUN = uuid4().hex
"""Tells this process from one of the same number, in another container for example."""


class Holder(NamedTuple):
    """A process that holds a lock, in its own words."""

    pid: int
    command: str
    is_this_process: bool

    def __str__(self) -> str:
        if self.is_this_process:
            return "this process, which opened it before"
        return f"process {self.pid} ({self.command})" if self.command else f"process {self.pid}"


class Held(Exception):
    """Somebody else holds a lock of the collection in ``folder``; ``holder`` is None if it is not known."""

    def __init__(self, folder: Path, holder: Holder | None) -> None:
        super().__init__(str(folder))
        self.folder = folder
        self.holder = holder

    @property
    def who(self) -> str:
        """The holder in words."""
        return "another process" if self.holder is None else str(self.holder)


class Patience:
    """Tries again until it works, up to one moment for all attempts together."""

    def __init__(self, wait: Wait, seconds: float) -> None:
        self._wait = wait
        self._seconds = seconds
        self._began = monotonic()
        self._is_told = False

    @classmethod
    def to_read(cls, wait: Wait) -> Patience:
        """Return the patience of a reader that begins now."""
        return cls(wait, wait.to_read())

    @classmethod
    def to_write(cls, wait: Wait) -> Patience:
        """Return the patience of a writer that begins now."""
        return cls(wait, wait.to_write())

    def until(self, attempt: Callable[[], _T]) -> _T:
        """Return what ``attempt`` returns as soon as it does not raise ``Held``.

        Raises:
            StoreInUse: the time is over, or it is this very process that holds the collection.
        """
        while True:
            try:
                return attempt()
            except Held as error:
                waited = monotonic() - self._began
                own = error.holder is not None and error.holder.is_this_process
                if own or waited >= self._seconds:
                    raise self._refusal(error, waited=not own and self._seconds > 0) from error
                self._tell(error, waited)
            sleep(min(_PAUSE, max(0.0, self._seconds - waited)))

    def _tell(self, held: Held, waited: float) -> None:
        if not self._is_told and waited >= QUIET_SECONDS and self._wait.on_wait is not None:
            self._is_told = True
            self._wait.on_wait(Waiting(held.folder.name, held.who, self._seconds))

    def _refusal(self, held: Held, *, waited: bool) -> StoreInUse:
        folder, seconds = held.folder, f", and still was after {self._seconds:g} seconds" if waited else ""
        return StoreInUse(
            f"The collection '{folder.name}' in {folder.parent} is in use by {held.who}{seconds}. "
            "Wait until that process ends, or use another collection.",
            remedy=Remedy("wait-longer") if waited else None,
        )


class FileLock:
    """An exclusive lock on a file, held from its creation until ``release``."""

    def __init__(self, path: Path, folder: Path) -> None:
        """Lock ``path``, which is created if it does not exist, for the collection in ``folder``.

        Raises:
            Held: another process, or this one, holds it.
        """
        with os_errors(folder):
            descriptor = os.open(path, _FLAGS, 0o644)
            try:
                if not lock_descriptor(descriptor, blocking=False):
                    raise Held(folder, _holder(descriptor))
                self.signed = _read(descriptor)
                """The words that its last holder wrote."""
            except BaseException:
                os.close(descriptor)
                raise
        self.words = self.signed
        """The words in the file now."""
        self._folder = folder
        self._descriptor: int | None = descriptor

    def sign(self) -> None:
        """Write who holds the lock."""
        self._write(" " + json.dumps(_signature()))  # of a locked file, Windows lets others read all but the first byte

    def restore(self) -> None:
        """Write again what the last holder wrote: nothing in the folder has changed since."""
        if self.words != self.signed:
            self._write(self.signed)

    def release(self) -> None:
        """Release the lock; releasing twice is allowed."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _write(self, words: str) -> None:
        if self._descriptor is None:
            return
        with os_errors(self._folder):
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            os.write(self._descriptor, words.encode())
        self.words = words


class FolderLock(FileLock):
    """A writer's lock on a collection's folder. Taken only under ``queued``."""

    def __init__(self, folder: Path) -> None:
        """Lock ``folder``, which must exist, and sign.

        Raises:
            Held: a writer has it.
        """
        super().__init__(folder / LOCK, folder)
        try:
            self.sign()
        except BaseException:
            self.release()
            raise

    def require_no_readers(self) -> None:
        """Raise ``Held`` if the collection is being read. What readers that were killed have left is removed."""
        sweep_readers(self._folder, all_of_them=True)


def require_no_writer(folder: Path) -> str:
    """Return the words of the last writer; raise ``Held`` if there is one now. Only under ``queued``."""
    lock = FileLock(folder / LOCK, folder)
    lock.release()
    return lock.signed


def sweep_readers(folder: Path, *, all_of_them: bool = False) -> None:
    """Remove what readers of the collection have left that were killed.

    Args:
        folder: the collection's.
        all_of_them: raise ``Held`` at the first one that is alive.
    """
    readers = folder / READERS
    if not readers.is_dir():
        return
    with os_errors(folder):
        found = sorted(readers.iterdir())
    for reader in found:
        try:
            lock = FileLock(reader / LOCK, folder)
        except Held:
            if all_of_them:
                raise
            continue
        except StoreError:
            if reader.exists():
                raise
            continue  # it has left just now
        lock.release()
        shutil.rmtree(reader, ignore_errors=True)


@contextmanager
def queued(root: Path) -> Iterator[None]:
    """Block until the root's lock, ``<root>/.lock``, is free, then hold it. For short critical sections."""
    with os_errors(root):
        descriptor = os.open(root / f".{LOCK}", _FLAGS, 0o644)
    try:
        with os_errors(root):
            lock_descriptor(descriptor, poll_interval=_SHORT_PAUSE)
        yield
    finally:
        os.close(descriptor)


def is_locked(folder: Path) -> bool:
    """Return True if a program holds a lock on a folder itself, as the engine does on that of its log."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # there is none; or this is Windows, where the engine says so itself
        return False
    try:
        return not lock_descriptor(descriptor, blocking=False)
    except OSError:
        return True
    finally:
        os.close(descriptor)


def _signature() -> dict[str, str | int]:
    return {"pid": os.getpid(), "command": _this_command(), "run": _RUN, "opening": uuid4().hex}


def _this_command() -> str:
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]) if sys.argv else ""
    printable = "".join(character if character.isprintable() else "?" for character in command)
    return printable if len(printable) <= _LONGEST_COMMAND else printable[: _LONGEST_COMMAND - 3] + "..."


def _read(descriptor: int, start: int = 0) -> str:
    os.lseek(descriptor, start, os.SEEK_SET)
    return os.read(descriptor, _LONGEST).decode(errors="replace")


def _holder(descriptor: int) -> Holder | None:
    """Return who holds a lock that is held; None if it does not say."""
    try:
        content = json.loads("{" + _read(descriptor, 1).lstrip("{"))
        pid, command, run = int(content["pid"]), str(content["command"]), content.get("run", _RUN)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None  # it took the lock this instant and has not signed yet
    return Holder(pid, command, is_this_process=(pid, run) == (os.getpid(), _RUN))
