"""The stub over gRPC: the client's own service classes, its conversions, and the same engine."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
        messages.add_QdrantServicer_to_server(_Root(self), self._server)
        messages.add_CollectionsServicer_to_server(_Collections(self), self._server)
        messages.add_PointsServicer_to_server(_Points(self), self._server)
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

    def perform(self, context: grpc.ServicerContext, request: Request, apply: Callable[[Engine], Any]) -> Any:
        try:
            return self.stub.perform(request, _key(context), apply)
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
    return headers.get("api-key") or headers.get("authorization", "").removeprefix("Bearer ") or None


def _optional(convert: Callable[[Any], Any], message: Any, field: str) -> Any:
    return convert(getattr(message, field)) if message.HasField(field) else None


class _Service:
    def __init__(self, front: RpcFront) -> None:
        self._front = front

    def _perform(
        self,
        context: grpc.ServicerContext,
        rpc: str,
        operation: str,
        message: Any,
        apply: Callable[[Engine], Any],
        *,
        points: int = 0,
    ) -> Any:
        name = getattr(message, "collection_name", "")
        wait = bool(message.wait) if hasattr(message, "wait") else False
        return self._front.perform(context, Request("grpc", operation, f"/qdrant.{rpc}", name, points, wait), apply)


class _Root(_Service, messages.QdrantServicer):
    def HealthCheck(self, message: Any, context: Any) -> Any:
        version = self._front.stub.version
        return self._perform(
            context,
            "Qdrant/HealthCheck",
            "root",
            message,
            lambda _: messages.HealthCheckReply(title="qdrant - vector search engine", version=version, commit="stub"),
        )


class _Collections(_Service, messages.CollectionsServicer):
    def List(self, message: Any, context: Any) -> Any:
        return self._perform(
            context,
            "Collections/List",
            "list_collections",
            message,
            lambda engine: messages.ListCollectionsResponse(
                collections=[
                    RestToGrpc.convert_collection_description(one) for one in engine.list_collections().collections
                ]
            ),
        )

    def Get(self, message: Any, context: Any) -> Any:
        return self._perform(
            context,
            "Collections/Get",
            "get_collection",
            message,
            lambda engine: messages.GetCollectionInfoResponse(
                result=RestToGrpc.convert_collection_info(engine.get_collection(message.collection_name))
            ),
        )

    def Create(self, message: Any, context: Any) -> Any:
        return self._perform(
            context,
            "Collections/Create",
            "create_collection",
            message,
            lambda engine: messages.CollectionOperationResponse(
                result=engine.create_collection(message.collection_name, _create_collection(message))
            ),
        )

    def Update(self, message: Any, context: Any) -> Any:
        return self._perform(
            context,
            "Collections/Update",
            "update_collection",
            message,
            lambda engine: messages.CollectionOperationResponse(
                result=engine.update_collection(message.collection_name, GrpcToRest.convert_update_collection(message))
            ),
        )

    def Delete(self, message: Any, context: Any) -> Any:
        return self._perform(
            context,
            "Collections/Delete",
            "delete_collection",
            message,
            lambda engine: messages.CollectionOperationResponse(
                result=engine.delete_collection(message.collection_name)
            ),
        )

    def CollectionExists(self, message: Any, context: Any) -> Any:
        return self._perform(
            context,
            "Collections/CollectionExists",
            "collection_exists",
            message,
            lambda engine: messages.CollectionExistsResponse(
                result=messages.CollectionExists(exists=engine.collection_exists(message.collection_name).exists)
            ),
        )

    def UpdateAliases(self, message: Any, context: Any) -> Any:
        actions = [GrpcToRest.convert_alias_operations(action) for action in message.actions]
        return self._perform(
            context,
            "Collections/UpdateAliases",
            "update_aliases",
            message,
            lambda engine: messages.CollectionOperationResponse(result=engine.update_aliases(actions)),
        )

    def ListAliases(self, message: Any, context: Any) -> Any:
        return self._perform(
            context, "Collections/ListAliases", "list_aliases", message, lambda engine: _aliases(engine.list_aliases())
        )

    def ListCollectionAliases(self, message: Any, context: Any) -> Any:
        return self._perform(
            context,
            "Collections/ListCollectionAliases",
            "collection_aliases",
            message,
            lambda engine: _aliases(engine.collection_aliases(message.collection_name)),
        )

    def CollectionClusterInfo(self, message: Any, context: Any) -> Any:
        return self._perform(
            context,
            "Collections/CollectionClusterInfo",
            "collection_cluster",
            message,
            lambda engine: RestToGrpc.convert_collection_cluster_info(
                engine.collection_cluster(message.collection_name)
            ),
        )


class _Points(_Service, messages.PointsServicer):
    def Upsert(self, message: Any, context: Any) -> Any:
        def apply(engine: Engine) -> Any:
            body = models.PointsList(
                points=[GrpcToRest.convert_point_struct(point) for point in message.points],
                update_filter=_optional(GrpcToRest.convert_filter, message, "update_filter"),
                update_mode=_optional(GrpcToRest.convert_update_mode, message, "update_mode"),
            )
            return _updated(engine.upsert(message.collection_name, body, wait=message.wait))

        return self._perform(context, "Points/Upsert", "upsert", message, apply, points=len(message.points))

    def Delete(self, message: Any, context: Any) -> Any:
        return self._perform(
            context,
            "Points/Delete",
            "delete",
            message,
            lambda engine: _updated(
                engine.delete(message.collection_name, _selected(message.points), wait=message.wait)
            ),
            points=len(message.points.points.ids),
        )

    def UpdateBatch(self, message: Any, context: Any) -> Any:
        def apply(engine: Engine) -> Any:
            actions = [GrpcToRest.convert_points_update_operation(action) for action in message.operations]
            results = engine.update_batch(message.collection_name, actions, wait=message.wait)
            return messages.UpdateBatchResponse(result=[RestToGrpc.convert_update_result(one) for one in results])

        return self._perform(
            context, "Points/UpdateBatch", "update_batch", message, apply, points=len(message.operations)
        )

    def SetPayload(self, message: Any, context: Any) -> Any:
        return self._perform(
            context,
            "Points/SetPayload",
            "set_payload",
            message,
            lambda engine: _updated(
                engine.set_payload(message.collection_name, _set_payload(message), wait=message.wait)
            ),
        )

    def OverwritePayload(self, message: Any, context: Any) -> Any:
        return self._perform(
            context,
            "Points/OverwritePayload",
            "overwrite_payload",
            message,
            lambda engine: _updated(
                engine.overwrite_payload(message.collection_name, _set_payload(message), wait=message.wait)
            ),
        )

    def DeletePayload(self, message: Any, context: Any) -> Any:
        def apply(engine: Engine) -> Any:
            selector = _selected(message.points_selector)
            body = models.DeletePayload(keys=list(message.keys), **selector.model_dump(exclude_none=True))
            return _updated(engine.delete_payload(message.collection_name, body, wait=message.wait))

        return self._perform(context, "Points/DeletePayload", "delete_payload", message, apply)

    def CreateFieldIndex(self, message: Any, context: Any) -> Any:
        def apply(engine: Engine) -> Any:
            schema = GrpcToRest.convert_payload_schema_type(grpc_field_type_to_payload_schema(message.field_type))
            if message.HasField("field_index_params"):
                schema = GrpcToRest.convert_payload_schema_params(message.field_index_params)
            return _updated(engine.create_index(message.collection_name, message.field_name, schema, wait=message.wait))

        return self._perform(context, "Points/CreateFieldIndex", "create_index", message, apply)

    def DeleteFieldIndex(self, message: Any, context: Any) -> Any:
        return self._perform(
            context,
            "Points/DeleteFieldIndex",
            "delete_index",
            message,
            lambda engine: _updated(
                engine.delete_index(message.collection_name, message.field_name, wait=message.wait)
            ),
        )

    def Get(self, message: Any, context: Any) -> Any:
        def apply(engine: Engine) -> Any:
            body = models.PointRequest(ids=[GrpcToRest.convert_point_id(one) for one in message.ids], **_with(message))
            records = engine.retrieve(message.collection_name, body)
            return messages.GetResponse(result=[RestToGrpc.convert_record(record) for record in records])

        return self._perform(context, "Points/Get", "retrieve", message, apply, points=len(message.ids))

    def Scroll(self, message: Any, context: Any) -> Any:
        def apply(engine: Engine) -> Any:
            body = models.ScrollRequest(
                offset=_optional(GrpcToRest.convert_point_id, message, "offset"),
                limit=_optional(int, message, "limit"),
                filter=_optional(GrpcToRest.convert_filter, message, "filter"),
                order_by=_optional(GrpcToRest.convert_order_by, message, "order_by"),
                **_with(message),
            )
            page = engine.scroll(message.collection_name, body)
            following = page.next_page_offset
            return messages.ScrollResponse(
                result=[RestToGrpc.convert_record(record) for record in page.points],
                next_page_offset=None if following is None else RestToGrpc.convert_extended_point_id(following),
            )

        return self._perform(context, "Points/Scroll", "scroll", message, apply)

    def Count(self, message: Any, context: Any) -> Any:
        def apply(engine: Engine) -> Any:
            body = models.CountRequest(filter=_optional(GrpcToRest.convert_filter, message, "filter"))
            return messages.CountResponse(
                result=RestToGrpc.convert_count_result(engine.count(message.collection_name, body))
            )

        return self._perform(context, "Points/Count", "count", message, apply)

    def Query(self, message: Any, context: Any) -> Any:
        def apply(engine: Engine) -> Any:
            response = engine.query(message.collection_name, GrpcToRest.convert_query_points(message))
            return messages.QueryResponse(result=_scored(response))

        return self._perform(context, "Points/Query", "query", message, apply)

    def QueryBatch(self, message: Any, context: Any) -> Any:
        def apply(engine: Engine) -> Any:
            bodies = [GrpcToRest.convert_query_points(one) for one in message.query_points]
            responses = engine.query_batch(message.collection_name, bodies)
            return messages.QueryBatchResponse(
                result=[messages.BatchResult(result=_scored(response)) for response in responses]
            )

        return self._perform(context, "Points/QueryBatch", "query_batch", message, apply)

    def Facet(self, message: Any, context: Any) -> Any:
        def apply(engine: Engine) -> Any:
            body = models.FacetRequest(
                key=message.key,
                limit=_optional(int, message, "limit"),
                filter=_optional(GrpcToRest.convert_filter, message, "filter"),
            )
            response = engine.facet(message.collection_name, body)
            return messages.FacetResponse(hits=[RestToGrpc.convert_facet_value_hit(hit) for hit in response.hits])

        return self._perform(context, "Points/Facet", "facet", message, apply)


def _updated(result: models.UpdateResult) -> Any:
    return messages.PointsOperationResponse(result=RestToGrpc.convert_update_result(result))


def _scored(response: models.QueryResponse) -> list[Any]:
    return [RestToGrpc.convert_scored_point(point) for point in response.points]


def _aliases(response: models.CollectionsAliasesResponse) -> Any:
    return messages.ListAliasesResponse(
        aliases=[RestToGrpc.convert_alias_description(alias) for alias in response.aliases]
    )


def _selected(selector: Any) -> models.PointsSelector:
    return GrpcToRest.convert_points_selector(selector)


def _set_payload(message: Any) -> models.SetPayload:
    selector = _selected(message.points_selector)
    return models.SetPayload(
        payload=GrpcToRest.convert_payload(message.payload),
        points=selector.points if isinstance(selector, models.PointIdsList) else None,
        filter=selector.filter if isinstance(selector, models.FilterSelector) else None,
        key=_optional(str, message, "key"),
    )


def _with(message: Any) -> dict[str, Any]:
    return {
        "with_payload": _optional(GrpcToRest.convert_with_payload_selector, message, "with_payload"),
        "with_vector": _optional(GrpcToRest.convert_with_vectors_selector, message, "with_vectors"),
    }


def _create_collection(message: Any) -> models.CreateCollection:
    return models.CreateCollection(
        vectors=_optional(GrpcToRest.convert_vectors_config, message, "vectors_config"),
        sparse_vectors=_optional(GrpcToRest.convert_sparse_vector_config, message, "sparse_vectors_config"),
        shard_number=_optional(int, message, "shard_number"),
        sharding_method=_optional(GrpcToRest.convert_sharding_method, message, "sharding_method"),
        replication_factor=_optional(int, message, "replication_factor"),
        write_consistency_factor=_optional(int, message, "write_consistency_factor"),
        on_disk_payload=_optional(bool, message, "on_disk_payload"),
        hnsw_config=_optional(GrpcToRest.convert_hnsw_config_diff, message, "hnsw_config"),
        optimizers_config=_optional(GrpcToRest.convert_optimizers_config_diff, message, "optimizers_config"),
        quantization_config=_optional(GrpcToRest.convert_quantization_config, message, "quantization_config"),
        strict_mode_config=_optional(GrpcToRest.convert_strict_mode_config, message, "strict_mode_config"),
        metadata=GrpcToRest.convert_payload(message.metadata) if message.metadata else None,
    )
