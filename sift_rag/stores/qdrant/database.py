"""A Qdrant server as a ``Database``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sift_rag.errors import StoreConflict
from sift_rag.protocols import DocumentRecords, PassageIndex
from sift_rag.stores.qdrant import collections
from sift_rag.stores.qdrant.address import ServerAddress
from sift_rag.stores.qdrant.begun import BegunStore
from sift_rag.stores.qdrant.check import check_collection
from sift_rag.stores.qdrant.connection import Connection, Retrying, connect
from sift_rag.stores.qdrant.documents import QdrantDocuments
from sift_rag.stores.qdrant.foreign import ForeignIndex
from sift_rag.stores.qdrant.foreign_documents import ForeignDocuments
from sift_rag.stores.qdrant.layout import Layout
from sift_rag.stores.qdrant.options import ServerOptions
from sift_rag.stores.qdrant.salvage import salvage_collection
from sift_rag.stores.qdrant.store import QdrantStore
from sift_rag.stores.qdrant.words import index_words
from sift_rag.stores.remains import Remains
from sift_rag.stores.validation import of_embedder
from sift_rag.types import CollectionInfo


class QdrantDatabase:
    """Implement ``Database`` for a server. Each store has its own connection, which is closed with it."""

    def __init__(
        self,
        address: ServerAddress,
        options: ServerOptions | None = None,
        layout: Layout | None = None,
        *,
        retrying: Retrying | None = None,
    ) -> None:
        """Remember the address; nothing is connected yet.

        Args:
            address: the server's address.
            options: options for new collections.
            layout: fields of collections that other tools made.
            retrying: retry policy of the connections.
        """
        self._address = address
        self._options = options or ServerOptions()
        self._layout = layout or Layout()
        self._retrying = retrying

    @property
    def location(self) -> str:
        """The server's URL, without a key."""
        return self._address.url

    def collections(self) -> list[CollectionInfo]:
        """Implement ``Database.collections``."""
        with self._connected() as connection:
            return collections.list_own(connection)

    def open(self, name: str) -> QdrantStore:
        """Implement ``Database.open``."""
        with self._kept() as connection:
            return QdrantStore(connection, *collections.find_own(connection, name))

    def open_index(self, name: str) -> PassageIndex:
        """Implement ``Database.open_index``."""
        with self._kept() as connection:
            ref = collections.find(connection, name)
            if ref.info is None:
                return ForeignIndex(connection, ref, self._layout)
            return QdrantStore(connection, ref, collections.readable(connection, ref))

    def create(self, info: CollectionInfo) -> QdrantStore:
        """Implement ``Database.create``."""
        with self._kept() as connection:
            collections.create(connection, info, self._options)
            return QdrantStore(connection, *collections.find_own(connection, info.name))

    def begin(self, info: CollectionInfo) -> BegunStore:
        """Implement ``Database.begin``."""
        with self._connected() as connection:
            collections.check_free(connection, info.name)

        def create() -> QdrantStore:
            try:
                return self.create(info)
            except StoreConflict:
                return of_embedder(self.open(info.name), info.embedder, info.dimension)

        return BegunStore(info, create)

    def documents(self, name: str) -> DocumentRecords:
        """Implement ``Database.documents``; for another tool's collection they are made of its points' payloads."""
        with self._kept() as connection:
            ref = collections.find(connection, name)
            if ref.info is None:
                return ForeignDocuments(connection, ref, self._layout)
            return QdrantDocuments(connection, ref, collections.readable(connection, ref))

    def drop(self, name: str) -> None:
        """Implement ``Database.drop``."""
        with self._connected() as connection:
            collections.drop(connection, name)

    def salvage(self, name: str) -> Remains:
        """Implement ``Salvageable.salvage``."""
        with self._kept() as connection:
            return salvage_collection(connection, name)

    def building_name(self, name: str) -> str:
        """Implement ``Database.building_name``."""
        with self._connected() as connection:
            return collections.building_name(connection, name)

    def replace(self, name: str, replacement: str) -> None:
        """Implement ``Database.replace``."""
        with self._connected() as connection:
            collections.replace(connection, name, replacement)

    def optimize(self, name: str) -> bool:
        """Implement ``Database.optimize``: index missing words; a server does the rest by itself."""
        with self._connected() as connection:
            ref = collections.find(connection, name)
            if ref.info is None:
                return False
            collections.readable(connection, ref)
            return bool(index_words(connection, ref.target, ref.state.config))

    def check(self, name: str) -> list[str]:
        """Implement ``Database.check``."""
        with self._connected() as connection:
            return check_collection(connection, name)

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        connection = connect(self._address, retrying=self._retrying)
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def _kept(self) -> Iterator[Connection]:
        """Yield a connection that stays open unless the block raises."""
        connection = connect(self._address, retrying=self._retrying)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
