"""The incremental pipeline on the reference store: what it does, what it leaves alone, what survives."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sift_rag.corpus import incoming, planning, roots, writing
from sift_rag.corpus.files import Unlistable
from sift_rag.corpus.ingest import ingest
from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.report import IngestReport, Progress
from sift_rag.corpus.writing import remove_documents
from sift_rag.errors import StoreConflict
from sift_rag.rebuilding import rebuild
from sift_rag.stores.memory import MemoryStore
from sift_rag.stores.remains import Remains
from sift_rag.types import CollectionInfo, Embedding, Passage
from tests.doubles import Fragile, HashingEmbedder, Killed

LONG_AGO = 1_600_000_000
NO_TEXT = b"\xff\xfe" + b"\0\xdc" * 20  # UTF-16 of half characters only: read again and again, never understood


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    for name, text in {
        "owls.md": "# Owls\n\nOwls hunt at night.\n",
        "bees.md": "# Bees\n\nBees dance to show where flowers grow.\n",
        "deep/rain.txt": "Rain falls in spring.\n",
    }.items():
        write(folder / name, text)
    return folder


def write(path: Path, text: str, *, when: int = LONG_AGO) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (when, when))


def files(report: IngestReport) -> tuple[int, int, int, int, int, int]:
    return report.new, report.updated, report.unchanged, report.removed, report.skipped, report.failed


def state(store: MemoryStore) -> dict[str, list[tuple[str, str, bytes]]]:
    """Return everything that a reader of the store can see, for comparison."""
    return {
        document.source: [
            (c.passage.id, c.passage.text, c.embedding.tobytes()) for c in store.passages(document.source)
        ]
        for document in store.documents()
        if document.state == "ingested"
    }


def old_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ctime not count: a test cannot set it, and files just written would be hashed again for safety."""
    monkeypatch.setattr(planning, "RACE_NS", -(10**18))


def test_a_first_ingest_takes_everything(store: MemoryStore, embedder: HashingEmbedder, notes: Path) -> None:
    report = ingest([notes], store, embedder)
    assert files(report) == (3, 0, 0, 0, 0, 0)
    assert report.passages_added == report.passages_total == store.count() == 3
    assert report.problems == ()
    assert [d.source for d in store.documents()] == ["notes/bees.md", "notes/deep/rain.txt", "notes/owls.md"]
    owls = next(store.passages("notes/owls.md")).passage
    assert owls.title == "Owls"
    assert owls.embedding_text.startswith("Owls\n")


def test_a_second_ingest_reads_nothing_and_embeds_nothing(
    store: MemoryStore, embedder: HashingEmbedder, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest([notes], store, embedder)
    embedder.embedded.clear()
    old_clock(monkeypatch)
    monkeypatch.setattr(incoming, "read_document", lambda *_, **__: pytest.fail("an unchanged file was read"))
    assert files(ingest([notes], store, embedder)) == (0, 0, 3, 0, 0, 0)
    assert embedder.embedded == []


def test_a_file_that_was_only_touched_is_read_once_and_not_embedded(
    store: MemoryStore, embedder: HashingEmbedder, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest([notes], store, embedder)
    embedder.embedded.clear()
    os.utime(notes / "owls.md", (LONG_AGO + 5, LONG_AGO + 5))
    assert files(ingest([notes], store, embedder)) == (0, 0, 3, 0, 0, 0)
    assert embedder.embedded == []
    old_clock(monkeypatch)
    monkeypatch.setattr(incoming, "read_document", lambda *_, **__: pytest.fail("it was read a second time"))
    ingest([notes], store, embedder)


def test_a_file_written_within_the_clocks_grain_is_hashed_even_if_its_time_stamp_stands_still(
    store: MemoryStore, embedder: HashingEmbedder, notes: Path
) -> None:
    ingest([notes], store, embedder)
    status = (notes / "owls.md").stat()
    (notes / "owls.md").write_text("# Owls\n\nOwls sleep all day.\n"[: status.st_size])
    os.utime(notes / "owls.md", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert ingest([notes], store, embedder).updated == 1


def test_a_changed_file_replaces_its_passages_and_embeds_only_what_is_new(
    store: MemoryStore, embedder: HashingEmbedder, notes: Path
) -> None:
    sections = [f"## Section {i}\n\n" + f"word{i} " * 40 for i in range(6)]
    write(notes / "owls.md", "# Owls\n\n" + "\n\n".join(sections))
    ingest([notes], store, embedder)
    before = {c.passage.id for c in store.passages("notes/owls.md")}
    embedder.embedded.clear()
    sections[3] = "## Section 3\n\n" + "changed " * 40
    write(notes / "owls.md", "# Owls\n\n" + "\n\n".join(sections), when=LONG_AGO + 9)
    report = ingest([notes], store, embedder)
    assert files(report) == (0, 1, 2, 0, 0, 0)
    after = {c.passage.id: c.passage for c in store.passages("notes/owls.md")}
    assert 0 < len(embedder.embedded) < len(after)
    assert all("changed" in text for text in embedder.embedded)
    assert not any("word3" in passage.text for passage in after.values())
    assert before & set(after)
    assert report.passages_total == store.count() == len(after) + 2


def test_new_passages_are_in_before_old_ones_go(
    store: MemoryStore, embedder: HashingEmbedder, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest([notes], store, embedder)
    write(notes / "owls.md", "# Owls\n\nOwls moult in summer.\n", when=LONG_AGO + 9)
    seen: list[list[str]] = []
    delete = store.delete_passages

    def watched(source: str, *, except_revision: str | None = None) -> int:
        seen.append([c.passage.text for c in store.passages(source)])
        return delete(source, except_revision=except_revision)

    monkeypatch.setattr(store, "delete_passages", watched)
    ingest([notes], store, embedder)
    assert len(seen) == 1
    assert any("moult" in text for text in seen[0])
    assert any("night" in text for text in seen[0])


def test_prune_drops_what_is_gone_and_only_when_asked(
    store: MemoryStore, embedder: HashingEmbedder, notes: Path
) -> None:
    ingest([notes], store, embedder)
    (notes / "bees.md").unlink()
    assert files(ingest([notes], store, embedder)) == (0, 0, 2, 0, 0, 0)
    assert store.document("notes/bees.md") is not None
    report = ingest([notes], store, embedder, IngestOptions(prune=True))
    assert files(report) == (0, 0, 2, 1, 0, 0)
    assert report.passages_deleted == 1
    assert store.document("notes/bees.md") is None
    assert list(store.passages("notes/bees.md")) == []


def test_prune_leaves_other_folders_filtered_files_and_unlistable_folders_alone(
    store: MemoryStore, embedder: HashingEmbedder, notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "other" / "a.md", "Another folder.")
    ingest([notes, tmp_path / "other"], store, embedder)
    report = ingest([notes], store, embedder, IngestOptions(prune=True, include=["*.md"]))
    assert report.removed == 0
    (notes / "deep" / "rain.txt").unlink()
    real = roots.find_files

    def without_deep(root: Path, **options: Any) -> Iterator[object]:
        yield from (item for item in real(root, **options) if "deep" not in item.source)
        yield Unlistable("notes/deep", "permission denied", root / "deep")

    monkeypatch.setattr(roots, "find_files", without_deep)
    report = ingest([notes], store, embedder, IngestOptions(prune=True))
    assert report.removed == 0
    assert report.failed == 1
    assert store.document("notes/deep/rain.txt") is not None
    assert store.document("other/a.md") is not None


def test_an_empty_root_prunes_nothing(store: MemoryStore, embedder: HashingEmbedder, notes: Path) -> None:
    ingest([notes], store, embedder)
    for path in sorted(notes.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    report = ingest([notes], store, embedder, IngestOptions(prune=True))
    assert report.removed == 0
    assert "nothing to ingest" in report.problems[0].reason
    assert store.count() == 3


def test_what_cannot_go_in_is_told_with_its_reason_and_the_rest_goes_in(
    store: MemoryStore, embedder: HashingEmbedder, notes: Path
) -> None:
    (notes / "empty.md").write_bytes(b"")
    (notes / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\0")
    (notes / "broken.jsonl").write_bytes(b'{"text": "good"}\nbad\n')
    report = ingest([notes, notes / "missing.md"], store, embedder)
    assert files(report) == (3, 0, 0, 0, 2, 2)
    reasons = {Path(p.source).name: p.reason for p in report.problems}
    assert set(reasons) == {"empty.md", "picture.png", "broken.jsonl", "missing.md"}
    assert "empty" in reasons["empty.md"]
    assert "line 2" in reasons["broken.jsonl"]
    failed = store.document("notes/broken.jsonl")
    assert failed is not None
    assert (failed.state, failed.reason) == ("failed", reasons["broken.jsonl"])


def test_a_file_that_fails_keeps_what_it_held_and_one_that_is_emptied_does_not(
    store: MemoryStore, embedder: HashingEmbedder, notes: Path
) -> None:
    ingest([notes], store, embedder)
    (notes / "owls.md").write_bytes(NO_TEXT)
    (notes / "bees.md").write_bytes(b"")
    report = ingest([notes], store, embedder)
    assert (report.failed, report.skipped) == (1, 1)
    assert [c.passage.text for c in store.passages("notes/owls.md")]
    assert list(store.passages("notes/bees.md")) == []
    assert store.document("notes/bees.md") is None
    write(notes / "owls.md", "# Owls\n\nOwls hunt at night.\n", when=LONG_AGO + 9)
    assert ingest([notes], store, embedder).updated == 1


def test_a_dry_run_writes_and_embeds_nothing(store: MemoryStore, embedder: HashingEmbedder, notes: Path) -> None:
    report = ingest([notes], store, embedder, IngestOptions(dry_run=True))
    assert files(report) == (3, 0, 0, 0, 0, 0)
    assert report.passages_added == 3
    assert store.count() == 0
    assert list(store.documents()) == []
    assert embedder.embedded == []


def test_copies_are_embedded_once(store: MemoryStore, embedder: HashingEmbedder, notes: Path) -> None:
    for i in range(5):
        write(notes / f"copy{i}" / "same.txt", "The same words everywhere.")
    ingest([notes], store, embedder)
    assert sum("same words" in text for text in embedder.embedded) == 1
    embedder.embedded.clear()
    write(notes / "late" / "same.txt", "The same words everywhere.")
    ingest([notes], store, embedder)
    assert embedder.embedded == []
    assert store.count() == 3 + 6


def test_two_files_of_one_name_are_refused_not_mixed(
    store: MemoryStore, embedder: HashingEmbedder, notes: Path, tmp_path: Path
) -> None:
    twin = tmp_path / "elsewhere" / "notes"
    write(twin / "owls.md", "Other owls.")
    with pytest.raises(StoreConflict, match="Two folders are called 'notes'"):
        ingest([notes, twin], store, embedder)
    ingest([notes], store, embedder)
    with pytest.raises(StoreConflict, match=r"'notes/owls\.md' is taken"):
        ingest([twin], store, embedder)


def test_a_folder_that_moved_is_the_same_folder(
    store: MemoryStore, embedder: HashingEmbedder, notes: Path, tmp_path: Path
) -> None:
    ingest([notes], store, embedder)
    embedder.embedded.clear()
    before = state(store)
    (tmp_path / "attic").mkdir()
    notes.rename(tmp_path / "attic" / "notes")
    assert files(ingest([tmp_path / "attic" / "notes"], store, embedder, IngestOptions(prune=True))) == (
        0,
        0,
        3,
        0,
        0,
        0,
    )
    assert embedder.embedded == []
    assert state(store) == before


def test_ids_are_the_same_on_every_machine(embedder: HashingEmbedder, notes: Path, tmp_path: Path) -> None:
    twin = tmp_path / "home" / "someone" / "notes"
    for path in notes.rglob("*.*"):
        write(twin / path.relative_to(notes), path.read_text(), when=LONG_AGO + 77)
    stores = [MemoryStore(CollectionInfo("notes", embedder.name, embedder.dimension, 1)) for _ in range(2)]
    for folder, store in zip((notes, twin), stores, strict=True):
        ingest([folder], store, embedder)
    assert state(stores[0]) == state(stores[1])


@pytest.mark.slow
@pytest.mark.parametrize("prune", [False, True])
def test_killed_after_any_write_and_run_again_it_ends_like_an_undisturbed_run(
    embedder: HashingEmbedder, notes: Path, prune: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "WINDOW", 2)
    write(notes / "long.md", "\n\n".join(f"## H{i}\n\n" + f"word{i} " * 40 for i in range(7)))

    def change() -> None:
        write(
            notes / "long.md", "\n\n".join(f"## H{i}\n\n" + f"word{i * 2} " * 40 for i in range(5)), when=LONG_AGO + 9
        )
        write(notes / "new.md", "Something new.")
        (notes / "bees.md").unlink()

    info = CollectionInfo("notes", embedder.name, embedder.dimension, 1)
    undisturbed = MemoryStore(info)
    stores = [MemoryStore(info) for _ in range(40)]
    for store in [undisturbed, *stores]:
        ingest([notes], store, embedder)
    change()
    ingest([notes], undisturbed, embedder, IngestOptions(prune=prune))
    deaths = 0
    for writes, store in enumerate(stores):
        try:
            ingest([notes], Fragile(store, writes), embedder, IngestOptions(prune=prune))
        except Killed:
            deaths += 1
            ingest([notes], store, embedder, IngestOptions(prune=prune))
        assert state(store) == state(undisturbed)
        assert all(document.state == "ingested" for document in store.documents())
        assert store.count() == undisturbed.count()
    assert 10 < deaths < 40


def test_killed_in_the_middle_of_a_file_that_then_vanishes_prune_leaves_no_phantom(
    embedder: HashingEmbedder, store: MemoryStore, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "WINDOW", 2)
    write(notes / "long.md", "\n\n".join(f"## H{i}\n\n" + f"word{i} " * 40 for i in range(7)))
    with pytest.raises(Killed):
        ingest([notes / "long.md"], Fragile(store, 4), embedder)
    assert store.count() > 0
    (notes / "long.md").unlink()
    ingest([notes], store, embedder, IngestOptions(prune=True))
    assert list(store.passages("notes/long.md")) == []
    assert store.document("notes/long.md") is None


def test_windows_bound_what_waits(
    embedder: HashingEmbedder, store: MemoryStore, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "WINDOW", 4)
    write(notes / "long.md", "\n\n".join(f"## H{i}\n\n" + f"word{i} " * 40 for i in range(21)))
    sizes: list[int] = []
    upsert = store.upsert

    def watched(passages: Sequence[Passage], embeddings: Embedding) -> None:
        sizes.append(len(passages))
        upsert(passages, embeddings)

    monkeypatch.setattr(store, "upsert", watched)
    ingest([notes], store, embedder)
    assert max(sizes) == 4
    assert set(sizes[:-1]) == {4}  # full across files, but for the last


def test_progress_ends_with_everything_done(store: MemoryStore, embedder: HashingEmbedder, notes: Path) -> None:
    seen: list[Progress] = []
    ingest([notes], store, embedder, progress=seen.append)
    assert [p.files_done for p in seen] == sorted(p.files_done for p in seen)
    assert (seen[-1].files_done, seen[-1].bytes_done) == (seen[-1].files_found, seen[-1].bytes_found)
    assert seen[-1].files_found == 3


def test_progress_moves_within_a_large_file_and_never_back(
    store: MemoryStore, embedder: HashingEmbedder, tmp_path: Path
) -> None:
    book = tmp_path / "book.md"
    book.write_text("\n\n".join(f"# Chapter {number}\n\n{'many words ' * 20}" for number in range(600)))
    seen: list[Progress] = []
    ingest([book], store, embedder, progress=seen.append)
    shares = [p.bytes_done / p.bytes_found for p in seen]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    steps = [after - before for before, after in itertools.pairwise([0.0, *shares])]
    assert max(steps) < 0.1, "no part of it is waited for in one go"


def test_what_costs_no_time_is_taken_out_of_the_expected_bytes(
    store: MemoryStore, embedder: HashingEmbedder, notes: Path
) -> None:
    old = notes / "old.md"
    old.write_text("Old and unchanged. " * 1_000)
    os.utime(old, (0, 0))
    ingest([notes], store, embedder)
    (notes / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100_000))
    new = notes / "zebra.md"
    new.write_text("A new file. " * 200)
    seen: list[Progress] = []
    ingest([notes], store, embedder, progress=seen.append)
    assert (seen[-1].bytes_done, seen[-1].bytes_found) == (new.stat().st_size, new.stat().st_size)
    assert [p.bytes_found for p in seen] == sorted((p.bytes_found for p in seen), reverse=True)
    assert all(p.bytes_done == 0 for p in seen[:-2])
    assert seen[-1].files_done == seen[-1].files_found


def test_the_first_walk_is_told(
    store: MemoryStore, embedder: HashingEmbedder, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sift_rag.corpus.report.COUNTED_AT_ONCE", 2)
    seen: list[Progress] = []
    ingest([notes], store, embedder, progress=seen.append)
    assert [p.phase for p in seen].index("ingesting") == 1
    assert (seen[0].phase, seen[0].files_found) == ("counting", 2)


def test_removing_documents_takes_their_passages(store: MemoryStore, embedder: HashingEmbedder, notes: Path) -> None:
    ingest([notes], store, embedder)
    assert remove_documents(store, [d for d in store.documents() if "owls" in d.source]) == 1
    assert store.count() == 2
    assert store.document("notes/owls.md") is None


def test_reembedding_carries_over_every_document_that_was_not_read_again(
    store: MemoryStore, embedder: HashingEmbedder, notes: Path
) -> None:
    ingest([notes], store, embedder)
    (notes / "owls.md").write_bytes(NO_TEXT)
    wider = HashingEmbedder("wider", dimension=96)
    new = MemoryStore(CollectionInfo("notes", wider.name, wider.dimension, 1))
    report = ingest([notes / "owls.md", notes / "bees.md"], new, wider)
    old = tuple(store.documents())
    counts = {document.source: document.passages for document in old}
    remains = Remains(store.info, old, counts, lambda source: (found.passage for found in store.passages(source)))
    report = rebuild(remains, new, wider, IngestOptions(), report)
    assert (report.notices, report.passages_total) == ((), 3)
    assert new.count() == store.count() == 3
    assert {d.source for d in new.documents()} == {d.source for d in store.documents()}
    rain, owls = new.document("notes/deep/rain.txt"), new.document("notes/owls.md")
    assert rain is not None
    assert rain.state == "ingested"
    assert owls is not None
    assert owls.state == "failed"
    vector = next(new.passages("notes/owls.md")).embedding
    np.testing.assert_allclose(
        vector, wider.embed_queries([next(new.passages("notes/owls.md")).passage.embedding_text])[0]
    )
