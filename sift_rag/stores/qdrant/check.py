"""Check a collection on a server and describe its problems, without repairing them."""

from __future__ import annotations

from collections import Counter

from qdrant_client import models

from sift_rag.errors import CollectionNotFound, StoreDamaged
from sift_rag.stores.audit import Audit
from sift_rag.stores.consistency import abridged, inconsistencies
from sift_rag.stores.payloads import KEYWORD_FIELDS
from sift_rag.stores.qdrant import collections
from sift_rag.stores.qdrant.collections import CollectionRef
from sift_rag.stores.qdrant.connection import Connection
from sift_rag.stores.qdrant.documents import QdrantDocuments
from sift_rag.stores.qdrant.transports import count, scroll, transport_for
from sift_rag.stores.qdrant.words import has_words, without_words
from sift_rag.types import Document

_PAGE = 500
_NORM_TOLERANCE = 1e-2
"""Allowed deviation of a norm from 1: float16 keeps 11 bits of a number."""
_CHECK_TOLERANCE = 5e-4
"""Allowed deviation of a checksum, for the same reason."""


def check_collection(connection: Connection, name: str) -> list[str]:
    """Return a collection's problems, a sentence each; empty if it is healthy. Reads every record and passage.

    Raises:
        CollectionNotFound: there is none of that name.
        StoreConflict: another tool made it, or another version.
    """
    try:
        ref, info = collections.find_own(connection, name)
    except StoreDamaged as error:
        return [str(error)]
    problems = [*_server_problems(ref), *_replica_problems(connection, ref)]
    documents: list[Document] | None = None
    try:
        documents = list(QdrantDocuments(connection, ref, info).documents())
    except (CollectionNotFound, StoreDamaged) as error:
        problems.append(f"The records of documents cannot be read: {error}")
    counts, findings = _check_passages(connection, ref)
    problems += findings
    if documents is not None:
        problems += abridged(inconsistencies(documents, counts))
    problems += _word_problems(connection, ref)
    leftovers = [other for other in collections.generations(connection, name) if other != ref.physical]
    return problems + [
        f"'{other}' exists beside '{ref.physical}': a re-index is under way, or was interrupted; the next one uses "
        "or removes it."
        for other in leftovers
    ]


def _server_problems(ref: CollectionRef) -> list[str]:
    problems = []
    match ref.state.status:
        case models.CollectionStatus.RED:
            problems.append("The server reports the collection as broken (status red): its log tells why.")
        case models.CollectionStatus.GREY:
            problems.append(
                "The server has not optimised the collection since it started (status grey): the next write starts it."
            )
        case _:  # yellow is work in progress
            pass
    if not isinstance(ref.state.optimizer_status, models.OptimizersStatusOneOf):
        problems.append("The server's optimiser reports an error: its log tells why.")
    missing = [field for field in KEYWORD_FIELDS if field not in (ref.state.payload_schema or {})]
    if missing:
        problems.append(f"The payload has no index for {', '.join(missing)}: filters are slow.")
    return problems


def _word_problems(connection: Connection, ref: CollectionRef) -> list[str]:
    if not has_words(ref.state.config):
        return []  # made by an earlier version: not a problem, and ``status`` reports it
    missing = count(connection, ref.target, without_words())
    return [f"Passages whose words are not indexed: {missing}. Optimize the collection."] if missing else []


def _replica_problems(connection: Connection, ref: CollectionRef) -> list[str]:
    info = connection.call(
        lambda: connection.client.collection_cluster_info(ref.physical), f"The collection '{ref.name}'"
    )
    replicas = [*((shard.shard_id, shard.state) for shard in info.local_shards)]
    replicas += [(shard.shard_id, shard.state) for shard in info.remote_shards]
    return [
        f"A replica of shard {shard} is not active but {state.value.lower()}."
        for shard, state in replicas
        if state is not models.ReplicaState.ACTIVE
    ]


def _check_passages(connection: Connection, ref: CollectionRef) -> tuple[Counter[str], list[str]]:
    """Return the number of passages of each source, and the problems of some."""
    transport = transport_for(connection, ref.target)
    audit = Audit(ref.target.dimension, norm_tolerance=_NORM_TOLERANCE, check_tolerance=_CHECK_TOLERANCE)
    for page in scroll(transport, payload=True, vectors=True, page=_PAGE):
        for identifier, payload, row in zip(page.ids, page.payloads, page.vectors, strict=True):
            audit.add(str(identifier), payload, row)
    return audit.counts, audit.problems()
