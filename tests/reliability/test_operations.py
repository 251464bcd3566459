"""The same random operations on three stores that share no engine, compared after each.

The reference (dictionaries), the embedded store (reopened now and then), and Qdrant's own in-memory client, asked here
directly. What a search must give is computed besides, in double precision.
"""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from sift_rag.filters import Filter, labels_of
from sift_rag.protocols import PassageStore, Scannable
from sift_rag.stores.embedded.check import check_collection
from sift_rag.stores.embedded.database import FolderDatabase
from sift_rag.stores.embedded.manifest import SCHEMA_VERSION
from sift_rag.stores.embedded.store import EmbeddedStore, create_collection, open_collection
from sift_rag.stores.memory import MemoryStore
from sift_rag.types import Candidate, CollectionInfo, Document, Embedding, Passage, Span
from tests.graphs import allow_small_graphs
from tests.reliability.sizes import SEED, SOAK

pytestmark = pytest.mark.slow

DIMENSION = 6
INFO = CollectionInfo("news", "an embedder", DIMENSION, SCHEMA_VERSION)
SOURCES = [f"{folder}/{number}.md" for folder in ("a", "b") for number in range(5)]
COLLECTION = "oracle"


class Oracle:
    """Qdrant's in-memory client with the filters written in its own words."""

    def __init__(self) -> None:
        self.client = QdrantClient(":memory:")
        shape = models.VectorParams(size=DIMENSION, distance=models.Distance.COSINE)
        self.client.create_collection(COLLECTION, vectors_config=shape)

    def upsert(self, passages: list[Passage], rows: Embedding) -> None:
        points = [
            models.PointStruct(
                id=passage.id,
                vector=row.tolist(),
                payload={
                    "source": passage.source,
                    "revision": passage.revision,
                    "labels": [f"{key}={value}" for key, value in labels_of(passage.metadata)],
                },
            )
            for passage, row in zip(passages, rows, strict=True)
        ]
        self.client.upsert(COLLECTION, points)

    def delete(self, source: str, except_revision: str | None) -> None:
        kept = [] if except_revision is None else [_is("revision", except_revision)]
        wanted = models.Filter(must=[_is("source", source)], must_not=kept)
        self.client.delete(COLLECTION, models.FilterSelector(filter=wanted))

    def count(self) -> int:
        return self.client.count(COLLECTION).count

    def scores(self, target: Embedding, end: int, where: Filter) -> list[float]:
        found = self.client.query_points(COLLECTION, target.tolist(), limit=end, query_filter=_filter(where))
        return [point.score for point in found.points]


def _is(field: str, value: str) -> models.FieldCondition:
    return models.FieldCondition(key=field, match=models.MatchValue(value=value))


def _filter(where: Filter) -> models.Filter:
    sources = [source for source in SOURCES if where.matches_source(source)]
    wanted = {"source": sources}
    conditions = [
        models.FieldCondition(key=field, match=models.MatchAny(any=values)) for field, values in wanted.items()
    ]
    for key, values in where.choices().items():
        labels = [f"{key}={value}" for value in values]
        conditions.append(models.FieldCondition(key="labels", match=models.MatchAny(any=labels)))
    return models.Filter(must=conditions)


class Trial:
    """The three stores, what is in them as this file sees it, and one random operation after the other."""

    def __init__(self, root: Path, rng: random.Random) -> None:
        self.root, self.rng = root, rng
        self.memory, self.oracle = MemoryStore(INFO), Oracle()
        self.edge: EmbeddedStore = create_collection(root, INFO)
        self.held: dict[str, tuple[Passage, Embedding]] = {}
        for store in self.stores:  # as an ingest does: no passage without a record of its document
            store.put_documents([Document(source, f"/{source}", "pending") for source in SOURCES])

    @property
    def stores(self) -> tuple[PassageStore, PassageStore]:
        return self.memory, self.edge

    def step(self) -> str:
        """Do an operation, by name; check that the stores agree on its result, and on a search after it."""
        names = ["upsert", "upsert", "upsert", "change", "delete", "records", "read", "scan"]
        name = "reopen" if self.rng.random() < 0.02 else self.rng.choice(names)
        getattr(self, name)()
        self.search()
        return name

    def upsert(self) -> None:
        source = self.rng.choice(SOURCES)
        numbers = self.rng.sample(range(20), self.rng.randint(1, 6))
        self._put([self._passage(UUID(int=1 + 20 * SOURCES.index(source) + n), source) for n in numbers])

    def change(self) -> None:
        """Passages that exist, with other content, some of them of another document now."""
        known = self.rng.sample(sorted(self.held), min(len(self.held), 3))
        self._put([self._passage(UUID(identifier), self.rng.choice(SOURCES)) for identifier in known])

    def delete(self) -> None:
        source, kept = self.rng.choice(SOURCES), self.rng.choice([None, None, "1", "2"])
        doomed = [
            identifier
            for identifier, (passage, _) in self.held.items()
            if passage.source == source and (kept is None or passage.revision != kept)
        ]
        for store in self.stores:
            assert store.delete_passages(source, except_revision=kept) == len(doomed)
        self.oracle.delete(source, kept)
        for identifier in doomed:
            del self.held[identifier]

    def records(self) -> None:
        dropped, *written = self.rng.sample([f"c/{number}" for number in range(4)], 3)
        records = [Document(source, f"/{source}", "pending", passages=self.rng.randrange(9)) for source in written]
        prefix = self.rng.choice(["", "a/", "b/", "b/3", "c", "c/1", "d"])
        for store in self.stores:
            store.put_documents(records)
            store.drop_documents([dropped])
        assert list(self.memory.documents(prefix)) == list(self.edge.documents(prefix))

    def read(self) -> None:
        asked = [str(UUID(int=self.rng.randrange(1, 201))) for _ in range(5)]
        source = self.rng.choice(SOURCES)
        texts = [
            passage.embedding_text for passage, _ in self.rng.sample(list(self.held.values()), len(self.held) // 9)
        ]
        for store in self.stores:
            self._check_held(store.fetch(asked), [name for name in asked if name in self.held])
            of_source = [passage for passage, _ in self.held.values() if passage.source == source]
            in_order = sorted(of_source, key=lambda passage: (passage.span.start, passage.id))
            self._check_held(list(store.passages(source)), [passage.id for passage in in_order])
            assert set(store.embeddings([*texts, "never written"])) == set(texts)

    def scan(self) -> None:
        where, limit = self._where(), self.rng.choice([1, 7, 100])
        expected = {name: row for name, (passage, row) in self.held.items() if where.matches(passage)}
        for store in self.stores:
            assert isinstance(store, Scannable)
            blocks = list(store.scan(limit, where=where))
            names = [name for block, _ in blocks for name in block]
            assert names == sorted(expected)
            assert all(
                np.array_equal(row, expected[n]) for block, rows in blocks for n, row in zip(block, rows, strict=True)
            )

    def search(self) -> None:
        where = self._where()
        target = self._row()
        limit, offset = self.rng.randint(1, 30), self.rng.choice([0, 0, 0, 1, 10])
        fitting = {name: row for name, (passage, row) in self.held.items() if where.matches(passage)}
        cosines = {name: float(row.astype(np.float64) @ target.astype(np.float64)) for name, row in fitting.items()}
        nearest = sorted(cosines.values(), reverse=True)
        assert self.oracle.count() == len(self.held)
        assert self.oracle.scores(target, offset + limit, where) == pytest.approx(nearest[: offset + limit], abs=1e-5)
        for store in self.stores:
            assert store.count() == len(self.held)
            [found] = store.search(target[np.newaxis], limit, offset=offset, where=where)
            names = [candidate.passage.id for candidate in found]
            assert len(set(names)) == len(names)
            assert [c.similarity for c in found] == pytest.approx(nearest[offset : offset + limit], abs=1e-6)
            assert [c.similarity for c in found] == pytest.approx([cosines[name] for name in names], abs=1e-6)
            self._check_held(found, names)
            for one, next_one in pairwise(names):
                assert one < next_one or not np.array_equal(fitting[one], fitting[next_one])
        self.search_by_graph(target, limit, where, cosines)

    def search_by_graph(self, target: Embedding, limit: int, where: Filter, cosines: dict[str, float]) -> None:
        """What is found may not be the nearest, but there is no less of it, and all that is said of it is true."""
        [found] = self.edge.by_graph().search(target[np.newaxis], limit, where=where)
        names = [candidate.passage.id for candidate in found]
        assert len(set(names)) == len(names) == min(limit, len(cosines))
        assert [c.similarity for c in found] == pytest.approx([cosines[name] for name in names], abs=1e-6)
        assert [c.similarity for c in found] == sorted((c.similarity for c in found), reverse=True)
        self._check_held(found, names)

    def reopen(self) -> None:
        self.edge.close()
        if self.rng.random() < 0.5:
            allow_small_graphs(self.root, INFO.name)
            FolderDatabase(self.root).optimize(INFO.name)
        self.edge = open_collection(self.root, INFO.name)

    def _put(self, passages: list[Passage]) -> None:
        rows = np.stack([self._row() for _ in passages]) if passages else np.empty((0, DIMENSION), np.float32)
        for store in self.stores:
            store.upsert(passages, rows)
        if passages:
            self.oracle.upsert(passages, rows)
        self.held |= {passage.id: (passage, row) for passage, row in zip(passages, rows, strict=True)}

    def _passage(self, identifier: UUID, source: str) -> Passage:
        return Passage(
            str(identifier),
            f"text {self.rng.getrandbits(40)}",
            source,
            Span(self.rng.randrange(50), 60),
            metadata={"tag": self.rng.choice(["x", "y", "z"]), "tags": self.rng.sample(["p", "q", "r"], 2)},
            revision=self.rng.choice(["1", "2", "3"]),
        )

    def _row(self) -> Embedding:
        """A direction of its own, or one that a passage has already."""
        if self.held and self.rng.random() < 0.3:
            return self.held[self.rng.choice(sorted(self.held))][1]
        row = np.random.default_rng(self.rng.getrandbits(32)).standard_normal(DIMENSION)
        return (row / np.linalg.norm(row)).astype(np.float32)

    def _where(self) -> Filter:
        sources = self.rng.choice([(), (), ("a/*",), ("b/3.md",), ("*/1.md", "*/[24].md"), ("c/",)])
        labels = self.rng.choice([(), (), (("tag", "x"),), (("tag", "x"), ("tag", "y")), (("tag", "z"), ("tags", "p"))])
        return Filter(sources, labels)

    def _check_held(self, found: list[Candidate], names: list[str]) -> None:
        assert [candidate.passage for candidate in found] == [self.held[name][0] for name in names]
        assert all(
            np.array_equal(candidate.embedding, self.held[name][1])
            for candidate, name in zip(found, names, strict=True)
        )


@pytest.mark.parametrize("seed", [SEED, SEED + 1])
def test_random_operations_do_the_same_to_three_stores(seed: int, tmp_path: Path) -> None:
    trial = Trial(tmp_path, random.Random(f"operations {seed}"))
    done: Counter[str] = Counter()
    try:
        while done.total() < 500 * SOAK:
            done[trial.step()] += 1
    except BaseException as error:
        error.add_note(f"seed {seed}, after {done.total()} operations")
        raise
    assert set(done) == {"upsert", "change", "delete", "records", "read", "scan", "reopen"}
    trial.oracle.client.close()
    trial.edge.close()
    assert check_collection(tmp_path, INFO.name) == []
