"""Searches by the graph of neighbours that ``optimize`` makes: nearly all of the nearest, and all of it right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sift_rag import defaults
from sift_rag.filters import Filter
from sift_rag.protocols import GraphSearch
from sift_rag.retrieval.candidates import distinct_candidates, searcher_of
from sift_rag.retrieval.queries import Query
from sift_rag.retrieval.retriever import Retriever
from sift_rag.stores.embedded.check import check_collection
from sift_rag.stores.embedded.database import FolderDatabase
from sift_rag.stores.embedded.index import EmbeddedIndex
from sift_rag.stores.embedded.manifest import SCHEMA_VERSION
from sift_rag.stores.embedded.store import create_collection, open_collection
from sift_rag.stores.memory import MemoryStore
from sift_rag.types import Candidate, CollectionInfo, Document, Embedding, Passage, Span
from tests.doubles import HashingEmbedder
from tests.graphs import allow_small_graphs

pytestmark = pytest.mark.slow

DIMENSION = 32
COUNT = 3000
EMBEDDER = HashingEmbedder(dimension=DIMENSION)
INFO = CollectionInfo("news", EMBEDDER.name, DIMENSION, SCHEMA_VERSION)


def clustered(count: int, *, seed: int = 0) -> Embedding:
    """Return vectors around 60 centres, which are the same for every seed."""
    centres = np.random.default_rng(99).standard_normal((60, DIMENSION))
    rng = np.random.default_rng(seed)
    rows = centres[rng.integers(60, size=count)] + 0.5 * rng.standard_normal((count, DIMENSION))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


ROWS = clustered(COUNT)
PASSAGES = [
    Passage(
        f"00000000-0000-0000-0000-{number:012}",
        f"text {number}",
        f"{number // 100}.md",
        Span(number, number + 1),
        metadata={"hundredth": "yes" if number % 100 == 0 else "no"},
    )
    for number in range(COUNT)
]


def fill(root: Path) -> None:
    with closing(create_collection(root, INFO)) as store:
        store.upsert(PASSAGES, ROWS)
        store.put_documents([Document(f"{n}.md", f"/{n}.md", "ingested", passages=100) for n in range(COUNT // 100)])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the root of the collection with a graph of all its passages."""
    folder = tmp_path_factory.mktemp("graph")
    fill(folder)
    allow_small_graphs(folder, INFO.name)
    assert FolderDatabase(folder).optimize(INFO.name)
    return folder


@pytest.fixture
def index(root: Path) -> Iterator[EmbeddedIndex]:
    with closing(FolderDatabase(root).open_index(INFO.name)) as opened:
        yield opened


def ids(candidates: list[Candidate]) -> list[str]:
    return [candidate.passage.id for candidate in candidates]


def nearest(target: Embedding, limit: int, among: range = range(COUNT)) -> list[str]:
    cosines = ROWS[list(among)].astype(np.float64) @ target.astype(np.float64)
    return [PASSAGES[among[place]].id for place in np.argsort(-cosines)[:limit]]


class TestByGraph:
    @pytest.mark.parametrize("limit", [10, 100])
    def test_it_finds_nearly_all_of_the_nearest(self, index: EmbeddedIndex, limit: int) -> None:
        assert isinstance(index, GraphSearch)
        assert index.graph.passages == COUNT
        targets = clustered(100, seed=1)
        found = index.by_graph().search(targets, limit)
        hits = sum(len(set(ids(got)) & set(nearest(target, limit))) for got, target in zip(found, targets, strict=True))
        assert hits / (limit * len(targets)) >= 0.99

    def test_what_it_finds_is_in_order_with_true_similarities_vectors_and_texts(self, index: EmbeddedIndex) -> None:
        number_of = {passage.id: number for number, passage in enumerate(PASSAGES)}
        for target in clustered(20, seed=2):
            [found] = index.by_graph().search(target[None], 50)
            assert len(found) == len({candidate.passage.id for candidate in found}) == 50
            assert found == sorted(found, key=lambda candidate: (-candidate.similarity, candidate.passage.id))
            for candidate in found:
                number = number_of[candidate.passage.id]
                assert candidate.passage == PASSAGES[number]
                assert (candidate.embedding == ROWS[number]).all()
                assert candidate.similarity == pytest.approx(float(ROWS[number] @ target), abs=1e-6)

    def test_equal_searches_find_the_same_when_it_is_opened_again_too(self, root: Path) -> None:
        targets = clustered(20, seed=3)
        found = []
        for _ in range(2):
            with closing(FolderDatabase(root).open_index(INFO.name)) as opened:
                found += [opened.by_graph().search(targets, 100) for _ in range(2)]
        assert all(again == found[0] for again in found)

    def test_an_exact_search_of_the_same_collection_is_brute_force(self, index: EmbeddedIndex) -> None:
        for target in clustered(20, seed=4):
            assert ids(index.search(target[None], 100)[0]) == nearest(target, 100)

    @pytest.mark.parametrize(
        ("where", "among"),
        [
            (Filter(("3.md",)), range(300, 400)),
            (Filter((), (("hundredth", "yes"),)), range(0, COUNT, 100)),
        ],
        ids=["one document", "every hundredth"],
    )
    def test_a_filter_leaves_only_what_matches_and_a_short_answer_is_whole(
        self, index: EmbeddedIndex, where: Filter, among: range
    ) -> None:
        targets = clustered(10, seed=5)
        for target, found in zip(targets, index.by_graph().search(targets, 100, where=where), strict=True):
            assert ids(found) == nearest(target, 100, among)

    def test_pages_go_on_where_the_last_one_ended(self, index: EmbeddedIndex) -> None:
        [target] = clustered(1, seed=6)
        [first] = index.by_graph().search(target[None], 50)
        [second] = index.by_graph().search(target[None], 50, offset=50)
        assert len(set(ids(first)) & set(nearest(target, 50))) >= 48
        assert len(set(ids(first + second)) & set(nearest(target, 100))) >= 96

    def test_what_is_written_later_is_found_though_it_is_in_no_graph(self, tmp_path: Path) -> None:
        fill(tmp_path)
        allow_small_graphs(tmp_path, INFO.name)
        assert FolderDatabase(tmp_path).optimize(INFO.name)
        [row] = clustered(1, seed=7)
        late = Passage("ffffffff-0000-0000-0000-000000000000", "late", "late.md", Span(0, 4))
        with closing(open_collection(tmp_path, INFO.name)) as store:
            store.upsert([late], row[None])
            store.put_documents([Document("late.md", "/late.md", "ingested", passages=1)])
            assert store.by_graph().search(row[None], 1)[0][0].passage == late
            store.delete_passages("0.md")
            store.drop_documents(["0.md"])
            found = [c.passage.source for c in store.by_graph().search(ROWS[:1], 1000)[0]]
            assert "0.md" not in found
        assert check_collection(tmp_path, INFO.name) == []

    def test_a_collection_that_was_not_optimized_has_none(self, tmp_path: Path) -> None:
        fill(tmp_path)
        with closing(FolderDatabase(tmp_path).open_index(INFO.name)) as opened:
            assert opened.graph.passages == 0
            targets = clustered(5, seed=8)
            assert opened.by_graph().search(targets, 30) == opened.search(targets, 30)


class TestWhichSearch:
    """Whether a retrieval searches exactly, and what it says about it."""

    @pytest.fixture
    def retriever(self, index: EmbeddedIndex) -> Retriever:
        return Retriever(EMBEDDER, index, candidate_limit=30)

    @pytest.fixture
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(defaults, "EXACT_SEARCH_PASSAGES", COUNT - 1)

    def test_a_small_collection_is_searched_exactly_although_it_has_a_graph(self, retriever: Retriever) -> None:
        assert retriever.store.count() <= defaults.EXACT_SEARCH_PASSAGES
        retrieval = retriever.retrieve("text 17")
        assert retrieval.exact_search
        assert retrieval.to_dict()["exact_search"] is True

    @pytest.mark.usefixtures("small")
    def test_a_large_one_is_searched_by_its_graph_and_the_retrieval_says_so(self, retriever: Retriever) -> None:
        retrieval = retriever.retrieve("text 17")
        assert not retrieval.exact_search
        assert retrieval.to_dict()["exact_search"] is False

    @pytest.mark.usefixtures("small")
    @pytest.mark.parametrize("wanted", [{"exact_search": True}, {"exact": True}])
    def test_unless_an_exact_search_or_selection_is_asked_for(
        self, retriever: Retriever, wanted: dict[str, bool]
    ) -> None:
        retrieval = retriever.retrieve(Query("text 17", **wanted))  # type: ignore[arg-type]
        assert retrieval.exact_search
        reference = MemoryStore(INFO)
        reference.upsert(PASSAGES, ROWS)
        expected = Retriever(EMBEDDER, reference, candidate_limit=30).retrieve(Query("text 17", **wanted))  # type: ignore[arg-type]
        if wanted == {"exact": True}:
            assert retrieval.texts == expected.texts
            assert retrieval.exact is not None
            assert retrieval.exact.proven

    @pytest.mark.usefixtures("small")
    def test_the_candidates_of_an_exact_search_are_those_of_brute_force(self, index: EmbeddedIndex) -> None:
        reference = MemoryStore(INFO)
        reference.upsert(PASSAGES, ROWS)
        for target in clustered(5, seed=9):
            exactly = searcher_of(index, exactly=True)
            assert exactly.exact
            assert ids(distinct_candidates(exactly.searcher, target[None], 40)) == ids(
                distinct_candidates(reference, target[None], 40)
            )
            assert not searcher_of(index).exact

    def test_a_store_without_graphs_is_searched_exactly(self) -> None:
        assert searcher_of(MemoryStore(INFO)).exact


class Overlapping:
    """A search whose pages overlap, as those by a graph may: a deeper look finds what the first one missed."""

    def __init__(self, ranking: list[Candidate], missed: int) -> None:
        self.ranking, self.missed = ranking, missed

    def search(
        self, targets: Embedding, limit: int, *, offset: int = 0, where: Filter | None = None
    ) -> list[list[Candidate]]:
        del targets, where
        seen = self.ranking if offset else self.ranking[: self.missed] + self.ranking[self.missed + 1 :]
        return [seen[offset : offset + limit]]


def test_a_passage_on_two_pages_is_one_candidate_and_no_copy_of_itself() -> None:
    rows = np.repeat(clustered(30, seed=10), 2, axis=0)  # each passage with a copy, so that more pages are needed
    target = rows[:1]
    order = np.argsort(-(rows @ target[0]), kind="stable")
    ranking = [
        Candidate(
            Passage(PASSAGES[n].id, f"text {n // 2}", f"{n % 2}.md", Span(n, n + 1)),
            float(rows[n] @ target[0]),
            rows[n],
        )
        for n in order.tolist()
    ]
    found = distinct_candidates(Overlapping(ranking, 3), target, 20)
    assert len(found) == 20
    met = [passage.id for one in found for passage in (one.passage, *one.copies)]
    assert len(met) == len(set(met))


def test_what_was_written_since_a_collection_was_optimized_is_counted(tmp_path: Path) -> None:
    def outside() -> int:
        with closing(FolderDatabase(tmp_path).documents(INFO.name)) as records:
            return records.outside_graph

    fill(tmp_path)
    assert outside() == COUNT
    allow_small_graphs(tmp_path, INFO.name)
    assert FolderDatabase(tmp_path).optimize(INFO.name)
    assert outside() == 0
    with closing(open_collection(tmp_path, INFO.name)) as store:
        store.upsert([replace(one, id=f"1{one.id[1:]}") for one in PASSAGES[:20]], ROWS[:20])
    assert outside() == 20
