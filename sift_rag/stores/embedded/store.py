"""A collection on disk, searched in process by Qdrant Edge: one folder (``folders.py``), one process at a time.

What the engine leaves to its caller is done here. It accepts NaN and applies half of a refused batch: everything is
checked first. A full disk kills the process: free space is checked before each write. It truncates a damaged log
silently: the counts are compared with the records at opening. It hangs in a forked child: that is refused.

Search is exact and its order deterministic: similarity descending, ties by id, across the limit too. It costs O(m n d);
many ties across the limit cost one more search. A filter on sources first reads the names of the documents that start
as its globs do.
"""

from __future__ import annotations

import os
import shutil
import struct
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from sift_rag.errors import Remedy, StoreDamaged, StoreError, StoreFull
from sift_rag.stores.embedded.documents import connect_documents, create_documents
from sift_rag.stores.embedded.engine import create_shard, float32_rows, load_shard, shard_dimension
from sift_rag.stores.embedded.folders import lock_collection, new_collection
from sift_rag.stores.embedded.manifest import SCHEMA_VERSION, SHARD, check_schema, read_manifest, write_manifest
from sift_rag.stores.embedded.seal import break_seal, write_seal
from sift_rag.stores.filters import Vocabulary, conditions_of
from sift_rag.stores.neighbours import neighbours_among
from sift_rag.stores.payloads import (
    EMBEDDING_TEXT,
    LABELS,
    SOURCE,
    START,
    embedding_text_key,
    passage_of,
    payload_of,
    vector_checks,
)
from sift_rag.stores.validation import check_info, check_page, check_passages, is_passage_id
from sift_rag.types import Candidate
from sift_rag.unicode import is_text, written
from sift_rag.vectors import unit_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from sift_rag.filters import Filter
    from sift_rag.protocols import Neighbours
    from sift_rag.stores.embedded.documents import SqliteDocuments
    from sift_rag.stores.embedded.engine import PassageShard, StoredPoint
    from sift_rag.stores.embedded.locking import FolderLock
    from sift_rag.stores.filters import Condition
    from sift_rag.types import CollectionInfo, Document, Embedding, Passage

FREE_BYTES = 256 * 2**20
"""Disk space kept free: the engine's log takes up to 128 MiB before it is cut, its files grow by 32 MiB at a time."""
_BYTES_PER_BYTE = 4
"""Disk space per byte of a batch: in the log, in the segment, in an index, and rounded up to a block."""
_PAGE = 256


class EmbeddedStore:
    """A durable ``PassageStore``, made by ``create_collection`` and ``open_collection``.

    May be used from several threads, which take turns, but not in a forked child.
    """

    def __init__(
        self,
        folder: Path,
        info: CollectionInfo,
        lock: FolderLock,
        records: SqliteDocuments,
        shard: PassageShard,
        *,
        free_bytes: int,
    ) -> None:
        self._folder = folder
        self._info = info
        self._lock = lock
        self._parts: tuple[PassageShard, SqliteDocuments] | None = (shard, records)
        self._free_bytes = free_bytes
        self._pid = os.getpid()
        self._words_indexed = False

    @property
    def info(self) -> CollectionInfo:
        """Description of the collection; readable after ``close`` too."""
        return self._info

    def count(self) -> int:
        """Implement ``PassageIndex.count``."""
        return self._shard.count()

    def search(
        self, targets: Embedding, limit: int, *, offset: int = 0, where: Filter | None = None
    ) -> list[list[Candidate]]:
        """Implement ``PassageIndex.search``. A passage found by several targets is read once."""
        shard = self._shard
        check_page(limit, offset)
        rows = unit_rows(targets, self._info.dimension, what="The targets")
        rankings = [ranking[offset:] for ranking in shard.rankings(rows, offset + limit, self._conditions(where))]
        found = self._read(shard, list({key: None for ranking in rankings for key, _ in ranking}))
        return [
            [
                replace(found[identifier], similarity=similarity)
                for identifier, similarity in ranking
                if identifier in found
            ]
            for ranking in rankings
        ]

    def search_words(self, texts: Sequence[str], limit: int, *, where: Filter | None = None) -> list[list[Candidate]]:
        """Implement ``WordIndex.search_words`` by the engine's BM25 over the texts of the passages."""
        shard = self._shard
        check_page(limit, 0)
        if not shard.has_words():
            return [[] for _ in texts]
        conditions = self._conditions(where)
        rankings = [shard.matches(written(text), limit, conditions) for text in texts]
        found = self._read(shard, list({identifier: None for ranking in rankings for identifier in ranking}))
        return [[found[identifier] for identifier in ranking if identifier in found] for ranking in rankings]

    def fetch(self, ids: Sequence[str]) -> list[Candidate]:
        """Implement ``PassageIndex.fetch``; an id asked twice is answered twice."""
        found = self._read(self._shard, [identifier for identifier in dict.fromkeys(ids) if is_passage_id(identifier)])
        return [found[identifier] for identifier in ids if identifier in found]

    def passages(self, source: str) -> Iterator[Candidate]:
        """Implement ``PassageIndex.passages``. Passages deleted during iteration may be missing."""
        entries = self._shard.scan(SOURCE, [source], read=START) if is_text(source) else iter(())
        in_order = [identifier for _, identifier in sorted((start, identifier) for identifier, start in entries)]
        pages = (in_order[start : start + _PAGE] for start in range(0, len(in_order), _PAGE))
        return (candidate for page in pages for candidate in self.fetch(page))

    def neighbours(self, passages: Sequence[Passage], count: int) -> list[Neighbours]:
        """Implement ``PassageIndex.neighbours``. Reads the positions of all passages of their documents."""
        sources = list({passage.source: None for passage in passages if is_text(passage.source)})
        return neighbours_among(self._shard.places(sources), passages, count, self.fetch)

    def scan(self, limit: int, *, where: Filter | None = None) -> Iterator[tuple[list[str], Embedding]]:
        """Implement ``Scannable.scan``. Takes about 50 µs per passage."""
        shard = self._shard
        check_page(limit, 0)
        pages = shard.vectors(limit, self._conditions(where))
        return (([point.id for point in page], self._rows(page)) for page in pages)

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

    def document(self, source: str) -> Document | None:
        """Implement ``PassageStore.document``."""
        return self._records.document(source)

    def documents(self, prefix: str = "") -> Iterator[Document]:
        """Implement ``PassageIndex.documents``. Records written during iteration, further on in the order, are seen."""
        return self._records.documents(prefix)

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

        Takes about 0.5 ms per passage and blocks all other threads, so it is only done on request. Search stays exact.
        """
        shard = self._shard
        files = (file.stat() for file in self._folder.rglob("*") if file.is_file())
        self._check_space(sum(512 * file.st_blocks for file in files))
        indexed = self._index_words(shard)
        return shard.optimize() or indexed

    def close(self) -> None:
        """Implement ``PassageIndex.close``. In a forked child it does nothing: closing is up to the parent."""
        if os.getpid() != self._pid:
            return
        parts, self._parts = self._parts, None
        if parts is None:
            return
        with ExitStack() as ending:  # the lock last, and each whatever happens to the ones before
            ending.callback(self._lock.release)
            for part in parts:
                ending.callback(part.close)
            parts[0].close()
            with suppress(StoreError):  # a full disk: nothing is compared at the next opening then
                write_seal(self._folder)

    def _index_words(self, shard: PassageShard) -> bool:
        """Index the words of a collection made before they were; return False if that was done."""
        missing = not shard.has_words()
        if missing:
            shard.index_words()
        self._words_indexed = True
        return missing

    @property
    def _shard(self) -> PassageShard:
        return self._usable()[0]

    @property
    def _records(self) -> SqliteDocuments:
        return self._usable()[1]

    def _usable(self) -> tuple[PassageShard, SqliteDocuments]:
        if os.getpid() != self._pid:
            raise StoreError(
                f"The collection '{self._info.name}' was opened by process {self._pid} and cannot be used in its "
                f"forked child {os.getpid()}. Open it in the process that uses it, or start that one with 'spawn'."
            )
        if self._parts is None:
            raise StoreError(f"The collection '{self._info.name}' is closed. Open it again to use it.")
        return self._parts

    def _check_space(self, batch_bytes: int) -> None:
        free = shutil.disk_usage(self._folder).free
        needed = self._free_bytes + _BYTES_PER_BYTE * batch_bytes
        if free < needed:
            raise StoreFull(
                f"The disk of {self._folder} has {free / 2**20:.0f} MiB left; writing safely needs "
                f"{needed / 2**20:.0f} MiB. Free some space and try again: what was stored before is safe."
            )

    def _conditions(self, where: Filter | None) -> list[Condition]:
        held = Vocabulary(self._records.sources, lambda: self._shard.values(LABELS))
        return conditions_of(where, self._info, held)

    def _read(self, shard: PassageShard, ids: list[str]) -> dict[str, Candidate]:
        points = list(shard.read(ids))
        return {
            point.id: Candidate(self._passage(point), float("nan"), row)
            for point, row in zip(points, self._rows(points), strict=True)
        }

    def _rows(self, points: Sequence[StoredPoint]) -> Embedding:
        try:
            return float32_rows([point.vector for point in points], self._info.dimension)
        except struct.error as error:
            raise StoreDamaged(
                f"The collection '{self._info.name}' in {self._folder.parent} has lost vectors, or holds some that are "
                f"not of {self._info.dimension} dimensions.",
                remedy=Remedy("check-or-reindex"),
            ) from error

    def _passage(self, point: StoredPoint) -> Passage:
        try:
            return passage_of(point.id, point.payload)
        except (KeyError, TypeError, ValueError) as error:
            raise StoreDamaged(
                f"Passage {point.id} of the collection '{self._info.name}' in {self._folder.parent} was not written by "
                "sift-rag.",
                remedy=Remedy("check-or-reindex"),
            ) from error


def create_collection(root: Path, info: CollectionInfo, *, free_bytes: int = FREE_BYTES) -> EmbeddedStore:
    """Create an empty collection, durably and in one step, and open it.

    Args:
        root: folder of the collections; created if missing.
        info: name (or ``building_name(name)``), embedder, dimension; of this library's schema version.
        free_bytes: number of bytes that each write leaves free on the disk, or else raises ``StoreFull``.

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
        create_shard(folder / SHARD, info.dimension, _label(root, info.name))
        write_manifest(folder, info)
    return open_collection(root, info.name, free_bytes=free_bytes)


def open_collection(root: Path, name: str, *, free_bytes: int = FREE_BYTES) -> EmbeddedStore:
    """Open a collection for this process alone, after finishing what an interrupted replacement left.

    Args:
        root: folder of the collections.
        name: name of the collection.
        free_bytes: number of bytes that each write leaves free on the disk, or else raises ``StoreFull``.

    Raises:
        CollectionNotFound: there is none of that name.
        StoreInUse: another process, or another ``EmbeddedStore`` of this one, has it open.
        StoreConflict: it is of another schema version, or the folder is no collection.
        StoreDamaged: what is on disk contradicts the manifest or the records.
    """
    with ExitStack() as opened:
        folder, lock = lock_collection(root, name)
        opened.callback(lock.release)
        info = read_manifest(folder).info
        check_schema(folder, info)
        records = connect_documents(folder, info)
        opened.callback(records.close)
        _check_dimension(folder, info, _label(root, name))
        break_seal(folder, _label(root, name), lock.signed)
        shard = load_shard(folder / SHARD, _label(root, name))
        opened.callback(shard.close)
        _check_counts(shard, records, _label(root, name))
        opened.pop_all()  # from here on the store closes them
        return EmbeddedStore(folder, info, lock, records, shard, free_bytes=free_bytes)


def _check_dimension(folder: Path, info: CollectionInfo, label: str) -> None:
    dimension = shard_dimension(folder / SHARD)
    if dimension not in {None, info.dimension}:
        raise StoreDamaged(
            f"{label} keeps vectors of {dimension} dimensions, but its manifest says {info.dimension}.",
            remedy=Remedy("check-or-reindex"),
        )


def _check_counts(shard: PassageShard, records: SqliteDocuments, label: str) -> None:
    """Raise ``StoreDamaged`` if a finished document has more or fewer passages than its record says.

    Nothing is compared while any document is pending; passages whose document has no record are left to ``check``.
    """
    totals = records.totals()
    if totals.pending or totals.passages == shard.count():
        return
    counts = shard.count_by_source()
    for document in records.documents():
        if counts[document.source] != document.passages:
            raise StoreDamaged(
                f"{label} holds {counts[document.source]} passages of '{document.source}', but its record says "
                f"{document.passages}.",
                remedy=Remedy("check-or-reindex"),
            )


def _label(root: Path, name: str) -> str:
    return f"The collection '{name}' in {root}"
