"""The copy that a reader opens, ``<collection>/readers/<its own>/shard``, which takes milliseconds to make.

The engine locks a shard for one process, and writes to it even to read: it rewrites its configuration, removes journals
and touches the heads of some files. So each reader gets files of its own. Those that grow with the collection, which
hold vectors, texts, words, ids and the graph, are not copied but are hard links: the engine only changes them when
something is written, which no reader does, and the log of writes, the one source of others, is left out. So a copy is
made only of a collection that was closed properly, whose log holds nothing that is not in the other files.

On a file system without hard links, there is no such copy.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from contextlib import suppress
from errno import ENXIO
from typing import TYPE_CHECKING
from uuid import uuid4

from sift_rag.stores.embedded.locking import FileLock
from sift_rag.stores.embedded.manifest import LOCK, READERS, SHARD, os_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOG = "wal"
"""Folder of the engine's log in a shard."""
UNFINISHED = "temp_segments"
"""Folder in which the engine builds what an optimisation makes: left behind by one that is killed."""
_CONFIGURATION = "edge_config.json"
_LINKED = re.compile(
    r"page_\d+\.dat|chunk_\d+\.mmap|matrix\.dat|links_compressed\.bin"
    r"|(postings|vocab|term_frequencies|point_to_tokens_count|point_to_doc_len)\.dat"
    r"|(point_to_values|values_to_points)\.bin|id_tracker\.(e2i|i2e|mappings)"
)
"""Files of the engine that reading leaves alone: tests/stores/test_sharing.py compares them before and after."""
_PIECE = 2**20


class Reader:
    """A reader's place in a collection, from its creation until ``leave``."""

    def __init__(self, folder: Path) -> None:
        """Enter the collection in ``folder``. Only under ``queued``, while nobody writes and after it was closed.

        Raises:
            NoLinks: the file system has no hard links.
            StoreFull, StoreError: the files could not be written.
        """
        self._place = folder / READERS / uuid4().hex
        self._lock: FileLock | None = None
        try:
            with os_errors(folder):
                self._place.mkdir(parents=True)
            self._lock = FileLock(self._place / LOCK, folder)
            self._lock.sign()
            with os_errors(folder):
                copy_shard(folder / SHARD, self.shard)
        except BaseException:
            self.leave()
            raise

    @property
    def shard(self) -> Path:
        """The folder to open."""
        return self._place / SHARD

    def leave(self) -> None:
        """Remove the copy and let writers go on; leaving twice is allowed."""
        shutil.rmtree(self._place, ignore_errors=True)  # what cannot be removed now is swept by the next opening
        if self._lock is not None:
            self._lock.release()
        with suppress(OSError):  # others are reading
            self._place.parent.rmdir()


class NoLinks(Exception):
    """There are no hard links here."""


def copy_shard(shard: Path, copy: Path) -> None:
    """Make a copy of a closed shard to read, without a log.

    Raises:
        NoLinks: the file system has no hard links.
        OSError: a file could not be copied.
    """
    for base, folders, names in os.walk(shard):
        target = copy / os.path.relpath(base, shard)
        if base == str(shard):
            folders[:] = [name for name in folders if name not in {LOG, UNFINISHED}]
        target.mkdir()
        for name in names:
            if _LINKED.fullmatch(name):
                _link(os.path.join(base, name), target / name)  # noqa: PTH118 - many files, at each opening
            else:
                _copy(os.path.join(base, name), target / name)  # noqa: PTH118
    configuration = copy / _CONFIGURATION
    content = json.loads(configuration.read_bytes())
    configuration.write_text(json.dumps({**content, "wal_enabled": False}), encoding="utf-8")


def _link(path: str, target: Path) -> None:
    try:
        target.hardlink_to(path)
    except FileNotFoundError:
        raise
    except OSError as error:  # each file system has a number of its own for it
        raise NoLinks(str(error)) from error


def _copy(path: str, target: Path) -> None:
    """Copy a file without its holes: the engine's files consist of little else."""
    with open(path, "rb") as source, target.open("wb") as copy:  # noqa: PTH123
        end = os.fstat(source.fileno()).st_size
        for start, stop in stored_parts(source.fileno(), end):
            source.seek(start)
            copy.seek(start)
            for offset in range(start, stop, _PIECE):
                copy.write(source.read(min(_PIECE, stop - offset)))
        copy.truncate(end)


def stored_parts(descriptor: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of a file that are stored: the engine's files consist of zeros mostly, which are not."""
    if not hasattr(os, "SEEK_DATA"):  # Windows, for one
        yield 0, end
        return
    stop = 0
    while stop < end:
        try:
            start = os.lseek(descriptor, stop, os.SEEK_DATA)
            stop = os.lseek(descriptor, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno != ENXIO:  # a file system that cannot tell
                yield stop, end
            return
        yield start, stop
