"""Folders that are computed once and kept in the user's cache, each complete or absent; and files that reach the disk.

A folder is made under another name, written to the disk, and renamed. One process fills at a time, and the kernel drops
its lock however it ends; so what lies under another name while the lock is held was left by a process that was killed,
and is removed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PARTIAL = ".partial"
_HASHES = "hashes"
_LOCK = ".lock"

_SETTLED_SECONDS = 2.0
"""Age from which a file's time of change tells it from any later content: some file systems count in seconds."""

_FULL_OR_BROKEN = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
_NOT_WRITABLE = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.ENOLCK}

_SPARE_BYTES = 64 * 2**20
"""Disk space for what comes beside the weights: tokenizer and configuration."""


class FolderCache(ABC):
    """Folders by key below ``root``, which is made when it is first written to."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @abstractmethod
    def is_complete(self, folder: Path) -> bool:
        """Return True if a folder, which may not exist, holds all that ``add`` put there."""

    def digest(self, file: Path) -> str:
        """Return the hash of a file's content in 32 hexadecimal digits.

        It is remembered for the file's path, size and time of change, if the cache can be written: a file of 4 GB is
        read in some ten seconds.

        Raises:
            OSError: the file cannot be read.
        """
        with file.open("rb") as opened:
            before = os.fstat(opened.fileno())
            identity = f"{file.resolve()}\0{before.st_size}\0{before.st_mtime_ns}\0{before.st_ino}"
            named = hashlib.blake2b(os.fsencode(identity), digest_size=16)  # a name need not be UTF-8
            remembered = self.root / _HASHES / named.hexdigest()
            with suppress(OSError, ValueError):
                known = remembered.read_text(encoding="ascii")
                if len(bytes.fromhex(known)) == 16:
                    return known
            digest = hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        if time.time() - before.st_mtime > _SETTLED_SECONDS:
            with suppress(OSError):
                replace_text(remembered, digest)
        return digest

    def find(self, key: str) -> Path | None:
        """Return the folder of a key, or None if it is absent or files of it were removed."""
        folder = self.root / key
        return folder if self.is_complete(folder) else None

    def add(
        self,
        key: str,
        fill: Callable[[Path], None],
        *,
        on_start: Callable[[], None],
        on_wait: Callable[[], None],
    ) -> Path:
        """Return the folder of a key after ``fill`` has filled it, here or in another process.

        Args:
            key: name of the folder.
            fill: writes the files into the folder that it is given.
            on_start: called before ``fill``.
            on_wait: called before waiting for another process that fills one.

        Raises:
            OSError: the cache cannot be written. Nothing of this attempt is left.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with locked(self.root / _LOCK, on_wait):
            found = self.find(key)
            if found is not None:
                return found
            folder, partial = self.root / key, self.root / f"{key}{_PARTIAL}"
            for left in self.root.glob(f"*{_PARTIAL}"):
                _remove(left)
            if folder.exists():  # files of it were removed or changed
                _remove(folder)
            partial.mkdir()
            on_start()
            try:
                fill(partial)
                for file in partial.iterdir():
                    sync(file)
                sync(partial)  # else a power cut could leave the name without the content
                partial.rename(folder)
                sync(self.root)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
        return folder


@contextmanager
def locked(file: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of a file, which is made and stays; ``on_wait`` is called before waiting for another process.

    Raises:
        OSError: the file cannot be made or locked.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        on_wait()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def require_room(folder: Path, size: int) -> None:
    """Return if the disk of a folder has room for a model of so many bytes.

    Raises:
        OSError: it has not, with ``ENOSPC``.
    """
    free = shutil.disk_usage(folder).free
    if free < size + _SPARE_BYTES:
        raise OSError(errno.ENOSPC, f"it takes {size / 1e6:,.0f} MB, and the disk has {free / 1e6:,.0f} MB left")


def is_disk_error(error: Exception) -> bool:
    """Return True if an error comes from a disk that is full, broken or may not be written."""
    if isinstance(error, OSError):
        return error.errno in _FULL_OR_BROKEN | _NOT_WRITABLE
    return "os error" in str(error)  # safetensors, written in Rust, raises an error of its own


def reason_of(error: Exception) -> str:
    """Return the reason of an error of the disk, without its number and path."""
    return str((error.strerror if isinstance(error, OSError) else None) or error)


def replace_text(file: Path, text: str) -> None:
    """Write a file, and its folder if there is none, so that no reader finds half of it.

    Raises:
        OSError: it cannot be written.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)


def sync(path: Path) -> None:
    """Return when the disk holds a file's content, or the names in a folder, which no fsync of a file in it writes.

    Raises:
        OSError: the disk did not take it.
    """
    if os.name == "nt" and path.is_dir():
        return  # Windows has no fsync of folders
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
