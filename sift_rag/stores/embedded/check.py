"""Check a collection on disk and describe its problems, without repairing them."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np

from sift_rag.errors import StoreConflict, StoreDamaged, StoreError, StoreFull
from sift_rag.stores.consistency import abridged, inconsistencies
from sift_rag.stores.embedded.documents import connect_documents
from sift_rag.stores.embedded.engine import load_shard
from sift_rag.stores.embedded.folders import lock_collection
from sift_rag.stores.embedded.manifest import SHARD, check_schema, read_manifest
from sift_rag.stores.payloads import passage_of
from sift_rag.types import CollectionInfo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sift_rag.stores.embedded.engine import PassageShard, StoredPoint
    from sift_rag.types import Document

_NORM_TOLERANCE = 1e-3


def check_collection(root: Path, name: str) -> list[str]:
    """Return a collection's problems, a sentence each; empty if it is healthy.

    Reads every record and every passage: some seconds for 50,000 passages. The one side effect: the engine
    replays its log, as whenever the collection is opened.

    Raises:
        CollectionNotFound: there is none of that name.
        StoreInUse: a process has it open.
        StoreFull: too little space is left on the disk to open it.
        StoreConflict: the folder is no collection, or one of a newer schema.
    """
    with ExitStack() as opened:
        folder, lock = lock_collection(root, name)
        opened.callback(lock.release)
        problems: list[str] = []
        info: CollectionInfo | None = None
        try:
            info = read_manifest(folder).info
        except StoreDamaged as error:
            problems.append(str(error))
        else:
            check_schema(folder, info)
        documents = _check_documents(folder, name, problems)
        try:
            shard = load_shard(folder / SHARD, f"The collection '{name}' in {root}")
        except StoreFull:  # no fault of the collection
            raise
        except StoreError as error:
            return [*problems, str(error)]
        opened.callback(shard.close)
        try:
            counts = _check_passages(shard, None if info is None else info.dimension, problems)
        except StoreError as error:
            return [*problems, str(error)]
    if documents is not None:
        problems += abridged(inconsistencies(documents, counts))
    return problems


def _check_documents(folder: Path, name: str, problems: list[str]) -> list[Document] | None:
    """Return all records, or None if they cannot be read; problems are appended to ``problems``."""
    try:
        records = connect_documents(folder, CollectionInfo(name, "", 0, 0), read_only=True)
    except (StoreDamaged, StoreConflict) as error:
        problems.append(str(error))
        return None
    try:
        problems += [f"The records of documents are damaged: {finding}." for finding in records.problems()]
        return list(records.documents())
    except StoreError as error:
        problems.append(str(error))
        return None
    finally:
        records.close()


def _check_passages(shard: PassageShard, dimension: int | None, problems: list[str]) -> Counter[str]:
    """Return the number of passages of each source; problems are appended to ``problems``."""
    counts: Counter[str] = Counter()
    found: list[str] = []
    total = 0
    for point in shard.points():
        total += 1
        try:
            counts[passage_of(point.id, point.payload).source] += 1
        except (KeyError, TypeError, ValueError):
            found.append(f"Passage {point.id} was not written by sift-rag, or its content is damaged.")
        found += _check_vector(point, dimension)
    if total != shard.count():
        problems.append(f"The engine counts {shard.count()} passages, but hands out {total}.")
    problems += abridged(found)
    return counts


def _check_vector(point: StoredPoint, dimension: int | None) -> Iterator[str]:
    vector = np.asarray(point.vector, dtype=np.float64)
    if dimension is not None and len(vector) != dimension:
        yield f"The vector of passage {point.id} has {len(vector)} dimensions, but the manifest says {dimension}."
    if not np.isfinite(vector).all():
        yield f"The vector of passage {point.id} is not finite."
    elif abs(np.linalg.norm(vector) - 1) > _NORM_TOLERANCE:
        yield f"The vector of passage {point.id} has norm {np.linalg.norm(vector):.3g} instead of 1."
