"""The places of files: how a record names them, and which document of a collection a file is."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote_to_bytes

from sift_rag.protocols import PassageStore
from sift_rag.types import Document

_URI = "file://"


def location_of(path: Path) -> str:
    """Return the text that names an absolute path in a record: the path, or a URI if it is not valid Unicode."""
    text = str(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        return path.as_uri()
    return text


def path_at(location: str) -> str:
    """Return the path that ``location_of`` has named."""
    return os.fsdecode(unquote_to_bytes(location.removeprefix(_URI))) if is_uri(location) else location


def is_uri(location: str) -> bool:
    """Return True if the path that the location names is not valid Unicode."""
    return location.startswith(_URI)


def is_here(location: str) -> bool:
    """Return True if there is a file at the location, on this machine; a text has none."""
    return bool(location) and os.path.lexists(path_at(location))


class RealPaths:
    """Resolves links, each folder once: for a hundred thousand files, folders are few."""

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}

    def real(self, path: str) -> str:
        """Return the absolute path without links; what does not exist is taken as written."""
        folder, name = os.path.split(path)
        if os.path.islink(path) or not name:  # noqa: PTH114 - 100,000 Path objects cost more than the calls
            return os.path.realpath(path)
        real_folder = self._folders.get(folder)
        if real_folder is None:
            real_folder = self._folders[folder] = os.path.realpath(folder)
        return os.path.join(real_folder, name)  # noqa: PTH118


class KnownFiles:
    """The files of a collection, by their places and contents. Its records are listed at the first question."""

    def __init__(self, store: PassageStore, paths: RealPaths, roots: Iterable[Path]) -> None:
        """Prepare the lists.

        Args:
            store: the collection.
            paths: resolves links.
            roots: folders and files of this ingest; what lay beside them and is gone may have been moved into them.
        """
        self._store, self._paths = store, paths
        self._near = tuple(_as_prefix(paths.real(str(root.parent))) for root in roots)
        self._replaced: set[str] = set()

    def at(self, path: Path) -> Document | None:
        """Return the record of the file at this place, under whichever name and by whichever way it was ingested."""
        source = self._listed[0].get(self._paths.real(str(path)))
        return self._store.document(source) if source is not None else None

    def moved(self, content_hash: str) -> Document | None:
        """Return the record of a file of this content that is gone from its place, each only once.

        A place on another machine, which may share the collection, is not known to be empty: it counts only if its
        folder exists on this one, or is beside the ingested ones.
        """
        for source in self._listed[1].get(content_hash, ()):
            record = self._store.document(source) if source not in self._replaced else None
            if record is not None and record.content_hash == content_hash and self._is_gone(record.location):
                self._replaced.add(source)
                return record
        return None

    @cached_property
    def _listed(self) -> tuple[dict[str, str], dict[str, list[str]]]:
        """Sources by real path, and by hash of the content."""
        by_place: dict[str, str] = {}
        by_content: dict[str, list[str]] = {}
        for record in self._store.documents():
            if record.location:
                by_place.setdefault(self._paths.real(path_at(record.location)), record.source)
                if record.content_hash:
                    by_content.setdefault(record.content_hash, []).append(record.source)
        return by_place, by_content

    def _is_gone(self, location: str) -> bool:
        path = path_at(location)
        if os.path.lexists(path):
            return False
        return os.path.isdir(os.path.dirname(path)) or self._paths.real(path).startswith(self._near)  # noqa: PTH112, PTH120


def is_under(path: str, folder: str) -> bool:
    """Return True if an absolute path is within a folder, by their names."""
    return path.startswith(_as_prefix(folder))


def _as_prefix(folder: str) -> str:
    return f"{folder.rstrip('/')}/"
