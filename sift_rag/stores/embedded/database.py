"""A folder of embedded collections as a ``Database``."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from sift_rag.protocols import PassageStore, Records
from sift_rag.stores.embedded import folders
from sift_rag.types import CollectionInfo


class FolderDatabase:
    """See ``Database``. The engine is loaded by what needs it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def collections(self) -> list[CollectionInfo]:
        """See ``Database``; none for a folder that does not exist."""
        return folders.list_collections(self._root)

    def open(self, name: str) -> PassageStore:
        """See ``Database``."""
        from sift_rag.stores.embedded.store import open_collection

        return open_collection(self._root, name)

    def create(self, info: CollectionInfo) -> PassageStore:
        """See ``Database``."""
        from sift_rag.stores.embedded.store import create_collection

        return create_collection(self._root, info)

    def records(self, name: str) -> Records:
        """See ``Database``; also while another process writes."""
        from sift_rag.stores.embedded.documents import open_records

        return open_records(self._root, name)

    def drop(self, name: str) -> None:
        """See ``Database``."""
        folders.drop_collection(self._root, name)

    def building_name(self, name: str) -> str:
        """See ``Database``."""
        return folders.reindex_name(name)

    def replace(self, name: str, replacement: str) -> None:
        """See ``Database``."""
        folders.replace_collection(self._root, name, replacement)

    def optimize(self, name: str) -> bool:
        """See ``Database``."""
        from sift_rag.stores.embedded.store import open_collection

        with closing(open_collection(self._root, name)) as opened:
            return opened.optimize()

    def examine(self, name: str) -> list[str]:
        """See ``Database``."""
        from sift_rag.stores.embedded.check import examine_collection

        return examine_collection(self._root, name)
