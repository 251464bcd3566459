"""Collections on a server: their names and metadata; create, replace and drop them.

    news                   an alias: the name that people use; it moves from one generation to the next atomically
    news@0                 passages with their vectors and words; ``metadata`` describes the collection
    news@0.documents       the records of its documents: points without vectors, in one shard

No collection's name contains ``@``, so names cannot collide. A generation without an alias is being built, or was left
behind by a process that was killed; it is not listed.

The server lets only one of two processes create a collection of one name, and every other step can be repeated. So
processes that create ``news`` at the same time get the same one: the first generation always has the same name.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from qdrant_client import models

from sift_rag.errors import CollectionNotFound, ConfigurationError, Remedy, StoreConflict, StoreDamaged
from sift_rag.stores.embedded.folders import check_name
from sift_rag.stores.embedded.manifest import SCHEMA_VERSION
from sift_rag.stores.payloads import KEYWORD_FIELDS
from sift_rag.stores.qdrant.connection import Connection
from sift_rag.stores.qdrant.options import ServerOptions
from sift_rag.stores.qdrant.transport import Target, limits_of
from sift_rag.stores.qdrant.transports import count
from sift_rag.stores.qdrant.words import index_params
from sift_rag.stores.validation import check_info
from sift_rag.suggestions import suggestion
from sift_rag.types import CollectionInfo

_FORMAT = "sift-rag collection"
_GENERATION = re.compile(r"(?P<name>[^@]+)@(?P<number>\d{1,9})")
_DOCUMENTS = ".documents"


@dataclass(frozen=True, slots=True)
class CollectionRef:
    """A collection on a server."""

    name: str
    """Name as requested."""
    physical: str
    """Name of the collection behind the alias, or the same."""
    state: models.CollectionInfo
    """Configuration and status, as reported by the server."""
    info: CollectionInfo | None
    """Description of the collection; None if another tool made it."""

    @property
    def documents(self) -> str:
        """Name of the collection of its documents' records."""
        return self.physical + _DOCUMENTS

    @property
    def target(self) -> Target:
        """Target of reads and writes of the passages of a collection of ours."""
        dimension = self.info.dimension if self.info else 0
        return Target(self.physical, _label(self.name), dimension, limits=limits_of(self.state.config), own=True)


def find(connection: Connection, name: str) -> CollectionRef:
    """Return the collection of that name, whichever tool made it.

    Raises:
        CollectionNotFound: there is none.
        StoreDamaged: it is ours, but its metadata is incomplete.
    """
    try:
        physical = aliases(connection).get(name, name)
    except ConfigurationError:  # a key for this one collection may not list any
        physical = name
    try:
        state = _state(connection, physical, name)
    except CollectionNotFound as error:
        there = [info.name for info in list_own(connection)]
        names = ", ".join(map(repr, there)) or "none"
        raise CollectionNotFound(
            f"There is no collection '{name}' on {connection.where} (there: {names}).{suggestion(name, there)}",
            remedy=Remedy("collection-not-found"),
        ) from error
    return CollectionRef(name, physical, state, _info(name, state))


def find_damaged(connection: Connection, name: str) -> CollectionRef:
    """Return a collection of ours whose metadata are incomplete."""
    physical = aliases(connection).get(name, name)
    return CollectionRef(name, physical, _state(connection, physical, name), None)


def readable(connection: Connection, ref: CollectionRef) -> CollectionInfo:
    """Return the description of a collection that this version made.

    Raises:
        StoreConflict: another tool made it, or another version.
    """
    if ref.info is None:
        raise StoreConflict(
            f"The collection '{ref.name}' on {connection.where} was made by another tool: it can be searched, but "
            "not written, replaced or checked.",
            remedy=Remedy("collection-of-another-tool"),
        )
    if ref.info.schema_version != SCHEMA_VERSION:
        raise StoreConflict(
            f"The collection '{ref.name}' on {connection.where} has the schema version {ref.info.schema_version}, "
            f"but this sift-rag writes and reads version {SCHEMA_VERSION}. Use the version that wrote it, or ingest "
            "again into another collection."
        )
    return ref.info


def find_own(connection: Connection, name: str) -> tuple[CollectionRef, CollectionInfo]:
    """Return the collection of that name, made by this version; raises as ``find`` and ``readable`` do."""
    ref = find(connection, name)
    return ref, readable(connection, ref)


def list_own(connection: Connection) -> list[CollectionInfo]:
    """Return the collections that this library made, by name, without those being built."""
    infos = []
    for alias, physical in sorted(aliases(connection).items()):
        match = _GENERATION.fullmatch(physical)
        if match is None or match["name"] != alias:
            continue
        try:
            info = _info(alias, _state(connection, physical, alias))
        except (CollectionNotFound, StoreDamaged):  # dropped just now; or reported when it is opened by its name
            continue
        if info is not None:
            infos.append(info)
    return infos


def aliases(connection: Connection) -> dict[str, str]:
    """Return the collection behind each alias."""
    listed = connection.call(connection.client.get_aliases, "The list of aliases")
    return {entry.alias_name: entry.collection_name for entry in listed.aliases}


def create(connection: Connection, info: CollectionInfo, options: ServerOptions) -> None:
    """Create an empty collection, with its indexes.

    ``info.name`` may be that of a generation to be built, which then gets no alias yet.

    Raises:
        StoreConflict: the name is taken.
        ValueError: ``info`` cannot be that of a collection.
    """
    check_info(info)
    if info.schema_version != SCHEMA_VERSION:
        raise ValueError(f"Collections are written in schema version {SCHEMA_VERSION}, not {info.schema_version}.")
    generation = _GENERATION.fullmatch(info.name)
    check_name(generation["name"] if generation else info.name)
    physical = info.name if generation else f"{info.name}@0"
    if generation is None:
        check_free(connection, info.name)
    if not _create(connection, physical, _passages(info, options)):
        _reuse_or_recreate(connection, info, physical, options)
    if not _create(connection, physical + _DOCUMENTS, _documents(physical, options)):
        _clear_leftover_records(connection, info.name, physical, options)
    for field in KEYWORD_FIELDS:
        _index(connection, physical, field, info.name)
    if generation is None:
        _switch(connection, info.name, physical)


def building_name(connection: Connection, name: str) -> str:
    """Return the name of the next generation, which is not listed until it replaces the current one."""
    check_name(name)
    match = _GENERATION.fullmatch(aliases(connection).get(name, ""))
    return f"{name}@{int(match['number']) + 1 if match else 1}"


def replace(connection: Connection, name: str, replacement: str) -> None:
    """Let a generation that was built replace the collection atomically, then remove earlier generations.

    Raises:
        CollectionNotFound: there is no ``replacement``.
        ValueError: it is not a generation of this collection.
    """
    match = _GENERATION.fullmatch(replacement)
    if match is None or match["name"] != name:
        raise ValueError(f"{replacement!r} was not built to replace {name!r}: expected a name that building_name gave.")
    find_own(connection, replacement)
    _switch(connection, name, replacement)
    for leftover in generations(connection, name):
        if int(leftover.partition("@")[2]) < int(match["number"]):
            _remove(connection, leftover)


def drop(connection: Connection, name: str) -> None:
    """Remove a collection of ours, atomically for readers, and anything built to replace it.

    Raises:
        CollectionNotFound: there is none of that name.
        StoreConflict: another tool made it; it is left alone.
    """
    ref = find(connection, name)
    if ref.info is None:
        raise StoreConflict(
            f"The collection '{name}' on {connection.where} was made by another tool, which alone removes it."
        )
    if ref.physical == name:  # a generation that was being built
        _remove(connection, name)
        return
    forget = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=name))
    connection.call(lambda: connection.client.update_collection_aliases([forget]), _label(name))
    for generation in generations(connection, name):
        _remove(connection, generation)


def generations(connection: Connection, name: str) -> list[str]:
    """Return all generations of this name, with an alias or without, oldest first."""
    listed = connection.call(connection.client.get_collections, "The list of collections")
    found = [_GENERATION.fullmatch(entry.name) for entry in listed.collections]
    numbers = sorted(int(match["number"]) for match in found if match and match["name"] == name)
    return [f"{name}@{number}" for number in numbers]


def _label(name: str) -> str:
    return f"The collection '{name}'"


def _state(connection: Connection, physical: str, name: str) -> models.CollectionInfo:
    return connection.call(lambda: connection.client.get_collection(physical), _label(name))


def _info(name: str, state: models.CollectionInfo) -> CollectionInfo | None:
    metadata = state.config.metadata or {}
    if metadata.get("format") != _FORMAT:
        return None
    match metadata:
        case {"schema_version": int(version), "embedder": str(embedder), "dimension": int(dimension)}:
            splitter, precision = (str(metadata.get(key) or "") for key in ("splitter", "precision"))
            return CollectionInfo(name, embedder, dimension, version, splitter, precision)
        case _:
            raise StoreDamaged(
                f"The metadata of the collection '{name}' lack the schema version, the embedder or the dimension: "
                "another program has changed them.",
                remedy=Remedy("reindex"),
            )


def _passages(info: CollectionInfo, options: ServerOptions) -> dict[str, Any]:
    # The vectors have norm 1, so their product is the cosine; and as the server does not normalise for this distance,
    # they come back bit for bit.
    vectors = models.VectorParams(
        size=info.dimension,
        distance=models.Distance.DOT,
        on_disk=options.on_disk or None,
        datatype=models.Datatype.FLOAT16 if options.float16 else None,
    )
    quantization = models.ScalarQuantization(
        scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, always_ram=True)
    )
    match = _GENERATION.fullmatch(info.name)
    return {
        "vectors_config": vectors,
        "sparse_vectors_config": index_params(on_disk=options.on_disk),
        "shard_number": options.shard_number,
        "quantization_config": quantization if options.quantize else None,
        "metadata": {
            "format": _FORMAT,
            "schema_version": info.schema_version,
            "name": match["name"] if match else info.name,
            "embedder": info.embedder,
            "dimension": info.dimension,
            "splitter": info.splitter,
            "precision": info.precision,
        },
        **_replication(options),
    }


def _documents(physical: str, options: ServerOptions) -> dict[str, Any]:
    metadata = {"format": "sift-rag documents", "schema_version": SCHEMA_VERSION, "of": physical}
    # In one shard, a request that writes many records is one entry in one log: all of them or none.
    return {"vectors_config": {}, "shard_number": 1, "metadata": metadata, **_replication(options)}


def _replication(options: ServerOptions) -> dict[str, Any]:
    return {
        "replication_factor": options.replication_factor,
        "write_consistency_factor": options.write_consistency_factor,
    }


def _create(connection: Connection, physical: str, config: dict[str, Any]) -> bool:
    """Create it; return False if there already is one of that name."""
    try:
        connection.call(
            lambda: connection.client.create_collection(physical, timeout=connection.timeout, **config),
            _label(physical),
        )
    except StoreConflict:
        return False
    return True


def _index(connection: Connection, physical: str, field: str, name: str) -> None:
    kind = models.PayloadSchemaType.KEYWORD
    connection.call(
        lambda: connection.client.create_payload_index(physical, field, field_schema=kind, wait=True), _label(name)
    )


def check_free(connection: Connection, name: str) -> None:
    """Raise ``StoreConflict`` if the name is taken."""
    if name in aliases(connection) or connection.call(lambda: connection.client.collection_exists(name), _label(name)):
        raise StoreConflict(
            f"There is already a collection '{name}' on {connection.where}. Open it, drop it, or choose another name."
        )


def _reuse_or_recreate(connection: Connection, info: CollectionInfo, physical: str, options: ServerOptions) -> None:
    """Accept an empty generation without an alias that another process is creating too; recreate a leftover.

    The alias is set before anything is written. So a generation with points and without an alias was left by a process
    that died dropping it.
    """
    if _GENERATION.fullmatch(info.name):
        raise StoreConflict(f"{_label(info.name)} on {connection.where} is being built already. Open it.")
    held = _info(info.name, _state(connection, physical, info.name))
    empty = count(connection, Target(physical, _label(info.name))) == 0
    if info.name in aliases(connection):
        raise StoreConflict(
            f"Another process has just created {_label(info.name).lower()} on {connection.where}. Open it."
        )
    if empty and held == info:
        return
    _remove(connection, physical)
    _create(connection, physical, _passages(info, options))


def _clear_leftover_records(connection: Connection, name: str, physical: str, options: ServerOptions) -> None:
    """Recreate records whose passages are gone. Nothing is written before the alias is set, so they are of no use.

    They are counted before the alias is looked for: another process that creates the collection now sets it first.
    """
    if not count(connection, Target(physical + _DOCUMENTS, _label(name))) or name in aliases(connection):
        return
    connection.call(partial(connection.client.delete_collection, physical + _DOCUMENTS), _label(name))
    _create(connection, physical + _DOCUMENTS, _documents(physical, options))


def _switch(connection: Connection, name: str, physical: str) -> None:
    """Point the alias to this generation, atomically, whether it existed or not."""
    operations: list[Any] = []
    if name in aliases(connection):
        operations.append(models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=name)))
    operations.append(
        models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name=physical, alias_name=name))
    )
    connection.call(lambda: connection.client.update_collection_aliases(operations), _label(name))


def _remove(connection: Connection, physical: str) -> None:
    for collection in (physical, physical + _DOCUMENTS):
        with suppress(CollectionNotFound):  # gone already
            connection.call(partial(connection.client.delete_collection, collection), _label(collection))
