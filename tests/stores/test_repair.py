"""Whatever happens to the files of a collection is found, and a reindex makes a sound collection of what is left."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from qdrant_edge import EdgeShard, Point, UpdateOperation

from sift_rag.corpus.report import IngestReport
from sift_rag.errors import StoreDamaged
from sift_rag.ingestion import ingest_paths, ingest_texts, reindex
from sift_rag.opening import open_store
from sift_rag.protocols import WordIndex
from sift_rag.stores.embedded.seal import SEAL
from sift_rag.stores.payloads import VECTOR_CHECK, payload_of, vector_checks
from sift_rag.stores.registry import open_database
from tests.doubles import HashingEmbedder
from tests.reliability.sizes import SOAK
from tests.sparse import copy_sparse

NAME = "documents"
FILES = 4
ALIKE = ("-embeddin", "-labels")
"""Names of payload indexes whose files are of the same kinds as those of the index of sources: for a soak only."""


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    start = max(0, len(content) // 2 - 8)
    content[start : start + 16] = bytes(byte ^ 0xFF for byte in content[start : start + 16])
    path.write_bytes(content)


def flip_where_it_begins(path: Path) -> None:
    """Flip what stands first in a file that is mostly empty."""
    content = bytearray(path.read_bytes())
    start = len(content) - len(content.lstrip(b"\0")) if content.strip(b"\0") else 0
    content[start : start + 16] = bytes(byte ^ 0xFF for byte in content[start : start + 16])
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "deleted": Path.unlink,
    "half": lambda path: os.truncate(path, path.stat().st_size // 2),
    "empty": lambda path: os.truncate(path, 0),
    "flipped": flip,
    "flipped at its beginning": flip_where_it_begins,
}


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    for number in range(FILES):
        parts = [f"## Part {part} of {number}\n\n" + f"owl{part} bee{number} at night. " * 8 for part in range(3)]
        (folder / f"{number}.md").write_text("\n\n".join(parts))
    return folder


@pytest.fixture
def store(notes: Path) -> Path:
    ingest_paths([notes], store=notes.parent / "store", embedder=HashingEmbedder())
    return notes.parent / "store"


def contents(store: Path) -> dict[str, list[tuple[object, bytes]]]:
    """Return passages and vectors of each document."""
    with closing(open_store(store)) as opened:
        return {
            document.source: [(c.passage, c.embedding.tobytes()) for c in opened.passages(document.source)]
            for document in opened.documents()
        }


def answers(store: Path) -> list[object]:
    """Return all that a search can tell."""
    embedder = HashingEmbedder()
    with closing(open_store(store)) as opened:
        assert isinstance(opened, WordIndex)
        near = opened.search(embedder.embed_queries(["owl1 bee2", "at night"]), 50)
        words = opened.search_words(["owl1 bee2", "bee3"], 50)
        rows = [candidate.embedding.tobytes() for found in near for candidate in found]
        return [opened.count(), near, rows, [[c.passage.id for c in found] for found in words]]


def rebuilt(notes: Path, store: Path) -> IngestReport:
    return reindex([notes], store=store, embedder=HashingEmbedder())


def survives(notes: Path, store: Path, damage: str) -> None:
    """Check that damage to each file of a collection is noticed or harmless, and that a reindex mends it."""
    whole, told = contents(store), answers(store)
    copy = notes.parent / "copy"
    for file in sorted(path.relative_to(store) for path in (store / NAME).rglob("*") if path.is_file()):
        if SOAK == 1 and any(alike in str(file) for alike in ALIKE):
            continue
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(store, copy, copy_function=copy_sparse)
        DAMAGES[damage](copy / file)
        if not open_database(copy).check(NAME):
            assert answers(copy) == told, file
        rebuilt(notes, copy)
        assert contents(copy) == whole, file
        assert open_database(copy).check(NAME) == [], file
        assert answers(copy) == told, file


@pytest.mark.slow
class TestLoss:
    @pytest.mark.parametrize("damage", ["deleted", "half", "empty"])
    def test_every_file_that_is_lost_or_cut_is_noticed_or_harmless_and_the_collection_can_be_rebuilt(
        self, notes: Path, store: Path, damage: str
    ) -> None:
        survives(notes, store, damage)


@pytest.mark.slow
class TestFlippedBits:
    @pytest.mark.parametrize("damage", ["flipped", "flipped at its beginning"])
    def test_flipped_bits_in_every_file_are_noticed_or_harmless_and_the_collection_can_be_rebuilt(
        self, notes: Path, store: Path, damage: str
    ) -> None:
        survives(notes, store, damage)


@pytest.mark.slow
def test_damage_that_kills_the_engine_is_found_in_another_process_where_nothing_was_noted(
    notes: Path, store: Path
) -> None:
    whole = contents(store)
    [ids] = store.glob(f"{NAME}/shard/segments/*/mutable_id_tracker.mappings")
    flip(ids)
    with pytest.raises(StoreDamaged, match=r"mutable_id_tracker\.mappings has changed since the collection was closed"):
        open_store(store)
    (store / NAME / SEAL).unlink()  # as a killed process leaves it
    [problem] = open_database(store).check(NAME)
    assert "the search engine crashed reading it" in problem
    rebuilt(notes, store)
    assert contents(store) == whole


def test_what_a_killed_process_or_an_earlier_release_leaves_is_compared_with_nothing(store: Path) -> None:
    seal = store / NAME / SEAL
    left = seal.read_bytes()
    with closing(open_store(store)):
        assert not seal.exists()
    lock = store / NAME / "lock"
    lock.write_text(json.dumps({"pid": 1, "command": "sift-rag ingest"}))  # what earlier releases write
    seal.write_bytes(left.replace(b'"files": {', b'"files": {"gone.json": [1, 2], '))
    with closing(open_store(store)) as opened:
        assert opened.count()
    seal.write_text("{}")
    open_store(store).close()
    assert open_database(store).check(NAME) == []


def test_a_collection_whose_files_take_more_room_than_they_did_is_not_damaged(store: Path) -> None:
    for path in sorted((store / NAME / "shard").rglob("*")):
        if path.is_file() and path.stat().st_size <= 64 * 2**20:
            path.write_bytes(path.read_bytes())  # as a copy does that stores the zeros which the engine leaves out
    open_store(store).close()
    assert open_database(store).check(NAME) == []


def test_documents_come_from_the_store_where_it_can_be_read_and_else_from_their_own_files(
    notes: Path, store: Path
) -> None:
    ingest_texts(["Mice sleep by day."], store=store, embedder=HashingEmbedder(), sources=["mice"])
    whole = contents(store)
    shutil.rmtree(store / NAME / "shard")
    (notes / "0.md").unlink()
    report = reindex(store=store, embedder=HashingEmbedder())
    lost = {notice.source for notice in report.notices if "could not be read back: ingest it again" in notice.reason}
    assert lost == {"mice", "notes/0.md"}
    assert contents(store) == {source: rows for source, rows in whole.items() if source not in lost}
    assert open_database(store).check(NAME) == []


def test_without_records_passages_are_enough(notes: Path, store: Path) -> None:
    ingest_texts(["Mice sleep by day."], store=store, embedder=HashingEmbedder(), sources=["mice"])
    whole = contents(store)
    os.truncate(store / NAME / "documents.sqlite", 0)
    shutil.rmtree(notes)
    report = reindex(store=store, embedder=HashingEmbedder())
    assert contents(store) == whole
    assert any("documents.sqlite" in notice.reason for notice in report.notices)


def test_a_document_whose_text_was_changed_in_the_store_is_read_from_its_file(notes: Path, store: Path) -> None:
    whole = contents(store)
    with closing(open_store(store)) as opened:
        [candidate, *_] = opened.passages("notes/1.md")
    payload = payload_of(candidate.passage) | {"text": "Bees hate owls."}
    plant(store, [Point(candidate.passage.id, candidate.embedding, payload)])  # type: ignore[arg-type]
    [problem] = open_database(store).check(NAME)
    assert problem == f"The text of passage {candidate.passage.id} of 'notes/1.md' is not the one it was written with."
    reindex(store=store, embedder=HashingEmbedder())
    assert contents(store) == whole


def plant(store: Path, points: list[Point]) -> None:
    """Write points past the store."""
    (store / NAME / SEAL).unlink()
    shard = EdgeShard.load(str(store / NAME / "shard"))
    shard.update(UpdateOperation.upsert_points(points))
    shard.flush()
    shard.close()


def test_a_text_under_a_source_that_is_not_its_own_is_found(store: Path) -> None:
    with closing(open_store(store)) as opened:
        [candidate, *_] = opened.passages("notes/1.md")
    payload = payload_of(candidate.passage) | {"source": "notes/2.md"}
    plant(store, [Point(candidate.passage.id, candidate.embedding, payload)])  # type: ignore[arg-type]
    assert f"The text of passage {candidate.passage.id} of 'notes/2.md'" in open_database(store).check(NAME)[0]


def test_a_vector_that_was_turned_is_found_and_one_without_checksum_is_not_a_fault(store: Path) -> None:
    with closing(open_store(store)) as opened:
        [first, second, *_] = opened.passages("notes/1.md")
    [check] = vector_checks(first.embedding[None])
    turned = Point(first.passage.id, second.embedding, payload_of(first.passage, check))  # type: ignore[arg-type]
    old = Point(second.passage.id, second.embedding, payload_of(second.passage))  # type: ignore[arg-type]
    assert VECTOR_CHECK not in payload_of(second.passage)
    plant(store, [turned, old])
    assert open_database(store).check(NAME) == [
        f"The vector of passage {first.passage.id} is not the one it was written with: its checksum differs."
    ]


def test_checksums_outlast_rounding_and_tell_vectors_apart() -> None:
    rng = np.random.default_rng(3)
    for dimension in (16, 384):
        rows = rng.normal(size=(200, dimension)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        checks = np.array(vector_checks(rows))
        halved = rows.astype(np.float16).astype(np.float32)
        halved /= np.linalg.norm(halved, axis=1, keepdims=True)
        assert np.abs(np.array(vector_checks(halved)) - checks).max() < 5e-4
        assert np.mean(np.abs(checks[1:] - checks[:-1]) > 5e-4) > 0.98
    assert vector_checks(np.empty((0, 16), dtype=np.float32)) == []


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"dimension": 63}, "states vectors of 63 dimensions, but the engine keeps 64"),
        ({"name": ""}, "states the name ''"),
        ({"splitter": "by hand"}, "states the splitter 'by hand'"),
        ({"embedder": ""}, "lacks the schema version, the embedder or the dimension"),
        ({"schema_version": 0}, "lacks the schema version, the embedder or the dimension"),
        ({"format": "other"}, "does not describe a collection"),
    ],
)
def test_a_manifest_that_contradicts_itself_or_the_collection_is_found_and_rebuilt(
    notes: Path, store: Path, change: dict[str, object], finding: str
) -> None:
    whole = contents(store)
    manifest = store / NAME / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | change))
    assert any(finding in problem for problem in open_database(store).check(NAME))
    rebuilt(notes, store)
    assert contents(store) == whole
    assert open_database(store).check(NAME) == []


def test_without_a_manifest_the_embedder_is_the_one_that_is_named(notes: Path, store: Path) -> None:
    (store / NAME / "manifest.json").unlink()
    report = reindex([notes], store=store, embedder=HashingEmbedder("wide", dimension=96))
    assert any("no longer told its embedder: this one is wide" in notice.reason for notice in report.notices)
    assert [info.embedder for info in open_database(store).collections()] == ["wide"]


def test_the_damaged_folder_stays_until_its_replacement_is_complete(notes: Path, store: Path) -> None:
    manifest = store / NAME / "manifest.json"
    manifest.write_bytes(b"\xff")

    class Failing(HashingEmbedder):
        def embed_passages(self, texts: list[str]) -> object:
            raise OSError("the power went out")

    with pytest.raises(OSError, match="power"):
        reindex([notes], store=store, embedder=Failing())
    assert manifest.read_bytes() == b"\xff"
    assert (store / NAME / "documents.sqlite").is_file()
    rebuilt(notes, store)
    assert open_database(store).check(NAME) == []


def test_a_document_that_an_interrupted_ingest_left_is_read_from_its_file(notes: Path, store: Path) -> None:
    whole = contents(store)
    connection = sqlite3.connect(store / NAME / "documents.sqlite")
    with connection:
        connection.execute("UPDATE documents SET state = 'pending', passages = 0 WHERE source = 'notes/2.md'")
    connection.close()
    assert reindex(store=store, embedder=HashingEmbedder()).new == 1
    assert contents(store) == whole
