"""A folder of embedded collections as a ``Database``."""

from __future__ import annotations

from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from sift_rag.errors import CollectionNotFound
from sift_rag.extras import require
from sift_rag.stores.embedded import folders
from sift_rag.stores.embedded.locking import queued
from sift_rag.stores.embedded.manifest import read_manifest, write_manifest
from sift_rag.stores.waiting import NO_WAIT, Wait

if TYPE_CHECKING:
    from pathlib import Path

    from sift_rag.stores.embedded.documents import SqliteDocuments
    from sift_rag.stores.embedded.index import EmbeddedIndex
    from sift_rag.stores.embedded.store import EmbeddedStore
    from sift_rag.stores.remains import Remains
    from sift_rag.types import CollectionInfo


class FolderDatabase:
    """Implement ``Database`` for the collections under ``root``. The search engine is loaded by what needs it."""

    def __init__(self, root: Path, wait: Wait = NO_WAIT) -> None:
        self._root = root
        self._wait = wait

    def waiting(self, wait: Wait) -> FolderDatabase:
        """Implement ``Waitable.waiting``."""
        return FolderDatabase(self._root, wait)

    @property
    def location(self) -> str:
        """The folder, resolved."""
        return str(self._root.resolve())

    def collections(self) -> list[CollectionInfo]:
        """Implement ``Database.collections``; none for a folder that does not exist.

        Collections of a newer schema are listed. Those whose manifest cannot be read are not: opening one by its name
        tells what is wrong with it.
        """
        return folders.list_collections(self._root)

    def open(self, name: str) -> EmbeddedStore:
        """Implement ``Database.open``; raises as ``open_collection`` does."""
        require("qdrant_edge", "embedded")
        from sift_rag.stores.embedded.store import open_collection

        return open_collection(self._root, name, wait=self._wait)

    def open_index(self, name: str) -> EmbeddedIndex:
        """Implement ``Database.open_index``: to read beside other readers. Raises as ``open_to_read`` does."""
        require("qdrant_edge", "embedded")
        from sift_rag.stores.embedded.sharing import open_to_read

        return open_to_read(self._root, name, self._wait)

    def create(self, info: CollectionInfo) -> EmbeddedStore:
        """Implement ``Database.create``; raises as ``create_collection`` does."""
        require("qdrant_edge", "embedded")
        from sift_rag.stores.embedded.store import create_collection

        return create_collection(self._root, info, wait=self._wait)

    def begin(self, info: CollectionInfo) -> EmbeddedStore:
        """Implement ``Database.begin``: it is created, since that locks it, and removed with ``close`` if need be."""
        require("qdrant_edge", "embedded")
        from sift_rag.stores.embedded.store import create_collection

        return create_collection(self._root, info, wait=self._wait, is_begun=True)

    def documents(self, name: str) -> SqliteDocuments:
        """Implement ``Database.documents``; also while another process writes."""
        from sift_rag.stores.embedded.documents import open_documents

        return open_documents(self._root, name)

    def drop(self, name: str) -> None:
        """Implement ``Database.drop``; a damaged collection can be dropped too.

        Raises:
            CollectionNotFound: there is none of that name.
            StoreInUse: a process has it open.
            StoreConflict: the folder is not a collection; it is left alone.
        """
        with folders.exclusive(self._root, name, self._wait) as folder:
            folders.remove(folder)

    def salvage(self, name: str) -> Remains:
        """Implement ``Salvageable.salvage``; raises as ``salvage_collection`` does."""
        require("qdrant_edge", "embedded")
        from sift_rag.stores.embedded.salvage import salvage_collection

        return salvage_collection(self._root, name, self._wait)

    def building_name(self, name: str) -> str:
        """Implement ``Database.building_name``."""
        return folders.building_name(name)

    def replace(self, name: str, replacement: str) -> None:
        """Implement ``Database.replace``.

        Interrupted at any point, ``name`` opens as the old collection or as the new one, never as neither; until the
        old one gives way, the new one stays under its own name.

        Raises:
            CollectionNotFound: there is no ``replacement``.
            StoreInUse: a process has one of them open.
        """
        root = self._root
        folders.check_name(name)
        folders.check_name(replacement)
        if name == replacement:
            raise ValueError(f"A collection cannot replace itself: {name!r}.")
        folders.collection_folder(root, replacement)
        with queued(root):
            folders.settle(root, name)
        with ExitStack() as held:
            successor = held.enter_context(folders.exclusive(root, replacement, self._wait))
            with suppress(CollectionNotFound):
                held.enter_context(folders.exclusive(root, name, self._wait))
            with queued(root):
                info = read_manifest(successor).info
                write_manifest(successor, replace(info, name=name), replaces=name)  # from here on, it is the collection
                folders.settle(root, name)
                folders.sweep(root)

    def optimize(self, name: str) -> bool:
        """Implement ``Database.optimize``."""
        with closing(self.open(name)) as opened:
            return opened.optimize()

    def check(self, name: str) -> list[str]:
        """Implement ``Database.check``; raises as ``check_collection`` does."""
        from sift_rag.stores.embedded.check import check_collection

        return check_collection(self._root, name, self._wait)
