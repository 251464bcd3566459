"""What is wrong with a collection on a server, in words. Nothing is repaired."""

from __future__ import annotations

from collections import Counter

import numpy as np
from qdrant_client import models

from sift_rag.errors import CollectionNotFound, StoreDamaged
from sift_rag.stores.consistency import disagreements, spelt_out
from sift_rag.stores.payloads import KEYWORD_FIELDS, passage_of
from sift_rag.stores.qdrant import collections
from sift_rag.stores.qdrant.collections import Found
from sift_rag.stores.qdrant.connection import Connection
from sift_rag.stores.qdrant.documents import QdrantDocuments
from sift_rag.stores.qdrant.transport import Target, limits_of, transport_for
from sift_rag.types import CollectionInfo, Document

_PAGE = 500
_NORM_TOLERANCE = 1e-2
"""float16 keeps 11 bits of a number."""


def examine(connection: Connection, name: str) -> list[str]:
    """All that is wrong with a collection, a sentence each; empty if it is healthy. Reads every record and passage.

    Raises:
        CollectionNotFound: there is none of that name.
        StoreConflict: another tool made it, or another version.
    """
    try:
        found, info = collections.find_own(connection, name)
    except StoreDamaged as error:
        return [str(error)]
    problems = [*_of_the_server(found), *_of_replicas(connection, found)]
    documents: list[Document] | None = None
    try:
        documents = list(QdrantDocuments(connection, found.documents, info, limits_of(found.state.config)).documents())
    except (CollectionNotFound, StoreDamaged) as error:
        problems.append(f"The records of documents cannot be read: {error}")
    counts, findings = _passages(connection, found, info)
    problems += spelt_out(findings)
    if documents is not None:
        problems += spelt_out(disagreements(documents, counts))
    leftovers = [other for other in collections.generations(connection, name) if other != found.physical]
    return problems + [
        f"'{other}' is there beside '{found.physical}': a re-index is under way, or was interrupted; the next one uses "
        "or removes it."
        for other in leftovers
    ]


def _of_the_server(found: Found) -> list[str]:
    problems = []
    match found.state.status:
        case models.CollectionStatus.RED:
            problems.append("The server says that the collection is broken (status red): its log says why.")
        case models.CollectionStatus.GREY:
            problems.append(
                "The server has not optimised the collection since it started (status grey): it does at the next write."
            )
        case _:  # yellow is work in progress
            pass
    if not isinstance(found.state.optimizer_status, models.OptimizersStatusOneOf):
        problems.append("The server's optimiser is in trouble: its log says why.")
    missing = [field for field in KEYWORD_FIELDS if field not in (found.state.payload_schema or {})]
    if missing:
        problems.append(f"The payload has no index for {', '.join(missing)}: filters are slow.")
    return problems


def _of_replicas(connection: Connection, found: Found) -> list[str]:
    info = connection.call(
        lambda: connection.client.collection_cluster_info(found.physical), f"The collection '{found.name}'"
    )
    replicas = [*((shard.shard_id, shard.state) for shard in info.local_shards)]
    replicas += [(shard.shard_id, shard.state) for shard in info.remote_shards]
    return [
        f"A replica of shard {shard} is not active but {state.value.lower()}."
        for shard, state in replicas
        if state is not models.ReplicaState.ACTIVE
    ]


def _passages(connection: Connection, found: Found, info: CollectionInfo) -> tuple[Counter[str], list[str]]:
    """Passages of each source, counted one by one, and what is wrong with some."""
    transport = transport_for(
        connection,
        Target(found.physical, f"The collection '{found.name}'", info.dimension, limits=limits_of(found.state.config)),
    )
    counts: Counter[str] = Counter()
    findings: list[str] = []
    start = None
    while True:
        page, start = transport.scroll(_PAGE, start=start, payload=True, vectors=True)
        for identifier, payload in zip(page.ids, page.payloads, strict=True):
            try:
                counts[passage_of(str(identifier), payload).source] += 1
            except (KeyError, TypeError, ValueError):
                findings.append(f"Passage {identifier} was not written by sift-rag, or its content is damaged.")
        norms = np.linalg.norm(page.vectors.astype(np.float64), axis=1)
        findings += [
            f"The vector of passage {page.ids[place]} has norm {norms[place]:.3g} instead of 1."
            for place in np.flatnonzero(~(np.abs(norms - 1) <= _NORM_TOLERANCE))
        ]
        if start is None:
            return counts, findings
