"""Files that are uploaded: safe names, written in full before they appear, never outside their folder."""

from __future__ import annotations

import errno
import os
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from sift_rag.corpus.formats import UNSUPPORTED
from sift_rag.user_cache import sync
from sift_rag_server.errors import HTTPError

SOURCE_PREFIX = "uploads/"
"""Beginning of the names that uploaded documents have in their collections."""

LONGEST_PART = 200
"""Number of bytes that the name of a file or a folder may have."""

DEEPEST = 16
"""Number of folders and files that a name may consist of."""

_PARTIAL = ".partial"
_REPLACED = ".replaced"
_FULL = {errno.ENOSPC, errno.EDQUOT}


def checked_name(name: str) -> str:
    """Return the name under which to keep an upload: relative, with forward slashes.

    Raises:
        HTTPError: the name could lead elsewhere or hide the file, is too long, or is of a format that is not read.
    """
    parts = unicodedata.normalize("NFC", name).replace("\\", "/").split("/")
    problem = next(filter(None, map(_problem, parts)), None)
    if len(parts) > DEEPEST:
        problem = f"has more than {DEEPEST} parts"
    if problem:
        raise HTTPError(HTTPStatus.BAD_REQUEST, f"The file cannot be uploaded under this name: it {problem}.")
    suffix = Path(parts[-1]).suffix.lower()
    if suffix in UNSUPPORTED:
        raise HTTPError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Files of the type {suffix} are not read.")
    return "/".join(parts)


def _problem(part: str) -> str | None:
    if not part or not part.strip():
        return "has an empty part"
    if part.startswith("."):
        return "has a part that begins with a dot"
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in part):
        return "has a control character"
    if len(part.encode()) > LONGEST_PART:
        return f"has a part of more than {LONGEST_PART} bytes"
    return None


@dataclass(frozen=True, slots=True)
class UploadFolder:
    """The folder of the uploads to one collection."""

    root: Path
    """Folder of all uploads."""
    collection: str

    @property
    def path(self) -> Path:
        """The folder, which may not exist yet, without links."""
        return self.root.resolve() / self.collection

    def file(self, name: str) -> Path:
        """Return the path of an upload with a name from ``checked_name``.

        Raises:
            HTTPError: a link leads out of the folder.
        """
        path = self.path / name
        if not path.resolve().is_relative_to(self.path):
            raise HTTPError(HTTPStatus.BAD_REQUEST, "The file cannot be uploaded under this name: it leads elsewhere.")
        return path

    def holds(self, location: str) -> bool:
        """Return True if a document was ingested from a file in the folder."""
        return bool(location) and Path(location).is_relative_to(self.path)

    def remove(self, path: Path) -> None:
        """Remove a file and what it replaced, and the folders in which nothing is left."""
        self.forget_replaced(path)
        _remove(path, self.path)

    def set_aside(self, path: Path) -> None:
        """Keep a file that is about to be replaced, until it is known whether the new one can be read.

        Of several that were replaced one after the other, the first is kept: the others were never ingested.
        """
        kept = self._replaced(path)
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            path.rename(kept)

    def take_back(self, path: Path) -> bool:
        """Put the file that was replaced in place of the one that replaced it; return False if none was replaced."""
        kept = self._replaced(path)
        if not kept.is_file():
            return False
        kept.replace(path)
        self.forget_replaced(path)
        return True

    def forget_replaced(self, path: Path) -> None:
        """Remove the file that was replaced, if there is one."""
        _remove(self._replaced(path), self._of_replaced)

    @property
    def _of_replaced(self) -> Path:
        return self.root.resolve() / _REPLACED / self.collection

    def _replaced(self, path: Path) -> Path:
        return self._of_replaced / path.relative_to(self.path)

    @contextmanager
    def partial(self) -> Iterator[PartialUpload]:
        """Open a file to write an upload to. Unless it is kept within the block, it vanishes.

        Raises:
            HTTPError: the disk is full, or the folder cannot be written.
        """
        folder = self.root.resolve() / _PARTIAL
        path = folder / uuid4().hex
        with disk_errors():
            folder.mkdir(parents=True, exist_ok=True)
            opened = path.open("xb")
        try:
            with opened:
                yield PartialUpload(self, path, opened)
        finally:
            with suppress(OSError):
                path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class PartialUpload:
    """An upload that is being written."""

    folder: UploadFolder
    path: Path
    opened: BinaryIO

    def write(self, content: bytes) -> None:
        """Append to the file.

        Raises:
            HTTPError: the disk is full.
        """
        with disk_errors():
            self.opened.write(content)

    def keep(self, name: str, *, replace: bool) -> bool:
        """Give the file its name, durably; return False if a file of this name and content was there.

        Raises:
            HTTPError: the file is empty, or ``replace`` is not set and another file has this name.
        """
        target = self.folder.file(name)
        with disk_errors():
            self.opened.flush()
            if not os.fstat(self.opened.fileno()).st_size:
                raise HTTPError(HTTPStatus.UNPROCESSABLE_ENTITY, "The file is empty.")
            if target.is_file() and _same(target, self.path):
                return False
            if target.exists() and not (replace and target.is_file()):
                raise HTTPError(HTTPStatus.CONFLICT, "Another file was uploaded under this name before.")
            target.parent.mkdir(parents=True, exist_ok=True)
            sync(self.path)
            if target.is_file():
                self.folder.set_aside(target)
            self.path.replace(target)
            sync(target.parent)
        return True


def _remove(path: Path, root: Path) -> None:
    """Remove a file, and the folders up to ``root`` in which nothing is left."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if not folder.is_relative_to(root):
                break
            folder.rmdir()  # raises unless it is empty


def _same(first: Path, second: Path) -> bool:
    if first.stat().st_size != second.stat().st_size:
        return False
    with first.open("rb") as one, second.open("rb") as other:
        while block := one.read(2**20):
            if block != other.read(len(block)):
                return False
    return True


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turn errors of the file system into sentences that name no path of this machine."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise HTTPError(
                HTTPStatus.INSUFFICIENT_STORAGE, "The disk of the server is full. Free some space, and try again."
            ) from error
        if isinstance(error, FileExistsError | NotADirectoryError | IsADirectoryError):
            raise HTTPError(
                HTTPStatus.CONFLICT, "A folder of the name is the name of another file, or the other way round."
            ) from error
        raise HTTPError(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            f"The server cannot keep the file: {error.strerror or type(error).__name__}.",
        ) from error
