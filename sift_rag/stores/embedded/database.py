"""A folder of embedded collections as a ``Database``."""

from __future__ import annotations

from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from sift_rag.errors import StoreDamaged
from sift_rag.extras import require
from sift_rag.stores.embedded import folders
from sift_rag.stores.embedded.locking import exclusive, queued
from sift_rag.stores.embedded.manifest import read_manifest, write_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from sift_rag.stores.embedded.documents import SqliteDocuments
    from sift_rag.stores.embedded.store import EmbeddedStore
    from sift_rag.stores.remains import Remains
    from sift_rag.types import CollectionInfo


class FolderDatabase:
    """Implement ``Database`` for the collections under ``root``. The search engine is loaded by what needs it."""

    def __init__(self, root: Path) -> None:
        self._root = root

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

        return open_collection(self._root, name)

    def open_index(self, name: str) -> EmbeddedStore:
        """Implement ``Database.open_index``: a store for one process alone, as from ``open``."""
        return self.open(name)

    def create(self, info: CollectionInfo) -> EmbeddedStore:
        """Implement ``Database.create``; raises as ``create_collection`` does."""
        require("qdrant_edge", "embedded")
        from sift_rag.stores.embedded.store import create_collection

        return create_collection(self._root, info)

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
        root = self._root
        folders.collection_folder(root, name)  # a root without it is left untouched
        with queued(root):
            folders.settle(root, name)
            folder = folders.collection_folder(root, name)
            with suppress(StoreDamaged):
                read_manifest(folder)
            with exclusive(folder):
                folders.discard(folder)
            folders.sweep(root)

    def salvage(self, name: str) -> Remains:
        """Implement ``Salvageable.salvage``; raises as ``salvage_collection`` does."""
        require("qdrant_edge", "embedded")
        from sift_rag.stores.embedded.salvage import salvage_collection

        return salvage_collection(self._root, name)

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
        with queued(root), ExitStack() as held:
            folders.settle(root, name)
            successor = folders.collection_folder(root, replacement)
            info = read_manifest(successor).info
            for folder in (successor, root / name):
                if folder.is_dir():
                    held.enter_context(exclusive(folder))
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

        return check_collection(self._root, name)
