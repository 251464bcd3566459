"""The collections of a root as folders: find, list and lock them, and rename them in steps that survive a crash.

    <root>/<collection>/manifest.json       what it is; without it the folder is no collection
                        lock                held by the process that writes to it
                        readers/            what each process that reads it has opened
                        documents.sqlite    records of documents
                        shard/              passages and vectors
    <root>/.reindex-<collection>/           the same, built to replace that collection
    <root>/.creating-..., .trash-...        being created, being removed; swept by the next process

A collection appears and disappears by renaming its folder, which cannot be interrupted halfway. Replacing one takes two
renames, so the replacement first names in its manifest the collection that it replaces: from then on it *is* that
collection to every reader, and the next process that opens the collection finishes the renames (``settle``).
"""

from __future__ import annotations

import re
import shutil
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

from sift_rag.errors import CollectionNotFound, Remedy, StoreConflict, StoreDamaged
from sift_rag.stores.embedded.locking import FolderLock, Patience, queued
from sift_rag.stores.embedded.manifest import os_errors, read_manifest, write_manifest
from sift_rag.stores.waiting import NO_WAIT, Wait
from sift_rag.suggestions import suggestion
from sift_rag.user_cache import sync

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sift_rag.types import CollectionInfo

_BUILDING = ".reindex-"
_CREATING = ".creating-"
_TRASH = ".trash-"
_NAME = re.compile(rf"(?:{re.escape(_BUILDING)})?[A-Za-z0-9][A-Za-z0-9._-]{{0,127}}")


def building_name(name: str) -> str:
    """Return the name under which to build a replacement of the collection: never listed, kept until it replaces."""
    check_name(name)
    return f"{_BUILDING}{name}"


def check_name(name: str) -> None:
    """Raise ``ValueError`` unless the name can be a collection's, and cannot leave the root."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"A collection cannot be called {name!r}: expected up to 128 letters, digits, dots, hyphens and "
            "underscores, the first of them a letter or digit."
        )


def collection_folder(root: Path, name: str) -> Path:
    """Return the folder where the collection is now, which may still bear the name of a replacement.

    Raises:
        CollectionNotFound: there is none of that name.
    """
    check_name(name)
    folder = next(_replacements(root, name), root / name)
    if not folder.is_dir():
        there = [info.name for info in list_collections(root)]
        names = ", ".join(map(repr, there)) or "none"
        raise CollectionNotFound(
            f"There is no collection '{name}' in {root} (there: {names}).{suggestion(name, there)}",
            remedy=Remedy("collection-not-found"),
        )
    return folder


def list_collections(root: Path) -> list[CollectionInfo]:
    """Return the collections of the root, by name; none for a root that does not exist: see ``FolderDatabase``."""
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


def lock_collection(root: Path, name: str, wait: Wait = NO_WAIT) -> tuple[Path, FolderLock]:
    """Return the collection's folder, complete, and its writer's lock, which the caller releases. Nobody reads it then.

    Raises:
        CollectionNotFound, StoreInUse: there is no such collection, or another process has it open for too long.
        StoreConflict: a folder of that name is no collection of ours.
    """
    patience = Patience.to_write(wait)
    folder, lock = patience.until(lambda: _take(root, name))
    try:
        patience.until(lock.require_no_readers)
    except BaseException:
        lock.restore()
        lock.release()
        raise
    return folder, lock


def _take(root: Path, name: str) -> tuple[Path, FolderLock]:
    with settled(root, name) as folder:
        return folder, FolderLock(folder)


@contextmanager
def settled(root: Path, name: str) -> Iterator[Path]:
    """Hold the root's lock and yield the collection's folder, complete; what was interrupted is removed afterwards.

    Raises:
        CollectionNotFound: there is no such collection.
        StoreConflict: a folder of that name is no collection of ours.
    """
    collection_folder(root, name)  # a root without it is left untouched
    with queued(root):
        settle(root, name)
        folder = collection_folder(root, name)
        with suppress(StoreDamaged):
            read_manifest(folder)  # no lock file is left in folders that are not ours
        yield folder
        sweep(root)


@contextmanager
def exclusive(root: Path, name: str, wait: Wait = NO_WAIT) -> Iterator[Path]:
    """Hold the collection's writer's lock within, leaving no trace, and yield its folder; as ``lock_collection``."""
    folder, lock = lock_collection(root, name, wait)
    try:
        yield folder
    finally:
        lock.restore()
        lock.release()


@contextmanager
def new_collection(root: Path, name: str) -> Iterator[Path]:
    """Yield a folder to fill. It becomes the collection's when the block ends, and vanishes if the block raises.

    Raises:
        StoreConflict: the name is taken.
    """
    check_name(name)
    with os_errors(root):
        root.mkdir(parents=True, exist_ok=True)
    with queued(root):
        settle(root, name)
        sweep(root)
        folder = root / name
        if folder.exists():
            raise StoreConflict(
                f"There is already a collection '{name}' in {root}. Open it, drop it first, or choose another name."
            )
        draft = root / f"{_CREATING}{name}"
        with os_errors(root):
            draft.mkdir()
        try:
            with os_errors(folder):
                yield draft
                draft.rename(folder)
                sync(root)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)  # what cannot be removed now is swept later
            raise


def settle(root: Path, name: str) -> None:
    """Finish the renames of a replacement that has replaced ``name`` already. Only under ``queued``."""
    check_name(name)
    target = root / name
    for folder in _replacements(root, name):
        with os_errors(root):
            if folder != target:
                if target.exists():
                    discard(target)
                folder.rename(target)
                sync(root)
        write_manifest(target, read_manifest(target).info)


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


def discard(folder: Path) -> None:
    """Remove the folder from sight in one step; ``sweep`` deletes its files. Only under ``queued``."""
    with os_errors(folder):
        folder.rename(folder.with_name(f"{_TRASH}{uuid4().hex}"))
        sync(folder.parent)


def remove(folder: Path) -> None:
    """Remove a collection whose writer's lock the caller holds."""
    root = folder.parent
    with queued(root):
        discard(folder)
        sweep(root)


def sweep(root: Path) -> None:
    """Delete what was interrupted being created or removed. Only under ``queued``: all of it is abandoned then."""
    for folder in root.iterdir():
        if folder.name.startswith((_CREATING, _TRASH)):
            shutil.rmtree(folder, ignore_errors=True)  # the next sweep tries again
