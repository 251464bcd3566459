"""The parts together, on the embedded store: made, reopened, reindexed, refused, killed."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.report import IngestReport
from sift_rag.corpus.shards import Shard
from sift_rag.errors import CollectionNotFound, ConfigurationError, ModelUnavailable, StoreConflict, StoreUnreachable
from sift_rag.ingestion import ingest_paths, ingest_texts, reindex
from sift_rag.opening import open_embedder, open_model, open_retriever, open_store
from sift_rag.protocols import Embedder
from sift_rag.stores.qdrant.options import ServerOptions
from sift_rag.stores.registry import open_database
from tests.doubles import HashingEmbedder

ROOT = Path(__file__).parent.parent


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    for i, animal in enumerate(["owls", "bees", "mice", "bats"]):
        (folder / f"{animal}.md").write_text(f"# {animal}\n\nWhat {animal} do at night, number {i}.\n")
    return folder


def ingest(notes: Path, embedder: Embedder | None = None, options: IngestOptions | None = None) -> IngestReport:
    return ingest_paths([notes], store=notes.parent / "store", embedder=embedder or HashingEmbedder(), options=options)


def reindexed(notes: Path, embedder: Embedder) -> IngestReport:
    return reindex([notes], store=notes.parent / "store", embedder=embedder)


def contents(store: Path) -> dict[str, list[tuple[str, str, bytes]]]:
    with closing(open_store(store)) as opened:
        assert all(document.state == "ingested" for document in opened.documents())
        return {
            document.source: [
                (c.passage.id, c.passage.text, c.embedding.tobytes()) for c in opened.passages(document.source)
            ]
            for document in opened.documents()
        }


def test_what_is_ingested_is_found_after_reopening(notes: Path) -> None:
    assert ingest(notes).new == 4
    retriever = open_retriever(notes.parent / "store", embedder=HashingEmbedder())
    with closing(retriever.store):
        assert retriever.retrieve("owls", k=1).hits[0].passage.source == "notes/owls.md"
    assert ingest(notes).unchanged == 4
    with closing(open_database(notes.parent / "store").documents("documents")) as records:
        assert [document.source for document in records.documents()] == sorted(
            f"notes/{p.name}" for p in notes.iterdir()
        )


def test_a_single_path_is_a_path_and_not_its_letters(notes: Path) -> None:
    for paths in (notes, str(notes), [notes]):
        store, dry = notes.parent / "store", IngestOptions(dry_run=True)
        report = ingest_paths(paths, store=store, embedder=HashingEmbedder(), options=dry)
        assert (report.new, report.failed) == (4, 0)


@pytest.mark.parametrize("wrong", [{"candidate_limit": 0}, {"selector": "mmr"}])
def test_a_retriever_that_cannot_be_made_leaves_the_collection_closed(notes: Path, wrong: dict[str, Any]) -> None:
    ingest(notes)
    store, embedder = notes.parent / "store", HashingEmbedder()
    with pytest.raises((ValueError, TypeError), match=r"candidate_limit|A selector"):
        open_retriever(store, embedder=embedder, **wrong)
    open_retriever(store, embedder=embedder).close()


def test_a_run_that_finds_nothing_changed_loads_no_embedder(notes: Path) -> None:
    ingest_paths([notes], store=notes.parent / "store", embedder=HashingEmbedder("no/such-model"))
    report = ingest_paths([notes], store=notes.parent / "store")
    assert report.unchanged == 4
    (notes / "new.md").write_text("Something new.")
    with pytest.raises(ModelUnavailable, match="no/such-model"):
        ingest_paths([notes], store=notes.parent / "store")


def test_another_embedder_is_refused_with_the_way_out(notes: Path) -> None:
    ingest(notes)
    other = HashingEmbedder("other")
    for attempt in (
        lambda: ingest(notes, other),
        lambda: open_retriever(notes.parent / "store", embedder=other),
        lambda: open_retriever(notes.parent / "store", embedder=HashingEmbedder(dimension=32)),
        lambda: open_retriever(notes.parent / "store", embedder="other"),
        lambda: ingest_paths([notes], store=notes.parent / "store", embedder="other"),
    ):
        with pytest.raises(
            StoreConflict, match=r"made with the embedder hashing \(64 dimensions\), and this is"
        ) as refused:
            attempt()
        assert refused.value.remedy is not None
        assert refused.value.remedy.key == "embedder-mismatch"
        assert refused.value.remedy.values["embedder"] == "hashing"
    assert ingest(notes).unchanged == 4  # nothing was left locked or changed


def test_reindexing_changes_the_embedder_and_keeps_every_document(notes: Path) -> None:
    ingest(notes)
    before = contents(notes.parent / "store")
    elsewhere = notes.parent / "attic"
    notes.rename(elsewhere)
    notes.mkdir()
    (notes / "owls.md").write_text("# owls\n\nWhat owls do by day.\n")
    report = reindexed(notes, HashingEmbedder("wide", dimension=96))
    assert report.passages_total == 4
    [info] = open_database(notes.parent / "store").collections()
    assert (info.embedder, info.dimension) == ("wide", 96)
    after = contents(notes.parent / "store")
    assert set(after) == set(before)
    assert "by day" in after["notes/owls.md"][0][1]
    assert [row[:2] for row in after["notes/bees.md"]] == [row[:2] for row in before["notes/bees.md"]]
    assert open_database(notes.parent / "store").check("documents") == []


def test_a_reindex_that_fails_keeps_the_old_vectors_and_is_taken_up_again(notes: Path) -> None:
    ingest(notes)
    before = contents(notes.parent / "store")

    class Failing(HashingEmbedder):
        def embed_passages(self, texts: list[str]) -> object:
            if len(self.embedded) >= 2:
                raise ModelUnavailable("the power went out")
            return super().embed_passages(texts)

    failing = Failing("wide", dimension=96)
    failing.embedded = ["", ""]
    with pytest.raises(ModelUnavailable, match="power"):
        reindexed(notes, failing)
    assert contents(notes.parent / "store") == before
    assert [info.embedder for info in open_database(notes.parent / "store").collections()] == ["hashing"]
    reindexed(notes, HashingEmbedder("wide", dimension=96))
    assert [info.embedder for info in open_database(notes.parent / "store").collections()] == ["wide"]


def test_a_dry_run_makes_no_store(notes: Path) -> None:
    assert ingest(notes, options=IngestOptions(dry_run=True)).new == 4
    assert not (notes.parent / "store").exists()


def test_optimizing_changes_no_answer(notes: Path) -> None:
    ingest(notes)
    before = contents(notes.parent / "store")
    open_database(notes.parent / "store").optimize("documents")
    assert contents(notes.parent / "store") == before


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(CollectionNotFound, match="letters"):
        open_retriever(tmp_path, "letters", HashingEmbedder())
    assert open_database(tmp_path / "nowhere").collections() == []
    with pytest.raises(ConfigurationError, match="No store is registered for 'ftp' URLs: expected a folder or one of"):
        open_store("ftp://localhost:6333")
    with pytest.raises(StoreUnreachable, match="no answer from Qdrant at http://localhost:9 "):
        open_store("http://localhost:9")
    with pytest.raises(ConfigurationError, match="a folder"):
        open_database(tmp_path, server=ServerOptions(shard_number=2))
    with pytest.raises(ModelUnavailable, match="no/such-model"):
        open_embedder("no/such-model")
    with pytest.raises(ModelUnavailable, match="no model folder"):
        open_embedder("./nowhere")
    with pytest.raises(ConfigurationError, match="model"):
        open_model(None)
    with pytest.raises(ConfigurationError, match="needs the name of a model"):
        open_model(None, base_url="http://localhost:1/v1")


@pytest.mark.slow
def test_the_real_embedder_gives_unit_vectors_and_the_same_ones_for_both_names() -> None:
    short, full = open_embedder(), open_embedder("sentence-transformers/all-MiniLM-L6-v2")
    assert short.name == full.name == "all-MiniLM-L6-v2"
    rows = short.embed_passages(["an owl", "a bee", ""])
    assert rows.shape == (3, short.dimension)
    assert (rows**2).sum(axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
    assert rows.tobytes() == full.embed_passages(["an owl", "a bee", ""]).tobytes()
    assert short.embed_queries([]).shape == (0, short.dimension)


INGEST = """
import sys
from pathlib import Path
from sift_rag.corpus.options import IngestOptions
from sift_rag.ingestion import ingest_paths
from tests.doubles import HashingEmbedder
print("ready", flush=True)
ingest_paths([Path(sys.argv[1])], store=Path(sys.argv[2]), embedder=HashingEmbedder(),
             options=IngestOptions(prune=True))
"""


@pytest.mark.slow
def test_killed_at_random_moments_on_one_store_it_ends_like_an_undisturbed_run(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    rng = random.Random(7)
    kills = 0
    for round_number in range(4):
        for i in range(60):  # some change, some go, some come
            path = notes / f"{i}.md"
            if rng.random() < 0.2:
                path.unlink(missing_ok=True)
            elif rng.random() < 0.6 or round_number == 0:
                path.write_text("\n\n".join(f"# Part {j}\n\n" + f"word{rng.randrange(99)} " * 45 for j in range(12)))
        command = [sys.executable, "-c", INGEST, str(notes), str(tmp_path / "store")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(rng.uniform(0.0, 1.0))  # when it dies is left to chance
            process.kill()
            kills += process.wait() != 0
    ingest_paths([notes], store=tmp_path / "store", embedder=HashingEmbedder(), options=IngestOptions(prune=True))
    ingest_paths([notes], store=tmp_path / "undisturbed", embedder=HashingEmbedder(), options=IngestOptions(prune=True))
    assert contents(tmp_path / "store") == contents(tmp_path / "undisturbed")
    assert open_database(tmp_path / "store").check("documents") == []
    assert kills > 0


def test_texts_go_into_a_collection_and_are_found(tmp_path: Path) -> None:
    texts, embedder = ["Owls hunt at night.", "Bees dance in spring."], HashingEmbedder()
    report = ingest_texts(texts, store=tmp_path / "store", embedder=embedder, sources=["owls", "bees"])
    assert (report.new, report.passages_total) == (2, 2)
    embedder.embedded.clear()
    again = ingest_texts(texts[::-1], store=tmp_path / "store", embedder=embedder, sources=["bees", "owls"])
    assert (again.unchanged, embedder.embedded) == (2, [])
    with open_retriever(tmp_path / "store", embedder=embedder) as retriever:
        assert retriever.retrieve("bees in spring", k=1).hits[0].passage.source == "bees"


def test_a_reindex_keeps_texts_and_needs_no_paths(tmp_path: Path) -> None:
    ingest_texts(["Owls hunt at night."], store=tmp_path / "store", embedder=HashingEmbedder(), sources=["owls"])
    report = reindex(store=tmp_path / "store", embedder=HashingEmbedder("wide", dimension=96))
    assert report.passages_total == 1
    assert [info.embedder for info in open_database(tmp_path / "store").collections()] == ["wide"]
    assert list(contents(tmp_path / "store")) == ["owls"]


def test_a_reindex_of_a_shard_is_refused(notes: Path) -> None:
    with pytest.raises(ValueError, match="without a shard"):
        reindex([notes], store=notes.parent / "store", options=IngestOptions(shard=Shard(1, 2)))
