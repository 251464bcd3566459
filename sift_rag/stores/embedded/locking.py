"""One process at a time: an exclusive lock on ``<collection>/lock``, whose content names its holder.

The kernel drops the lock with the process that held it, however that ended, so a lock file left behind means nothing.
The lock belongs to the file, not to its name: it moves with the folder when that is renamed.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from sift_rag.errors import StoreInUse
from sift_rag.stores.embedded.manifest import LOCK, os_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST_COMMAND = 80
_LONGEST = 4096


class FolderLock:
    """A lock held from its creation until ``release``."""

    def __init__(self, folder: Path) -> None:
        """Lock ``folder``, which must exist.

        Raises:
            StoreInUse: another process, or this one, holds it.
        """
        path = folder / LOCK
        with os_errors(folder):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                holder = _holder(descriptor)
                os.close(descriptor)
                raise StoreInUse(
                    f"The collection '{folder.name}' in {folder.parent} is in use by {holder}. "
                    "Wait until that process ends, or use another collection."
                ) from error
            except BaseException:
                os.close(descriptor)
                raise
            self._descriptor: int | None = descriptor
            self.signed = os.pread(descriptor, _LONGEST, 0).decode(errors="replace")
            """The words that its last holder wrote."""
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(_signature()).encode(), 0)

    def restore(self) -> None:
        """Write again what the last holder wrote: nothing in the folder has changed since."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, self.signed.encode(), 0)

    def release(self) -> None:
        """Release the lock; releasing twice is allowed."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the folder's lock within, leaving no trace; raises ``StoreInUse`` if another holder has it."""
    lock = FolderLock(folder)
    try:
        yield
    finally:
        lock.restore()
        lock.release()


@contextmanager
def queued(root: Path) -> Iterator[None]:
    """Block until the root's lock, ``<root>/.lock``, is free, then hold it. For short critical sections."""
    with os_errors(root):
        descriptor = os.open(root / f".{LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        with os_errors(root):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _signature() -> dict[str, str | int]:
    return {"pid": os.getpid(), "command": _this_command(), "opening": uuid4().hex}


def _this_command() -> str:
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]) if sys.argv else ""
    printable = "".join(character if character.isprintable() else "?" for character in command)
    return printable if len(printable) <= _LONGEST_COMMAND else printable[: _LONGEST_COMMAND - 3] + "..."


def _holder(descriptor: int) -> str:
    try:
        content = json.loads(os.pread(descriptor, _LONGEST, 0))
        pid, command = int(content["pid"]), str(content["command"])
    except (ValueError, KeyError, TypeError, RecursionError):  # it took the lock this instant and has not signed yet
        return "another process"
    if pid == os.getpid():
        return "this process, which opened it before"
    return f"process {pid} ({command})" if command else f"process {pid}"
