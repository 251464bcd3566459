"""The contract of every ``PassageStore``: each sentence of the protocol, run on each store.

The oracles are NumPy's own ordering of the cosines and Qdrant's in-memory client, which share no code with the stores.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid5

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sift_rag.errors import StoreError
from sift_rag.filters import Filter
from sift_rag.protocols import PassageStore, Scannable, WordIndex
from sift_rag.stores.embedded.manifest import SCHEMA_VERSION
from sift_rag.stores.embedded.store import EmbeddedStore, create_collection, open_collection
from sift_rag.stores.memory import MemoryStore
from sift_rag.types import CollectionInfo, Document, Embedding, Passage, Span
from tests.examples import examples
from tests.servers import LOCAL, REAL, SERVERS, kinds, made_locally, made_on_server, opened_on_server, stub_ends  # noqa: F401 - a fixture

pytestmark = pytest.mark.filterwarnings("ignore:Local mode performs exact")

DIMENSION = 16
INFO = CollectionInfo("sift-rag-contract-test", "an embedder", DIMENSION, SCHEMA_VERSION)
NAMESPACE = UUID("6b1de4f4-1b80-4a3e-9a71-5b1f0e9ab0cf")

STORES: dict[str, Callable[[Path], PassageStore]] = {
    "memory": lambda _: MemoryStore(INFO),
    "embedded": lambda root: create_collection(root, INFO),
    LOCAL: lambda _: made_locally(INFO),
    **{kind: lambda _, kind=kind: made_on_server(kind, INFO) for kind in SERVERS},  # type: ignore[misc]
}
REOPENABLE: dict[str, Callable[[Path], PassageStore]] = {
    "embedded": lambda root: open_collection(root, INFO.name),
    **{kind: lambda _, kind=kind: opened_on_server(kind, INFO.name) for kind in SERVERS},  # type: ignore[misc]
}


def test_all_of_this_ran_on_a_real_server_too() -> None:
    if REAL not in SERVERS:
        pytest.skip("no Qdrant server to test on: SIFT_RAG_TEST_QDRANT_URL is not set")


@pytest.fixture(scope="module", params=kinds(STORES))
def shared_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PassageStore]:
    made = STORES[request.param](tmp_path_factory.mktemp("store"))
    yield made
    made.close()


@pytest.fixture
def store(shared_store: PassageStore) -> Iterator[PassageStore]:
    """Yield an empty store and empty it again: making a durable one for each test would take most of the time."""
    assert shared_store.count() == 0
    yield shared_store
    while found := shared_store.search(unit_vectors(1), 5000)[0]:
        for source in {candidate.passage.source for candidate in found}:
            shared_store.delete_passages(source)
    if records := list(shared_store.documents()):
        shared_store.drop_documents([document.source for document in records])


@pytest.fixture(params=kinds(STORES))
def closed_store(request: pytest.FixtureRequest, tmp_path: Path) -> PassageStore:
    made = STORES[request.param](tmp_path)
    made.close()
    return made


def unit_vectors(count: int, *, seed: int = 0) -> Embedding:
    rows = np.random.default_rng(seed).standard_normal((count, DIMENSION))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def passage(name: str, *, source: str = "a.md", start: int = 0, **rest: object) -> Passage:
    values = {"id": str(uuid5(NAMESPACE, name)), "text": f"text of {name}", "source": source}
    return Passage(**(values | {"span": Span(start, start + 9, 3)} | rest))  # type: ignore[arg-type]


def passages(count: int, *, source: str = "a.md", prefix: str = "p", **rest: object) -> list[Passage]:
    return [passage(f"{prefix}{index}", source=source, start=10 * index, **rest) for index in range(count)]


def ids(candidates: list) -> list[str]:  # type: ignore[type-arg]
    return [candidate.passage.id for candidate in candidates]


def neighbours_of(store: PassageStore, stored: list[Passage], count: int) -> list[tuple[list[str], list[str]]]:
    found = store.neighbours(stored, count)
    return [([one.id for one in before], [one.id for one in after]) for before, after in found]


class TestNeighbours:
    @pytest.mark.parametrize("count", [1, 3, 50])
    def test_they_are_those_of_the_source_and_revision_by_position(self, store: PassageStore, count: int) -> None:
        documents = [
            passages(12, source="a.md", prefix="a", revision="1"),
            passages(12, source="a.md", prefix="old", revision="0"),
            passages(5, source="b.md", prefix="b"),
        ]
        stored = [one for document in documents for one in document]
        order = np.random.default_rng(0).permutation(len(stored)).tolist()
        store.upsert([stored[place] for place in order], unit_vectors(len(stored)))
        expected = []
        for document in documents:
            names = [one.id for one in document]
            expected += [(names[max(0, n - count) : n], names[n + 1 : n + 1 + count]) for n in range(len(names))]
        assert neighbours_of(store, stored, count) == expected
        assert neighbours_of(store, [stored[3], stored[3]], count) == [expected[3]] * 2

    def test_a_passage_that_is_not_there_has_none(self, store: PassageStore) -> None:
        store.upsert(passages(3), unit_vectors(3))
        assert neighbours_of(store, [passage("gone"), passage("p1", source="b.md")], 2) == [([], [])] * 2
        assert store.neighbours([], 1) == []
        with pytest.raises(ValueError, match="must be >= 1"):
            store.neighbours(passages(1), 0)


class TestSearch:
    def test_search_agrees_with_brute_force_in_ids_order_similarities_and_vectors(self, store: PassageStore) -> None:
        stored, vectors, targets = passages(300), unit_vectors(300), unit_vectors(3, seed=1)
        store.upsert(stored, vectors)
        for target, found in zip(targets, store.search(targets, 40), strict=True):
            cosines = vectors.astype(np.float64) @ target.astype(np.float64)
            nearest = np.argsort(-cosines)[:40]
            assert ids(found) == [stored[index].id for index in nearest]
            assert np.allclose([candidate.similarity for candidate in found], cosines[nearest], atol=1e-6)
            assert np.array_equal([candidate.embedding for candidate in found], vectors[nearest])

    def test_search_agrees_with_qdrants_in_memory_client(self, store: PassageStore) -> None:
        qdrant = pytest.importorskip("qdrant_client", reason="the oracle is qdrant-client's in-memory mode")
        stored, vectors, target = passages(200), unit_vectors(200), unit_vectors(1, seed=2)
        oracle = qdrant.QdrantClient(":memory:")
        shape = qdrant.models.VectorParams(size=DIMENSION, distance=qdrant.models.Distance.COSINE)
        oracle.create_collection("oracle", vectors_config=shape)
        points = [qdrant.models.PointStruct(id=p.id, vector=v.tolist()) for p, v in zip(stored, vectors, strict=True)]
        oracle.upsert("oracle", points)
        expected = [point.id for point in oracle.query_points("oracle", query=target[0].tolist(), limit=50).points]
        oracle.close()
        store.upsert(stored, vectors)
        assert ids(store.search(target, 50)[0]) == expected

    def test_equal_similarities_stand_by_id_also_where_the_limit_cuts_through_them(self, store: PassageStore) -> None:
        near, same, far = unit_vectors(3, seed=3)
        target = near[np.newaxis]
        copies = passages(60, prefix="copy")
        store.upsert([*copies, passage("near"), passage("far")], np.stack([same] * 60 + [near, far]))
        others = sorted([(-float(near @ same), *ids_of) for ids_of in ((p.id,) for p in copies)])
        expected = [identifier for _, identifier in others]
        if near @ far > near @ same:
            expected.insert(0, passage("far").id)
        expected.insert(0, passage("near").id)
        for limit in (2, 7, 33):
            assert ids(store.search(target, limit)[0]) == expected[:limit]

    def test_pages_by_offset_join_to_the_whole_ranking(self, store: PassageStore) -> None:
        vectors = np.repeat(unit_vectors(20), 5, axis=0)  # ties at every page's edge
        store.upsert(passages(100), vectors)
        target = unit_vectors(1, seed=4)
        whole = ids(store.search(target, 1000)[0])
        pages = [ids(store.search(target, 7, offset=offset)[0]) for offset in range(0, 119, 7)]
        assert len(whole) == 100
        assert [identifier for page in pages for identifier in page] == whole

    def test_targets_together_find_what_each_finds_alone(self, store: PassageStore) -> None:
        store.upsert(passages(100), unit_vectors(100))
        targets = unit_vectors(4, seed=5)
        assert store.search(targets, 10) == [store.search(target[np.newaxis], 10)[0] for target in targets]

    def test_no_targets_and_an_empty_collection_give_empty_lists(self, store: PassageStore) -> None:
        assert store.search(unit_vectors(2), 5) == [[], []]
        assert store.search(np.empty((0, DIMENSION), np.float32), 5) == []

    def test_the_length_of_a_target_does_not_matter(self, store: PassageStore) -> None:
        store.upsert(passages(50), unit_vectors(50))
        target = unit_vectors(1, seed=6)
        for factor in (1e-30, 0.5, 1e30):
            found = store.search(target * np.float32(factor), 10)[0]
            assert ids(found) == ids(store.search(target, 10)[0])
            assert found[0].similarity == pytest.approx(store.search(target, 1)[0][0].similarity, abs=1e-6)

    def test_a_similarity_never_leaves_the_range_of_a_cosine(self, store: PassageStore) -> None:
        vectors = unit_vectors(200)
        store.upsert(passages(200), np.concatenate([vectors[:100], -vectors[:100]]))
        similarities = [c.similarity for found in store.search(vectors[:100], 200) for c in found]
        assert max(similarities) <= 1.0
        assert min(similarities) >= -1.0

    def test_vectors_come_back_as_contiguous_float32_of_norm_1(self, store: PassageStore) -> None:
        given = unit_vectors(3).astype(np.float64) * [[1e-3], [1.0], [1e6]]
        store.upsert(passages(3), given)  # type: ignore[arg-type]
        for candidate in store.search(unit_vectors(1), 3)[0]:
            assert candidate.embedding.dtype == np.float32
            assert candidate.embedding.shape == (DIMENSION,)
            assert candidate.embedding.flags.c_contiguous
            assert np.linalg.norm(candidate.embedding) == pytest.approx(1, abs=1e-6)

    @pytest.mark.parametrize(
        ("targets", "complaint"),
        [
            (np.full((1, DIMENSION), np.nan, np.float32), "not finite"),
            (np.full((1, DIMENSION), np.inf, np.float32), "not finite"),
            (np.zeros((1, DIMENSION), np.float32), "norm 0"),
            (np.ones((1, DIMENSION + 1), np.float32), "shape"),
            (np.ones(DIMENSION, np.float32), "shape"),
            (np.ones((1, DIMENSION), np.int64), "floating"),
        ],
        ids=["nan", "infinity", "zero", "dimension", "one axis", "integers"],
    )
    def test_a_target_that_means_nothing_is_refused(
        self, store: PassageStore, targets: Embedding, complaint: str
    ) -> None:
        store.upsert(passages(3), unit_vectors(3))
        with pytest.raises(ValueError, match=complaint):
            store.search(targets, 5)

    @pytest.mark.parametrize(("limit", "offset"), [(0, 0), (-1, 0), (1, -1)])
    def test_a_page_out_of_range_is_refused(self, store: PassageStore, limit: int, offset: int) -> None:
        with pytest.raises(ValueError, match="must be at least"):
            store.search(unit_vectors(1), limit, offset=offset)

    def test_what_a_caller_does_to_a_vector_it_got_does_not_reach_the_store(self, store: PassageStore) -> None:
        vectors = unit_vectors(1)
        store.upsert([passage("p", metadata={"tags": ["a"]})], vectors)
        [got] = store.search(vectors, 1)[0]
        got.embedding[:] = 0
        got.passage.metadata["tags"].append("b")  # type: ignore[union-attr]
        [again] = store.search(vectors, 1)[0]
        assert np.array_equal(again.embedding, vectors[0])
        assert again.passage.metadata == {"tags": ["a"]}


class TestFetch:
    def test_fetch_keeps_the_order_asked_and_leaves_out_what_does_not_exist(self, store: PassageStore) -> None:
        stored, vectors = passages(5), unit_vectors(5)
        store.upsert(stored, vectors)
        absent = str(uuid5(NAMESPACE, "absent"))
        found = store.fetch([stored[3].id, absent, stored[0].id, "not a uuid", stored[3].id.upper(), stored[4].id])
        assert [candidate.passage for candidate in found] == [stored[3], stored[0], stored[4]]
        assert np.array_equal([candidate.embedding for candidate in found], vectors[[3, 0, 4]])
        assert all(math.isnan(candidate.similarity) for candidate in found)

    def test_an_id_asked_twice_is_answered_twice(self, store: PassageStore) -> None:
        store.upsert([passage("p")], unit_vectors(1))
        assert ids(store.fetch([passage("p").id] * 2)) == [passage("p").id] * 2

    def test_fetching_nothing_gives_nothing(self, store: PassageStore) -> None:
        assert store.fetch([]) == []

    def test_a_thousand_ids_are_fetched_in_order(self, store: PassageStore) -> None:
        stored = passages(1000)
        store.upsert(stored, unit_vectors(1000))
        assert [candidate.passage for candidate in store.fetch([p.id for p in reversed(stored)])] == stored[::-1]


class TestPassages:
    def test_passages_of_a_source_come_in_reading_order(self, store: PassageStore) -> None:
        stored = [*passages(700), *(passage(f"same start {n}", start=50) for n in range(5))]
        shuffled = [stored[index] for index in np.random.default_rng(0).permutation(len(stored))]
        store.upsert([*shuffled, passage("elsewhere", source="b.md")], unit_vectors(len(stored) + 1))
        found = list(store.passages("a.md"))
        assert [c.passage for c in found] == sorted(stored, key=lambda p: (p.span.start, p.id))
        assert all(math.isnan(candidate.similarity) for candidate in found)

    @pytest.mark.parametrize("source", ["unknown.md", "a.m", "A.md", "", "\ud800"])
    def test_an_unknown_source_has_no_passages(self, store: PassageStore, source: str) -> None:
        store.upsert(passages(3), unit_vectors(3))
        assert list(store.passages(source)) == []


class TestScan:
    """Scans, which all these stores support."""

    @pytest.fixture
    def scannable(self, store: PassageStore) -> Scannable:
        assert isinstance(store, Scannable)
        return store

    @pytest.mark.parametrize("limit", [1, 7, 100, 5000])
    def test_every_vector_comes_once_by_id_in_blocks_of_the_limit(
        self, store: PassageStore, scannable: Scannable, limit: int
    ) -> None:
        stored, vectors = passages(100), unit_vectors(100)
        store.upsert(stored, vectors)
        blocks = list(scannable.scan(limit))
        row_of = {p.id: row for p, row in zip(stored, vectors, strict=True)}
        found = [identifier for identifiers, _ in blocks for identifier in identifiers]
        assert found == sorted(row_of)
        assert np.array_equal(
            np.concatenate([rows for _, rows in blocks]), [row_of[identifier] for identifier in found]
        )
        assert {len(rows) for _, rows in blocks[:-1]} <= {limit}
        assert all(rows.dtype == np.float32 and len(rows) == len(ids) for ids, rows in blocks)

    def test_what_stays_comes_once_though_others_come_and_go_meanwhile(
        self, store: PassageStore, scannable: Scannable
    ) -> None:
        store.upsert(passages(60), unit_vectors(60))
        store.upsert(passages(60, source="b.md", prefix="b"), unit_vectors(60, seed=1))
        scanned = scannable.scan(10)
        found = list(next(scanned)[0])
        store.delete_passages("b.md")
        store.upsert(passages(60, source="c.md", prefix="c"), unit_vectors(60, seed=2))
        found += [identifier for identifiers, _ in scanned for identifier in identifiers]
        assert len(set(found)) == len(found)
        assert {p.id for p in passages(60)} <= set(found)

    def test_an_empty_collection_has_no_blocks(self, scannable: Scannable) -> None:
        assert list(scannable.scan(10)) == []

    def test_blocks_of_nothing_are_refused(self, scannable: Scannable) -> None:
        with pytest.raises(ValueError, match="must be at least 1"):
            scannable.scan(0)

    def test_what_a_caller_does_to_a_block_does_not_reach_the_store(
        self, store: PassageStore, scannable: Scannable
    ) -> None:
        store.upsert([passage("p")], unit_vectors(1))
        [(_, rows)] = scannable.scan(1)
        if rows.flags.writeable:
            rows[:] = 0
        assert np.array_equal(store.fetch([passage("p").id])[0].embedding, unit_vectors(1)[0])


class TestEmbeddings:
    def test_embeddings_are_found_by_embedding_text_alone(self, store: PassageStore) -> None:
        headed = passage("p0", title="Title", headings=("One", "Two"))
        stored, vectors = [headed, passage("p1"), passage("p2", source="b.md")], unit_vectors(3)
        store.upsert(stored, vectors)
        asked = [p.embedding_text for p in stored]
        found = store.embeddings([*asked, headed.text, "never seen", "\ud800"])
        assert set(found) == set(asked)
        for text, vector in zip(asked, vectors, strict=True):
            assert np.array_equal(found[text], vector)

    def test_a_text_that_many_passages_share_is_found_once(self, store: PassageStore) -> None:
        vector = unit_vectors(1)
        store.upsert(passages(300, text="the same"), np.repeat(vector, 300, axis=0))
        found = store.embeddings(["the same"])
        assert list(found) == ["the same"]
        assert np.array_equal(found["the same"], vector[0])

    def test_a_thousand_texts_are_found_in_one_call(self, store: PassageStore) -> None:
        stored, vectors = passages(1000), unit_vectors(1000)
        store.upsert(stored, vectors)
        found = store.embeddings([p.embedding_text for p in stored])
        assert np.array_equal([found[p.embedding_text] for p in stored], vectors)

    def test_no_texts_have_no_embeddings(self, store: PassageStore) -> None:
        store.upsert(passages(2), unit_vectors(2))
        assert dict(store.embeddings([])) == {}


class TestUpsert:
    def test_a_passage_of_the_same_id_is_replaced(self, store: PassageStore) -> None:
        before, after = passage("p"), passage("p", text="other", source="b.md", revision="2")
        old, new = unit_vectors(2)
        store.upsert([before], old[np.newaxis])
        store.upsert([after], new[np.newaxis])
        [only] = store.fetch([before.id])
        assert store.count() == 1
        assert only.passage == after
        assert np.array_equal(only.embedding, new)
        assert list(store.passages("a.md")) == []
        assert dict(store.embeddings([before.embedding_text])) == {}

    def test_writing_twice_is_writing_once(self, store: PassageStore) -> None:
        for _ in range(2):
            store.upsert(passages(20), unit_vectors(20))
        assert store.count() == 20

    def test_of_two_passages_with_one_id_in_a_call_the_last_one_stays(self, store: PassageStore) -> None:
        vectors = unit_vectors(2)
        store.upsert([passage("p", text="first"), passage("p", text="last")], vectors)
        [only] = store.fetch([passage("p").id])
        assert only.passage.text == "last"
        assert np.array_equal(only.embedding, vectors[1])

    def test_upserting_nothing_changes_nothing(self, store: PassageStore) -> None:
        store.upsert([], np.empty((0, DIMENSION), np.float32))
        assert store.count() == 0

    @pytest.mark.parametrize(
        "span", [Span(0, 0), Span(2**62, 2**63 - 1, 1, 2), Span(5, 9, None, 7), Span(5, 9, 7, None)]
    )
    def test_a_span_comes_back_as_it_was(self, store: PassageStore, span: Span) -> None:
        store.upsert([passage("p", span=span)], unit_vectors(1))
        [only] = store.fetch([passage("p").id])
        assert only.passage.span == span
        assert isinstance(only.passage.span, Span)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "\x00\x1b[31m\r\n\x7f\x85",
            "\u202eright to left\u2066",
            "👩‍👩‍👧 🇪🇺",
            "e\u0301\U0010ffff\ufeff\ufffe",
            "x" * 2**20,
        ],
        ids=["empty", "control", "bidi", "emoji", "rare", "1 MiB"],
    )
    def test_text_comes_back_character_by_character(self, store: PassageStore, text: str) -> None:
        given = passage("p", text=text, title=text[:99], headings=(text[:99], "b"), source=text[:99] or "s")
        store.upsert([given], unit_vectors(1))
        assert store.fetch([given.id])[0].passage == given
        assert ids(list(store.passages(given.source))) == [given.id]
        assert set(store.embeddings([given.embedding_text])) == {given.embedding_text}

    @pytest.mark.parametrize("field", ["text", "source", "title", "revision"])
    def test_half_of_a_surrogate_pair_is_refused(self, store: PassageStore, field: str) -> None:
        with pytest.raises(ValueError, match="surrogate"):
            store.upsert([passage("p", **{field: "a\ud800b"})], unit_vectors(1))
        assert store.count() == 0

    @pytest.mark.parametrize(
        "identifier",
        ["", "1", "abc", str(UUID(int=1)).replace("-", ""), "{" + str(UUID(int=1)) + "}", str(UUID(int=255)).upper()],
    )
    def test_an_id_that_is_not_a_uuid_in_its_usual_form_is_refused(self, store: PassageStore, identifier: str) -> None:
        with pytest.raises(ValueError, match="UUID"):
            store.upsert([passage("good"), passage("p", id=identifier)], unit_vectors(2))
        assert store.count() == 0

    @pytest.mark.parametrize(
        ("vectors", "complaint"),
        [
            (unit_vectors(2), "3 passages, but 2 embeddings"),
            (np.ones((3, DIMENSION - 1), np.float32), "shape"),
            (np.ones(DIMENSION, np.float32), "shape"),
            (np.ones((3, DIMENSION), np.int32), "floating"),
            (np.array([["1"] * DIMENSION] * 3), "floating"),
            (np.diag(np.full(DIMENSION, np.nan))[:3], "Row 0 .* not finite"),
            (np.concatenate([unit_vectors(2), np.full((1, DIMENSION), -np.inf)]), "Row 2 .* not finite"),
            (np.eye(3, DIMENSION, k=-1), "Row 0 .* norm 0"),
        ],
        ids=["fewer", "dimension", "one axis", "integers", "strings", "nan", "infinity", "zero"],
    )
    def test_vectors_that_do_not_fit_are_refused_and_nothing_is_written(
        self, store: PassageStore, vectors: Embedding, complaint: str
    ) -> None:
        with pytest.raises(ValueError, match=complaint):
            store.upsert(passages(3), vectors)
        assert store.count() == 0

    @pytest.mark.parametrize("value", [1e-320, -0.0, 0.1 + 0.2, sys.float_info.max, 2**63 - 1, -(2**63), True, None])
    def test_a_value_of_metadata_keeps_its_type_and_every_bit(self, store: PassageStore, value: object) -> None:
        store.upsert([passage("p", metadata={"v": [value], "text": {"source": value}})], unit_vectors(1))
        metadata = store.fetch([passage("p").id])[0].passage.metadata
        assert repr(metadata) == repr({"v": [value], "text": {"source": value}})

    @pytest.mark.parametrize(
        "value",
        [
            b"bytes",
            math.nan,
            -math.inf,
            2**63,
            -(2**63) - 1,
            (1, 2),
            {1, 2},
            {1: "number as key"},
            {None: 1},
            Path("p"),
            np.float32(1),
            np.int64(1),
            "\ud800",
            {"\udfff": 1},
            1j,
        ],
        ids=repr,
    )
    def test_metadata_that_json_cannot_hold_are_refused_and_nothing_is_written(
        self, store: PassageStore, value: object
    ) -> None:
        with pytest.raises(ValueError, match=r"metadata\.outer\[0\]"):
            store.upsert([passage("good"), passage("p", metadata={"outer": [value]})], unit_vectors(2))
        assert store.count() == 0

    def test_metadata_that_hold_themselves_are_refused(self, store: PassageStore) -> None:
        endless: dict[str, object] = {}
        endless["self"] = endless
        with pytest.raises(ValueError, match="levels deep"):
            store.upsert([passage("p", metadata=endless)], unit_vectors(1))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(),
    title=st.text(),
    headings=st.lists(st.text(), max_size=3),
    revision=st.text(),
    metadata=st.dictionaries(st.text(), JSON, max_size=4),
)
def test_any_passage_comes_back_as_it_was(
    store: PassageStore, text: str, title: str, headings: list[str], revision: str, metadata: dict[str, object]
) -> None:
    given_passage = passage("p", text=text, title=title, headings=tuple(headings), revision=revision, metadata=metadata)
    store.upsert([given_passage], unit_vectors(1))
    [only] = store.fetch([given_passage.id])
    assert only.passage == given_passage
    assert repr(only.passage.metadata) == repr(metadata)


class TestDeletePassages:
    def test_all_passages_of_the_source_go_and_no_others(self, store: PassageStore) -> None:
        store.upsert(passages(30), unit_vectors(30))
        store.upsert(passages(3, source="a.md.bak", prefix="other"), unit_vectors(3))
        assert store.delete_passages("a.md") == 30
        assert store.count() == 3
        assert list(store.passages("a.md")) == []
        assert len(list(store.passages("a.md.bak"))) == 3
        assert dict(store.embeddings([passages(1)[0].embedding_text])) == {}

    @pytest.mark.parametrize("kept", ["2", ""])
    def test_passages_of_the_excepted_revision_stay(self, store: PassageStore, kept: str) -> None:
        revisions = ["1", "2", "", "2", "22"]
        stored = [replace(p, revision=r) for p, r in zip(passages(5), revisions, strict=True)]
        store.upsert(stored, unit_vectors(5))
        left = [p for p in stored if p.revision == kept]
        assert store.delete_passages("a.md", except_revision=kept) == 5 - len(left)
        assert [candidate.passage for candidate in store.passages("a.md")] == left

    @pytest.mark.parametrize("source", ["unknown.md", "", "\ud800"])
    def test_deleting_what_is_not_there_deletes_nothing(self, store: PassageStore, source: str) -> None:
        store.upsert(passages(3), unit_vectors(3))
        assert store.delete_passages(source) == 0
        assert store.count() == 3

    def test_a_revision_that_cannot_be_stored_excepts_nothing(self, store: PassageStore) -> None:
        store.upsert(passages(3), unit_vectors(3))
        assert store.delete_passages("a.md", except_revision="\ud800") == 3


class TestDocuments:
    FULL = Document(
        source="handbook/travel.md",
        location="/home/someone/handbook/travel.md",
        state="failed",
        size=2**40,
        modified_ns=2**62,
        changed_ns=-1,
        content_hash="ab" * 32,
        revision="1/200/20",
        passages=7,
        title="Travel \x00 ✈",
        ingested_at="2026-01-02T03:04:05Z",
        reason="password-protected",
    )

    def test_a_record_comes_back_as_it_was(self, store: PassageStore) -> None:
        store.put_documents([self.FULL])
        assert store.document(self.FULL.source) == self.FULL

    def test_an_unknown_source_has_no_record(self, store: PassageStore) -> None:
        store.put_documents([self.FULL])
        assert store.document("handbook/travel") is None
        assert store.document("\ud800") is None

    def test_a_record_of_the_same_source_is_replaced(self, store: PassageStore) -> None:
        store.put_documents([self.FULL])
        store.put_documents([replace(self.FULL, state="ingested", reason="")])
        assert list(store.documents()) == [replace(self.FULL, state="ingested", reason="")]

    def test_records_come_by_source_ascending(self, store: PassageStore) -> None:
        sources = ["b", "a/1", "a/10", "a/2", "A", "é", "\U0001f600", "\uffff", "a", "Z"]
        store.put_documents([Document(source, "/", "ingested") for source in sources])
        assert [document.source for document in store.documents()] == sorted(sources)

    @pytest.mark.parametrize("prefix", ["a", "a/", "a%", "a_", "A", "ü", "zz", "\ud800", "", "\x00"])
    def test_a_prefix_is_meant_literally(self, store: PassageStore, prefix: str) -> None:
        sources = ["a", "a/1", "a/2", "a%1", "a_1", "ab", "A/1", "ü1", "u1", "\x001"]
        store.put_documents([Document(source, "/", "ingested") for source in sources])
        expected = sorted(source for source in sources if source.startswith(prefix))
        assert [document.source for document in store.documents(prefix)] == expected

    def test_thousands_of_records_come_once_each(self, store: PassageStore) -> None:
        sources = [f"d{index:05}" for index in range(2500)]
        store.put_documents([Document(source, "/", "ingested") for source in reversed(sources)])
        assert [document.source for document in store.documents()] == sources

    def test_records_may_be_written_while_they_are_read(self, store: PassageStore) -> None:
        store.put_documents([Document(f"d{index}", "/", "pending") for index in range(9)])
        for document in store.documents():
            store.put_documents([replace(document, state="ingested")])
        assert {document.state for document in store.documents()} == {"ingested"}

    @pytest.mark.parametrize(
        "wrong", [{"source": "\ud800"}, {"location": "/\udc80"}, {"size": 2**63}, {"state": "unheard of"}], ids=repr
    )
    def test_records_are_put_all_or_none(self, store: PassageStore, wrong: dict[str, object]) -> None:
        with pytest.raises(ValueError, match="record of"):
            store.put_documents([Document("good", "/", "ingested"), replace(self.FULL, **wrong)])  # type: ignore[arg-type]
        assert list(store.documents()) == []

    def test_dropping_records_ignores_unknown_sources_and_leaves_passages(self, store: PassageStore) -> None:
        store.upsert(passages(2), unit_vectors(2))
        store.put_documents([Document(source, "/", "ingested") for source in ("a.md", "b.md", "c.md")])
        store.drop_documents(["a.md", "unknown", "\ud800", "c.md"])
        assert [document.source for document in store.documents()] == ["b.md"]
        assert store.count() == 2

    def test_putting_and_dropping_nothing_changes_nothing(self, store: PassageStore) -> None:
        store.put_documents([self.FULL])
        store.put_documents([])
        store.drop_documents([])
        assert list(store.documents()) == [self.FULL]


USES: dict[str, Callable[[PassageStore], object]] = {
    "count": lambda store: store.count(),
    "search": lambda store: store.search(unit_vectors(1), 1),
    "search_words": lambda store: store.search_words(["a"], 1),  # type: ignore[attr-defined]
    "fetch": lambda store: store.fetch([]),
    "passages": lambda store: store.passages("a.md"),
    "scan": lambda store: store.scan(10),  # type: ignore[attr-defined]
    "embeddings": lambda store: store.embeddings([]),
    "upsert": lambda store: store.upsert([], unit_vectors(0)),
    "delete_passages": lambda store: store.delete_passages("a.md"),
    "document": lambda store: store.document("a.md"),
    "documents": lambda store: store.documents(),
    "put_documents": lambda store: store.put_documents([]),
    "drop_documents": lambda store: store.drop_documents([]),
}


def test_a_closed_store_refuses_every_call_but_closing(closed_store: PassageStore) -> None:
    for use in USES.values():
        with pytest.raises(StoreError, match=f"'{INFO.name}' is closed"):
            use(closed_store)
    closed_store.close()


def test_info_says_what_the_collection_was_made_with(store: PassageStore) -> None:
    assert store.info == INFO


@pytest.mark.parametrize("kind", kinds(REOPENABLE))
def test_a_durable_store_holds_after_reopening_what_it_held_before(kind: str, tmp_path: Path) -> None:
    stored, vectors, target = passages(100), unit_vectors(100), unit_vectors(1, seed=9)
    store = STORES[kind](tmp_path)
    store.upsert(stored, vectors)
    store.upsert(passages(10, source="b.md", prefix="b"), unit_vectors(10, seed=8))
    store.put_documents([Document("a.md", "/a.md", "ingested", passages=100), Document("c.md", "/c.md", "failed")])
    store.delete_passages("b.md")
    found, records = store.search(target, 30), list(store.documents())
    store.close()
    again = REOPENABLE[kind](tmp_path)
    assert again.info == INFO
    assert again.count() == 100
    assert again.search(target, 30) == found
    assert np.array_equal([c.embedding for c in again.passages("a.md")], vectors)
    assert list(again.documents()) == records
    again.close()


class TestWords:
    """Contract of stores with lexical search."""

    @pytest.fixture(params=kinds(STORES))
    def words(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WordIndex]:
        store = STORES[request.param](tmp_path)
        assert isinstance(store, WordIndex)
        said = ["the relay raised E4506", "E4507 means that the disk is full", "the disk of the relay", "owls"]
        store.upsert([passage(f"w{n}", text=text, source=f"{n}.md") for n, text in enumerate(said)], unit_vectors(4))
        store.put_documents([Document(f"{n}.md", f"/{n}.md", "ingested", passages=1) for n in range(4)])
        yield store
        store.close()

    def found(self, words: WordIndex, *texts: str, limit: int = 5, where: Filter | None = None) -> list[list[str]]:
        return [[one.passage.source for one in found] for found in words.search_words(texts, limit, where=where)]

    def test_an_identifier_finds_its_passage(self, words: WordIndex) -> None:
        assert self.found(words, "E4506", "Does e4507 matter?") == [["0.md"], ["1.md"]]

    def test_rare_words_come_first_and_nothing_without_a_word(self, words: WordIndex) -> None:
        [found] = self.found(words, "disk owls")
        assert found[0] == "3.md"
        assert set(found) == {"1.md", "2.md", "3.md"}

    def test_the_limit_and_the_filter_hold(self, words: WordIndex) -> None:
        assert len(self.found(words, "the relay disk", limit=2)[0]) == 2
        assert self.found(words, "relay disk", where=Filter(("1.md",))) == [["1.md"]]
        assert self.found(words, "relay disk", where=Filter.parse(["source=1.md", "tag!=x"])) == [["1.md"]]

    @pytest.mark.parametrize("text", ["", " ", "?!", "zebra", "\ud800", "\x00", "(", '"', "a" * 100_000])
    def test_a_text_without_known_words_finds_nothing(self, words: WordIndex, text: str) -> None:
        assert self.found(words, text) == [[]]

    @pytest.mark.parametrize(
        "where",
        [Filter(("nowhere.md",)), Filter(labels=(("tag", "none"),)), Filter.parse(["tag>1"])],
        ids=["source", "label", "range"],
    )
    def test_a_filter_that_matches_nothing_leaves_nothing(self, words: WordIndex, where: Filter) -> None:
        assert self.found(words, "relay", "E4506", where=where) == [[], []]

    def test_several_texts_find_what_each_finds_alone(self, words: WordIndex) -> None:
        texts = ("relay disk", "", "E4506", "zebra", "owls")
        assert self.found(words, *texts) == [self.found(words, text)[0] for text in texts]

    def test_common_words_alone_find_only_passages_that_hold_one(self, words: WordIndex) -> None:
        assert set(self.found(words, "the of")[0]) <= {"0.md", "1.md", "2.md"}

    def test_every_word_of_a_long_question_counts(self, words: WordIndex) -> None:
        letters = str.maketrans("0123456789", "bcdfghjklm")
        question = " ".join(f"un{n}".translate(letters) for n in range(5000)) + " owls"
        assert self.found(words, question) == [["3.md"]]

    @pytest.mark.parametrize("limit", [0, -1])
    def test_a_limit_below_1_is_refused(self, words: WordIndex, limit: int) -> None:
        with pytest.raises(ValueError, match="must be at least"):
            words.search_words(["relay"], limit)

    def test_a_deleted_passage_is_not_found(self, words: PassageStore) -> None:
        assert words.delete_passages("0.md") == 1
        assert self.found(words, "E4506", "relay") == [[], ["2.md"]]  # type: ignore[arg-type]

    def test_a_passage_is_found_by_the_words_that_it_has_now(self, words: PassageStore) -> None:
        words.upsert([passage("w0", text="the relay raised E9999", source="0.md")], unit_vectors(1))
        assert self.found(words, "E4506", "E9999") == [[], ["0.md"]]  # type: ignore[arg-type]

    @pytest.mark.parametrize("sentence", ["東京都に住んでいます", "ฉันชอบกินข้าว", "나는학교에간다"])
    def test_a_sentence_in_a_script_without_spaces_finds_itself(self, words: PassageStore, sentence: str) -> None:
        words.upsert([passage("w9", text=sentence, source="9.md")], unit_vectors(1))
        assert self.found(words, sentence) == [["9.md"]]  # type: ignore[arg-type]

    def test_a_part_of_such_a_sentence_finds_it(self, words: PassageStore) -> None:
        if isinstance(words, EmbeddedStore):
            pytest.skip("the engine in a folder takes a run without spaces for one word")
        words.upsert([passage("w9", text="東京都に住んでいます", source="9.md")], unit_vectors(1))
        assert self.found(words, "東京都", "大阪府") == [["9.md"], []]  # type: ignore[arg-type]

    def test_an_empty_passage_is_stored_and_not_found(self, words: PassageStore) -> None:
        words.upsert([passage("w9", text="", source="9.md"), passage("w10", text="!?", source="9.md")], unit_vectors(2))
        assert len(list(words.passages("9.md"))) == 2
        assert set(self.found(words, "relay E4506 disk owls", limit=9)[0]) == {"0.md", "1.md", "2.md", "3.md"}  # type: ignore[arg-type]

    def test_equal_scores_stand_by_id_whatever_the_limit(self, words: PassageStore) -> None:
        words.upsert(passages(20, source="copies.md", text="a walrus"), unit_vectors(20))
        [found] = words.search_words(["walrus"], 30)  # type: ignore[attr-defined]
        assert ids(found) == sorted(p.id for p in passages(20))

    def test_no_texts_find_nothing(self, words: WordIndex) -> None:
        assert self.found(words) == []

    def test_candidates_carry_their_vector_and_no_similarity(self, words: WordIndex) -> None:
        [[candidate]] = words.search_words(["E4506"], 1)
        assert np.array_equal(candidate.embedding, unit_vectors(4)[0])
        assert math.isnan(candidate.similarity)
