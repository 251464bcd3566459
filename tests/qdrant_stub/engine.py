"""The stub's content and answers: the client's in-memory mode, and what a server does differently.

Arguments and results are the client's REST models, whatever the protocol. Every operation has one name on both.
"""

from __future__ import annotations

import importlib.metadata
import marshal
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import RLock
from typing import Any

from qdrant_client import QdrantClient, models
from qdrant_client.embed import schema_parser

from tests.qdrant_stub.faults import Refused


def _copied(table: Any) -> Any:
    """Copy deeply, at a fraction of the time, what consists of built-in types alone."""
    return marshal.loads(marshal.dumps(table))


# Every client copies two large tables when it is made, and the tests make hundreds of clients.
vars(schema_parser)["deepcopy"] = _copied

VERSION = importlib.metadata.version("qdrant-client")
PEER = 4711

READ_OPERATIONS = frozenset(
    (
        "collection_cluster",
        "collection_exists",
        "count",
        "facet",
        "get_collection",
        "list_aliases",
        "list_collections",
        "query",
        "query_batch",
        "retrieve",
        "scroll",
    )
)
OPEN_OPERATIONS = frozenset(("root", "health"))
"""Operations that are answered without a key."""


@dataclass
class _Collection:
    created: models.CreateCollection
    indexes: dict[str, models.PayloadIndexInfo] = field(default_factory=dict)
    operations: int = 0


class Engine:
    """The collections of a stub; safe to use from several threads only under ``lock``."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.version = VERSION
        self._client = QdrantClient(":memory:")
        self._collections: dict[str, _Collection] = {}
        self.searches: list[models.SearchParams] = []
        """Parameters of the searches by vectors so far."""

    def close(self) -> None:
        self._client.close()

    def version_info(self) -> models.VersionInfo:
        return models.VersionInfo(title="qdrant - vector search engine", version=self.version, commit="stub")

    def list_collections(self) -> models.CollectionsResponse:
        return self._client.get_collections()

    def get_collection(self, name: str) -> models.CollectionInfo:
        real = self._real(name)
        kept = self._collections[real]
        created = kept.created
        info = self._client.get_collection(real)
        params = models.CollectionParams(
            vectors=info.config.params.vectors,
            sparse_vectors=info.config.params.sparse_vectors,
            shard_number=created.shard_number or 1,
            replication_factor=created.replication_factor or 1,
            write_consistency_factor=created.write_consistency_factor or 1,
            on_disk_payload=True,
        )
        config = info.config.model_copy(
            update={
                "params": params,
                "quantization_config": created.quantization_config,
                "strict_mode_config": created.strict_mode_config,
            }
        )
        state = {"config": config, "payload_schema": dict(kept.indexes), "indexed_vectors_count": info.points_count}
        return info.model_copy(update=state)  # as a server's when its optimiser has ended

    def create_collection(self, name: str, body: models.CreateCollection) -> bool:
        if name in self._collections:
            raise Refused(409, f"Wrong input: Collection `{name}` already exists!")
        if name in self._aliases():
            raise Refused(
                400, f"Wrong input: Can't create collection with name {name}. Alias with the same name already exists"
            )
        self._client.create_collection(
            name, vectors_config=body.vectors, sparse_vectors_config=body.sparse_vectors, metadata=body.metadata
        )
        local = self._client._client.collections[name]
        local.LARGE_DATA_THRESHOLD = 10**9  # its warning is for people who use the in-memory mode by itself
        self._collections[name] = _Collection(body)
        return True

    def update_collection(self, name: str, body: models.UpdateCollection) -> bool:
        real = self._real(name)
        self._client.update_collection(real, metadata=body.metadata)
        created = self._collections[real].created
        if body.strict_mode_config is not None:
            changed = created.model_copy(update={"strict_mode_config": body.strict_mode_config})
            self._collections[real].created = changed
        return True

    def create_vector_name(self, name: str, vector: str, body: models.VectorNameConfig) -> models.UpdateResult:
        real = self._real(name)
        self._client.create_vector_name(real, vector, body)
        return self._done(real, wait=True)

    def forget_vector(self, name: str, vector: str) -> None:
        """Make a collection one that was created without this vector; for tests."""
        self._client.delete_vector_name(self._real(name), vector)

    def delete_collection(self, name: str) -> bool:
        self._collections.pop(name, None)
        return self._client.delete_collection(name)

    def collection_exists(self, name: str) -> models.CollectionExistence:
        return models.CollectionExistence(exists=self._client.collection_exists(name))

    def update_aliases(self, actions: Sequence[models.AliasOperations]) -> bool:
        creations = [one.create_alias for one in actions if isinstance(one, models.CreateAliasOperation)]
        for create in creations:
            if create.collection_name not in self._collections:
                raise _unknown(create.collection_name)
            if create.alias_name in self._collections:
                raise Refused(409, f"Wrong input: Collection `{create.alias_name}` already exists!")
        return self._client.update_collection_aliases(actions)

    def list_aliases(self) -> models.CollectionsAliasesResponse:
        return self._client.get_aliases()

    def collection_cluster(self, name: str) -> models.CollectionClusterInfo:
        real = self._real(name)
        shards = self._collections[real].created.shard_number or 1
        points = self._client.count(real).count
        return models.CollectionClusterInfo(
            peer_id=PEER,
            shard_count=shards,
            local_shards=[
                models.LocalShardInfo(
                    shard_id=shard,
                    points_count=points // shards + (shard < points % shards),
                    state=models.ReplicaState.ACTIVE,
                )
                for shard in range(shards)
            ],
            remote_shards=[],
            shard_transfers=[],
        )

    def create_index(
        self, name: str, key: str, schema: models.PayloadFieldSchema, *, wait: bool
    ) -> models.UpdateResult:
        real = self._real(name)
        kind = schema if isinstance(schema, models.PayloadSchemaType) else models.PayloadSchemaType(schema.type.value)
        params = None if isinstance(schema, models.PayloadSchemaType) else schema
        self._client._client.collections[real].create_payload_index(key, schema)  # one that ranks has an effect
        self._collections[real].indexes[key] = models.PayloadIndexInfo(data_type=kind, params=params, points=0)
        return self._done(real, wait=wait)

    def upsert(self, name: str, body: models.PointInsertOperations, *, wait: bool) -> models.UpdateResult:
        real = self._real(name)
        points = body.batch if isinstance(body, models.PointsBatch) else body.points
        self._check_strict_mode(real, upsert=len(points.ids if isinstance(points, models.Batch) else points))
        self._client.upsert(real, points)
        return self._done(real, wait=wait)

    def update_vectors(self, name: str, body: models.UpdateVectors, *, wait: bool) -> models.UpdateResult:
        real = self._real(name)
        self._check_strict_mode(real, upsert=len(body.points))
        try:
            self._client.update_vectors(real, body.points, update_filter=body.update_filter)
        except KeyError as error:
            raise Refused(404, f"Not found: No point with id {error} found") from error
        return self._done(real, wait=wait)

    def delete(self, name: str, selector: models.PointsSelector, *, wait: bool) -> models.UpdateResult:
        real = self._real(name)
        self._client.delete(real, selector)
        return self._done(real, wait=wait)

    def retrieve(self, name: str, body: models.PointRequest) -> list[models.Record]:
        return self._client.retrieve(
            self._real(name),
            body.ids,
            with_payload=True if body.with_payload is None else body.with_payload,
            with_vectors=body.with_vector or False,
        )

    def scroll(self, name: str, body: models.ScrollRequest) -> models.ScrollResult:
        real = self._real(name)
        self._check_strict_mode(real, limit=body.limit)
        records, following = self._client.scroll(
            real,
            scroll_filter=body.filter,
            limit=10 if body.limit is None else body.limit,
            offset=body.offset,
            with_payload=True if body.with_payload is None else body.with_payload,
            with_vectors=body.with_vector or False,
        )
        return models.ScrollResult(points=records, next_page_offset=following)

    def count(self, name: str, body: models.CountRequest) -> models.CountResult:
        real = self._real(name)
        self._check_strict_mode(real, exact=body.exact is not False)
        return self._client.count(real, count_filter=body.filter)

    def facet(self, name: str, body: models.FacetRequest) -> models.FacetResponse:
        real = self._real(name)
        self._check_strict_mode(real, limit=body.limit)
        return self._client.facet(real, body.key, facet_filter=body.filter, limit=body.limit or 10)

    def query(self, name: str, body: models.QueryRequest) -> models.QueryResponse:
        real = self._real(name)
        self._check_dimension(real, body)
        self._check_strict_mode(real, limit=body.limit, exact=bool(body.params and body.params.exact))
        if body.params is not None:
            self.searches.append(body.params)
        return self._client.query_points(
            real,
            query=body.query,
            using=body.using,
            query_filter=body.filter,
            limit=10 if body.limit is None else body.limit,
            offset=body.offset,
            with_payload=body.with_payload or False,
            with_vectors=body.with_vector or False,
        )

    def query_batch(self, name: str, bodies: Sequence[models.QueryRequest]) -> list[models.QueryResponse]:
        return [self.query(name, body) for body in bodies]

    def _check_dimension(self, real: str, body: models.QueryRequest) -> None:
        """Refuse a query of the wrong dimension, also for an empty collection, where the in-memory mode does not."""
        vectors = self._collections[real].created.vectors
        expected = vectors.get(body.using or "") if isinstance(vectors, dict) else vectors
        vector = body.query.nearest if isinstance(body.query, models.NearestQuery) else body.query
        if expected and isinstance(vector, list) and isinstance(vector[0], float) and len(vector) != expected.size:
            raise Refused(400, f"Wrong input: Vector dimension error: expected dim: {expected.size}, got {len(vector)}")

    def _check_strict_mode(self, real: str, *, limit: int | None = None, upsert: int = 0, exact: bool = False) -> None:
        strict = self._collections[real].created.strict_mode_config
        if strict is None or not strict.enabled:
            return
        if exact and strict.search_allow_exact is False:
            raise Refused(400, "Bad request: Exact search disabled!. Help: Set exact=false.")
        for name, given, most in (
            ("limit", limit or 0, strict.max_query_limit),
            ("upsert limit", upsert, strict.upsert_max_batchsize),
        ):
            if most is not None and given > most:
                raise Refused(400, f'Bad request: Limit exceeded {given} > {most} for "{name}". Help: Reduce it.')

    def _real(self, name: str) -> str:
        real = self._aliases().get(name, name)
        if real not in self._collections:
            raise _unknown(name)
        return real

    def _aliases(self) -> dict[str, str]:
        return {alias.alias_name: alias.collection_name for alias in self._client.get_aliases().aliases}

    def _done(self, real: str, *, wait: bool) -> models.UpdateResult:
        kept = self._collections[real]
        kept.operations += 1
        status = models.UpdateStatus.COMPLETED if wait else models.UpdateStatus.ACKNOWLEDGED
        return models.UpdateResult(operation_id=kept.operations, status=status)


def _unknown(name: str) -> Refused:
    return Refused(404, f"Not found: Collection `{name}` doesn't exist!")
