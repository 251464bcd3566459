"""The records of a collection's documents: one row per document in ``documents.sqlite``, written in transactions.

The file is in write-ahead mode with full synchronisation, so what a call wrote survives the machine, and it can be
read while another process writes: ``open_documents`` needs neither the lock nor the search engine.
"""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from itertools import takewhile
from threading import RLock
from typing import TYPE_CHECKING, Any

from sift_rag.errors import Remedy, StoreConflict, StoreDamaged, StoreError, StoreFull
from sift_rag.protocols import Totals
from sift_rag.stores.embedded.folders import collection_folder
from sift_rag.stores.embedded.manifest import DOCUMENTS, SHARD, check_schema, read_manifest
from sift_rag.stores.listing import ListedDocuments, Listing
from sift_rag.stores.validation import check_documents
from sift_rag.types import CollectionInfo, Document
from sift_rag.unicode import is_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sift_rag.stores.listing import DocumentKind, DocumentOrder

_APPLICATION_ID = 0x53494654  # "SIFT": tells our file from any other SQLite file
_TABLE_VERSION = 1
"""Version of the table below; the folder around it may be of another schema version."""
_PAGE = 500
_LOCK_SECONDS = 10.0
"""Seconds that a reader waits for a writer's checkpoint, or the other way round."""

_NUMBERS = {"size", "modified_ns", "changed_ns", "passages", "pages_without_text"}
_COLUMNS = tuple(field.name for field in fields(Document))
_ADDED = {"notices": ("TEXT", "'[]'"), "pages_without_text": ("INTEGER", "0"), "language": ("TEXT", "''")}
"""Columns that a table of an earlier release lacks: type and default. With these, earlier releases write to it too."""
_ADDED_SQL = {name: f"{name} {kind} NOT NULL DEFAULT {default}" for name, (kind, default) in _ADDED.items()}
_TYPES = tuple(int if name in _NUMBERS else str for name in _COLUMNS)
_SCHEMA = f"""
CREATE TABLE documents (
    source TEXT PRIMARY KEY NOT NULL,
    location TEXT NOT NULL,
    state TEXT NOT NULL,
    size INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    changed_ns INTEGER NOT NULL,
    content_hash TEXT NOT NULL,
    revision TEXT NOT NULL,
    passages INTEGER NOT NULL,
    title TEXT NOT NULL,
    ingested_at TEXT NOT NULL,
    reason TEXT NOT NULL,
    {", ".join(_ADDED_SQL.values())}
) WITHOUT ROWID;
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_TABLE_VERSION};
"""
_PUT = f"INSERT OR REPLACE INTO documents ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608
_KINDS: dict[DocumentKind, str] = {
    "all": "1",
    "ingested": "state = 'ingested'",
    "failed": "state = 'failed'",
    "pending": "state = 'pending'",
    "scans": "pages_without_text > 0",
    "notices": "notices <> '[]'",
}
_ORDERS: dict[DocumentOrder, str] = {
    "source": "source",
    "passages": "passages DESC, source",
    "size": "size DESC, source",
    "ingested": "ingested_at DESC, source",
}
_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
_VERSIONS, _BYTES_OF_VERSION = "mutable_id_tracker.versions", 8
"""The engine's table of those points that are in no graph yet, and the room that each takes there."""
_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class SqliteDocuments:
    """The ``DocumentRecords`` of one collection, and writes to them. Safe to use from several threads."""

    def __init__(self, info: CollectionInfo, folder: Path, connection: sqlite3.Connection) -> None:
        self._info = info
        self._folder = folder
        self._connection: sqlite3.Connection | None = connection
        self._select = _select(connection)
        self._turn = RLock()

    @property
    def info(self) -> CollectionInfo:
        """Description of the collection."""
        return self._info

    @property
    def has_graph(self) -> bool:
        """Implement ``GraphStatus.has_graph``, by the files of the search engine, which is not asked."""
        return any(_has_graph(path) for path in (self._folder / SHARD / "segments").glob("*/segment.json"))

    @property
    def outside_graph(self) -> int:
        """Implement ``GraphStatus.outside_graph``, likewise, as of when the collection was closed."""
        tables = (self._folder / SHARD / "segments").glob(f"*/{_VERSIONS}")
        with suppress(OSError):  # being rewritten
            return sum(path.stat().st_size for path in tables) // _BYTES_OF_VERSION
        return 0

    def document(self, source: str) -> Document | None:
        """Implement ``DocumentRecords.document``."""
        if not is_text(source):
            return None
        with self._session() as connection:
            row = connection.execute(f"{self._select} WHERE source = ?", (source,)).fetchone()
        return None if row is None else _document(row)

    def documents(self, prefix: str = "") -> Iterator[Document]:
        """Implement ``DocumentRecords.documents``. Records written meanwhile, further on, are seen."""
        with self._session():  # a closed store is refused at the call, not at the first record
            return self._pages(prefix) if is_text(prefix) else iter(())

    def sources(self, prefix: str = "") -> list[str]:
        """Return the sources that start with ``prefix``, ascending; about 1 µs each."""
        if not is_text(prefix):
            return []
        with self._session() as connection:
            rows = connection.execute("SELECT source FROM documents WHERE source >= ? ORDER BY source", (prefix,))
            return list(takewhile(lambda source: source.startswith(prefix), (source for (source,) in rows)))

    def totals(self) -> Totals:
        """Implement ``DocumentRecords.totals``."""
        with self._session() as connection:
            states = dict(connection.execute("SELECT state, count(*) FROM documents GROUP BY state"))
            sums = connection.execute("SELECT total(passages), total(size) FROM documents").fetchone()
        counts = (states.get(state, 0) for state in ("ingested", "pending", "failed"))
        return Totals(*counts, *map(int, sums))

    def listed(self, listing: Listing) -> ListedDocuments:
        """Implement ``ListsDocuments.listed``: SQLite looks at all records, and only those of the page are read."""
        held = f"FROM ({self._select}) WHERE {'holds(source, title)' if listing.words else '1'}"
        kinds = ", ".join(f"total({condition})" for condition in _KINDS.values())
        order = f"ORDER BY {_ORDERS[listing.order]}"
        of_language, language = ("1", ()) if listing.language is None else ("language = ?", (listing.language,))
        # only names are sorted: whole rows would take four times as long
        on_page = f"SELECT source {held} AND {of_language} AND {_KINDS[listing.kind]} {order} LIMIT ? OFFSET ?"
        page = f"{self._select} WHERE source IN ({on_page}) {order}"
        with self._session() as connection:
            connection.create_function("holds", 2, listing.holds, deterministic=True)
            sums = connection.execute("SELECT count(*), total(passages), total(size) FROM documents").fetchone()
            groups = connection.execute(f"SELECT language, {kinds} {held} GROUP BY language").fetchall()
            documents = [_document(row) for row in connection.execute(page, (*language, listing.limit, listing.offset))]
        by_language = {code: dict(zip(_KINDS, map(int, counts), strict=True)) for code, *counts in groups}
        chosen = [counts for code, counts in by_language.items() if listing.language in {None, code}]
        return ListedDocuments(
            documents,
            {kind: sum(counts[kind] for counts in chosen) for kind in _KINDS},
            {code: counts[listing.kind] for code, counts in by_language.items() if counts[listing.kind]},
            *map(int, sums),
        )

    def put(self, documents: Sequence[Document]) -> None:
        """Insert or replace by source, all or none. Refused on records that were opened for reading."""
        check_documents(documents)
        rows = [_row(document) for document in documents]
        with self._session() as connection, connection:
            connection.executemany(_PUT, rows)

    def drop(self, sources: Sequence[str]) -> None:
        """Delete by source, all or none. Refused on records that were opened for reading."""
        with self._session() as connection, connection:
            connection.executemany("DELETE FROM documents WHERE source = ?", [(s,) for s in sources if is_text(s)])

    def problems(self) -> list[str]:
        """Return SQLite's findings on the file's integrity, in its words; reads all of it."""
        with self._session() as connection:
            findings = [row[0] for row in connection.execute("PRAGMA integrity_check(20)")]
        return [] if findings == ["ok"] else findings

    def close(self) -> None:
        """Release the file; closing twice is allowed."""
        with self._turn:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def _pages(self, prefix: str) -> Iterator[Document]:
        last: str | None = None
        while True:
            where, bound = ("source >= ?", prefix) if last is None else ("source > ?", last)
            query = f"{self._select} WHERE {where} ORDER BY source LIMIT {_PAGE}"
            with self._session() as connection:
                page = [_document(row) for row in connection.execute(query, (bound,))]
            for document in page:
                if not document.source.startswith(prefix):
                    return  # those of one prefix stand together in this order
                yield document
            if len(page) < _PAGE:
                return
            last = page[-1].source

    @contextmanager
    def _session(self) -> Iterator[sqlite3.Connection]:
        with self._turn, _sqlite_errors(self._folder):
            if self._connection is None:
                raise StoreError(f"The collection '{self._info.name}' is closed. Open it again to use it.")
            yield self._connection


def open_documents(root: Path, name: str) -> SqliteDocuments:
    """Open the records of a collection to read, also while another process ingests into it.

    Raises:
        CollectionNotFound, StoreConflict, StoreDamaged: as when the collection is opened.
    """
    folder = collection_folder(root, name)
    info = replace(read_manifest(folder).info, name=name)
    check_schema(folder, info)
    return connect_documents(folder, info, read_only=True)


def create_documents(folder: Path) -> None:
    """Write an empty ``documents.sqlite`` into the folder."""
    with _sqlite_errors(folder):
        connection = sqlite3.connect(folder / DOCUMENTS, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_SCHEMA)
        finally:
            connection.close()


def recorded_documents(folder: Path, name: str, damage: list[str]) -> list[Document] | None:
    """Return all records, or None if they cannot be read; what is wrong with them is appended to ``damage``."""
    try:
        records = connect_documents(folder, CollectionInfo(name, "", 0, 0), read_only=True)
    except (StoreDamaged, StoreConflict) as error:
        damage.append(str(error))
        return None
    try:
        damage += [f"The records of documents are damaged: {finding}." for finding in records.problems()]
        return list(records.documents())
    except StoreError as error:
        damage.append(str(error))
        return None
    finally:
        records.close()


def connect_documents(folder: Path, info: CollectionInfo, *, read_only: bool = False) -> SqliteDocuments:
    """Open ``documents.sqlite`` in a collection's folder; for writing, the caller holds the collection's lock."""
    path = folder / DOCUMENTS
    if not path.is_file() or not path.stat().st_size:
        raise StoreDamaged(
            f"The collection '{info.name}' in {folder.parent} has lost its {DOCUMENTS}. Restore that from a backup, or "
            "index the collection anew.",
            remedy=Remedy("reindex"),
        )
    mode = "ro" if read_only else "rw"
    if read_only and not os.access(folder, os.W_OK) and not path.with_name(f"{DOCUMENTS}-wal").exists():
        mode = "ro&immutable=1"  # a backup, perhaps: even to read, SQLite would create files beside it
    with _sqlite_errors(folder):
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode={mode}",
            uri=True,
            timeout=_LOCK_SECONDS,
            check_same_thread=False,
        )
        try:
            _check_ours(connection, path)
            if not read_only:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                for column in _ADDED.keys() - _columns(connection):
                    connection.execute(f"ALTER TABLE documents ADD COLUMN {_ADDED_SQL[column]}")
            return SqliteDocuments(info, folder, connection)
        except BaseException:
            connection.close()
            raise


def _has_graph(segment: Path) -> bool:
    """Return True if the engine's description of a segment says that it has a graph."""
    try:
        content = json.loads(segment.read_bytes())
        return any(vector["index"]["type"] == "hnsw" for vector in content["config"]["vector_data"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):  # being written, or damaged
        return False


def _columns(connection: sqlite3.Connection) -> set[str]:
    return {row[1] for row in connection.execute("PRAGMA table_info(documents)")}


def _select(connection: sqlite3.Connection) -> str:
    """Return a query for all columns of ``Document``; columns that the table lacks have their defaults."""
    held = _columns(connection)
    columns = (name if name in held or name not in _ADDED else f"{_ADDED[name][1]} AS {name}" for name in _COLUMNS)
    return f"SELECT {', '.join(columns)} FROM documents"  # noqa: S608 - the names are our own


def _row(document: Document) -> tuple[str | int, ...]:
    return tuple(json.dumps(document.notices) if name == "notices" else getattr(document, name) for name in _COLUMNS)


def _document(row: Sequence[Any]) -> Document:
    values = dict(zip(_COLUMNS, row, strict=True))
    if tuple(map(type, row)) != _TYPES:
        raise TypeError("a cell is of the wrong type")
    return Document(**{**values, "notices": tuple(json.loads(values["notices"]))})


def _check_ours(connection: sqlite3.Connection, path: Path) -> None:
    [application_id] = connection.execute("PRAGMA application_id").fetchone()
    [version] = connection.execute("PRAGMA user_version").fetchone()
    if (application_id, version) != (_APPLICATION_ID, _TABLE_VERSION):
        raise StoreConflict(
            f"{path} is not the table of documents that this sift-rag reads (application {application_id:#x}, version "
            f"{version}; expected {_APPLICATION_ID:#x}, {_TABLE_VERSION}). Use the version that wrote it."
        )
    connection.execute(f"{_select(connection)} LIMIT 1").fetchone()


@contextmanager
def _sqlite_errors(folder: Path) -> Iterator[None]:
    where = f"The records of the collection '{folder.name}' in {folder.parent}"
    try:
        yield
    except (TypeError, ValueError) as error:  # a cell holds no text, or none that a record can have
        raise StoreDamaged(f"{where} are damaged ({error}).", remedy=Remedy("check-or-reindex")) from error
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _FULL:
            raise StoreFull(f"{where} could not be written ({error}). Free some space and try again.") from error
        if code in _BROKEN or "no such" in str(error) or "decode" in str(error):
            raise StoreDamaged(f"{where} are damaged ({error}).", remedy=Remedy("check-or-reindex")) from error
        raise StoreError(f"{where} could not be used: {error}.") from error
