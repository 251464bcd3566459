"""Collections that other tools made: their inferred layout, searching them, and never writing to them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qdrant_client import QdrantClient, models

from sift_rag.comparisons import Condition
from sift_rag.errors import ConfigurationError, StoreConflict, StoreError
from sift_rag.filters import Filter
from sift_rag.ingestion import ingest_paths, reindex
from sift_rag.opening import open_index, open_retriever, open_store
from sift_rag.protocols import PassageIndex, Scannable, WordIndex
from sift_rag.retrieval.queries import Query
from sift_rag.stores.qdrant.layout import (
    Layout,
    SeveralVectors,
    choose_source,
    choose_text,
    choose_vector,
    metadata_of,
    text_at,
    value_at,
)
from sift_rag.stores.registry import open_database
from sift_rag.types import Document, Embedding
from tests.doubles import HashingEmbedder
from tests.examples import examples
from tests.qdrant_stub.server import QdrantStub
from tests.servers import PROTOCOLS

EMBEDDER = HashingEmbedder(dimension=16)
TEXTS = ["Owls hunt at night.", "Bees make honey by day.", "Mice fear owls.", "Bats hear what owls see."]
COSINE = models.VectorParams(size=16, distance=models.Distance.COSINE)


def langchain(text: str, n: int) -> dict[str, Any]:
    return {
        "page_content": text,
        "metadata": {"source": f"docs/{n % 2}.md", "start_index": 100 * n, "tag": ["x", "y"][n % 2], "year": 2020 + n},
    }


def llama_index(text: str, n: int) -> dict[str, Any]:
    node = json.dumps({"id_": str(n), "text": text, "metadata": {}})
    names = {"document_id": f"d{n % 2}", "doc_id": f"d{n % 2}", "ref_doc_id": f"d{n % 2}"}
    return {"_node_content": node, "_node_type": "TextNode", "file_name": f"docs/{n % 2}.md", "tag": "x", **names}


def haystack(text: str, n: int) -> dict[str, Any]:
    return {"id": str(n), "content": text, "meta": {"file_path": f"docs/{n % 2}.md", "tag": "xy"[n % 2]}}


def by_hand(text: str, n: int) -> dict[str, Any]:
    return {"Inhalt": f"{text} {'And so on. ' * 20}", "kind": "note", "tag": "xy"[n % 2]}


@pytest.fixture
def client(qdrant: QdrantStub) -> Iterator[QdrantClient]:
    with closing(QdrantClient(url=qdrant.url, check_compatibility=False)) as other:
        yield other


@pytest.fixture(params=PROTOCOLS)
def url(request: pytest.FixtureRequest, qdrant: QdrantStub) -> str:
    return f"{qdrant.url}?grpc_port={qdrant.grpc_port if request.param == 'grpc' else 9}"


def fill(
    client: QdrantClient,
    payload: Callable[[str, int], dict[str, Any]] = langchain,
    *,
    vectors: Any = COSINE,
    vector: Callable[[Embedding], Any] = lambda row: row.tolist(),
    ids: Callable[[int], int | str] = lambda n: n,
) -> None:
    client.create_collection("theirs", vectors_config=vectors)
    rows = EMBEDDER.embed_passages(TEXTS)
    points = [
        models.PointStruct(id=ids(n), vector=vector(row), payload=payload(text, n))
        for n, (text, row) in enumerate(zip(TEXTS, rows, strict=True))
    ]
    client.upsert("theirs", points, wait=True)


@pytest.mark.parametrize(
    ("payload", "text", "source"),
    [
        (langchain, TEXTS[1], "docs/1.md"),
        (llama_index, TEXTS[1], "docs/1.md"),
        (haystack, TEXTS[1], "docs/1.md"),
        (by_hand, f"{TEXTS[1]} {'And so on. ' * 20}", "1"),
    ],
)
def test_the_text_and_the_source_are_found_in_what_each_tool_writes(
    url: str, client: QdrantClient, payload: Callable[[str, int], dict[str, Any]], text: str, source: str
) -> None:
    fill(client, payload)
    retriever = open_retriever(url, "theirs", EMBEDDER)
    with closing(retriever.store):
        hit = retriever.retrieve("Who makes honey?", k=1).hits[0]
    assert (hit.passage.text, hit.passage.source, hit.passage.id) == (text, source, "1")
    assert hit.passage.metadata["tag"] in {"x", "y"}


@pytest.mark.parametrize("numbered", [True, False])
def test_what_is_found_is_what_brute_force_finds(url: str, client: QdrantClient, numbered: bool) -> None:
    fill(client, ids=lambda n: n if numbered else str(UUID(int=n)))
    rows = EMBEDDER.embed_passages(TEXTS)
    target = EMBEDDER.embed_queries(["owls at night"])
    order = np.argsort(-(rows @ target[0]))
    with closing(open_index(url, "theirs")) as store:
        [found] = store.search(target, 3)
        assert [c.passage.text for c in found] == [TEXTS[place] for place in order[:3]]
        assert np.allclose([c.similarity for c in found], (rows @ target[0])[order[:3]], atol=1e-6)
        assert np.allclose([c.embedding for c in found], rows[order[:3]], atol=1e-6)
        assert store.search(target, 2, offset=1) == [found[1:3]]
        ids = [c.passage.id for c in found]
        assert [c.passage.id for c in store.fetch([ids[2], "no id", ids[0], "99"])] == [ids[2], ids[0]]
        assert isinstance(store, Scannable)
        blocks = list(store.scan(3))
        assert [len(block) for block, _ in blocks] == [3, 1]
        assert np.allclose(np.concatenate([block for _, block in blocks]), rows, atol=1e-6)
        assert store.count() == 4


def test_positions_come_from_the_metadata_and_passages_in_their_order(url: str, client: QdrantClient) -> None:
    fill(client, lambda text, n: langchain(text, n) | {"metadata": {"source": "a", "start_index": 50 - n}})
    with closing(open_index(url, "theirs")) as store:
        assert [(c.passage.id, c.passage.span.start) for c in store.passages("a")] == [
            ("3", 47),
            ("2", 48),
            ("1", 49),
            ("0", 50),
        ]
        assert list(store.passages("b")) == []


def test_documents_are_what_the_points_say(url: str, client: QdrantClient) -> None:
    fill(client)
    expected = [Document(f"docs/{n}.md", "", "ingested", passages=2) for n in (0, 1)]
    with closing(open_index(url, "theirs")) as store:
        assert list(store.documents()) == expected
        assert list(store.documents("docs/1")) == expected[1:]
    with closing(open_database(url).documents("theirs")) as records:
        assert list(records.documents("docs/1")) == expected[1:]
        assert records.document("docs/1.md") == expected[1]
        assert records.document("docs/1") is None
        assert records.totals() == (2, 0, 0, 4, 0)
        assert records.info.embedder == ""


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (Filter(sources=("docs/1*",)), {"1", "3"}),
        (Filter(sources=("nowhere/*",)), set()),
        (Filter(labels=(("tag", "x"),)), {"0", "2"}),
        (Filter(labels=(("tag", "x"), ("tag", "y"))), {"0", "1", "2", "3"}),
        (Filter(labels=(("year", "2021"),)), {"1"}),
        (Filter(sources=("docs/0.md",), labels=(("year", "2022"), ("year", "2023"))), {"2"}),
        (Filter(labels=(("none", "x"),)), set()),
        (Filter.parse(["tag!=x"]), {"1", "3"}),
        (Filter.parse(["none!=x"]), {"0", "1", "2", "3"}),
        (Filter.parse(["tag~=[!y]"]), {"0", "2"}),
        (Filter.parse(["year~=*2?"]), {"0", "1", "2", "3"}),
        (Filter.parse(["year>=2021", "year<2023", "year<1e400"]), {"1", "2"}),
        (Filter.parse(["year>2022.5"]), {"3"}),
        (Filter.parse(["year>2021", "year>2021-01-01"]), set()),
        (Filter.parse(["source!=docs/0.md"]), {"1", "3"}),
    ],
    ids=lambda value: str(sorted(value)) if isinstance(value, set) else str(value),
)
def test_filters_look_into_the_metadata_of_any_type(
    url: str, client: QdrantClient, where: Filter, expected: set[str]
) -> None:
    fill(client)
    with closing(open_index(url, "theirs")) as store:
        found = store.search(EMBEDDER.embed_queries(["owls"]), 10, where=where)[0]
        assert {c.passage.id for c in found} == expected
        assert {c.passage.id for c in found} == {c.passage.id for c in found if where.matches(c.passage)}


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    comparisons=st.lists(
        st.builds(
            Condition,
            st.just("key"),
            st.sampled_from(["gt", "gte", "lt", "lte", "not"]),
            st.sampled_from(["-3", "0", "2", "2.5", "2024", "2024-05-31", "2024-06-01T01:30:00Z"]),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_comparisons_mean_the_same_as_in_our_own_collections(mixed: PassageIndex, comparisons: list[Condition]) -> None:
    where = Filter(comparisons=tuple(comparisons))
    everything = mixed.search(EMBEDDER.embed_queries(["owls"]), 100)[0]
    expected = {c.passage.id for c in everything if where.matches(c.passage)}
    assert {c.passage.id for c in mixed.search(EMBEDDER.embed_queries(["owls"]), 100, where=where)[0]} == expected


VALUES: tuple[Any, ...] = (
    None, -3, 2, 2.5, 2024, "2", "2.50", "2024", "-3e0", True, "x", [2, 3], ["2", "x"], [], {"k": 2},
    "2024-05-31", "2024-05-31T23:30:00-02:00", "2024-06-01T00:00:00Z", ["2024-05-30", "2025-01-01T00:00"],
)  # fmt: skip


@pytest.fixture
def mixed(url: str, client: QdrantClient) -> Iterator[PassageIndex]:
    """Yield a collection whose points have a value of each kind, in the payload or in its metadata."""
    client.create_collection("theirs", vectors_config=COSINE)
    row = EMBEDDER.embed_passages(["owls"])[0].tolist()
    payloads = [{"page_content": f"Owls {n}.", "key": value} for n, value in enumerate(VALUES)]
    payloads += [{"page_content": f"Bees {n}.", "metadata": {"key": value}} for n, value in enumerate(VALUES)]
    client.upsert(
        "theirs", [models.PointStruct(id=n, vector=row, payload=p) for n, p in enumerate(payloads)], wait=True
    )
    with closing(open_index(url, "theirs")) as store:
        yield store


def test_where_nothing_names_a_document_each_point_is_one(url: str, client: QdrantClient) -> None:
    fill(client, by_hand)
    with closing(open_index(url, "theirs")) as store:
        assert [document.source for document in store.documents()] == ["0", "1", "2", "3"]
        found = store.search(EMBEDDER.embed_queries(["owls"]), 10, where=Filter(sources=("[12]",)))[0]
        assert {c.passage.source for c in found} == {"1", "2"}


class TestVectors:
    def test_the_one_of_the_embedders_dimension_is_taken(self, url: str, client: QdrantClient) -> None:
        small = models.VectorParams(size=4, distance=models.Distance.COSINE)
        fill(client, vectors={"small": small, "large": COSINE}, vector=lambda row: {"large": row.tolist()})
        with pytest.raises(SeveralVectors, match=r"large of 16, small of 4 dimensions") as told:
            open_index(url, "theirs")
        assert told.value.remedy is not None
        assert told.value.remedy.key == "vector-name"
        retriever = open_retriever(url, "theirs", EMBEDDER)
        with closing(retriever.store):
            assert retriever.retrieve("honey", k=1).hits[0].passage.text == TEXTS[1]
        with closing(open_index(url, "theirs", layout=Layout(vector="small"))) as store:
            assert store.info.dimension == 4
            assert store.fetch(["1"]) == []  # it has no such vector
            assert list(store.scan(10)) == []  # type: ignore[attr-defined]

    def test_a_name_that_is_not_there_is_told_with_those_that_are(self, url: str, client: QdrantClient) -> None:
        fill(client, vectors={"dense": COSINE}, vector=lambda row: {"dense": row.tolist()})
        with pytest.raises(ConfigurationError, match=r"no vector 'dens' .*dense of 16"):
            open_index(url, "theirs", layout=Layout(vector="dens"))

    def test_products_of_unit_vectors_are_cosines(self, url: str, client: QdrantClient) -> None:
        fill(client, vectors=models.VectorParams(size=16, distance=models.Distance.DOT))
        with closing(open_index(url, "theirs")) as store:
            [found] = store.search(EMBEDDER.embed_queries([TEXTS[1]]), 1)
            assert found[0].similarity == pytest.approx(1, abs=1e-6)

    @pytest.mark.parametrize(
        ("distance", "factor", "complaint"),
        [
            (models.Distance.DOT, 3.0, r"distance Dot and vectors of norms 3 to 3\."),
            (models.Distance.EUCLID, 1.0, "distance Euclid"),
            (models.Distance.MANHATTAN, 1.0, "distance Manhattan"),
        ],
    )
    def test_other_distances_are_refused(
        self, url: str, client: QdrantClient, distance: models.Distance, factor: float, complaint: str
    ) -> None:
        vectors = models.VectorParams(size=16, distance=distance)
        fill(client, vectors=vectors, vector=lambda row: (factor * row).tolist())
        with pytest.raises(StoreConflict, match=rf"{complaint}.*expected the distance Cosine"):
            open_index(url, "theirs")

    def test_vectors_come_back_with_norm_1(self, url: str, client: QdrantClient) -> None:
        fill(client, vector=lambda row: (7 * row).tolist())
        with closing(open_index(url, "theirs")) as store:
            [found] = store.search(EMBEDDER.embed_queries(["owls"]), 4)
            assert np.linalg.norm([c.embedding for c in found], axis=1) == pytest.approx(1, abs=1e-6)


class TestEmbedder:
    def test_it_must_be_named(self, url: str, client: QdrantClient) -> None:
        fill(client)
        with pytest.raises(ConfigurationError, match=r"another tool .*does not record its embedder.* 16 dimensions"):
            open_retriever(url, "theirs")

    def test_its_dimension_must_be_the_collections(self, url: str, client: QdrantClient) -> None:
        fill(client)
        with pytest.raises(StoreConflict, match=r"vectors of 16 dimensions, and the embedder wide gives 32"):
            open_retriever(url, "theirs", HashingEmbedder("wide", dimension=32))


class TestReadOnly:
    def test_it_is_not_opened_to_write(self, url: str, client: QdrantClient, qdrant: QdrantStub) -> None:
        fill(client)
        qdrant.requests.clear()
        with pytest.raises(StoreConflict, match=r"'theirs' on .* was made by another tool") as told:
            open_store(url, "theirs")
        assert told.value.remedy is not None
        assert told.value.remedy.key == "collection-of-another-tool"
        assert not {"upsert", "delete"} & set(qdrant.operations())

    def test_what_is_opened_to_read_has_nothing_that_writes(self, url: str, client: QdrantClient) -> None:
        fill(client)
        with closing(open_index(url, "theirs")) as store:
            assert not {"upsert", "delete_passages", "put_documents", "drop_documents"} & set(dir(store))

    @pytest.mark.parametrize("work", [ingest_paths, reindex])
    def test_nothing_is_ingested_into_it(
        self, url: str, client: QdrantClient, tmp_path: Any, work: Callable[..., object]
    ) -> None:
        fill(client)
        (tmp_path / "a.md").write_text("A note.")
        with pytest.raises(StoreConflict, match="another tool"):
            work([tmp_path], store=url, collection="theirs", embedder=EMBEDDER)
        assert client.count("theirs").count == 4
        assert [entry.name for entry in client.get_collections().collections] == ["theirs"]

    def test_it_is_neither_listed_as_ours_nor_dropped_nor_replaced(self, url: str, client: QdrantClient) -> None:
        fill(client)
        database = open_database(url)
        assert database.collections() == []
        for use in (database.drop, database.check, lambda name: database.replace(name, f"{name}@1")):
            with pytest.raises(StoreError):
                use("theirs")
        assert client.count("theirs").count == 4

    def test_a_closed_one_refuses_to_be_read(self, url: str, client: QdrantClient) -> None:
        fill(client)
        store = open_index(url, "theirs")
        store.close()
        for use in (
            store.count,
            store.documents,
            lambda: store.search(EMBEDDER.embed_queries(["x"]), 1),
            lambda: store.fetch([]),
            lambda: store.passages("a"),
        ):
            with pytest.raises(StoreError, match="is closed"):
                use()


class TestLayout:
    """Layouts inferred from payloads alone."""

    LONG = "words " * 20

    def test_a_usual_name_of_the_text_wins_over_other_long_texts(self) -> None:
        assert choose_text([{"content": "short", "html": self.LONG}], Layout(), "x") == "content"

    def test_the_only_long_text_is_the_text(self) -> None:
        payloads = [{"inner": {"körper": self.LONG}, "name": "short"}] * 3
        assert choose_text(payloads, Layout(), "x") == "inner.körper"

    @pytest.mark.parametrize(
        ("payload", "complaint"),
        [
            ({"text": "a", "content": "b"}, "text or content"),
            ({"one": LONG, "two": LONG}, "one or two"),
            ({"name": "short"}, "texts there: name"),
            ({}, "texts there: none"),
        ],
    )
    def test_what_cannot_be_told_is_asked_for(self, payload: dict[str, Any], complaint: str) -> None:
        with pytest.raises(ConfigurationError, match=rf"{complaint}"):
            choose_text([payload], Layout(), "The collection")

    def test_what_is_named_is_taken(self) -> None:
        payloads = [{"text": "a", "meta": {"body": "b"}}]
        assert choose_text(payloads, Layout(text="meta.body"), "x") == "meta.body"
        assert choose_source(payloads, Layout(source="text")) == "text"
        assert choose_vector({"": 3, "b": 3}, Layout(vector="b"), "x") == "b"
        with pytest.raises(ConfigurationError, match="no field 'body'"):
            choose_text(payloads, Layout(text="body"), "x")

    def test_an_empty_collection_asks_for_nothing(self) -> None:
        assert choose_text([], Layout(), "x") == "page_content"
        assert choose_source([], Layout()) is None

    def test_a_collection_without_dense_vectors_cannot_be_searched(self) -> None:
        with pytest.raises(ConfigurationError, match="no dense vector per point"):
            choose_vector({}, Layout(), "The collection")

    def test_a_path_leads_into_objects_unless_a_key_is_spelt_so(self) -> None:
        payload = {"a": {"b": 1, "c.d": 2}, "a.b": 3}
        assert [value_at(payload, path) for path in ("a.b", "a.c.d", "a.x", "x.y", "a.b.c")] == [3, 2, None, None, None]

    @pytest.mark.parametrize("node", ["{", "[]", "{}", '{"text": 7}', "[" * 100_000])
    def test_a_node_that_cannot_be_read_has_no_text(self, node: str) -> None:
        assert text_at({"_node_content": node}, "_node_content") == ""

    def test_metadata_are_all_but_the_text(self) -> None:
        payload = {"text": "t", "tag": "outer", "metadata": {"tag": "inner", "n": 1}, "meta": "not an object"}
        assert metadata_of(payload, "text") == {"tag": "inner", "n": 1, "meta": "not an object"}
        assert metadata_of({"metadata": {"body": "t", "n": 1}}, "metadata.body") == {"n": 1}


FULL_TEXT = models.TextIndexParams(type=models.TextIndexType.TEXT)
RANKED = models.TextIndexParams(type=models.TextIndexType.TEXT, scoring=True)


class TestWords:
    """Lexical candidates from another tool's full-text index."""

    def found(self, url: str, *texts: str, limit: int = 3, where: Filter | None = None) -> list[list[str]]:
        with closing(open_index(url, "theirs")) as store:
            assert isinstance(store, WordIndex)
            return [[c.passage.text for c in found] for found in store.search_words(texts, limit, where=where)]

    def test_without_a_full_text_index_there_are_none(self, url: str, client: QdrantClient) -> None:
        fill(client)
        assert self.found(url, "honey", "") == [[], []]

    def test_nor_from_sparse_vectors_whose_words_are_not_known(self, url: str, client: QdrantClient) -> None:
        client.create_collection(
            "theirs",
            vectors_config=COSINE,
            sparse_vectors_config={"words": models.SparseVectorParams(modifier=models.Modifier.IDF)},
        )
        row = EMBEDDER.embed_passages(TEXTS[:1])[0].tolist()
        words = models.SparseVector(indices=[1], values=[1.0])
        point = models.PointStruct(id=1, vector={"": row, "words": words}, payload=langchain(TEXTS[0], 0))
        client.upsert("theirs", [point], wait=True)
        assert self.found(url, "owls") == [[]]
        with closing(open_index(url, "theirs")) as store:
            assert np.allclose(store.fetch(["1"])[0].embedding, row, atol=1e-6)

    @pytest.mark.parametrize("index", [FULL_TEXT, RANKED], ids=["filtering", "ranking"])
    def test_a_full_text_index_finds_words(self, url: str, client: QdrantClient, index: models.TextIndexParams) -> None:
        fill(client)
        client.create_payload_index("theirs", "page_content", index, wait=True)
        assert self.found(url, "Who makes HONEY?", "mice", "?", "", "zebra", "\ud800") == [
            [TEXTS[1]],
            [TEXTS[2]],
            [],
            [],
            [],
            [],
        ]
        assert self.found(url, "fear see")[0] == [TEXTS[2], TEXTS[3]] or self.found(url, "fear see")[0] == [
            TEXTS[3],
            TEXTS[2],
        ]
        assert self.found(url, "honey mice", where=Filter(("docs/0.md",))) == [[TEXTS[2]]]
        assert self.found(url, "honey mice", where=Filter(("nowhere",))) == [[]]
        assert len(self.found(url, "honey mice bats", limit=2)[0]) == 2

    def test_one_that_only_filters_passes_over_common_words(self, url: str, client: QdrantClient) -> None:
        fill(client)
        client.create_payload_index("theirs", "page_content", FULL_TEXT, wait=True)
        assert self.found(url, "owls night", limit=2) == [[TEXTS[0]]]
        assert set(self.found(url, "owls night", limit=3)[0]) == {TEXTS[0], TEXTS[2], TEXTS[3]}
        assert self.found(url, "owls night", limit=3)[0][0] == TEXTS[0]

    def test_one_that_ranks_puts_rare_words_first(self, url: str, client: QdrantClient) -> None:
        fill(client)
        client.create_payload_index("theirs", "page_content", RANKED, wait=True)
        assert self.found(url, "owls honey")[0][0] == TEXTS[1]

    def test_a_question_of_any_length_is_asked(self, url: str, client: QdrantClient) -> None:
        fill(client)
        client.create_payload_index("theirs", "page_content", FULL_TEXT, wait=True)
        assert self.found(url, "honey " + " ".join(f"w{n}" for n in range(2000))) == [[TEXTS[1]]]


def test_neighbours_stand_by_the_positions_that_their_writer_recorded(url: str, client: QdrantClient) -> None:
    fill(client)
    with closing(open_index(url, "theirs")) as store:
        stored = [candidate.passage for candidate in store.fetch(["0", "1", "2"])]
        found = store.neighbours(stored, 2)
    assert [[[one.id for one in side] for side in sides] for sides in found] == [[[], ["2"]], [[], ["3"]], [["0"], []]]


@pytest.mark.parametrize(("payload", "lacks"), [(haystack, "where passages stand"), (by_hand, "which document")])
def test_a_collection_without_positions_has_no_context_and_says_so(
    url: str, client: QdrantClient, payload: Callable[[str, int], dict[str, Any]], lacks: str
) -> None:
    fill(client, payload)
    with (
        closing(open_retriever(url, "theirs", EMBEDDER)) as retriever,
        pytest.raises(ConfigurationError, match=f"does not record {lacks}"),
    ):
        retriever.retrieve(Query("Who makes honey?", context=1))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("by.year>=2022", {"2", "3"}),
        ("by.name=x", {"0", "2"}),
        ("by.name!=x", {"1", "3"}),
        ("by.name~=[xz]", {"0", "2"}),
        ("by.text<2022", {"0", "1"}),
        ("by.on>2021-05-31", {"2", "3"}),
    ],
)
@pytest.mark.parametrize("outer", ["metadata", None])
def test_keys_within_objects_are_filtered_by(
    url: str, client: QdrantClient, outer: str | None, asked: str, found: set[str]
) -> None:
    def nested(text: str, n: int) -> dict[str, Any]:
        by = {"year": 2020 + n, "name": "xy"[n % 2], "text": str(2020 + n), "on": f"202{n}-05-31"}
        return {"page_content": text, **({outer: {"by": by}} if outer else {"by": by})}

    fill(client, nested)
    with closing(open_index(url, "theirs")) as store:
        [candidates] = store.search(EMBEDDER.embed_queries(["owls"]), 9, where=Filter.parse([asked]))
    assert {candidate.passage.id for candidate in candidates} == found
