"""Processes killed (SIGKILL) at random moments, on one reused directory: nothing acknowledged is lost.

After each kill: every passage is one that a document really had, with the vector that the embedder gives, and belongs
to a recorded document; what is recorded as ingested is whole; what was acknowledged stays, until files say otherwise.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from sift_rag.corpus.ingest import ingest
from sift_rag.corpus.options import IngestOptions
from sift_rag.ingestion import ingest_paths, open_or_create_store
from sift_rag.opening import open_store
from sift_rag.protocols import GraphSearch, PassageStore, Scannable
from sift_rag.stores.embedded.manifest import SCHEMA_VERSION, SHARD
from sift_rag.stores.embedded.readers import UNFINISHED
from sift_rag.stores.memory import MemoryStore
from sift_rag.stores.registry import open_database
from sift_rag.types import CollectionInfo, Document, Passage, Span
from tests.doubles import HashingEmbedder
from tests.graphs import allow_small_graphs
from tests.reliability.nursery import Ended, Nursery
from tests.reliability.sizes import SEED, SOAK

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
]

FILES = 24
Contents = dict[str, list[tuple[Passage, bytes]]]


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as opened:
        yield opened


class Corpus:
    """A folder whose files come, change and go, and what it should become, now and at all times before."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.folder, self.rng = folder, rng
        self.versions: dict[tuple[str, str], list[tuple[Passage, bytes]]] = {}
        """Passages and vectors by source and revision."""
        self.now: dict[str, str] = {}
        """The revision of each source."""
        folder.mkdir()
        self.change(1.0)

    def change(self, share: float) -> None:
        for number in range(FILES):
            path = self.folder / f"{number}.md"
            if self.rng.random() < share / 6:
                path.unlink(missing_ok=True)
            elif self.rng.random() < share:
                words = [f"word{self.rng.randrange(50)}" for _ in range(self.rng.randrange(1, 6))]
                path.write_text("\n\n".join(f"## {word}\n\n" + f"{word} " * 40 for word in words))
        (self.folder / "always.md").write_text("There is always a file.")
        undisturbed = self.undisturbed(HashingEmbedder())
        for document in undisturbed.documents():
            self.versions[document.source, document.revision] = contents(undisturbed)[document.source]
        self.now = {document.source: document.revision for document in undisturbed.documents()}

    def undisturbed(self, embedder: HashingEmbedder) -> MemoryStore:
        store = MemoryStore(CollectionInfo("documents", embedder.name, embedder.dimension, SCHEMA_VERSION))
        ingest([self.folder], store, embedder)
        return store


def contents(store: PassageStore) -> Contents:
    """Return passages and vectors of each document that is ingested."""
    return {
        document.source: [(c.passage, c.embedding.tobytes()) for c in store.passages(document.source)]
        for document in store.documents()
        if document.state == "ingested"
    }


def check_no_phantom(store: PassageStore, corpus: Corpus) -> None:
    assert isinstance(store, Scannable)
    known = {passage.id: row for version in corpus.versions.values() for passage, row in version}
    found = {
        identifier: row.tobytes()
        for identifiers, rows in store.scan(500)
        for identifier, row in zip(identifiers, rows, strict=True)
    }
    assert len(found) == store.count()
    assert found.items() <= known.items()
    held = [store.passages(document.source) for document in store.documents()]
    assert {candidate.passage.id for passages in held for candidate in passages} == set(found)


def check_what_is_in_is_whole(store: PassageStore, corpus: Corpus) -> None:
    for document in store.documents():
        if document.state == "ingested":
            version = [(c.passage, c.embedding.tobytes()) for c in store.passages(document.source)]
            assert version == corpus.versions[document.source, document.revision]
            assert len(version) == document.passages


def check_promises(store: PassageStore, corpus: Corpus, promised: dict[str, str], doomed: set[str]) -> None:
    """Check that what was acknowledged is in, or is on its way to its file's text with nothing of either missing.

    What is in counts as acknowledged from then on: a killed process may have completed it and not said so.
    """
    for source, revision in promised.items():
        record = store.document(source)
        now = corpus.now.get(source)
        if source in doomed or now is None:  # told to go: gone, or going, or not reached
            continue
        assert record is not None, source
        if record.state == "ingested":
            assert record.revision in {revision, now}
            promised[source] = record.revision
        else:
            held = {candidate.passage.id for candidate in store.passages(source)}
            versions = [corpus.versions[source, version] for version in (revision, record.revision, now)]
            assert any(held >= {passage.id for passage, _ in version} for version in versions)


def remember(promised: dict[str, str], ended: Ended) -> None:
    for kind, *fact in ended.said:
        if kind == "in":
            promised[fact[0]] = fact[1]
        elif kind == "gone":
            promised.pop(fact[0], None)


def test_ingests_and_deletions_killed_again_and_again(tmp_path: Path, nursery: Nursery) -> None:
    rng = random.Random(f"ingest {SEED}")
    corpus, store = Corpus(tmp_path / "notes", rng), str(tmp_path / "store")
    promised: dict[str, str] = {}
    doomed: set[str] = set()  # what a deletion may have reached, and no ingest has brought back yet
    rounds, kills = 10 * SOAK, 0
    for _ in range(rounds):
        corpus.change(0.3)
        moment = {"lines": rng.randrange(25), "seconds": rng.uniform(0, 0.03)}
        if promised and rng.random() < 0.25:
            sources = rng.sample(sorted(promised), min(len(promised), 8))
            doomed |= set(sources)
            ended = nursery.run("delete", store, sources, **moment)  # type: ignore[arg-type]
        else:
            ended = nursery.run("ingest", str(tmp_path / "notes"), store, **moment)  # type: ignore[arg-type]
        kills += ended.killed
        remember(promised, ended)
        doomed -= {fact[1] for fact in ended.said if fact[0] == "in"}
        if not open_database(store).collections():
            assert not promised
            continue
        with closing(open_store(store)) as opened:
            check_no_phantom(opened, corpus)
            check_what_is_in_is_whole(opened, corpus)
            check_promises(opened, corpus, promised, doomed)
        assert open_database(store).check("documents") == []
    assert kills > rounds / 3
    assert not nursery.run("ingest", str(tmp_path / "notes"), store).killed
    with closing(open_store(store)) as opened:
        assert contents(opened) == contents(corpus.undisturbed(HashingEmbedder()))
        check_no_phantom(opened, corpus)
    assert open_database(store).check("documents") == []


def test_migrations_killed_again_and_again(tmp_path: Path, nursery: Nursery) -> None:
    rng = random.Random(f"migrate {SEED}")
    corpus, store, target = Corpus(tmp_path / "notes", rng), str(tmp_path / "store"), str(tmp_path / "target")
    rounds, kills = 6 * SOAK, 0
    for _ in range(rounds):
        ingest_paths([tmp_path / "notes"], store=store, embedder=HashingEmbedder(), options=IngestOptions(prune=True))
        with closing(open_store(store)) as opened:
            origin = contents(opened)
        ended = nursery.run("migrate", store, target, lines=rng.randrange(FILES), seconds=rng.uniform(0, 0.02))
        kills += ended.killed
        with closing(open_store(store)) as opened:
            assert contents(opened) == origin
        promised: dict[str, str] = {}
        remember(promised, ended)
        if open_database(target).collections():
            with closing(open_store(target)) as opened:
                check_no_phantom(opened, corpus)
                check_what_is_in_is_whole(opened, corpus)
                assert {source: origin[source] for source in promised}.items() <= contents(opened).items()
            assert open_database(target).check("documents") == []
        corpus.change(0.1)
    assert kills > rounds / 3
    assert not nursery.run("migrate", store, target).killed
    with closing(open_store(target)) as opened:
        assert origin.items() <= contents(opened).items()


def test_reindexing_killed_again_and_again(tmp_path: Path, nursery: Nursery) -> None:
    rng = random.Random(f"reindex {SEED}")
    corpus, store = Corpus(tmp_path / "notes", rng), str(tmp_path / "store")
    embedders = [HashingEmbedder("narrow", 64), HashingEmbedder("wide", 96)]
    complete = {embedder.name: contents(corpus.undisturbed(embedder)) for embedder in embedders}
    ingest_paths([tmp_path / "notes"], store=store, embedder=embedders[0])
    rounds, kills = 5 * SOAK, 0
    for _ in range(rounds):
        [info] = open_database(store).collections()
        other = embedders[info.embedder == "narrow"]
        moment = {"lines": 1, "seconds": rng.uniform(0, 0.6)}
        ended = nursery.run("reindex", str(tmp_path / "notes"), store, other.name, other.dimension, **moment)  # type: ignore[arg-type]
        kills += ended.killed
        [info] = open_database(store).collections()
        with closing(open_store(store)) as opened:
            assert opened.info.embedder == info.embedder
            assert contents(opened) == complete[info.embedder]
        assert open_database(store).check("documents") == []
    assert kills > 0
    assert not nursery.run("reindex", str(tmp_path / "notes"), store, "wide", 96).killed
    with closing(open_store(store)) as opened:
        assert contents(opened) == complete["wide"]


def test_optimizing_killed_again_and_again(tmp_path: Path, nursery: Nursery) -> None:
    rng = random.Random(f"optimize {SEED}")
    store, embedder = str(tmp_path / "store"), HashingEmbedder(dimension=8)
    rounds, kills = 4 * SOAK, 0
    expected: Contents = {}
    for number in range(rounds):
        with closing(open_or_create_store(open_database(store), "documents", embedder)) as opened:
            for source in ("a.md", "b.md")[number % 2 :]:  # enough that there is something to compact
                ids = [f"{rng.getrandbits(128):032x}" for _ in range(1200)]
                spelt = [f"{i[:8]}-{i[8:12]}-{i[12:16]}-{i[16:20]}-{i[20:]}" for i in ids]
                passages = [Passage(name, f"text {name}", source, Span(n, n + 1)) for n, name in enumerate(spelt)]
                rows = np.random.default_rng(rng.getrandbits(32)).standard_normal((1200, 8)).astype(np.float32)
                opened.delete_passages(source)
                opened.upsert(passages, rows)
                opened.put_documents([Document(source, f"/{source}", "ingested", passages=1200)])
            expected = contents(opened)
        allow_small_graphs(Path(store), "documents")  # so that a graph is made too
        ended = nursery.run("optimize", store, lines=1, seconds=rng.uniform(0, 0.3))
        kills += ended.killed
        with closing(open_store(store)) as opened:
            assert contents(opened) == expected
            assert opened.count() == 2400
            assert list((Path(store) / "documents" / SHARD / UNFINISHED).glob("*")) == []
        assert open_database(store).check("documents") == []
    assert kills > 0
    assert not nursery.run("optimize", store).killed
    with closing(open_store(store)) as opened:
        assert contents(opened) == expected
        assert isinstance(opened, GraphSearch)
        assert opened.graph.passages == 2400
        targets = np.random.default_rng(SEED).standard_normal((5, 8)).astype(np.float32)
        for found, exact in zip(opened.by_graph().search(targets, 10), opened.search(targets, 10), strict=True):
            assert len({one.passage.id for one in found} & {one.passage.id for one in exact}) >= 8
