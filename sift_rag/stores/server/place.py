"""A Qdrant server as a ``Place``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sift_rag.protocols import PassageStore, Records
from sift_rag.stores.server import collections, examination
from sift_rag.stores.server.connection import Connection
from sift_rag.stores.server.foreign import ForeignRecords, ForeignStore
from sift_rag.stores.server.layout import Layout
from sift_rag.stores.server.options import ServerOptions
from sift_rag.stores.server.records import ServerRecords
from sift_rag.stores.server.store import ServerStore
from sift_rag.stores.server.wire import limits_of
from sift_rag.types import CollectionInfo


class ServerPlace:
    """See ``Place``. Each store has its own connection, which ends with it."""

    def __init__(
        self,
        connect: Callable[[], Connection],
        options: ServerOptions | None = None,
        layout: Layout | None = None,
    ) -> None:
        """See the class.

        Args:
            connect: gives an open connection, each time a new one.
            options: for the collections that are made.
            layout: how collections of other tools are read.
        """
        self._connect = connect
        self._options = options or ServerOptions()
        self._layout = layout or Layout()

    def collections(self) -> list[CollectionInfo]:
        """See ``Place``."""
        with self._connected() as connection:
            return collections.list_own(connection)

    def open(self, name: str) -> PassageStore:
        """See ``Place``. A collection that another tool made can only be read."""
        with self._kept() as connection:
            found = collections.find(connection, name)
            if found.info is None:
                return ForeignStore(connection, found, self._layout)
            return ServerStore(connection, found, collections.readable(connection, found))

    def create(self, info: CollectionInfo) -> PassageStore:
        """See ``Place``."""
        with self._kept() as connection:
            collections.create(connection, info, self._options)
            found, info = collections.find_own(connection, info.name)
            return ServerStore(connection, found, info)

    def records(self, name: str) -> Records:
        """See ``Place``. Those of another tool's collection are made of what its points say."""
        with self._kept() as connection:
            found = collections.find(connection, name)
            if found.info is None:
                return ForeignRecords(connection, found, self._layout)
            return ServerRecords(
                connection, found.documents, collections.readable(connection, found), limits_of(found.state.config)
            )

    def drop(self, name: str) -> None:
        """See ``Place``."""
        with self._connected() as connection:
            collections.drop(connection, name)

    def building_name(self, name: str) -> str:
        """See ``Place``."""
        with self._connected() as connection:
            return collections.building_name(connection, name)

    def replace(self, name: str, replacement: str) -> None:
        """See ``Place``."""
        with self._connected() as connection:
            collections.replace(connection, name, replacement)

    def optimize(self, name: str) -> bool:
        """See ``Place``: a server does that by itself, so there is never anything to do."""
        with self._connected() as connection:
            collections.find(connection, name)
        return False

    def examine(self, name: str) -> list[str]:
        """See ``Place``."""
        with self._connected() as connection:
            return examination.examine(connection, name)

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
