"""The collections of one root, as folders: named, found, listed, dropped, and put in each other's place.

    <root>/<collection>/manifest.json       what it is; without it the folder is no collection
                        lock                held by the one process that has it open
                        documents.sqlite    records of documents
                        shard/              passages and vectors
    <root>/.reindex-<collection>/           the same, being built to take that collection's place
    <root>/.creating-..., .trash-...        on the way in, on the way out; swept by whoever comes next

A collection appears and disappears by renaming its folder, which cannot be interrupted halfway. Replacing one takes two
renames, so the replacement first writes into its manifest whose place it takes: from then on it *is* that collection to
every reader, and whoever opens the collection next finishes the renames.
"""

from __future__ import annotations

import re
import shutil
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

from sift_rag.errors import CollectionNotFound, StoreConflict, StoreDamaged
from sift_rag.stores.embedded.locking import FolderLock, exclusive, queued
from sift_rag.stores.embedded.manifest import os_errors, read_manifest, sync_folder, write_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sift_rag.types import CollectionInfo

_REINDEX = ".reindex-"
_CREATING = ".creating-"
_TRASH = ".trash-"
_NAME = re.compile(rf"(?:{re.escape(_REINDEX)})?[A-Za-z0-9][A-Za-z0-9._-]{{0,127}}")


def reindex_name(name: str) -> str:
    """Under which to build what will take the place of the collection ``name``: never listed, kept until replaced."""
    check_name(name)
    return f"{_REINDEX}{name}"


def check_name(name: str) -> None:
    """Raise ``ValueError`` unless it can name a collection (and cannot leave the root)."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"A collection cannot be called {name!r}: expected up to 128 letters, digits, dots, hyphens and "
            "underscores, the first of them a letter or digit."
        )


def collection_folder(root: Path, name: str) -> Path:
    """Where the collection stands now, be it under the name of the replacement that has just taken its place.

    Raises:
        CollectionNotFound: there is none of that name.
    """
    check_name(name)
    folder = next(_replacements(root, name), root / name)
    if not folder.is_dir():
        names = ", ".join(repr(info.name) for info in list_collections(root)) or "none"
        raise CollectionNotFound(
            f"There is no collection '{name}' in {root} (there: {names}). Make it with sift-rag ingest, or name "
            "another."
        )
    return folder


def list_collections(root: Path) -> list[CollectionInfo]:
    """All collections of the root by name; none for a root that does not exist.

    Those of a newer schema are among them, those being built are not, nor are those whose manifest cannot be read:
    opening one by its name says what is wrong with it.
    """
    found: dict[str, CollectionInfo] = {}
    for folder in _subfolders(root):
        try:
            manifest = read_manifest(folder)
        except (StoreDamaged, StoreConflict):
            continue
        if manifest.replaces is not None:
            found[manifest.replaces] = replace(manifest.info, name=manifest.replaces)
        elif not folder.name.startswith("."):
            found.setdefault(folder.name, manifest.info)
    return [found[name] for name in sorted(found)]


def drop_collection(root: Path, name: str) -> None:
    """Remove the collection with all its files, in one step to whoever looks; a damaged one too.

    Raises:
        CollectionNotFound: there is none of that name.
        StoreInUse: a process has it open.
        StoreConflict: the folder is not a collection; it is left alone.
    """
    collection_folder(root, name)  # a root without it is left untouched
    with _changing(root):
        _settle(root, name)
        folder = collection_folder(root, name)
        with suppress(StoreDamaged):
            read_manifest(folder)
        with exclusive(folder):
            _discard(folder)
        _sweep(root)


def replace_collection(root: Path, name: str, replacement: str) -> None:
    """Let the collection ``replacement`` take the place of ``name``, which is removed if it exists.

    Both must be closed. Interrupted at any point, ``name`` opens as the old one or as the new one, never as neither;
    until the old one gives way, the new one stays under its own name.

    Raises:
        CollectionNotFound: there is no ``replacement``.
        StoreInUse: a process has one of them open.
    """
    check_name(name)
    check_name(replacement)
    if name == replacement:
        raise ValueError(f"A collection cannot take its own place: {name!r}.")
    collection_folder(root, replacement)
    with _changing(root), ExitStack() as held:
        _settle(root, name)
        successor = collection_folder(root, replacement)
        info = read_manifest(successor).info
        for folder in (successor, root / name):
            if folder.is_dir():
                held.enter_context(exclusive(folder))
        write_manifest(successor, replace(info, name=name), replaces=name)  # from here on, it is the collection
        _settle(root, name)
        _sweep(root)


def lock_collection(root: Path, name: str) -> tuple[Path, FolderLock]:
    """The collection's folder, complete, and its lock, which the caller releases.

    Raises:
        CollectionNotFound, StoreInUse: there is no such collection, or another process has it open.
        StoreConflict: a folder of that name is no collection of ours.
    """
    collection_folder(root, name)  # a root without it is left untouched
    with _changing(root):
        _settle(root, name)
        folder = collection_folder(root, name)
        with suppress(StoreDamaged):
            read_manifest(folder)  # no lock file is left in folders that are not ours
        lock = FolderLock(folder)
        _sweep(root)
        return folder, lock


@contextmanager
def new_collection(root: Path, name: str) -> Iterator[Path]:
    """A folder to fill; it becomes the collection's when the block ends, and vanishes when that raises.

    Raises:
        StoreConflict: the name is taken.
    """
    check_name(name)
    with os_errors(root):
        root.mkdir(parents=True, exist_ok=True)
    with _changing(root):
        _settle(root, name)
        _sweep(root)
        folder = root / name
        if folder.exists():
            raise StoreConflict(
                f"There is already a collection '{name}' in {root}. Open it, drop it first, or name another."
            )
        draft = root / f"{_CREATING}{name}"
        with os_errors(root):
            draft.mkdir()
        try:
            with os_errors(folder):
                yield draft
                draft.rename(folder)
                sync_folder(root)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)  # what cannot be removed now is swept later
            raise


def _settle(root: Path, name: str) -> None:
    """Finish the renames of a replacement that has taken the place of ``name`` already."""
    check_name(name)
    place = root / name
    for folder in _replacements(root, name):
        with os_errors(root):
            if folder != place:
                if place.exists():
                    _discard(place)
                folder.rename(place)
                sync_folder(root)
        write_manifest(place, read_manifest(place).info)


def _replacements(root: Path, name: str) -> Iterator[Path]:
    for folder in _subfolders(root):
        try:
            replaces = read_manifest(folder).replaces
        except (StoreDamaged, StoreConflict):
            continue
        if replaces == name:
            yield folder


def _subfolders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    with os_errors(root):
        return sorted(folder for folder in root.iterdir() if _NAME.fullmatch(folder.name) and folder.is_dir())


def _discard(folder: Path) -> None:
    with os_errors(folder):
        folder.rename(folder.with_name(f"{_TRASH}{uuid4().hex}"))
        sync_folder(folder.parent)


def _sweep(root: Path) -> None:
    """Remove what was interrupted on its way in or out. Only under ``_changing``: all of it is abandoned then."""
    for folder in root.iterdir():
        if folder.name.startswith((_CREATING, _TRASH)):
            shutil.rmtree(folder, ignore_errors=True)  # the next sweep tries again


@contextmanager
def _changing(root: Path) -> Iterator[None]:
    """One process at a time makes, renames and removes folders of a root; the others wait, for it never takes long."""
    with queued(root):
        yield
