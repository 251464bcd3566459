"""Open a collection to read beside other readers: those of one process share what is open, each process has its own."""

from __future__ import annotations

import os
from contextlib import ExitStack
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from sift_rag.errors import StoreInUse
from sift_rag.stores.embedded.documents import connect_documents
from sift_rag.stores.embedded.engine import load_shard
from sift_rag.stores.embedded.folders import collection_folder, settled
from sift_rag.stores.embedded.index import EmbeddedIndex, Parts, RecentPoints, check_counts, check_dimension, label_of
from sift_rag.stores.embedded.locking import Patience, is_locked, require_no_writer, sweep_readers
from sift_rag.stores.embedded.manifest import SHARD, check_schema, os_errors, read_manifest
from sift_rag.stores.embedded.readers import LOG, NoLinks, Reader
from sift_rag.stores.embedded.seal import check_seal, is_sealed
from sift_rag.stores.embedded.store import open_collection

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sift_rag.stores.waiting import Wait


def open_to_read(root: Path, name: str, wait: Wait) -> EmbeddedIndex:
    """Open a collection to read, after finishing what an interrupted replacement or a killed writer left.

    Any number of readers share it; a writer waits for them, so what they read stays as it is. On a file system without
    hard links, it is open for one process alone.

    Args:
        root: folder of the collections.
        name: name of the collection.
        wait: how long to wait for a writer.

    Raises:
        CollectionNotFound: there is none of that name.
        StoreInUse: a process writes to it for longer than ``wait``, or this one does.
        StoreConflict: it is of another schema version, or the folder is no collection.
        StoreDamaged: what is on disk contradicts the manifest or the records.
    """
    place = _place_of(root, name)
    with place.turn:
        if place.shared is None:
            place.shared = _open_shared(root, name, wait)
        if place.shared is None:
            return open_collection(root, name, wait=wait.reading())
        place.readers += 1
        return EmbeddedIndex(place.shared.parts, place.leave)


class _Key(NamedTuple):
    """A collection as this process sees it; another one that has taken its path has another number."""

    process: int
    path: str
    number: int


class _Shared(NamedTuple):
    """The parts that the readers of this process share."""

    parts: Parts
    end: Callable[[], None]
    """Closes it."""


class _Place:
    """The meeting place of the readers of one collection in this process."""

    def __init__(self) -> None:
        self.turn = Lock()
        """Held while the collection is opened or closed."""
        self.shared: _Shared | None = None
        self.readers = 0

    def leave(self) -> None:
        """Close what is shared if this was its last reader."""
        with self.turn:
            self.readers -= 1
            if self.readers == 0 and self.shared is not None:
                shared, self.shared = self.shared, None
                shared.end()


_PLACES: dict[_Key, _Place] = {}


def _place_of(root: Path, name: str) -> _Place:
    folder = collection_folder(root, name)
    with os_errors(folder):
        key = _Key(os.getpid(), str(folder.resolve()), folder.stat().st_ino)
    return _PLACES.setdefault(key, _Place())


def _open_shared(root: Path, name: str, wait: Wait) -> _Shared | None:
    """Return the parts of a collection that other processes can open too; None if there is no way to share it."""
    patience = Patience.to_read(wait)
    try:
        entry = patience.until(lambda: _enter(root, name))
        if entry is None:  # opening replays what a killed process has left in the log, and closing seals it
            open_collection(root, name, wait=wait.reading()).close()
            entry = patience.until(lambda: _enter(root, name))
    except NoLinks:
        return None
    return None if entry is None else _load(entry, label_of(root, name))


class _Entry(NamedTuple):
    """A collection that nobody can write to until the reader leaves."""

    folder: Path
    reader: Reader
    signed: str
    """Words of the last writer."""


def _enter(root: Path, name: str) -> _Entry | None:
    """Return a reader's place in a collection; None if it was not closed properly, or never.

    Raises:
        Held: somebody writes to it.
        NoLinks: there can be no readers.
        StoreInUse: another program has it open.
    """
    with settled(root, name) as folder:
        signed = require_no_writer(folder)
        sweep_readers(folder)
        if is_locked(folder / SHARD / LOG):
            raise StoreInUse(f"{label_of(root, name)} is open in another program. Wait until that program ends.")
        return _Entry(folder, Reader(folder), signed) if is_sealed(folder, signed) else None


def _load(entry: _Entry, label: str) -> _Shared:
    folder = entry.folder
    with ExitStack() as opened:
        opened.callback(entry.reader.leave)
        info = read_manifest(folder).info
        check_schema(folder, info)
        records = connect_documents(folder, info, read_only=True)
        opened.callback(records.close)
        check_dimension(folder, info, label)
        check_seal(folder, label, entry.signed)
        shard = load_shard(entry.reader.shard, label)
        opened.callback(shard.close)
        check_counts(shard, records, label)
        return _Shared(Parts(folder, info, shard, records, RecentPoints()), opened.pop_all().close)
