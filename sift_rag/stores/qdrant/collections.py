"""What a collection is called on a server, what it says of itself, how it is made, replaced and dropped.

    news                   an alias: what people call it; it moves from one generation to the next in one step
    news@0                 passages with their vectors; ``metadata`` says what they were made with
    news@0.documents       the records of its documents: points without vectors, in one shard

``@`` is in no collection's name, so names cannot meet. A generation without an alias is being built, or was left behind
by a process that was killed; it is in nobody's list.

The server lets only one of two processes make a collection of one name, and every other step can be repeated. So
processes that make ``news`` at the same time end with the same one: the first generation always has the same name.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from qdrant_client import models

from sift_rag.errors import CollectionNotFound, ConfigurationError, StoreConflict, StoreDamaged
from sift_rag.stores.embedded.folders import check_name
from sift_rag.stores.embedded.manifest import SCHEMA_VERSION
from sift_rag.stores.payloads import KEYWORD_FIELDS
from sift_rag.stores.qdrant.connection import Connection
from sift_rag.stores.qdrant.options import ServerOptions
from sift_rag.stores.qdrant.transport import Target, count
from sift_rag.stores.validation import check_info
from sift_rag.types import CollectionInfo

_FORMAT = "sift-rag collection"
_GENERATION = re.compile(r"(?P<name>[^@]+)@(?P<number>\d{1,9})")
_DOCUMENTS = ".documents"


@dataclass(frozen=True, slots=True)
class Found:
    """A collection on a server."""

    name: str
    """As it was asked for."""
    physical: str
    """What the alias stands for, or the same."""
    state: models.CollectionInfo
    info: CollectionInfo | None
    """None if another tool made it."""

    @property
    def documents(self) -> str:
        """The collection of its documents' records."""
        return self.physical + _DOCUMENTS


def find(connection: Connection, name: str) -> Found:
    """The collection of that name, whoever made it.

    Raises:
        CollectionNotFound: there is none.
        StoreDamaged: it is ours, but does not say what it was made with.
    """
    try:
        physical = aliases(connection).get(name, name)
    except ConfigurationError:  # a key for this one collection alone may not list any
        physical = name
    try:
        state = _state(connection, physical, name)
    except CollectionNotFound as error:
        names = ", ".join(repr(info.name) for info in list_own(connection)) or "none"
        raise CollectionNotFound(
            f"There is no collection '{name}' on {connection.where} (there: {names}). Make it with sift-rag ingest, or "
            "name another."
        ) from error
    return Found(name, physical, state, _info(name, state))


def readable(connection: Connection, found: Found) -> CollectionInfo:
    """What a collection says of itself, if this version made it.

    Raises:
        StoreConflict: another tool made it, or another version.
    """
    if found.info is None:
        raise StoreConflict(
            f"The collection '{found.name}' on {connection.where} was made by another tool: it can be searched, but "
            "not written, replaced or examined. Ingest into a collection of another name."
        )
    if found.info.schema_version != SCHEMA_VERSION:
        raise StoreConflict(
            f"The collection '{found.name}' on {connection.where} has the schema version {found.info.schema_version}, "
            f"but this sift-rag writes and reads version {SCHEMA_VERSION}. Use the sift-rag that wrote it, or ingest "
            "again into another collection."
        )
    return found.info


def find_own(connection: Connection, name: str) -> tuple[Found, CollectionInfo]:
    """The collection of that name, made by this version; raises as ``find`` and ``readable`` do."""
    found = find(connection, name)
    return found, readable(connection, found)


def list_own(connection: Connection) -> list[CollectionInfo]:
    """The collections that this library made, by name; those being built are not among them."""
    infos = []
    for alias, physical in sorted(aliases(connection).items()):
        match = _GENERATION.fullmatch(physical)
        if match is None or match["name"] != alias:
            continue
        try:
            info = _info(alias, _state(connection, physical, alias))
        except (CollectionNotFound, StoreDamaged):  # dropped just now; or told when it is opened by its name
            continue
        if info is not None:
            infos.append(info)
    return infos


def aliases(connection: Connection) -> dict[str, str]:
    """What each alias stands for."""
    listed = connection.call(connection.client.get_aliases, "The list of aliases")
    return {entry.alias_name: entry.collection_name for entry in listed.aliases}


def create(connection: Connection, info: CollectionInfo, options: ServerOptions) -> None:
    """Make an empty collection, with its indexes, before the first passage comes.

    ``info.name`` may be that of a generation to be built: then nothing else is called so yet.

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
        _check_free(connection, info.name)
    if not _made(connection, physical, _passages(info, options)):
        _settle_leftover(connection, info, physical, options)
    _made(connection, physical + _DOCUMENTS, _documents(physical, options))
    for field in KEYWORD_FIELDS:
        _index(connection, physical, field, info.name)
    if generation is None:
        _switch(connection, info.name, physical)


def building_name(connection: Connection, name: str) -> str:
    """The generation that comes next: in nobody's list until it takes the place of the one before."""
    check_name(name)
    match = _GENERATION.fullmatch(aliases(connection).get(name, ""))
    return f"{name}@{int(match['number']) + 1 if match else 1}"


def replace(connection: Connection, name: str, replacement: str) -> None:
    """Let a generation that was built take the place of the collection, in one step; then remove what was before.

    Raises:
        CollectionNotFound: there is no ``replacement``.
        ValueError: it is not a generation of this collection.
    """
    match = _GENERATION.fullmatch(replacement)
    if match is None or match["name"] != name:
        raise ValueError(f"{replacement!r} was not built to take the place of {name!r}: see building_name.")
    find_own(connection, replacement)
    _switch(connection, name, replacement)
    for leftover in generations(connection, name):
        if int(leftover.partition("@")[2]) < int(match["number"]):
            _remove(connection, leftover)


def drop(connection: Connection, name: str) -> None:
    """Remove a collection of ours, in one step to whoever looks; and what was being built to replace it.

    Raises:
        CollectionNotFound: there is none of that name.
        StoreConflict: another tool made it; it is left alone.
    """
    found = find(connection, name)
    if found.info is None:
        raise StoreConflict(
            f"The collection '{name}' on {connection.where} was made by another tool: remove it with that."
        )
    if found.physical == name:  # a generation that was being built
        _remove(connection, name)
        return
    forget = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=name))
    connection.call(lambda: connection.client.update_collection_aliases([forget]), _called(name))
    for generation in generations(connection, name):
        _remove(connection, generation)


def generations(connection: Connection, name: str) -> list[str]:
    """The physical collections made for this name, whether it stands for one of them or not; oldest first."""
    listed = connection.call(connection.client.get_collections, "The list of collections")
    found = [_GENERATION.fullmatch(entry.name) for entry in listed.collections]
    numbers = sorted(int(match["number"]) for match in found if match and match["name"] == name)
    return [f"{name}@{number}" for number in numbers]


def _called(name: str) -> str:
    return f"The collection '{name}'"


def _state(connection: Connection, physical: str, name: str) -> models.CollectionInfo:
    return connection.call(lambda: connection.client.get_collection(physical), _called(name))


def _info(name: str, state: models.CollectionInfo) -> CollectionInfo | None:
    metadata = state.config.metadata or {}
    if metadata.get("format") != _FORMAT:
        return None
    match metadata:
        case {"schema_version": int(version), "embedder": str(embedder), "dimension": int(dimension)}:
            return CollectionInfo(name, embedder, dimension, version, str(metadata.get("splitter", "")))
        case _:
            raise StoreDamaged(
                f"The metadata of the collection '{name}' lack the schema version, the embedder or the dimension: "
                "something else has changed them. Ingest again with --reindex."
            )


def _passages(info: CollectionInfo, options: ServerOptions) -> dict[str, Any]:
    # The vectors are of norm 1, so their product is the cosine; and as the server does not normalise for this distance,
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
        "shard_number": options.shard_number,
        "quantization_config": quantization if options.quantize else None,
        "metadata": {
            "format": _FORMAT,
            "schema_version": info.schema_version,
            "name": match["name"] if match else info.name,
            "embedder": info.embedder,
            "dimension": info.dimension,
            "splitter": info.splitter,
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


def _made(connection: Connection, physical: str, config: dict[str, Any]) -> bool:
    """Make it; False if there is one of that name, made by whomever."""
    try:
        connection.call(
            lambda: connection.client.create_collection(physical, timeout=connection.timeout, **config),
            _called(physical),
        )
    except StoreConflict:
        return False
    return True


def _index(connection: Connection, physical: str, field: str, name: str) -> None:
    kind = models.PayloadSchemaType.KEYWORD
    connection.call(
        lambda: connection.client.create_payload_index(physical, field, field_schema=kind, wait=True), _called(name)
    )


def _check_free(connection: Connection, name: str) -> None:
    if name in aliases(connection) or connection.call(lambda: connection.client.collection_exists(name), _called(name)):
        raise StoreConflict(
            f"There is already a collection '{name}' on {connection.where}. Open it, drop it first, or name another."
        )


def _settle_leftover(connection: Connection, info: CollectionInfo, physical: str, options: ServerOptions) -> None:
    """Accept a generation without an alias that another process is making now, too; begin anew what was left behind.

    Whoever makes it gives it its alias before anything is written. So what holds points and has no alias was left by a
    process that died dropping it.
    """
    if _GENERATION.fullmatch(info.name):
        raise StoreConflict(f"{_called(info.name)} on {connection.where} is being built already. Open it.")
    held = _info(info.name, _state(connection, physical, info.name))
    empty = count(connection, Target(physical, _called(info.name))) == 0
    if info.name in aliases(connection):
        raise StoreConflict(
            f"Another process has just made {_called(info.name).lower()} on {connection.where}. Open it."
        )
    if empty and held == info:
        return
    _remove(connection, physical)
    _made(connection, physical, _passages(info, options))


def _switch(connection: Connection, name: str, physical: str) -> None:
    """Let the name stand for this generation: one step, whether it stood for another or for none."""
    operations: list[Any] = []
    if name in aliases(connection):
        operations.append(models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=name)))
    operations.append(
        models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name=physical, alias_name=name))
    )
    connection.call(lambda: connection.client.update_collection_aliases(operations), _called(name))


def _remove(connection: Connection, physical: str) -> None:
    for collection in (physical, physical + _DOCUMENTS):
        with suppress(CollectionNotFound):  # gone already
            connection.call(partial(connection.client.delete_collection, collection), _called(collection))
