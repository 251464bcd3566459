"""Converted models in the user's cache: one folder for each, complete or absent.

A folder is made under another name, written to the disk, and renamed. One process converts at a time, and the kernel
drops its lock however it ends; so what lies under another name while the lock is held was left by a process that was
killed, and is removed.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sift_rag.errors import ModelUnavailable, Remedy

_PARTIAL = ".partial"
_HASHES = "hashes"
_LOCK = ".lock"

_SETTLED_SECONDS = 2.0
"""Age from which a file's time of change tells it from any later content: some file systems count in seconds."""

_FULL_OR_BROKEN = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
_NOT_WRITABLE = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.ENOLCK}

_SPARE_BYTES = 64 * 2**20
"""Disk space for what comes beside the weights: tokenizer and configuration."""


class ConversionCache:
    """Folders by key below ``root``, which is made when it is first written to."""

    def __init__(self, root: Path) -> None:
        self.root = root

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
            remembered = self.root / _HASHES / hashlib.blake2b(identity.encode(), digest_size=16).hexdigest()
            with suppress(OSError, ValueError):
                known = remembered.read_text(encoding="ascii")
                if len(bytes.fromhex(known)) == 16:
                    return known
            digest = hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        if time.time() - before.st_mtime > _SETTLED_SECONDS:
            with suppress(OSError):
                remembered.parent.mkdir(parents=True, exist_ok=True)
                _replace(remembered, digest)
        return digest

    def find(self, key: str) -> Path | None:
        """Return the folder of a key, or None if it is absent or files of it were removed."""
        folder = self.root / key
        is_complete = (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))
        return folder if is_complete else None

    def add(
        self,
        key: str,
        convert: Callable[[Path], None],
        *,
        on_start: Callable[[], None],
        on_wait: Callable[[], None],
    ) -> Path:
        """Return the folder of a key after ``convert`` has filled it, here or in another process.

        Args:
            key: name of the folder.
            convert: writes the files into the folder that it is given.
            on_start: called before ``convert``.
            on_wait: called before waiting for another process that converts.

        Raises:
            ModelUnavailable: the cache cannot be written. Nothing of this conversion is left.
        """
        with self._errors():
            self.root.mkdir(parents=True, exist_ok=True)
        with self._locked(on_wait):
            found = self.find(key)
            if found is not None:
                return found
            folder, partial = self.root / key, self.root / f"{key}{_PARTIAL}"
            with self._errors():
                for left in self.root.glob(f"*{_PARTIAL}"):
                    _remove(left)
                if folder.exists():  # files of it were removed
                    _remove(folder)
                partial.mkdir()
            on_start()
            try:
                with self._errors():
                    convert(partial)
                    _to_disk(partial)
                    partial.rename(folder)
                    _sync(self.root)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
        return folder

    @contextmanager
    def _locked(self, on_wait: Callable[[], None]) -> Iterator[None]:
        with self._errors():
            descriptor = os.open(self.root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            with self._errors():
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    on_wait()
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn an error of the disk into one that names the cache."""
        try:
            yield
        except Exception as error:
            if not is_disk_error(error):
                raise
            raise ModelUnavailable(
                f"The converted model cannot be kept in {str(self.root)!r}: {_reason(error)}.",
                remedy=Remedy("model-cache", folder=str(self.root)),
            ) from error


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


def _reason(error: Exception) -> str:
    return str((error.strerror if isinstance(error, OSError) else None) or error)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _replace(file: Path, text: str) -> None:
    """Write a file so that no reader finds half of it."""
    partial = file.with_name(f"{file.name}.{os.getpid()}")
    partial.write_text(text, encoding="ascii")
    partial.replace(file)


def _to_disk(folder: Path) -> None:
    """Return when the disk holds the files of a folder: else a power cut could leave the name without the content."""
    for file in folder.iterdir():
        _sync(file)
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
