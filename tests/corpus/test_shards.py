"""Several independent ingests that divide the documents among them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sift_rag.corpus import writing
from sift_rag.corpus.ingest import ingest
from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.report import IngestReport, Progress
from sift_rag.corpus.shards import Shard
from sift_rag.stores.memory import MemoryStore
from sift_rag.types import CollectionInfo
from tests.doubles import HashingEmbedder


@given(st.text(), st.integers(1, 50))
def test_a_document_is_in_exactly_one_of_n_shards(source: str, of: int) -> None:
    assert sum(Shard(number, of).holds(source) for number in range(1, of + 1)) == 1


@given(st.lists(st.integers(), max_size=60), st.integers(1, 50))
def test_a_list_is_divided_into_shards_of_equal_size_but_for_one(items: list[int], of: int) -> None:
    places = list(range(len(items)))
    shares = [Shard(number, of).take(places) for number in range(1, of + 1)]
    assert sorted(place for share in shares for place in share) == places
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert [Shard(number, of).take(items) for number in range(1, of + 1)] == [
        [items[place] for place in share] for share in shares
    ]


def test_shards_are_the_same_on_every_machine_and_about_equal() -> None:
    numbers = [next(n for n in range(1, 5) if Shard(n, 4).holds(f"notes/{i}.md")) for i in range(4000)]
    assert numbers[:16] == [4, 4, 2, 1, 2, 3, 4, 1, 1, 3, 2, 4, 2, 1, 1, 3]
    assert all(900 < numbers.count(number) < 1100 for number in range(1, 5))


@pytest.mark.parametrize(("number", "of"), [(0, 3), (4, 3), (-1, 3), (1, 0), (0, 0), (1, -2)])
def test_a_shard_that_does_not_exist_is_refused(number: int, of: int) -> None:
    with pytest.raises(ValueError, match=f"no shard {number} of {of}: expected 1 of "):
        Shard(number, of)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    for number in range(12):
        text = "\n\n".join(f"## Section {part}\n\n" + f"word{number * part} " * 30 for part in range(1 + number % 4))
        (folder / f"{number}.md").write_text(text)
    (folder / "broken.txt").write_bytes(b"\xff\xfe" + b"\0\xdc" * 20)  # UTF-16 of half characters only
    (folder / "empty.md").write_bytes(b"")
    return folder


def store() -> MemoryStore:
    return MemoryStore(CollectionInfo("notes", "hashing", 64, 1))


def contents(held: MemoryStore) -> object:
    return {
        (document.source, document.state, document.revision, document.passages): [
            (c.passage, c.embedding.tobytes()) for c in held.passages(document.source)
        ]
        for document in held.documents()
    }


def ingest_in(
    held: MemoryStore, notes: Path, order: Sequence[int], of: int, *, prune: bool = False
) -> list[IngestReport]:
    return [
        ingest([notes], held, HashingEmbedder(), IngestOptions(shard=Shard(number, of), prune=prune))
        for number in order
    ]


@pytest.mark.parametrize("order", list(itertools.permutations([1, 2, 3])))
def test_n_ingests_in_any_order_end_like_one(notes: Path, order: Sequence[int]) -> None:
    one, several = store(), store()
    whole = ingest([notes], one, HashingEmbedder())
    reports = ingest_in(several, notes, order, 3)
    assert contents(several) == contents(one)
    for count in ("new", "skipped", "failed", "passages_added"):
        assert sum(getattr(report, count) for report in reports) == getattr(whole, count)
    assert max(report.passages_total for report in reports) == whole.passages_total


def test_each_updates_prunes_and_counts_its_own_only(notes: Path) -> None:
    held, one = store(), store()
    ingest_in(held, notes, [1, 2, 3], 3)
    for number in (0, 4, 7):
        (notes / f"{number}.md").unlink()
    for number in (1, 2):
        (notes / f"{number}.md").write_text("Something else.\n\n" + "changed " * 150)
    ingest([notes], one, HashingEmbedder())
    reports = ingest_in(held, notes, [3, 1, 2], 3, prune=True)
    assert contents(held) == contents(one)
    assert [sum(getattr(report, count) for report in reports) for count in ("updated", "removed", "unchanged")] == [
        2,
        3,
        7,
    ]
    assert sum(report.passages_added - report.passages_deleted for report in reports) + 30 == one.count()


def test_a_shard_without_a_file_is_no_failure(notes: Path) -> None:
    reports = ingest_in(store(), notes, range(1, 101), 100)
    assert {report.new for report in reports} == {0, 1}
    assert all(bool(report.problems) == bool(report.failed or report.skipped) for report in reports)
    assert sum(report.failed for report in reports) == 1


def test_progress_is_of_the_shard(notes: Path) -> None:
    found = set()
    for number in (1, 2):
        seen: list[Progress] = []
        ingest([notes], store(), HashingEmbedder(), IngestOptions(shard=Shard(number, 2)), progress=seen.append)
        assert seen[-1].files_done == seen[-1].files_found
        assert seen[-1].bytes_done == seen[-1].bytes_found
        found.add(seen[-1].files_found)
    assert sum(found) == 14


def test_what_a_killed_run_left_of_a_document_is_not_counted_as_added(
    notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "WINDOW", 2)
    held = store()
    calls = iter(range(100))

    def dying(*arguments: object, **options: object) -> None:
        if next(calls) == 3:
            raise KeyboardInterrupt
        MemoryStore.upsert(held, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(held, "upsert", dying)
    with pytest.raises(KeyboardInterrupt):
        ingest([notes], held, HashingEmbedder())
    before = held.count()
    assert before == 6
    monkeypatch.undo()
    report = ingest([notes], held, HashingEmbedder())
    assert report.passages_added - report.passages_deleted == held.count() - before
