"""``manifest.json``, the description of a collection. A folder with one is a collection; no other folder is.

    {"format": "sift-rag collection", "schema_version": 2, "name": "news", "embedder": "all-MiniLM-L6-v2",
     "dimension": 384}

``name`` is for people: the folder's name is the collection's, so a copied folder is a collection of its own.
``replaces``, where present, names the collection that this one is about to replace (see ``folders.py``).
"""

from __future__ import annotations

import json
import os
import re
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from errno import EDQUOT, ENOSPC
from typing import TYPE_CHECKING

from sift_rag.errors import Remedy, StoreConflict, StoreDamaged, StoreError, StoreFull
from sift_rag.types import CollectionInfo
from sift_rag.user_cache import sync

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA_VERSION = 2
"""Version of the folder's layout and the payload. Rises with each change that older code would misread or miswrite."""

MANIFEST = "manifest.json"
DOCUMENTS = "documents.sqlite"
SHARD = "shard"
LOCK = "lock"
READERS = "readers"

_FORMAT = "sift-rag collection"
_WAYS_OUT = "Restore it from a backup, or index the collection anew."
_SPLITTER = re.compile(r"\d+(/\d+)*")


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
                f"The collection in {folder} has lost its {MANIFEST}. {_WAYS_OUT}", remedy=Remedy("reindex")
            ) from error
        raise StoreConflict(
            f"{folder} is not a collection of sift-rag: it has no {MANIFEST}. Choose another collection or store."
        ) from error
    except (OSError, ValueError, RecursionError) as error:  # lists nested thousands deep
        raise StoreDamaged(f"{path} cannot be read ({error}). {_WAYS_OUT}", remedy=Remedy("reindex")) from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        if (folder / SHARD / "segments").is_dir() and (folder / DOCUMENTS).is_file():
            raise StoreDamaged(f"{path} does not describe a collection. {_WAYS_OUT}", remedy=Remedy("reindex"))
        raise StoreConflict(f"{path} was not written by sift-rag. Choose another collection or store.")
    match content:
        case {"schema_version": int(version), "embedder": str(embedder), "dimension": int(dimension)} if (
            version > 0 and embedder and dimension > 0
        ):
            replaces = content.get("replaces")
            splitter, precision = (str(content.get(key, "")) for key in ("splitter", "precision"))
            return Manifest(
                CollectionInfo(folder.name, embedder, dimension, version, splitter, precision),
                replaces if isinstance(replaces, str) else None,
            )
        case _:
            raise StoreDamaged(
                f"{path} lacks the schema version, the embedder or the dimension. {_WAYS_OUT}",
                remedy=Remedy("reindex"),
            )


def contradictions(folder: Path, dimension: int | None) -> list[str]:
    """Return what cannot be true in a manifest that can be read, a sentence each.

    Args:
        folder: the collection's.
        dimension: the engine's; None if unknown.
    """
    content = json.loads((folder / MANIFEST).read_bytes())
    found = []
    if dimension not in {None, content["dimension"]}:
        found.append(f"vectors of {content['dimension']} dimensions, but the engine keeps {dimension}")
    name = content.get("name", folder.name)
    if not (isinstance(name, str) and name.strip()):
        found.append(f"the name {name!r}")
    splitter = content.get("splitter", "")
    if not (isinstance(splitter, str) and (not splitter or _SPLITTER.fullmatch(splitter))):
        found.append(f"the splitter {splitter!r}")
    return [f"{folder / MANIFEST} contradicts itself or the collection: it states {fact}." for fact in found]


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
        sync(folder)


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
