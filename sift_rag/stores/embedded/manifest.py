"""``manifest.json``, the description of a collection. A folder with one is a collection; no other folder is.

    {"format": "sift-rag collection", "schema_version": 2, "name": "news", "embedder": "all-MiniLM-L6-v2",
     "dimension": 384}

``name`` is for people: the folder's name is the collection's, so a copied folder is a collection of its own.
``replaces``, where present, names the collection that this one is about to replace (see ``folders.py``).
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from errno import EDQUOT, ENOSPC
from typing import TYPE_CHECKING

from sift_rag.errors import StoreConflict, StoreDamaged, StoreError, StoreFull
from sift_rag.types import CollectionInfo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA_VERSION = 2
"""Version of the folder's layout and the payload. Rises with each change that older code would misread or miswrite."""

MANIFEST = "manifest.json"
DOCUMENTS = "documents.sqlite"
SHARD = "shard"
LOCK = "lock"

_FORMAT = "sift-rag collection"


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest as read."""

    info: CollectionInfo
    replaces: str | None = None


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a folder, of any schema version; ``check_schema`` tells if it can be used.

    Raises:
        StoreConflict: the folder is not one of ours.
        StoreDamaged: it is, but its manifest is missing or unreadable.
    """
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        if (folder / SHARD).exists() or (folder / DOCUMENTS).exists():
            raise StoreDamaged(
                f"The collection in {folder} has lost its {MANIFEST}. Restore that file from a backup, or remove "
                "the folder and ingest again."
            ) from error
        raise StoreConflict(
            f"{folder} is not a collection of sift-rag: it has no {MANIFEST}. Choose another collection or store."
        ) from error
    except (OSError, ValueError, RecursionError) as error:  # lists nested thousands deep
        raise StoreDamaged(
            f"{path} cannot be read ({error}). Restore it from a backup, or remove the folder and ingest again."
        ) from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise StoreConflict(f"{path} was not written by sift-rag. Choose another collection or store.")
    match content:
        case {"schema_version": int(version), "embedder": str(embedder), "dimension": int(dimension)} if dimension > 0:
            replaces = content.get("replaces")
            return Manifest(
                CollectionInfo(folder.name, embedder, dimension, version, str(content.get("splitter", ""))),
                replaces if isinstance(replaces, str) else None,
            )
        case _:
            raise StoreDamaged(
                f"{path} lacks the schema version, the embedder or the dimension. Restore it from a backup, or "
                "remove the folder and ingest again."
            )


def check_schema(folder: Path, info: CollectionInfo) -> None:
    """Raise ``StoreConflict`` unless this version of sift-rag can use the collection."""
    if not 1 <= info.schema_version <= SCHEMA_VERSION:
        raise StoreConflict(
            f"The collection '{info.name}' in {folder.parent} has the schema version {info.schema_version}, but this "
            f"sift-rag reads versions 1 to {SCHEMA_VERSION}. Use the version that wrote it, or ingest again into "
            "another collection."
        )


def write_manifest(folder: Path, info: CollectionInfo, *, replaces: str | None = None) -> None:
    """Write or replace the manifest in one step: after a crash it is the old or the new one."""
    content: dict[str, object] = {"format": _FORMAT, **asdict(info)}
    if replaces is not None:
        content["replaces"] = replaces
    draft = folder / f"{MANIFEST}.draft"
    with os_errors(draft), draft.open("w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, indent=2)
        file.flush()
        os.fsync(file.fileno())
    with os_errors(folder):
        draft.replace(folder / MANIFEST)
        sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Make the folder's entries durable, which the fsync of a file in it does not."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def os_errors(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` about ``path`` into a ``StoreError``."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in {ENOSPC, EDQUOT}:
            raise StoreFull(f"{path} could not be written: {reason}. Free some space and try again.") from error
        raise StoreError(f"{path} cannot be used as a store: {reason}. Check the path and its permissions.") from error
