"""The stub over gRPC: the client's own service classes, its conversions, and the same engine."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from qdrant_client import grpc as messages
from qdrant_client import models
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc, grpc_field_type_to_payload_schema

from tests.qdrant_stub.faults import Refused, Request, Reset, Truncated
from tests.qdrant_stub.relay import Relay

if TYPE_CHECKING:
    from tests.qdrant_stub.engine import Engine
    from tests.qdrant_stub.server import QdrantStub

Answer = Callable[["Engine", Any], Any]
"""Engine and message in, message out."""

_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    409: grpc.StatusCode.ALREADY_EXISTS,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
    507: grpc.StatusCode.RESOURCE_EXHAUSTED,
}
_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
)
_CUT_AFTER_BYTES = 20
"""Amid the first frame of an answer."""


class RpcFront:
    """The gRPC port of a stub; keeps its number when it is closed and opened again."""

    def __init__(self, stub: QdrantStub) -> None:
        self.stub = stub
        self._workers = ThreadPoolExecutor(16, thread_name_prefix="qdrant-stub-grpc")
        self._server = grpc.server(self._workers, options=_OPTIONS)
        messages.add_QdrantServicer_to_server(_with_methods(messages.QdrantServicer, _ROOT, self), self._server)
        messages.add_CollectionsServicer_to_server(
            _with_methods(messages.CollectionsServicer, _COLLECTIONS, self), self._server
        )
        messages.add_PointsServicer_to_server(_with_methods(messages.PointsServicer, _POINTS, self), self._server)
        self.relay = Relay(self._server.add_insecure_port("127.0.0.1:0"))
        self._server.start()

    @property
    def port(self) -> int:
        return self.relay.port

    def open_port(self) -> None:
        self.relay.open_port()

    def close_port(self) -> None:
        self.relay.close_port()

    def close(self) -> None:
        self.relay.close_port()
        self._server.stop(None).wait()
        self._workers.shutdown()

    def perform(self, rpc: str, operation: str, answer: Answer, message: Any, context: grpc.ServicerContext) -> Any:
        request = Request(
            "grpc",
            operation,
            f"/qdrant.{rpc}",
            getattr(message, "collection_name", ""),
            _points_of(message),
            bool(getattr(message, "wait", False)),
        )
        try:
            return self.stub.perform(request, _key(context), lambda engine: answer(engine, message))
        except Refused as refusal:
            if refusal.retry_after is not None:
                context.set_trailing_metadata((("retry-after", str(refusal.retry_after)),))
            _abort(context, _CODES[refusal.status], refusal.message)
        except Reset:
            self.relay.reset_all()
            _abort(context, grpc.StatusCode.UNAVAILABLE, "nobody hears this: the connection was reset")
        except Truncated as truncated:
            self.relay.end_all_after(_CUT_AFTER_BYTES)
            return truncated.answer


def _abort(context: grpc.ServicerContext, code: grpc.StatusCode, message: str) -> NoReturn:
    context.abort(code, message)
    raise AssertionError


def _key(context: grpc.ServicerContext) -> str | None:
    headers = {name: value for name, value in context.invocation_metadata() if isinstance(value, str)}
    return headers.get("api-key")


def _with_methods(kind: type, methods: dict[str, tuple[str, Answer]], front: RpcFront) -> Any:
    """Return the service with these methods; the others answer that they are not implemented."""
    service = kind()
    for name, (operation, answer) in methods.items():
        rpc = f"{kind.__name__.removesuffix('Servicer')}/{name}"
        setattr(service, name, partial(front.perform, rpc, operation, answer))
    return service


def _points_of(message: Any) -> int:
    if isinstance(message, messages.DeletePoints):
        return len(message.points.points.ids)
    return next((len(getattr(message, name)) for name in ("points", "ids") if _is_list(message, name)), 0)


def _is_list(message: Any, name: str) -> bool:
    field = message.DESCRIPTOR.fields_by_name.get(name)
    return field is not None and field.is_repeated


def _optional(convert: Callable[[Any], Any], message: Any, field: str) -> Any:
    return convert(getattr(message, field)) if message.HasField(field) else None


def _list_collections(engine: Engine, _message: Any) -> Any:
    found = engine.list_collections().collections
    return messages.ListCollectionsResponse(
        collections=[RestToGrpc.convert_collection_description(one) for one in found]
    )


def _get_collection(engine: Engine, message: Any) -> Any:
    info = engine.get_collection(message.collection_name)
    return messages.GetCollectionInfoResponse(result=RestToGrpc.convert_collection_info(info))


def _create_collection(engine: Engine, message: Any) -> Any:
    body = models.CreateCollection(
        vectors=_optional(GrpcToRest.convert_vectors_config, message, "vectors_config"),
        sparse_vectors=_optional(GrpcToRest.convert_sparse_vector_config, message, "sparse_vectors_config"),
        shard_number=_optional(int, message, "shard_number"),
        replication_factor=_optional(int, message, "replication_factor"),
        write_consistency_factor=_optional(int, message, "write_consistency_factor"),
        quantization_config=_optional(GrpcToRest.convert_quantization_config, message, "quantization_config"),
        strict_mode_config=_optional(GrpcToRest.convert_strict_mode_config, message, "strict_mode_config"),
        metadata=GrpcToRest.convert_payload(message.metadata) if message.metadata else None,
    )
    return messages.CollectionOperationResponse(result=engine.create_collection(message.collection_name, body))


def _update_collection(engine: Engine, message: Any) -> Any:
    body = GrpcToRest.convert_update_collection(message)
    return messages.CollectionOperationResponse(result=engine.update_collection(message.collection_name, body))


def _delete_collection(engine: Engine, message: Any) -> Any:
    return messages.CollectionOperationResponse(result=engine.delete_collection(message.collection_name))


def _collection_exists(engine: Engine, message: Any) -> Any:
    exists = engine.collection_exists(message.collection_name).exists
    return messages.CollectionExistsResponse(result=messages.CollectionExists(exists=exists))


def _update_aliases(engine: Engine, message: Any) -> Any:
    actions = [GrpcToRest.convert_alias_operations(action) for action in message.actions]
    return messages.CollectionOperationResponse(result=engine.update_aliases(actions))


def _collection_cluster(engine: Engine, message: Any) -> Any:
    return RestToGrpc.convert_collection_cluster_info(engine.collection_cluster(message.collection_name))


def _upsert(engine: Engine, message: Any) -> Any:
    body = models.PointsList(
        points=[GrpcToRest.convert_point_struct(point) for point in message.points],
    )
    return _updated(engine.upsert(message.collection_name, body, wait=message.wait))


def _create_vector_name(engine: Engine, message: Any) -> Any:
    modifier = _optional(GrpcToRest.convert_modifier, message.sparse_config, "modifier")
    config = models.SparseVectorNameConfig(sparse=models.SparseVectorConfig(modifier=modifier))
    return _updated(engine.create_vector_name(message.collection_name, message.vector_name, config))


def _update_vectors(engine: Engine, message: Any) -> Any:
    body = models.UpdateVectors(
        points=[GrpcToRest.convert_point_vectors(point) for point in message.points],
        update_filter=_optional(GrpcToRest.convert_filter, message, "update_filter"),
    )
    return _updated(engine.update_vectors(message.collection_name, body, wait=message.wait))


def _delete(engine: Engine, message: Any) -> Any:
    selector = GrpcToRest.convert_points_selector(message.points)
    return _updated(engine.delete(message.collection_name, selector, wait=message.wait))


def _create_index(engine: Engine, message: Any) -> Any:
    if message.HasField("field_index_params"):
        schema = GrpcToRest.convert_payload_schema_params(message.field_index_params)
    else:
        schema = GrpcToRest.convert_payload_schema_type(grpc_field_type_to_payload_schema(message.field_type))
    return _updated(engine.create_index(message.collection_name, message.field_name, schema, wait=message.wait))


def _retrieve(engine: Engine, message: Any) -> Any:
    body = models.PointRequest(ids=[GrpcToRest.convert_point_id(one) for one in message.ids], **_with(message))
    records = engine.retrieve(message.collection_name, body)
    return messages.GetResponse(result=[_record(record) for record in records])


def _scroll(engine: Engine, message: Any) -> Any:
    body = models.ScrollRequest(
        offset=_optional(GrpcToRest.convert_point_id, message, "offset"),
        limit=_optional(int, message, "limit"),
        filter=_optional(GrpcToRest.convert_filter, message, "filter"),
        **_with(message),
    )
    page = engine.scroll(message.collection_name, body)
    following = page.next_page_offset
    return messages.ScrollResponse(
        result=[_record(record) for record in page.points],
        next_page_offset=None if following is None else RestToGrpc.convert_extended_point_id(following),
    )


def _count(engine: Engine, message: Any) -> Any:
    body = models.CountRequest(filter=_optional(GrpcToRest.convert_filter, message, "filter"))
    return messages.CountResponse(result=RestToGrpc.convert_count_result(engine.count(message.collection_name, body)))


def _facet(engine: Engine, message: Any) -> Any:
    body = models.FacetRequest(key=message.key, limit=message.limit)
    hits = engine.facet(message.collection_name, body).hits
    return messages.FacetResponse(hits=[RestToGrpc.convert_facet_value_hit(hit) for hit in hits])


def _query_batch(engine: Engine, message: Any) -> Any:
    bodies = [GrpcToRest.convert_query_points(one) for one in message.query_points]
    responses = engine.query_batch(message.collection_name, bodies)
    return messages.QueryBatchResponse(result=[messages.BatchResult(result=_scored(one)) for one in responses])


def _updated(result: models.UpdateResult) -> Any:
    return messages.PointsOperationResponse(result=RestToGrpc.convert_update_result(result))


def _record(record: models.Record) -> Any:
    return RestToGrpc.convert_record(record.model_copy(update={"payload": record.payload or {}}))


def _scored(response: models.QueryResponse) -> list[Any]:
    return [RestToGrpc.convert_scored_point(point) for point in response.points]


def _aliases(response: models.CollectionsAliasesResponse) -> Any:
    return messages.ListAliasesResponse(
        aliases=[RestToGrpc.convert_alias_description(alias) for alias in response.aliases]
    )


def _with(message: Any) -> dict[str, Any]:
    return {
        "with_payload": _optional(GrpcToRest.convert_with_payload_selector, message, "with_payload"),
        "with_vector": _optional(GrpcToRest.convert_with_vectors_selector, message, "with_vectors"),
    }


_ROOT: dict[str, tuple[str, Answer]] = {
    "HealthCheck": (
        "root",
        lambda engine, _: RestToGrpc.convert_health_check_reply(engine.version_info()),
    )
}
_COLLECTIONS: dict[str, tuple[str, Answer]] = {
    "List": ("list_collections", _list_collections),
    "Get": ("get_collection", _get_collection),
    "Create": ("create_collection", _create_collection),
    "Update": ("update_collection", _update_collection),
    "Delete": ("delete_collection", _delete_collection),
    "CollectionExists": ("collection_exists", _collection_exists),
    "UpdateAliases": ("update_aliases", _update_aliases),
    "ListAliases": ("list_aliases", lambda engine, _: _aliases(engine.list_aliases())),
    "CollectionClusterInfo": ("collection_cluster", _collection_cluster),
}
_POINTS: dict[str, tuple[str, Answer]] = {
    "Upsert": ("upsert", _upsert),
    "CreateVectorName": ("create_vector_name", _create_vector_name),
    "UpdateVectors": ("update_vectors", _update_vectors),
    "Delete": ("delete", _delete),
    "CreateFieldIndex": ("create_index", _create_index),
    "Get": ("retrieve", _retrieve),
    "Scroll": ("scroll", _scroll),
    "Count": ("count", _count),
    "Facet": ("facet", _facet),
    "QueryBatch": ("query_batch", _query_batch),
}
