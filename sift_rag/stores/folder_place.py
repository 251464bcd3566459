"""A folder of embedded collections as a ``Place``."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from sift_rag.protocols import PassageStore, Records
from sift_rag.stores import folders
from sift_rag.types import CollectionInfo


class FolderPlace:
    """See ``Place``. The engine is loaded by what needs it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def collections(self) -> list[CollectionInfo]:
        """See ``Place``; none for a folder that does not exist."""
        return folders.list_collections(self._root)

    def open(self, name: str) -> PassageStore:
        """See ``Place``."""
        from sift_rag.stores.edge import open_collection

        return open_collection(self._root, name)

    def create(self, info: CollectionInfo) -> PassageStore:
        """See ``Place``."""
        from sift_rag.stores.edge import create_collection

        return create_collection(self._root, info)

    def records(self, name: str) -> Records:
        """See ``Place``; also while another process writes."""
        from sift_rag.stores.records import open_records

        return open_records(self._root, name)

    def drop(self, name: str) -> None:
        """See ``Place``."""
        folders.drop_collection(self._root, name)

    def building_name(self, name: str) -> str:
        """See ``Place``."""
        return folders.reindex_name(name)

    def replace(self, name: str, replacement: str) -> None:
        """See ``Place``."""
        folders.replace_collection(self._root, name, replacement)

    def optimize(self, name: str) -> bool:
        """See ``Place``."""
        from sift_rag.stores.edge import open_collection

        with closing(open_collection(self._root, name)) as opened:
            return opened.optimize()

    def examine(self, name: str) -> list[str]:
        """See ``Place``."""
        from sift_rag.stores.examination import examine_collection

        return examine_collection(self._root, name)
