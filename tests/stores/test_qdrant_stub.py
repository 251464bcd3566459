"""The stub of a Qdrant server answers as the client's in-memory mode does, and fails as told, on both protocols."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from tests.qdrant_stub.faults import Fault
from tests.qdrant_stub.server import QdrantStub
from tests.servers import PROTOCOLS

DIMENSION = 8
COSINE = models.VectorParams(size=DIMENSION, distance=models.Distance.COSINE)
BOTH = pytest.mark.parametrize("protocol", PROTOCOLS)
Connect = Callable[..., QdrantClient]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Yield a maker of clients; each has a channel of its own, for a channel waits a second after a refusal."""
    clients = []

    def make(stub: QdrantStub, protocol: str, **options: Any) -> QdrantClient:
        options |= {"prefer_grpc": protocol == "grpc", "grpc_options": {"grpc.use_local_subchannel_pool": 1}}
        client = QdrantClient(url=stub.url, grpc_port=stub.grpc_port, check_compatibility=False, pool_size=1, **options)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def memory() -> Iterator[QdrantClient]:
    client = QdrantClient(":memory:")
    yield client
    client.close()


def points(generator: np.random.Generator, ids: list[int]) -> list[models.PointStruct]:
    vectors = generator.normal(size=(len(ids), DIMENSION)).astype(np.float32)
    return [
        models.PointStruct(
            id=f"00000000-0000-0000-0000-{identifier:012}",
            vector=vector.tolist(),
            payload={
                "source": f"{identifier % 4}.md",
                "labels": [f"k={identifier % 3}"],
                "start": identifier,
                "x": None,
            },
        )
        for identifier, vector in zip(ids, vectors, strict=True)
    ]


def some_filter(generator: np.random.Generator) -> models.Filter:
    return models.Filter(
        must=[models.FieldCondition(key="source", match=models.MatchAny(any=[f"{generator.integers(4)}.md", "0.md"]))],
        must_not=[models.FieldCondition(key="labels", match=models.MatchValue(value=f"k={generator.integers(4)}"))],
    )


def step(client: QdrantClient, seed: int) -> Any:
    """Do one operation, the same for the same seed, and return its answer."""
    generator = np.random.default_rng(seed)
    some = points(generator, generator.integers(60, size=generator.integers(1, 8)).tolist())
    ids = [point.id for point in some]
    match generator.choice(["upsert", "upsert", "delete", "clear", "query", "batch", "scroll", "retrieve", "count"]):
        case "upsert":
            return client.upsert("c", some).status
        case "delete":
            return client.delete("c", models.PointIdsList(points=ids[:2])).status
        case "clear":
            both = models.Filter(must=[some_filter(generator), models.HasIdCondition(has_id=ids)])
            return client.delete("c", models.FilterSelector(filter=both)).status
        case "query":
            request = models.QueryRequest(
                query=some[0].vector,
                filter=some_filter(generator),
                limit=5,
                offset=int(generator.integers(3)),
                with_vector=True,
                with_payload=["start"],
            )
            [found] = client.query_batch_points("c", [request])
            return [plain(point) for point in found.points]
        case "batch":
            requests = [models.QueryRequest(query=point.vector, limit=3, with_vector=True) for point in some]
            return [[plain(one) for one in found.points] for found in client.query_batch_points("c", requests)]
        case "scroll":
            found, following = client.scroll(
                "c", scroll_filter=some_filter(generator), limit=4, offset=ids[0], with_vectors=True
            )
            return [plain(record) for record in found], following
        case "retrieve":
            return [plain(record) for record in client.retrieve("c", ids, with_vectors=True, with_payload=False)]
        case _:
            return client.count("c", some_filter(generator)).count


def plain(point: Any) -> tuple[Any, ...]:
    """Return a point's content, with numbers as exact as both protocols carry them: float32."""
    score = getattr(point, "score", None)
    payload = point.payload or None
    return point.id, payload, None if score is None else float(np.float32(score)), np.float32(point.vector).tolist()


@pytest.mark.slow
@BOTH
def test_random_operations_have_the_same_answers_as_in_memory(
    protocol: str, qdrant: QdrantStub, connect: Connect, memory: QdrantClient
) -> None:
    remote = connect(qdrant, protocol)
    for client in (remote, memory):
        client.create_collection("c", COSINE)
        client.upsert("c", points(np.random.default_rng(0), list(range(40))))
    for seed in range(120):
        assert step(remote, seed) == step(memory, seed), seed
    assert [plain(one) for one in remote.scroll("c", limit=100, with_vectors=True)[0]] == [
        plain(one) for one in memory.scroll("c", limit=100, with_vectors=True)[0]
    ]


@BOTH
def test_a_collection_shows_what_it_was_made_with(protocol: str, qdrant: QdrantStub, connect: Connect) -> None:
    client = connect(qdrant, protocol)
    quantization = models.ScalarQuantization(
        scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, always_ram=True)
    )
    vectors = COSINE.model_copy(update={"on_disk": True, "datatype": models.Datatype.FLOAT16})
    client.create_collection(
        "c",
        vectors,
        metadata={"embedder": "hashing", "schema_version": 2, "nested": {"a": [1.5, None]}},
        shard_number=3,
        replication_factor=2,
        write_consistency_factor=2,
        quantization_config=quantization,
    )
    client.create_payload_index("c", "source", models.PayloadSchemaType.KEYWORD)
    client.create_payload_index(
        "c", "labels", models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)
    )
    info = client.get_collection("c")
    assert info.config.metadata == {"embedder": "hashing", "schema_version": 2, "nested": {"a": [1.5, None]}}
    assert info.config.params.vectors == vectors
    assert info.config.params.shard_number == 3
    assert info.config.params.replication_factor == 2
    assert info.config.params.write_consistency_factor == 2
    assert info.config.quantization_config == quantization
    assert sorted(info.payload_schema) == ["labels", "source"]
    assert info.payload_schema["labels"].params.is_tenant
    assert client.collection_cluster_info("c").shard_count == 3


@BOTH
def test_an_alias_is_answered_like_its_collection_and_moves_in_one_step(
    protocol: str, qdrant: QdrantStub, connect: Connect
) -> None:
    client = connect(qdrant, protocol)
    for name, size in (("one", 1), ("two", 2)):
        client.create_collection(name, COSINE)
        client.upsert(name, points(np.random.default_rng(0), list(range(size))))
    to_one = models.CreateAlias(collection_name="one", alias_name="it")
    to_two = models.CreateAlias(collection_name="two", alias_name="it")
    client.update_collection_aliases([models.CreateAliasOperation(create_alias=to_one)])
    assert client.count("it").count == 1
    assert client.collection_exists("it")
    client.update_collection_aliases(
        [
            models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name="it")),
            models.CreateAliasOperation(create_alias=to_two),
        ]
    )
    assert client.count("it").count == 2
    assert [(one.alias_name, one.collection_name) for one in client.get_aliases().aliases] == [("it", "two")]
    assert {one.name for one in client.get_collections().collections} == {"one", "two"}
    client.delete_collection("two")
    assert not client.collection_exists("it")


@BOTH
@pytest.mark.parametrize(
    ("ask", "status", "code", "message"),
    [
        (lambda client: client.count("none"), 404, "NOT_FOUND", "Not found: Collection `none` doesn't exist!"),
        (
            lambda client: client.create_collection("c", COSINE),
            409,
            "ALREADY_EXISTS",
            "Wrong input: Collection `c` already exists!",
        ),
        (
            lambda client: client.upsert("c", [models.PointStruct(id=1, vector=[1.0])]),
            400,
            "INVALID_ARGUMENT",
            "Wrong input: Vector dimension error: expected dim: 8, got 1",
        ),
        (
            lambda client: client.query_batch_points("c", [models.QueryRequest(query=[1.0])]),
            400,
            "INVALID_ARGUMENT",
            "Wrong input: Vector dimension error: expected dim: 8, got 1",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_as_the_server_does(
    protocol: str, ask: Callable[[QdrantClient], Any], status: int, code: str, message: str,
    qdrant: QdrantStub, connect: Connect,
) -> None:  # fmt: skip
    client = connect(qdrant, protocol)
    client.create_collection("c", COSINE)
    assert refusal(ask, client) == (status if protocol == "rest" else code, message)


def refusal(ask: Callable[[QdrantClient], Any], client: QdrantClient) -> tuple[int | str, str]:
    """Return status and message of the error that ``ask`` meets; the message is cut before a vector's name."""
    with pytest.raises((UnexpectedResponse, grpc.RpcError)) as caught:
        ask(client)
    error: Any = caught.value
    if isinstance(error, UnexpectedResponse):
        message = error.structured()["status"]["error"] if error.status_code != 401 else error.content.decode()
        return error.status_code, message.split(" for vector")[0]
    return error.code().name, error.details().split(" for vector")[0]


@BOTH
def test_a_key_is_asked_and_one_may_only_read(protocol: str, connect: Connect) -> None:
    unauthorized = 401 if protocol == "rest" else "UNAUTHENTICATED"
    forbidden = 403 if protocol == "rest" else "PERMISSION_DENIED"
    with QdrantStub(api_key="owner", read_only_api_key="reader") as stub:
        nobody, stranger, reader, owner = (
            connect(stub, protocol, headers={} if key is None else {"api-key": key})
            for key in (None, "guess", "reader", "owner")
        )
        assert refusal(QdrantClient.get_collections, nobody) == (
            unauthorized,
            "Must provide an API key or an Authorization bearer token",
        )
        assert refusal(QdrantClient.get_collections, stranger) == (unauthorized, "Invalid API key or JWT")
        owner.create_collection("c", COSINE)
        assert reader.count("c").count == 0
        assert refusal(lambda client: client.delete_collection("c"), reader)[0] == forbidden
        assert owner.collection_exists("c")
        assert nobody.info().version == stub.version


@BOTH
def test_a_refusal_comes_as_often_as_told_and_then_no_more(protocol: str, qdrant: QdrantStub, connect: Connect) -> None:
    client = connect(qdrant, protocol)
    client.create_collection("c", COSINE)
    qdrant.faults.append(Fault("status", on="count", status=503, skip=1, times=2, message="busy"))
    unavailable = (503 if protocol == "rest" else "UNAVAILABLE", "busy")
    assert client.count("c").count == 0
    assert [refusal(lambda client: client.count("c"), client) for _ in range(2)] == [unavailable, unavailable]
    assert client.count("c").count == 0
    assert qdrant.operations() == ["create_collection", "count", "count", "count", "count"]


@BOTH
def test_a_refusal_says_when_to_come_again(protocol: str, qdrant: QdrantStub, connect: Connect) -> None:
    qdrant.faults.append(Fault("status", on="*ollections*", status=429, retry_after=7))
    with pytest.raises(ResourceExhaustedResponse) as caught:
        connect(qdrant, protocol).get_collections()
    assert caught.value.retry_after_s == 7


@BOTH
@pytest.mark.parametrize(
    ("kind", "applied"), [("reset_before", False), ("reset_after", True), ("truncate", True), ("status", False)]
)
def test_a_broken_request_is_applied_or_not_as_told(
    protocol: str, kind: Any, applied: bool, qdrant: QdrantStub, connect: Connect
) -> None:
    client = connect(qdrant, protocol)
    client.create_collection("c", COSINE)
    qdrant.faults.append(Fault(kind, on="upsert"))
    with pytest.raises((ResponseHandlingException, UnexpectedResponse, grpc.RpcError)):
        client.upsert("c", points(np.random.default_rng(0), [1, 2, 3]))
    # over REST, for a gRPC channel that was cut off may fail once more
    assert connect(qdrant, "rest").count("c").count == (3 if applied else 0)
    assert [(one.operation, one.points) for one in qdrant.requests if one.collection][1] == ("upsert", 3)


@pytest.mark.slow
@BOTH
def test_a_request_that_hangs_ends_with_the_clients_time_out(
    protocol: str, qdrant: QdrantStub, connect: Connect
) -> None:
    client = connect(qdrant, protocol, timeout=1)
    client.create_collection("c", COSINE)
    qdrant.faults.append(Fault("hang", on="upsert"))
    with pytest.raises((ResponseHandlingException, grpc.RpcError)) as caught:
        client.upsert("c", points(np.random.default_rng(0), [1]))
    error: Any = caught.value
    assert "timed out" in str(error) or error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert connect(qdrant, protocol).count("c").count == 0


@pytest.mark.slow
@BOTH
def test_a_late_request_is_applied_although_nobody_waits_for_it(
    protocol: str, qdrant: QdrantStub, connect: Connect
) -> None:
    connect(qdrant, protocol).create_collection("c", COSINE)
    qdrant.faults.append(Fault("delay", on="upsert", seconds=1.5))
    with pytest.raises((ResponseHandlingException, grpc.RpcError)):
        connect(qdrant, protocol, timeout=1).upsert("c", points(np.random.default_rng(0), [1]))
    qdrant.settle()
    assert connect(qdrant, protocol).count("c").count == 1


@BOTH
def test_a_server_that_was_down_comes_back_with_what_it_held(
    protocol: str, qdrant: QdrantStub, connect: Connect
) -> None:
    connect(qdrant, protocol).create_collection("c", COSINE)
    with qdrant.down(), pytest.raises((ResponseHandlingException, grpc.RpcError)):
        connect(qdrant, protocol).count("c")
    assert connect(qdrant, protocol).count("c").count == 0


def test_a_body_that_is_too_large_is_refused_over_http_alone(connect: Connect) -> None:
    with QdrantStub(max_body_bytes=1000) as stub:
        rest, rpc = connect(stub, "rest"), connect(stub, "grpc")
        rest.create_collection("c", COSINE)
        many = points(np.random.default_rng(0), list(range(20)))
        status, message = refusal(lambda client: client.upsert("c", many), rest)
        assert status == 400
        assert message.startswith("Payload error: JSON payload (")
        assert message.endswith("bytes) is larger than allowed (limit: 1000 bytes).")
        rpc.upsert("c", many)
        assert rest.count("c").count == 20


@BOTH
def test_another_version_is_told(protocol: str, qdrant: QdrantStub, connect: Connect) -> None:
    qdrant.version = "1.2.3"
    assert connect(qdrant, protocol).info().version == "1.2.3"


@pytest.mark.slow
def test_no_thread_is_left_when_it_is_closed(connect: Connect) -> None:
    before = set(threading.enumerate())
    with QdrantStub() as stub:
        for protocol in ("rest", "grpc"):
            connect(stub, protocol).get_collections()
        stub.faults.append(Fault("hang", on="list_collections"))
        with pytest.raises((ResponseHandlingException, grpc.RpcError)):
            connect(stub, "rest", timeout=1).get_collections()
    assert {thread.name for thread in set(threading.enumerate()) - before if "qdrant-stub" in thread.name} == set()
