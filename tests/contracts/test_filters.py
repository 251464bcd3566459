"""Filtered searches and scans: every store returns what brute force over ``Filter.matches`` leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from uuid import UUID, uuid5

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qdrant_client import QdrantClient, models

from sift_rag.comparisons import Condition
from sift_rag.filters import Filter
from sift_rag.protocols import PassageStore, Scannable
from sift_rag.stores.embedded.manifest import SCHEMA_VERSION
from sift_rag.stores.embedded.store import create_collection
from sift_rag.stores.memory import MemoryStore
from sift_rag.stores.qdrant import transports
from sift_rag.stores.qdrant.connection import Connection
from sift_rag.stores.qdrant.transport import Limits, Target
from sift_rag.types import Candidate, CollectionInfo, Document, Embedding, JsonValue, Passage, Span
from tests.examples import examples
from tests.servers import LOCAL, SERVERS, kinds, made_locally, made_on_server, stub_ends  # noqa: F401 - a fixture

pytestmark = pytest.mark.filterwarnings("ignore:Local mode performs exact")

DIMENSION = 8
INFO = CollectionInfo("sift-rag-filters-test", "an embedder", DIMENSION, SCHEMA_VERSION)
NAMESPACE = UUID("0d9d2a0e-5f0a-4c55-8a67-6f5f2f2c4a55")
SOURCES = ("docs/a.md", "docs/sub/b.md", "docs[1]/a.md", "notes/a.md", "Docs/é.md", "docs.md")
METADATA: tuple[dict[str, JsonValue], ...] = (
    {},
    {"tag": "x"},
    {"tag": ["x", "y"], "year": 2020},
    {"tag": ["y", None, 3, {"z": 1}], "draft": True},
    {"year": "2020", "tag": "z=x", "price": 1.5},
    {"tag=x": "y", "tag": "", "draft": False},
    {"Tag": "x", "é": "ü", "text": "x" * 300},
    {"year": 2021.0, "price": -3, "date": "2024-05-31", "tag": ["new", "z"]},
    {"year": ["2019", 2022, -1e300], "price": "1.50", "date": ["2024-05-31T23:30:00-02:00", "soon"], "draft": "true"},
    {"year": "2020-01-01", "price": 9007199254740993, "date": "2024-06-01T00:00:00Z", "a>b": "c", "é": 0.1},
)
COUNT = 5 * len(SOURCES) * len(METADATA)
"""Each metadata five times in each source."""
ASKED = (*((key, value) for key in ("tag", "year", "draft", "price", "é") for value in ("x", "y", "2020", "true")),
         ("tag", ""), ("tag", "z=x"), ("tag", "3"), ("price", "1.5"), ("é", "ü"), ("none", "null"))  # fmt: skip

STORES: dict[str, Callable[[Path], PassageStore]] = {
    "memory": lambda _: MemoryStore(INFO),
    "embedded": lambda root: create_collection(root, INFO),
    LOCAL: lambda _: made_locally(INFO),
    **{kind: lambda _, kind=kind: made_on_server(kind, INFO) for kind in SERVERS},  # type: ignore[misc]
}


def _passages() -> list[Passage]:
    return [
        Passage(
            id=str(uuid5(NAMESPACE, str(number))),
            text=f"text {number}",
            source=SOURCES[number % len(SOURCES)],
            span=Span(10 * number, 10 * number + 9),
            metadata=METADATA[number // len(SOURCES) % len(METADATA)],
        )
        for number in range(COUNT)
    ]


def _rows(count: int, seed: int) -> Embedding:
    rows = np.random.default_rng(seed).standard_normal((count, DIMENSION))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


PASSAGES = _passages()
VECTORS = np.repeat(_rows(COUNT // 5, 0), 5, axis=0)  # ties everywhere
TARGETS = _rows(2, 1)


@pytest.fixture(scope="module", params=kinds(STORES))
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PassageStore]:
    """Yield a store that is filled once, and only read."""
    made = STORES[request.param](tmp_path_factory.mktemp("store"))
    made.put_documents([Document(source, f"/{source}", "ingested") for source in SOURCES])
    made.upsert(PASSAGES, VECTORS)
    yield made
    made.close()


@pytest.fixture(scope="module")
def rankings(store: PassageStore) -> list[list[Candidate]]:
    """Return the whole ranking of each target."""
    return store.search(TARGETS, COUNT)


def _left(ids: Sequence[str], where: Filter) -> list[str]:
    matching = {passage.id for passage in PASSAGES if where.matches(passage)}
    return [identifier for identifier in ids if identifier in matching]


globs = st.sampled_from(
    [
        "*",
        "docs/*",
        "docs/",
        "docs",
        "*.md",
        "*/a.md",
        "docs/?.md",
        "docs[[]1]/*",
        "[Dd]ocs/*",
        "[!d]*",
        "x",
        "*é*",
        "\\*",
    ]
)
KEYS = ("tag", "year", "draft", "price", "date", "é", "a>b", "none")
BOUNDS = ("2020", "2021", "-3", "1.5", "1.50", "0.1", "9007199254740992", "9007199254740993", "-1e300", "1e400",
          "2024-05-31", "2024-06-01", "2024-06-01T01:30:00+00:00", "2020-01-01 00:00")  # fmt: skip
comparisons = st.one_of(
    st.builds(Condition, st.sampled_from(KEYS), st.sampled_from(["gt", "gte", "lt", "lte"]), st.sampled_from(BOUNDS)),
    st.builds(
        Condition, st.sampled_from(KEYS), st.just("not"), st.sampled_from(["", "x", "y", "2020", "true", *BOUNDS])
    ),
    st.builds(
        Condition, st.sampled_from(KEYS), st.just("glob"), st.sampled_from(["*", "?", "20*", "[!x]*", "*5*", "ü"])
    ),
)
filters = st.builds(
    Filter,
    sources=st.lists(globs, max_size=3).map(tuple),
    labels=st.lists(st.sampled_from(ASKED), max_size=3).map(tuple),
    comparisons=st.lists(comparisons, max_size=3).map(tuple),
    excluded=st.lists(globs, max_size=1).map(tuple),
)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=filters, limit=st.integers(1, 70), offset=st.integers(0, 70))
def test_a_filtered_search_is_the_whole_ranking_without_what_does_not_match(
    store: PassageStore, rankings: list[list[Candidate]], where: Filter, limit: int, offset: int
) -> None:
    found = store.search(TARGETS, limit, offset=offset, where=where)
    for whole, page in zip(rankings, found, strict=True):
        expected = _left([candidate.passage.id for candidate in whole], where)
        assert [candidate.passage.id for candidate in page] == expected[offset : offset + limit]
        similarity = {candidate.passage.id: candidate.similarity for candidate in whole}
        assert all(candidate.similarity == similarity[candidate.passage.id] for candidate in page)


@settings(max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=filters, limit=st.integers(1, 70))
def test_a_filtered_scan_is_the_whole_scan_without_what_does_not_match(
    store: PassageStore, where: Filter, limit: int
) -> None:
    assert isinstance(store, Scannable)
    blocks = list(store.scan(limit, where=where))
    found = [identifier for ids, _ in blocks for identifier in ids]
    assert found == _left(sorted(passage.id for passage in PASSAGES), where)
    row_of = {passage.id: row for passage, row in zip(PASSAGES, VECTORS, strict=True)}
    assert all(np.array_equal(rows, [row_of[identifier] for identifier in ids]) for ids, rows in blocks)
    assert all(len(ids) == limit for ids, _ in blocks[:-1])


@pytest.mark.parametrize(
    ("where", "count"),
    [
        (Filter(), 300),
        (Filter(sources=("docs/*",)), 2 * 50),
        (Filter(sources=("docs/", "notes/")), 3 * 50),
        (Filter(sources=("*/a.md",), labels=(("tag", "x"),)), 3 * 2 * 5),
        (Filter(labels=(("tag", "x"), ("tag", "y"))), 3 * 30),
        (Filter(labels=(("tag", "x"), ("year", "2020"))), 1 * 30),
        (Filter(sources=("nothing/*",)), 0),
        (Filter(labels=(("nothing", "x"),)), 0),
        (Filter.parse(["source!=docs/*"]), 4 * 50),
        (Filter.parse(["source=docs*", "source!=*/a.md"]), 2 * 50),
        (Filter.parse(["tag!=x"]), 8 * 30),
        (Filter.parse(["tag!=x", "tag!=new", "tag=y"]), 1 * 30),
        (Filter.parse(["tag~=n*", "tag~=z=?"]), 2 * 30),
        (Filter.parse(["year>=2021"]), 2 * 30),
        (Filter.parse(["year>=2020", "year<2021"]), 2 * 30),
        (Filter.parse(["year>2019-12-31"]), 1 * 30),
        (Filter.parse(["date<2024-06-01"]), 1 * 30),
        (Filter.parse(["date>=2024-06-01", "date<=2024-06-01T01:30:00Z"]), 2 * 30),
        (Filter.parse(["price<0"]), 1 * 30),
        (Filter.parse(["price>9007199254740992"]), 1 * 30),
        (Filter.parse(["price<=1.5", "price>=1.50"]), 2 * 30),
        (Filter.parse(["none<1"]), 0),
        (Filter.parse(["none!=1"]), 300),
    ],
    ids=str,
)
def test_values_of_one_key_are_alternatives_and_keys_are_demands(
    store: PassageStore, where: Filter, count: int
) -> None:
    assert len(store.search(TARGETS, 1000, where=where)[0]) == count


@pytest.mark.parametrize("kind", kinds(STORES))
def test_what_is_replaced_is_found_by_its_new_labels_only(kind: str, tmp_path: Path) -> None:
    with closing(STORES[kind](tmp_path)) as made:
        made.put_documents([Document("a.md", "/a.md", "ingested")])
        before = Passage(str(uuid5(NAMESPACE, "p")), "text", "a.md", Span(0, 4), metadata={"tag": "old"})
        after = Passage(before.id, "text", "a.md", Span(0, 4), metadata={"tag": "new"})
        made.upsert([before], VECTORS[:1])
        made.upsert([after], VECTORS[:1])
        old, new = (Filter(labels=(("tag", value),)) for value in ("old", "new"))
        assert made.search(TARGETS[:1], 5, where=old) == [[]]
        assert [c.passage for c in made.search(TARGETS[:1], 5, where=new)[0]] == [after]


def test_thousands_of_matching_documents_are_not_too_many(store: PassageStore) -> None:
    others = [Document(f"docs/more/{number}.md", "/x", "failed") for number in range(3000)]
    store.put_documents(others)
    try:
        assert len(store.search(TARGETS, 1000, where=Filter(sources=("docs/*",)))[0]) == 2 * 50
    finally:
        store.drop_documents([document.source for document in others])


@pytest.mark.parametrize("longest_answer", [None, 10_000, 3], ids=str)
@pytest.mark.parametrize("first", [1, 7, 10_000])
def test_all_values_of_a_field_are_listed(
    longest_answer: int | None, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transports, "_VALUES", first)
    with closing(Connection(QdrantClient(":memory:"), where="here")) as connection:
        shape = models.VectorParams(size=2, distance=models.Distance.COSINE)
        connection.client.create_collection("c", shape)
        held = [[f"n={n}", f"n={n % 3}"] for n in range(50)]
        points = [models.PointStruct(id=n, vector=[1, n], payload={"labels": row}) for n, row in enumerate(held)]
        connection.client.upsert("c", [*points, models.PointStruct(id=99, vector=[1, 0], payload={})])
        target = Target("c", "The collection", limits=Limits(answer=longest_answer))
        assert sorted(transports.values_of(connection, target, "labels")) == sorted(
            {value for row in held for value in row}
        )
