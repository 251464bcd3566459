"""A collection on disk, opened to write: one folder (``folders.py``), one process at a time.

What the engine leaves to its caller is done here. It accepts NaN and applies half of a refused batch: everything is
checked first. A full disk kills the process: free space is checked before each write. It truncates a damaged log
silently: the counts are compared with the records at opening. It hangs in a forked child: that is refused.
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING

from sift_rag.errors import StoreError, StoreFull
from sift_rag.stores.embedded.documents import connect_documents, create_documents
from sift_rag.stores.embedded.engine import create_shard, load_shard
from sift_rag.stores.embedded.folders import lock_collection, new_collection, remove
from sift_rag.stores.embedded.index import EmbeddedIndex, Parts, check_counts, check_dimension, label_of
from sift_rag.stores.embedded.manifest import SCHEMA_VERSION, SHARD, check_schema, read_manifest, write_manifest
from sift_rag.stores.embedded.seal import break_seal, write_seal
from sift_rag.stores.payloads import EMBEDDING_TEXT, embedding_text_key, payload_of, vector_checks
from sift_rag.stores.validation import check_info, check_passages
from sift_rag.stores.waiting import NO_WAIT, Wait
from sift_rag.unicode import is_text
from sift_rag.vectors import unit_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from sift_rag.stores.embedded.engine import PassageShard
    from sift_rag.stores.embedded.locking import FolderLock
    from sift_rag.types import CollectionInfo, Document, Embedding, Passage

FREE_BYTES = 256 * 2**20
"""Disk space kept free: the engine's log takes up to 128 MiB before it is cut, its files grow by 32 MiB at a time."""
_BYTES_PER_BYTE = 4
"""Disk space per byte of a batch: in the log, in the segment, in an index, and rounded up to a block."""


class EmbeddedStore(EmbeddedIndex):
    """A durable ``PassageStore``, made by ``create_collection`` and ``open_collection``."""

    def __init__(self, parts: Parts, release: Callable[[], None], *, free_bytes: int) -> None:
        super().__init__(parts, release)
        self._free_bytes = free_bytes
        self._words_indexed = False

    def embeddings(self, texts: Sequence[str]) -> Mapping[str, Embedding]:
        """Implement ``PassageStore.embeddings``. Texts are looked up by a hash of 128 bits."""
        shard = self._shard
        text_of_key = {embedding_text_key(text): text for text in texts}
        holder_of_key = {
            key: holder for holder, key in shard.scan(EMBEDDING_TEXT, list(text_of_key), read=EMBEDDING_TEXT)
        }
        text_of_holder = {holder: text_of_key[key] for key, holder in holder_of_key.items()}
        points = list(shard.read(list(text_of_holder), payload=False))
        return {text_of_holder[point.id]: row for point, row in zip(points, self._rows(points), strict=True)}

    def upsert(self, passages: Sequence[Passage], embeddings: Embedding) -> None:
        """Implement ``PassageStore.upsert``; of two passages with one id the last one stays.

        Raises:
            StoreFull: too little space is left on the disk. Nothing was written then.
        """
        shard = self._shard
        rows = unit_rows(embeddings, self._info.dimension, what="The embeddings")
        if len(rows) != len(passages):
            raise ValueError(f"There are {len(passages)} passages, but {len(rows)} embeddings: expected one each.")
        check_passages(passages)
        if passages:
            self._check_space(rows.nbytes + sum(4 * len(passage.text) + 1024 for passage in passages))
            if not self._words_indexed:  # a collection made before words were indexed
                self._index_words(shard)
            written = zip(passages, rows, vector_checks(rows), strict=True)
            shard.write([(passage.id, row, payload_of(passage, check)) for passage, row, check in written])

    def delete_passages(self, source: str, *, except_revision: str | None = None) -> int:
        """Implement ``PassageStore.delete_passages``."""
        shard = self._shard
        if not is_text(source):
            return 0
        if except_revision is not None and not is_text(except_revision):
            except_revision = None
        count = shard.count_of(source, except_revision=except_revision)
        if count:
            self._check_space(0)
            shard.delete_of(source, except_revision=except_revision)
        return count

    def put_documents(self, documents: Sequence[Document]) -> None:
        """Implement ``PassageStore.put_documents``."""
        records = self._records
        self._check_space(0)
        records.put(documents)

    def drop_documents(self, sources: Sequence[str]) -> None:
        """Implement ``PassageStore.drop_documents``."""
        records = self._records
        self._check_space(0)
        records.drop(sources)

    def optimize(self) -> bool:
        """Merge and compact what many writes have left behind, index words; return False if there was nothing to do.

        Takes about 0.5 ms per passage and blocks all other threads, so it is only done on request. Searches
        by the graph that it makes are approximate; the others stay exact.
        """
        shard = self._shard
        files = (file.stat() for file in self._folder.rglob("*") if file.is_file())
        self._check_space(sum(512 * file.st_blocks for file in files))
        indexed = self._index_words(shard)
        renewed = shard.renew_indexes()
        return shard.optimize() or indexed or renewed

    def _index_words(self, shard: PassageShard) -> bool:
        """Index the words of a collection made before they were; return False if that was done."""
        missing = not shard.has_words()
        if missing:
            shard.index_words()
        self._words_indexed = True
        return missing

    def _check_space(self, batch_bytes: int) -> None:
        free = shutil.disk_usage(self._folder).free
        needed = self._free_bytes + _BYTES_PER_BYTE * batch_bytes
        if free < needed:
            raise StoreFull(
                f"The disk of {self._folder} has {free / 2**20:.0f} MiB left; writing safely needs "
                f"{needed / 2**20:.0f} MiB. Free some space and try again: what was stored before is safe."
            )


def create_collection(
    root: Path,
    info: CollectionInfo,
    *,
    free_bytes: int = FREE_BYTES,
    wait: Wait = NO_WAIT,
    is_begun: bool = False,
) -> EmbeddedStore:
    """Create an empty collection, durably and in one step, and open it.

    Args:
        root: folder of the collections; created if missing.
        info: name (or ``building_name(name)``), embedder, dimension; of this library's schema version.
        free_bytes: number of bytes that each write leaves free on the disk, or else raises ``StoreFull``.
        wait: how long to wait for another process that opens it first.
        is_begun: remove it when it is closed and no document has gone in: see ``Database.begin``.

    Raises:
        StoreConflict: the name is taken.
        StoreFull: too little space is left on the disk.
        ValueError: ``info`` cannot be that of a collection.
    """
    check_info(info)
    if info.schema_version != SCHEMA_VERSION:
        raise ValueError(f"Collections are written in schema version {SCHEMA_VERSION}, not {info.schema_version}.")
    with new_collection(root, info.name) as folder:
        if shutil.disk_usage(folder).free < free_bytes:
            raise StoreFull(
                f"The disk of {root} has less than {free_bytes / 2**20:.0f} MiB left. Free some space first."
            )
        create_documents(folder)
        create_shard(folder / SHARD, info.dimension, label_of(root, info.name))
        write_manifest(folder, info)
    return _open(root, info.name, partial(_close, is_begun=is_begun), free_bytes, wait)


def open_collection(root: Path, name: str, *, free_bytes: int = FREE_BYTES, wait: Wait = NO_WAIT) -> EmbeddedStore:
    """Open a collection for this process alone, after finishing what an interrupted replacement left.

    Args:
        root: folder of the collections.
        name: name of the collection.
        free_bytes: number of bytes that each write leaves free on the disk, or else raises ``StoreFull``.
        wait: how long to wait for other processes.

    Raises:
        CollectionNotFound: there is none of that name.
        StoreInUse: another process, or another ``EmbeddedStore`` of this one, has it open.
        StoreConflict: it is of another schema version, or the folder is no collection.
        StoreDamaged: what is on disk contradicts the manifest or the records.
    """
    return _open(root, name, _close, free_bytes, wait)


def _open(
    root: Path, name: str, close: Callable[[Parts, FolderLock], None], free_bytes: int, wait: Wait
) -> EmbeddedStore:
    label = label_of(root, name)
    with ExitStack() as opened:
        folder, lock = lock_collection(root, name, wait)
        opened.callback(lock.release)
        info = read_manifest(folder).info
        check_schema(folder, info)
        records = connect_documents(folder, info)
        opened.callback(records.close)
        check_dimension(folder, info, label)
        break_seal(folder, label, lock.signed)
        shard = load_shard(folder / SHARD, label)
        opened.callback(shard.close)
        check_counts(shard, records, label)
        opened.pop_all()  # from here on the store closes them
        parts = Parts(folder, info, shard, records)
        return EmbeddedStore(parts, lambda: close(parts, lock), free_bytes=free_bytes)


def _close(parts: Parts, lock: FolderLock, *, is_begun: bool = False) -> None:
    """Close a collection; one that was begun is removed if no document has gone in, before others can open it."""
    with ExitStack() as ending:  # the lock last, and each whatever happens to the ones before
        ending.callback(lock.release)
        if is_begun and _is_unused(parts):
            ending.callback(remove, parts.folder)
        ending.callback(parts.records.close)
        parts.shard.close()
        with suppress(StoreError):  # a full disk: nothing is compared at the next opening then
            write_seal(parts.folder, lock.words)


def _is_unused(parts: Parts) -> bool:
    with suppress(StoreError):
        return not parts.shard.count() and all(record.state == "failed" for record in parts.records.documents())
    return False  # it cannot be read: an empty collection does less harm than a lost one
