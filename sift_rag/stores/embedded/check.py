"""Check a collection on disk and describe its problems, without repairing them."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np

from sift_rag.errors import StoreDamaged, StoreError, StoreFull
from sift_rag.stores.audit import Audit
from sift_rag.stores.consistency import abridged, inconsistencies
from sift_rag.stores.embedded.documents import recorded_documents
from sift_rag.stores.embedded.engine import load_shard, shard_dimension
from sift_rag.stores.embedded.folders import lock_collection
from sift_rag.stores.embedded.manifest import SHARD, check_schema, contradictions, read_manifest
from sift_rag.stores.embedded.probe import probe_shard
from sift_rag.stores.embedded.seal import break_seal, write_seal
from sift_rag.stores.payloads import EMBEDDING_TEXT, SOURCE
from sift_rag.stores.waiting import NO_WAIT, Wait

if TYPE_CHECKING:
    from collections import Counter
    from pathlib import Path

    from sift_rag.stores.embedded.engine import PassageShard

_NORM_TOLERANCE = 1e-3
_CHECK_TOLERANCE = 1e-5
"""The engine normalises a vector again, in single precision."""


def check_collection(root: Path, name: str, wait: Wait = NO_WAIT) -> list[str]:
    """Return a collection's problems, a sentence each; empty if it is healthy.

    Reads every record and every passage: some seconds for 50,000 passages. The one side effect: the engine
    replays its log, as whenever the collection is opened.

    Raises:
        CollectionNotFound: there is none of that name.
        StoreInUse: a process has it open for longer than ``wait``.
        StoreFull: too little space is left on the disk to open it.
        StoreConflict: the folder is no collection, or one of a newer schema.
    """
    label = f"The collection '{name}' in {root}"
    with ExitStack() as opened:
        folder, lock = lock_collection(root, name, wait)
        opened.callback(lock.release)
        problems: list[str] = []
        dimension = shard_dimension(folder / SHARD)
        try:
            info = read_manifest(folder).info
        except StoreDamaged as error:
            problems.append(str(error))
        else:
            check_schema(folder, info)
            dimension = dimension or info.dimension
            problems += contradictions(folder, dimension)
        documents = recorded_documents(folder, name, problems)
        if not _readable(folder, label, lock.signed, problems):
            return problems
        try:
            shard = load_shard(folder / SHARD, label)
        except StoreFull:  # no fault of the collection
            raise
        except StoreError as error:
            return [*problems, str(error)]
        opened.callback(shard.close)
        try:
            counts = _check_passages(shard, dimension, problems)
        except StoreError as error:
            return [*problems, str(error)]
        if documents is not None:
            problems += abridged(inconsistencies(documents, counts))
        if not problems:
            shard.close()
            write_seal(folder, lock.words)
    return problems


def _readable(folder: Path, label: str, signed: str, problems: list[str]) -> bool:
    """Return True if the engine can be asked: some damage kills the process that it runs in."""
    try:
        if break_seal(folder, label, signed):
            return True
    except StoreDamaged as error:
        problems.append(str(error))
    reason = probe_shard(folder / SHARD)
    if reason is not None:
        problems.append(f"{label} cannot be read: {reason}.")
    return reason is None


def _check_passages(shard: PassageShard, dimension: int | None, problems: list[str]) -> Counter[str]:
    """Return the number of passages of each source; problems are appended to ``problems``."""
    audit = Audit(dimension, norm_tolerance=_NORM_TOLERANCE, check_tolerance=_CHECK_TOLERANCE)
    total = 0
    for point in shard.points():
        total += 1
        audit.add(point.id, point.payload, np.frombuffer(point.vector, np.float32))
    if total != shard.count():
        problems.append(f"The engine counts {shard.count()} passages, but hands out {total}.")
    missing = shard.missing_indexes([SOURCE, EMBEDDING_TEXT])
    if missing:
        problems.append(f"The payload has no index for {', '.join(missing)}.")
    problems += audit.problems()
    return audit.counts
