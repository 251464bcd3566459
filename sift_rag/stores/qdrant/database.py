"""A Qdrant server as a ``Database``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sift_rag.protocols import PassageStore, Records
from sift_rag.stores.qdrant import check, collections
from sift_rag.stores.qdrant.connection import Connection
from sift_rag.stores.qdrant.documents import QdrantDocuments
from sift_rag.stores.qdrant.foreign import ForeignRecords, ForeignStore
from sift_rag.stores.qdrant.layout import Layout
from sift_rag.stores.qdrant.options import ServerOptions
from sift_rag.stores.qdrant.store import QdrantStore
from sift_rag.stores.qdrant.transport import limits_of
from sift_rag.types import CollectionInfo


class QdrantDatabase:
    """See ``Database``. Each store has its own connection, which ends with it."""

    def __init__(
        self,
        connect: Callable[[], Connection],
        options: ServerOptions | None = None,
        layout: Layout | None = None,
        *,
        only_own: bool = False,
    ) -> None:
        """See the class.

        Args:
            connect: gives an open connection, each time a new one.
            options: for the collections that are made.
            layout: how collections of other tools are read.
            only_own: refuse to open those.
        """
        self._connect = connect
        self._options = options or ServerOptions()
        self._layout = layout or Layout()
        self._only_own = only_own

    def collections(self) -> list[CollectionInfo]:
        """See ``Database``."""
        with self._connected() as connection:
            return collections.list_own(connection)

    def open(self, name: str) -> PassageStore:
        """See ``Database``. A collection that another tool made can only be read."""
        with self._kept() as connection:
            found = collections.find(connection, name)
            if found.info is None and not self._only_own:
                return ForeignStore(connection, found, self._layout)
            return QdrantStore(connection, found, collections.readable(connection, found))

    def create(self, info: CollectionInfo) -> PassageStore:
        """See ``Database``."""
        with self._kept() as connection:
            collections.create(connection, info, self._options)
            found, info = collections.find_own(connection, info.name)
            return QdrantStore(connection, found, info)

    def records(self, name: str) -> Records:
        """See ``Database``. Those of another tool's collection are made of what its points say."""
        with self._kept() as connection:
            found = collections.find(connection, name)
            if found.info is None:
                return ForeignRecords(connection, found, self._layout)
            return QdrantDocuments(
                connection, found.documents, collections.readable(connection, found), limits_of(found.state.config)
            )

    def drop(self, name: str) -> None:
        """See ``Database``."""
        with self._connected() as connection:
            collections.drop(connection, name)

    def building_name(self, name: str) -> str:
        """See ``Database``."""
        with self._connected() as connection:
            return collections.building_name(connection, name)

    def replace(self, name: str, replacement: str) -> None:
        """See ``Database``."""
        with self._connected() as connection:
            collections.replace(connection, name, replacement)

    def optimize(self, name: str) -> bool:
        """See ``Database``: a server does that by itself, so there is never anything to do."""
        with self._connected() as connection:
            collections.find(connection, name)
        return False

    def examine(self, name: str) -> list[str]:
        """See ``Database``."""
        with self._connected() as connection:
            return check.examine(connection, name)

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        connection = self._connect()
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def _kept(self) -> Iterator[Connection]:
        """A connection that stays open, unless the block raises."""
        connection = self._connect()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
