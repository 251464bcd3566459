"""Collections on a server, beyond the contract, on the stub of a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import UUID, uuid5

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from sift_rag import defaults
from sift_rag.errors import CollectionNotFound, StoreConflict, StoreDamaged
from sift_rag.filters import Filter
from sift_rag.opening import open_index, open_store
from sift_rag.protocols import PassageIndex, PassageStore
from sift_rag.retrieval.candidates import searcher_of
from sift_rag.stores.embedded.manifest import SCHEMA_VERSION
from sift_rag.stores.qdrant.options import ServerOptions
from sift_rag.stores.qdrant.transport import MOST_BYTES, grouped
from sift_rag.stores.registry import open_database
from sift_rag.types import CollectionInfo, Document, Embedding, Passage, Span
from tests.qdrant_stub.server import QdrantStub
from tests.servers import PROTOCOLS

DIMENSION = 8
INFO = CollectionInfo("news", "an embedder", DIMENSION, SCHEMA_VERSION, "1/200/20")
NAMESPACE = UUID("9f2f4a4e-95a1-4a6e-bc31-2d0c53f3a111")


@pytest.fixture(params=PROTOCOLS)
def url(request: pytest.FixtureRequest, qdrant: QdrantStub) -> str:
    return f"{qdrant.url}?grpc_port={qdrant.grpc_port if request.param == 'grpc' else 9}"


@pytest.fixture
def store(url: str) -> Iterator[PassageStore]:
    with closing(open_database(url).create(INFO)) as made:
        yield made


@pytest.fixture
def client(qdrant: QdrantStub) -> Iterator[QdrantClient]:
    """The client of another tool."""
    with closing(QdrantClient(url=qdrant.url, check_compatibility=False)) as other:
        yield other


def passages(count: int, source: str = "a.md") -> list[Passage]:
    return [Passage(str(uuid5(NAMESPACE, f"{source}{n}")), f"text {n}", source, Span(n, n + 1)) for n in range(count)]


def vectors(count: int, seed: int = 0) -> Embedding:
    rows = np.random.default_rng(seed).standard_normal((count, DIMENSION))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_grpc_is_spoken_where_it_is_reached_and_rest_elsewhere(qdrant: QdrantStub) -> None:
    for grpc_port, expected in ((qdrant.grpc_port, "grpc"), (9, "rest")):
        qdrant.requests.clear()
        with closing(open_database(f"{qdrant.url}?grpc_port={grpc_port}").create(INFO)) as made:
            made.upsert(passages(3), vectors(3))
            made.search(vectors(1), 2)
        assert {request.protocol for request in qdrant.requests} == {expected}
        open_database(qdrant.url).drop("news")


def test_every_write_waits_until_the_server_has_it(qdrant: QdrantStub, store: PassageStore) -> None:
    store.upsert(passages(200), vectors(200))
    store.put_documents([Document("a.md", "/a.md", "ingested", passages=200)])
    store.delete_passages("a.md")
    store.drop_documents(["a.md"])
    writes = [request for request in qdrant.requests if request.operation in {"upsert", "delete"}]
    assert len(writes) == 5
    assert all(request.wait for request in writes)


def test_a_search_of_several_targets_is_one_request(qdrant: QdrantStub, store: PassageStore) -> None:
    store.upsert(passages(50), vectors(50))
    qdrant.requests.clear()
    store.search(vectors(4, seed=1), 10)
    assert qdrant.operations() == ["query_batch"]


def test_records_of_thousands_of_documents_are_put_in_one_request(qdrant: QdrantStub, store: PassageStore) -> None:
    qdrant.requests.clear()
    store.put_documents([Document(f"{n}.md", "/", "pending") for n in range(3000)])
    assert [request.points for request in qdrant.requests] == [3000]


def test_groups_keep_the_order_and_hold_no_more_than_they_may() -> None:
    sizes = [1, MOST_BYTES, 1, MOST_BYTES - 1, 2 * MOST_BYTES, 5, 5, 5]
    groups = [list(group) for group in grouped(range(8), sizes, 2)]
    assert groups == [[0], [1], [2, 3], [4], [5, 6], [7]]
    assert list(grouped([], [], 2)) == []


def test_a_collection_says_what_it_was_made_with_to_other_tools_too(client: QdrantClient, store: PassageStore) -> None:
    state = client.get_collection("news")
    assert state.config.metadata == {
        "format": "sift-rag collection",
        "schema_version": SCHEMA_VERSION,
        "name": "news",
        "embedder": "an embedder",
        "dimension": DIMENSION,
        "splitter": "1/200/20",
        "precision": "",
    }
    assert set(state.payload_schema) == {"source", "embedding_text_hash", "labels"}
    assert store.info == INFO


def test_options_reach_the_server(url: str, client: QdrantClient) -> None:
    options = ServerOptions(
        shard_number=4,
        replication_factor=2,
        write_consistency_factor=2,
        on_disk=True,
        float16=True,
        quantize=True,
    )
    with closing(open_database(url, server=options).create(INFO)) as made:
        config = client.get_collection("news").config
        params = config.params
        assert (params.shard_number, params.replication_factor, params.write_consistency_factor) == (4, 2, 2)
        assert isinstance(params.vectors, models.VectorParams)
        assert (params.vectors.on_disk, params.vectors.datatype) == (True, models.Datatype.FLOAT16)
        assert config.quantization_config is not None
        records = client.get_collection("news@0.documents").config.params
        assert (records.shard_number, records.replication_factor) == (1, 2)
        made.upsert(passages(20), vectors(20))
        for candidate in made.search(vectors(1), 20)[0]:
            assert np.linalg.norm(candidate.embedding.astype(np.float64)) == pytest.approx(1, abs=1e-6)


class TestWhichSearch:
    """Whether a server searches exactly or by its graph. The stub answers exactly in either case."""

    @pytest.fixture
    def filled(self, url: str, store: PassageStore) -> Iterator[PassageIndex]:
        store.upsert(passages(300), vectors(300))
        with closing(open_index(url, "news")) as opened:
            yield opened

    def searched(self, qdrant: QdrantStub, index: PassageIndex, *, exactly: bool = False) -> tuple[bool, list[Any]]:
        qdrant.engine.searches.clear()
        nearby = searcher_of(index, exactly=exactly)
        [found], [expected] = nearby.searcher.search(vectors(1), 5), index.search(vectors(1), 5)
        assert [one.passage for one in found] == [one.passage for one in expected]
        return nearby.exact, [(params.exact, params.hnsw_ef) for params in qdrant.engine.searches]

    def test_a_small_collection_is_searched_exactly(self, qdrant: QdrantStub, filled: PassageIndex) -> None:
        assert self.searched(qdrant, filled) == (True, [(True, None)] * 2)

    def test_a_large_one_by_its_graph_unless_it_is_asked_for(
        self, qdrant: QdrantStub, filled: PassageIndex, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(defaults, "EXACT_SEARCH_PASSAGES", 299)
        assert self.searched(qdrant, filled) == (False, [(False, defaults.GRAPH_EFFORT), (True, None)])
        assert self.searched(qdrant, filled, exactly=True) == (True, [(True, None)] * 2)

    def test_where_a_filter_leaves_less_than_asked_for_the_answer_is_exact(
        self, qdrant: QdrantStub, filled: PassageIndex, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(defaults, "EXACT_SEARCH_PASSAGES", 299)
        qdrant.engine.searches.clear()
        found = searcher_of(filled).searcher.search(vectors(1), 500)
        assert len(found[0]) == 300
        assert [bool(params.exact) for params in qdrant.engine.searches] == [False, True]

    def test_a_strict_collection_is_asked_as_its_owner_wants_and_never_called_exact(
        self, qdrant: QdrantStub, client: QdrantClient, filled: PassageIndex, url: str
    ) -> None:
        strict = models.StrictModeConfig(enabled=True, search_allow_exact=False)
        client.update_collection("news@0", strict_mode_config=strict)
        with closing(open_index(url, "news")) as opened:
            for exactly in (False, True):
                assert self.searched(qdrant, opened, exactly=exactly) == (False, [(False, None)] * 2)


class TestStrictMode:
    """A collection that refuses exact searches and counts, long answers and large writes."""

    @pytest.fixture
    def strict(self, url: str, client: QdrantClient, store: PassageStore) -> Iterator[PassageStore]:
        store.upsert(passages(300), vectors(300))
        client.update_collection(
            "news@0",
            strict_mode_config=models.StrictModeConfig(
                enabled=True, search_allow_exact=False, max_query_limit=100, upsert_max_batchsize=50
            ),
        )
        with closing(open_store(url, "news")) as opened:
            yield opened

    def test_it_is_said_once_that_search_is_approximate(
        self, strict: PassageStore, caplog: pytest.LogCaptureFixture, url: str
    ) -> None:
        caplog.clear()
        with closing(open_store(url, "news")) as opened:
            opened.search(vectors(1), 5)
        messages = [record.getMessage() for record in caplog.records if record.name.startswith("sift_rag")]
        assert len(messages) == 1
        assert "'news' forbids exact search" in messages[0]
        assert "the selection use the true vectors" in messages[0]

    @pytest.mark.slow
    def test_answers_stay_within_its_limits_and_are_whole(self, strict: PassageStore) -> None:
        target = vectors(1, seed=3)
        order = np.argsort(-(vectors(300) @ target[0]).astype(np.float64))
        for limit, offset in ((5, 0), (95, 0), (250, 0), (100, 120)):
            found = strict.search(target, limit, offset=offset)[0]
            expected = order[offset : offset + limit]
            assert [c.passage.id for c in found] == [passages(300)[database].id for database in expected]
            assert [c.similarity for c in found] == pytest.approx(vectors(300)[expected] @ target[0], abs=1e-6)
        assert strict.count() == 300
        assert len(list(strict.passages("a.md"))) == 300

    def test_requests_that_write_stay_within_its_limits(self, qdrant: QdrantStub, strict: PassageStore) -> None:
        qdrant.requests.clear()
        strict.upsert(passages(120), vectors(120))
        writes = [request for request in qdrant.requests if request.operation == "upsert"]
        assert [request.points for request in writes] == [50, 50, 20]


class TestDoctor:
    def findings(self, url: str) -> list[str]:
        return open_database(url).check("news")

    def test_a_sound_collection_has_no_findings(self, url: str, store: PassageStore) -> None:
        store.upsert(passages(20), vectors(20))
        store.put_documents([Document("a.md", "/a.md", "ingested", passages=20)])
        assert self.findings(url) == []

    def test_what_records_and_passages_disagree_on_is_told(self, url: str, store: PassageStore) -> None:
        store.upsert([*passages(20), *passages(2, "b.md")], vectors(22))
        store.put_documents([Document("a.md", "/a.md", "ingested", passages=21)])
        assert self.findings(url) == [
            "'a.md' has 20 passages, but its record says 21.",
            "'b.md' has 2 passages, but no record.",
        ]

    def test_points_that_others_wrote_into_it_are_told(
        self, url: str, store: PassageStore, client: QdrantClient
    ) -> None:
        store.upsert(passages(3), vectors(3))
        store.put_documents([Document("a.md", "/a.md", "ingested", passages=3)])
        client.upsert("news", [models.PointStruct(id=7, vector=[3.0] * DIMENSION, payload={"text": "foreign"})])
        assert self.findings(url) == [
            "Passage 7 was not written by sift-rag, or its content is damaged.",
            "The vector of passage 7 has norm 8.49 instead of 1.",
        ]
        with pytest.raises(StoreDamaged, match=r"Passage 7 .* was not written by sift-rag"):
            store.search(vectors(1), 10)

    def test_lost_records_are_told(self, url: str, store: PassageStore, client: QdrantClient) -> None:
        store.upsert(passages(3), vectors(3))
        client.delete_collection("news@0.documents")
        assert "The records of documents cannot be read" in self.findings(url)[0]

    def test_a_reindex_that_was_interrupted_is_told(self, url: str, store: PassageStore) -> None:
        building = open_database(url).building_name("news")
        open_database(url).create(CollectionInfo(building, "another", 4, SCHEMA_VERSION)).close()
        [finding] = self.findings(url)
        assert "'news@1' exists beside 'news@0': a re-index is under way, or was interrupted" in finding


class TestDatabase:
    def test_a_name_that_is_taken_is_refused(self, url: str, store: PassageStore, client: QdrantClient) -> None:
        client.create_collection("other", vectors_config=models.VectorParams(size=4, distance=models.Distance.COSINE))
        for name in ("news", "other"):
            with pytest.raises(StoreConflict, match=f"already a collection '{name}'"):
                open_database(url).create(CollectionInfo(name, "an embedder", DIMENSION, SCHEMA_VERSION))

    @pytest.mark.parametrize("name", ["", "../x", "a b", "news@", "@1", "news@x", "a/b"])
    def test_a_name_that_cannot_be_is_refused(self, url: str, name: str) -> None:
        with pytest.raises(ValueError, match="cannot be called"):
            open_database(url).create(CollectionInfo(name, "an embedder", DIMENSION, SCHEMA_VERSION))

    def test_what_is_missing_is_named_with_what_is_there(self, url: str, store: PassageStore) -> None:
        for use in (
            open_database(url).open,
            open_database(url).documents,
            open_database(url).drop,
            open_database(url).check,
        ):
            with pytest.raises(CollectionNotFound, match=r"no collection 'olds' .*there: 'news'"):
                use("olds")

    def test_another_schema_is_refused(self, url: str, client: QdrantClient) -> None:
        made = CollectionInfo("news", "an embedder", DIMENSION, SCHEMA_VERSION)
        open_database(url).create(made).close()
        metadata = client.get_collection("news").config.metadata or {}
        client.update_collection("news@0", metadata=metadata | {"schema_version": 99})
        with pytest.raises(StoreConflict, match="schema version 99"):
            open_store(url, "news")

    def test_metadata_that_somebody_has_changed_are_damage(
        self, url: str, store: PassageStore, client: QdrantClient
    ) -> None:
        client.update_collection("news@0", metadata={"embedder": 7})
        with pytest.raises(StoreDamaged, match="metadata"):
            open_store(url, "news")
        assert open_database(url).collections() == []

    def test_only_what_was_built_for_it_replaces_a_collection(self, url: str, store: PassageStore) -> None:
        for other in ("news", "olds@1", "news@7"):
            with pytest.raises((ValueError, CollectionNotFound)):
                open_database(url).replace("news", other)
        assert open_database(url).collections() == [INFO]

    def test_what_is_built_takes_a_name_that_was_free(self, url: str) -> None:
        database = open_database(url)
        building = database.building_name("news")
        with closing(database.create(CollectionInfo(building, "an embedder", DIMENSION, SCHEMA_VERSION))) as made:
            made.upsert(passages(5), vectors(5))
        assert database.collections() == []
        database.replace("news", building)
        with closing(open_store(url, "news")) as opened:
            assert opened.count() == 5
        database.drop("news")
        assert database.collections() == []

    def test_records_are_read_alone(self, url: str, store: PassageStore) -> None:
        store.put_documents(
            [Document("a.md", "/a.md", "ingested", size=7, passages=2), Document("b.md", "/", "failed")]
        )
        with closing(open_database(url).documents("news")) as records:
            assert records.info == INFO
            assert records.totals() == (1, 0, 1, 2, 7)
            assert [document.source for document in records.documents()] == ["a.md", "b.md"]


def test_a_filter_that_no_document_matches_asks_for_no_vector(qdrant: QdrantStub, store: PassageStore) -> None:
    store.upsert(passages(5), vectors(5))
    store.put_documents([Document("a.md", "/a.md", "ingested", passages=5)])
    qdrant.requests.clear()
    assert store.search(vectors(2), 5, where=Filter(sources=("b/*",))) == [[], []]
    assert "query_batch" not in qdrant.operations()
