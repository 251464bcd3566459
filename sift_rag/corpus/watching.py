"""Watch files and folders for changes. The only module that talks to ``watchfiles``."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, NamedTuple

from sift_rag.corpus.changes import EVERYTHING, Changes
from sift_rag.corpus.files import NEVER_ENTERED
from sift_rag.corpus.locations import is_under
from sift_rag.extras import require

if TYPE_CHECKING:
    from watchfiles import Change
    from watchfiles.main import FileChange

    _Stream = Generator[set[FileChange], None, None]

QUIET_MS = 400
"""Milliseconds without a change after which changes are told: editors write a file several times, and polling, every
300 ms, may see a renamed file go before it sees it come."""
LONGEST_MS = 2_000
"""Milliseconds after which they are told in any case."""
TURN_MS = 300
"""Milliseconds that one call waits for changes."""

_logger = logging.getLogger(__name__)


class _Root(NamedTuple):
    """A file or folder that is watched."""

    path: str
    """As it was named, absolute."""
    real: str
    """The same place without links, as the system tells of it."""
    is_folder: bool

    def path_of(self, real_path: str) -> str | None:
        """Return the path, by way of this root, of a place that the system tells of; None if it is outside."""
        if real_path == self.real:
            return self.path
        if self.is_folder and is_under(real_path, self.real):
            return f"{self.path}/{real_path[len(self.real) :].lstrip('/')}"
        return None


class PathWatch:
    """The changes of files and folders since it was made. Those behind links within a folder may be missed."""

    def __init__(
        self, roots: Sequence[Path], *, ignored: Sequence[str] = (), force_polling: bool | None = None
    ) -> None:
        """Begin to watch.

        Args:
            roots: files and folders; all exist.
            ignored: folders whose changes do not count.
            force_polling: look at all files again and again, for file systems that do not tell of changes; None: if
                WATCHFILES_FORCE_POLLING is set, or where it is known to be needed.

        Raises:
            MissingExtra: ``watchfiles`` is not installed.
        """
        require("watchfiles", "watch")
        self._roots = [_root(root) for root in roots]
        self._ignored = [os.path.realpath(folder) for folder in ignored]
        self._force_polling = force_polling
        self._streams: list[_Stream] = []
        self._start()

    def wait(self) -> Changes:
        """Return what has changed since the last call; if nothing has, wait for a moment first.

        A root that is no longer there is waited for, and watched again when it is back.
        """
        if not self._streams:
            return self._find_again()
        found = list(self._named({change for stream in self._streams for change in next(stream)}))
        if not self._is_intact() or self._is_replaced(found):
            self.close()
            return EVERYTHING
        return _as_changes(found)

    def close(self) -> None:
        """Stop watching. Closing twice is allowed."""
        for stream in self._streams:
            stream.close()
        self._streams = []

    def _find_again(self) -> Changes:
        if self._is_intact():
            self._start()
            return EVERYTHING
        sleep(TURN_MS / 1000)
        return Changes()

    def _is_replaced(self, found: Iterable[tuple[Change, str]]) -> bool:
        from watchfiles import Change

        folders = {root.path for root in self._roots if root.is_folder}
        return any(path in folders and kind is not Change.modified for kind, path in found)

    def _is_intact(self) -> bool:
        return all(os.path.lexists(place) for place in self._watched(folders=True) | self._watched(folders=False))

    def _watched(self, *, folders: bool) -> set[str]:
        """Return folders that are watched with all that is in them, or those of files: editors replace files."""
        if folders:
            return {root.real for root in self._roots if root.is_folder}
        return {os.path.dirname(root.real) for root in self._roots if not root.is_folder}  # noqa: PTH120

    def _start(self) -> None:
        self._streams = [
            self._stream(paths, recursive=folders)
            for folders in (True, False)
            if (paths := self._watched(folders=folders))
        ]

    def _stream(self, paths: set[str], *, recursive: bool) -> _Stream:
        try:
            return _open(paths, recursive=recursive, force_polling=self._force_polling)
        except OSError as error:  # no notification here, or too many folders for it
            _logger.warning("The system does not report changes here (%s): files are polled instead.", error)
            return _open(paths, recursive=recursive, force_polling=True)

    def _named(self, found: set[FileChange]) -> Iterator[tuple[Change, str]]:
        """Yield the changes that count, with the paths that a walk through the roots gives."""
        for kind, real_path in found:
            if any(real_path == folder or is_under(real_path, folder) for folder in self._ignored):
                continue
            for root in self._roots:
                path = root.path_of(real_path)
                if path is not None and NEVER_ENTERED.isdisjoint(path.removeprefix(root.path).split("/")):
                    yield kind, path


def _root(path: Path) -> _Root:
    absolute = os.path.abspath(path)  # noqa: PTH100 - resolve() would follow links
    if os.path.isdir(absolute):  # noqa: PTH112
        return _Root(absolute, os.path.realpath(absolute), is_folder=True)
    folder, name = os.path.split(absolute)
    return _Root(absolute, os.path.join(os.path.realpath(folder), name), is_folder=False)  # noqa: PTH118


def _as_changes(found: Iterable[tuple[Change, str]]) -> Changes:
    """Return changes by path; a file that says what is ignored changes all that is beside and below it."""
    from watchfiles import Change

    files, trees = set(), set()
    for kind, path in found:
        folder, _, name = path.rpartition("/")
        if name == ".gitignore":
            trees.add(folder)
        elif kind is Change.modified:
            files.add(path)
        else:
            trees.add(path)
    return Changes() | Changes(frozenset(files), frozenset(trees))


def _open(paths: set[str], *, recursive: bool, force_polling: bool | None) -> _Stream:
    from watchfiles import watch

    stream = watch(
        *paths,
        watch_filter=None,
        debounce=LONGEST_MS,
        step=QUIET_MS,
        rust_timeout=TURN_MS,
        yield_on_timeout=True,
        force_polling=force_polling,
        recursive=recursive,
        ignore_permission_denied=True,
    )
    next(stream)  # from here on, changes are collected
    return stream
