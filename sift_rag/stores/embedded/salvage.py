"""Read what can still be read of a collection on disk, for rebuilding it."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from sift_rag.errors import StoreDamaged, StoreError, StoreFull
from sift_rag.stores.audit import Audit
from sift_rag.stores.embedded.documents import recorded_documents
from sift_rag.stores.embedded.engine import load_shard
from sift_rag.stores.embedded.folders import lock_collection
from sift_rag.stores.embedded.manifest import SHARD, check_schema, read_manifest
from sift_rag.stores.embedded.probe import probe_shard
from sift_rag.stores.embedded.seal import break_seal
from sift_rag.stores.payloads import SOURCE, START, passage_of
from sift_rag.stores.remains import Remains, record_of
from sift_rag.stores.waiting import NO_WAIT, Wait

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sift_rag.stores.embedded.engine import PassageShard
    from sift_rag.types import CollectionInfo, Passage

_PAGE = 256


def salvage_collection(root: Path, name: str, wait: Wait = NO_WAIT) -> Remains:
    """Return what can be read of a collection, which stays locked until that is closed.

    Reads every passage, and in a second process first unless the collection was closed properly.

    Raises:
        CollectionNotFound: there is none of that name.
        StoreInUse: a process has it open for longer than ``wait``.
        StoreFull: too little space is left on the disk to open it.
        StoreConflict: the folder is no collection, or one of a newer schema.
    """
    with ExitStack() as opened:
        folder, lock = lock_collection(root, name, wait)
        opened.callback(lock.release)
        damage: list[str] = []
        info = _info(folder, damage)
        documents = recorded_documents(folder, name, damage)
        shard = _shard(folder, f"The collection '{name}' in {root}", lock.signed, damage)
        audit = Audit()
        if shard is not None:
            opened.callback(shard.close)
            _read(shard, audit, damage)
        if documents is None:
            documents = [record_of(source, audit.intact[source], audit.examples[source]) for source in audit.intact]
        return Remains(
            info,
            tuple(documents),
            audit.intact,
            lambda source: iter(()) if shard is None else _passages(shard, source),
            tuple(damage),
            opened.pop_all(),
        )


def _info(folder: Path, damage: list[str]) -> CollectionInfo | None:
    try:
        info = read_manifest(folder).info
    except StoreDamaged as error:
        damage.append(str(error))
        return None
    check_schema(folder, info)
    return info


def _shard(folder: Path, label: str, signed: str, damage: list[str]) -> PassageShard | None:
    """Return the shard; None if it cannot be read."""
    try:
        sealed = break_seal(folder, label, signed)
    except StoreDamaged as error:
        damage.append(str(error))
        sealed = False
    reason = None if sealed else probe_shard(folder / SHARD)
    if reason is not None:
        damage.append(f"The passages cannot be read: {reason}.")
        return None
    try:
        return load_shard(folder / SHARD, label)
    except StoreFull:
        raise
    except StoreError as error:
        damage.append(str(error))
        return None


def _read(shard: PassageShard, audit: Audit, damage: list[str]) -> None:
    """Audit all passages; those after one at which the engine stops cannot be read."""
    try:
        for point in shard.points():
            audit.add(point.id, point.payload, None)  # vectors are made anew
    except StoreError as error:
        damage.append(str(error))
    damage += audit.problems()


def _passages(shard: PassageShard, source: str) -> Iterator[Passage]:
    entries = sorted((start, identifier) for identifier, start in shard.scan(SOURCE, [source], read=START))
    for first in range(0, len(entries), _PAGE):
        ids = [identifier for _, identifier in entries[first : first + _PAGE]]
        found = {point.id: passage_of(point.id, point.payload) for point in shard.read(ids)}
        yield from (found[identifier] for identifier in ids)
