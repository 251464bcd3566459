"""An ingest whose files are read and stored by an engine: the same collection, whatever dies on the way."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from sift_rag.corpus import elsewhere, planning
from sift_rag.corpus.elsewhere import Ack, Completion, Job, Parcel, Reader, Stored, bundles, store_parcel
from sift_rag.corpus.incoming import IncomingFile
from sift_rag.corpus.ingest import ingest
from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.report import IngestReport, Progress
from sift_rag.errors import StoreUnreachable
from sift_rag.protocols import PassageStore
from sift_rag.stores.memory import MemoryStore
from tests.doubles import Fragile, HashingEmbedder, Killed

LONG_AGO = 1_600_000_000


class Shuffled:
    """An engine in this process that works on parcels in a random order, and on some of them twice."""

    def __init__(self, store: PassageStore, embedder: HashingEmbedder, seed: int = 0) -> None:
        self._store, self._embedder = store, embedder
        self._random = random.Random(seed)
        self.jobs = 0

    def bring_in(self, jobs: Sequence[Job], options: IngestOptions) -> Generator[Ack, None, None]:
        self.jobs += len(jobs)
        parcels: list[Parcel] = []
        with closing(Reader(self._store, self._embedder.tokenizer, self._embedder.max_tokens, options)) as reader:
            for bundle in bundles(jobs, 2):
                parcels += reader.parcels(bundle)
        for parcel in self._random.sample(parcels, len(parcels)):
            if self._random.random() < 0.3:
                store_parcel(parcel, self._store, self._embedder)  # its embedder died before it could say so
            yield store_parcel(parcel, self._store, self._embedder)


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(elsewhere, "WINDOW", 4)
    folder = tmp_path / "notes"
    write(folder / "long.md", "\n\n".join(f"## Part {part}\n\n" + f"word{part} " * 45 for part in range(12)))
    write(folder / "owls.md", "# Owls\n\nOwls hunt at night.\n")
    write(folder / "copy.md", "# Owls\n\nOwls hunt at night.\n")
    write(folder / "deep/rain.txt", "Rain falls in spring.\n")
    write(folder / "page.html", "<html><body><h1>Bees</h1><p>Bees dance to show where flowers grow.</p></body></html>")
    write(folder / "empty.md", "")
    (folder / "broken.txt").write_bytes(b"\xff\xfe" + b"\0\xdc" * 20)
    return folder


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (LONG_AGO, LONG_AGO))


def fresh(store: MemoryStore) -> MemoryStore:
    return MemoryStore(store.info)


def counts(report: IngestReport) -> tuple[int, ...]:
    return (
        *(report.new, report.updated, report.unchanged, report.removed, report.skipped, report.failed),
        *(report.passages_added, report.passages_deleted, report.passages_total),
    )


def contents(store: MemoryStore) -> dict[str, object]:
    return {
        document.source: (
            *(document.state, document.passages, document.title, document.revision, document.reason),
            [(found.passage, found.embedding.tobytes()) for found in store.passages(document.source)],
        )
        for document in store.documents()
    }


def change(notes: Path) -> None:
    """Change a file, move one, remove one, touch one, and add one."""
    write(notes / "long.md", "\n\n".join(f"## Part {part}\n\n" + f"word{part} " * 45 for part in range(3, 15)))
    (notes / "deep" / "rain.txt").rename(notes / "rain.txt")
    (notes / "copy.md").unlink()
    os.utime(notes / "owls.md", (LONG_AGO + 9, LONG_AGO + 9))
    write(notes / "mice.md", "# Mice\n\nMice hide from owls.\n")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_collection_is_the_one_that_an_ordinary_ingest_makes(
    store: MemoryStore, embedder: HashingEmbedder, notes: Path, seed: int
) -> None:
    ordinary, options = fresh(store), IngestOptions(prune=True)
    engine = Shuffled(store, embedder, seed)
    for changed in (False, True):
        if changed:
            change(notes)
        expected = ingest([notes], ordinary, HashingEmbedder(), options)
        report = ingest([notes], store, embedder, options, engine=engine)
        assert counts(report) == counts(expected)
        assert set(report.problems) == set(expected.problems)
        assert contents(store) == contents(ordinary)
    assert max(Counter(embedder.embedded).values()) == 1


def test_unchanged_files_are_not_handed_over(
    store: MemoryStore, embedder: HashingEmbedder, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Shuffled(store, embedder)
    ingest([notes], store, embedder, engine=engine)
    monkeypatch.setattr(planning, "RACE_NS", -(10**18))  # a test cannot make files older than their last change
    engine.jobs = 0
    report = ingest([notes], store, embedder, engine=engine)
    assert (report.unchanged, report.skipped, report.failed) == (5, 1, 1)
    assert engine.jobs == 2  # those that went not in are tried again


def test_files_that_are_named_one_by_one_are_handed_over_together(
    store: MemoryStore, embedder: HashingEmbedder, notes: Path
) -> None:
    calls: list[int] = []

    class Counting(Shuffled):
        def bring_in(self, jobs: Sequence[Job], options: IngestOptions) -> Generator[Ack, None, None]:
            calls.append(len(jobs))
            return super().bring_in(jobs, options)

    ingest(sorted(notes.glob("*.md")), store, embedder, engine=Counting(store, embedder))
    assert calls == [4]


@pytest.mark.slow
@pytest.mark.parametrize("prune", [True, False])
def test_killed_after_any_write_a_second_run_completes_it_and_embeds_nothing_that_was_stored(
    store: MemoryStore, notes: Path, prune: bool
) -> None:
    (notes / "page.html").unlink()  # a process for each conversion would take most of the time
    options, stores = IngestOptions(prune=prune), [fresh(store) for _ in range(60)]
    for one in (store, *stores):
        ingest([notes], one, HashingEmbedder(), options)
    change(notes)
    ingest([notes], store, HashingEmbedder(), options)
    deaths = 0
    for writes, dying in enumerate(stores):
        first, second, fragile = HashingEmbedder(), HashingEmbedder(), Fragile(dying, writes)
        try:
            ingest([notes], fragile, first, options, engine=Shuffled(fragile, first, writes))  # type: ignore[arg-type]
        except Killed:
            deaths += 1
            held = texts(dying)
            ingest([notes], dying, second, options, engine=Shuffled(dying, second, writes))
            assert held.isdisjoint(second.embedded)
        assert contents(dying) == contents(store)
        assert dying.count() == store.count()
    assert 10 < deaths < 60


def texts(store: MemoryStore) -> set[str]:
    sources = [document.source for document in store.documents()]
    return {found.passage.embedding_text for source in sources for found in store.passages(source)}


def test_an_engine_that_fails_leaves_what_is_complete(
    store: MemoryStore, embedder: HashingEmbedder, notes: Path
) -> None:
    class Failing(Shuffled):
        def bring_in(self, jobs: Sequence[Job], options: IngestOptions) -> Generator[Ack, None, None]:
            yield from list(super().bring_in(jobs, options))[:3]
            raise StoreUnreachable("gone")

    with pytest.raises(StoreUnreachable, match="gone"):
        ingest([notes], store, embedder, engine=Failing(store, embedder))
    assert any(document.state == "ingested" for document in store.documents())
    ingest([notes], store, embedder, engine=Shuffled(store, embedder))
    assert not any(document.state == "pending" for document in store.documents())


def test_progress_counts_every_passage_and_all_bytes(
    store: MemoryStore, embedder: HashingEmbedder, notes: Path
) -> None:
    seen: list[Progress] = []
    report = ingest([notes], store, embedder, progress=seen.append, engine=Shuffled(store, embedder))
    done = [one.bytes_done for one in seen]
    assert done == sorted(done)
    assert (seen[-1].files_done, seen[-1].passages_done) == (7, report.passages_added)
    assert seen[-1].bytes_done == seen[-1].bytes_found > 0


def test_a_file_that_is_not_on_the_readers_machine_is_told(
    store: MemoryStore, embedder: HashingEmbedder, tmp_path: Path
) -> None:
    jobs = [Job(IncomingFile("there.md", tmp_path / "there.md"), None)]
    with closing(Reader(store, embedder.tokenizer, embedder.max_tokens, IngestOptions())) as reader:
        assert [parcel.absent for parcel in reader.parcels(jobs)] == [str(tmp_path / "there.md")]
    assert list(store.documents()) == []


def test_a_document_is_complete_with_its_last_parcel_in_whatever_order_they_come() -> None:
    def advance(passages: int) -> elsewhere.Advance:
        return elsewhere.Advance("a", 10, 10, passages, 5)

    end = Stored("a", planning.UnreadableDocument("unread"), passages=5)
    completion = Completion()
    assert completion.add(Ack([advance(1)], [end])) == []
    assert completion.add(Ack([advance(2)], [])) == []
    assert completion.add(Ack([advance(2)], [])) == [end]


def test_bundles_keep_the_order_and_bound_what_one_reader_holds(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number:02}.md").write_bytes(bytes(1000 if number % 10 else 50_000))
    jobs = [Job(IncomingFile(path.name, path), None) for path in sorted(tmp_path.iterdir())]
    groups = bundles(jobs, 2, files=8, size=4000)
    assert [job for group in groups for job in group] == jobs
    assert max(map(len, groups)) <= 5
    assert all(len(group) == 1 or sum(job.item.size for job in group) <= 4000 for group in groups)
