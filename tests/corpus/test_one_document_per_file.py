"""A file is one document, by whichever way it is given, wherever it moves, whatever its name is written in."""

from __future__ import annotations

import os
import sys
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sift_rag.corpus import planning
from sift_rag.corpus.ingest import ingest
from sift_rag.corpus.locations import is_here, location_of, path_at
from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.report import IngestReport, Progress
from sift_rag.errors import StoreConflict
from sift_rag.stores.memory import MemoryStore
from tests.doubles import Fragile, HashingEmbedder, Killed

NOTES = {"owls.md": "Owls hunt at night.\n", "deep/rain.txt": "Rain falls.\n", "deep/down/moss.md": "Moss grows.\n"}
PRUNE = IngestOptions(prune=True)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return write(tmp_path / "home" / "notes", NOTES)


def write(folder: Path, texts: dict[str, str]) -> Path:
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def counts(report: IngestReport) -> dict[str, int]:
    names = ("new", "updated", "unchanged", "removed", "skipped", "failed")
    return {name: getattr(report, name) for name in names if getattr(report, name)}


def sources(store: MemoryStore) -> list[str]:
    return [document.source for document in store.documents()]


@pytest.mark.parametrize("order", list(permutations(["notes", "notes/deep", "notes/deep/rain.txt"])))
def test_overlapping_roots_visit_each_file_once(
    store: MemoryStore, embedder: HashingEmbedder, notes: Path, order: tuple[str, ...]
) -> None:
    seen: list[Progress] = []
    report = ingest([notes.parent / root for root in order], store, embedder, progress=seen.append)

    assert counts(report) == {"new": 3}
    assert sources(store) == ["notes/deep/down/moss.md", "notes/deep/rain.txt", "notes/owls.md"]
    assert (seen[-1].files_found, seen[-1].files_done) == (3, 3)


@pytest.mark.parametrize("first", ["notes", "notes/deep", "notes/deep/down/moss.md"])
@pytest.mark.parametrize("second", ["notes", "notes/deep", "notes/deep/down/moss.md"])
def test_a_file_keeps_the_name_that_it_came_under(
    store: MemoryStore, embedder: HashingEmbedder, notes: Path, first: str, second: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(notes.parent)
    before = ingest([Path(first)], store, embedder).new
    names = set(sources(store))
    (notes.parent / "alias").symlink_to(notes.parent, target_is_directory=True)
    for path in (Path(second), Path.cwd() / second, Path.cwd() / "alias" / second, Path("notes/..") / second):
        ingest([path], store, embedder, PRUNE)
    assert names <= set(sources(store))
    assert len(sources(store)) == max(before, {"notes": 3, "notes/deep": 2}.get(second, 1))
    assert store.count() == len(sources(store))


def test_a_file_that_was_excluded_by_one_root_comes_by_another(
    store: MemoryStore, embedder: HashingEmbedder, notes: Path
) -> None:
    (notes / ".gitignore").write_text("deep/\n")
    (notes / ".git").mkdir()

    assert counts(ingest([notes / "deep", notes], store, embedder)) == {"new": 3}
    assert sources(store) == ["deep/down/moss.md", "deep/rain.txt", "notes/owls.md"]


def test_one_place_under_two_names_is_one_root(store: MemoryStore, embedder: HashingEmbedder, notes: Path) -> None:
    (notes.parent / "current").symlink_to(notes, target_is_directory=True)

    assert counts(ingest([notes.parent / "current", notes, notes], store, embedder)) == {"new": 3}
    assert all(source.startswith("current/") for source in sources(store))


def test_prune_goes_by_places_not_by_names(
    store: MemoryStore, embedder: HashingEmbedder, notes: Path, tmp_path: Path
) -> None:
    other = write(tmp_path / "disk" / "notes", {"elsewhere.md": "On a disk that is taken out."})
    ingest([other], store, embedder)
    ingest([notes / "deep"], store, embedder)
    (other / "elsewhere.md").unlink()
    (notes / "deep" / "rain.txt").unlink()

    assert counts(ingest([notes], store, embedder, PRUNE)) == {"new": 1, "unchanged": 1, "removed": 1}
    assert sources(store) == ["deep/down/moss.md", "notes/elsewhere.md", "notes/owls.md"]


@pytest.mark.parametrize("options", [IngestOptions(), PRUNE])
@pytest.mark.parametrize(
    ("old", "new"),
    [("owls.md", "birds.md"), ("owls.md", "deep/owls.md"), ("deep", "far"), ("deep/down", "up"), ("deep", "../deep")],
)
def test_what_moved_or_was_renamed_replaces_what_it_was(
    store: MemoryStore, embedder: HashingEmbedder, notes: Path, old: str, new: str, options: IngestOptions
) -> None:
    write(notes, {name: f"# A title of its own\n\n{text}" for name, text in NOTES.items()})
    roots = [notes, *([notes.parent / "deep"] if new == "../deep" else [])]
    ingest([notes], store, embedder)
    embedder.embedded.clear()
    (notes / old).rename(notes / new)
    moved = 1 if old in {"owls.md", "deep/down"} else 2

    report = ingest(roots, store, embedder, options)

    assert counts(report) == {"updated": moved, "unchanged": 3 - moved}
    assert [path_at(document.location) for document in store.documents() if not is_here(document.location)] == []
    assert len(sources(store)) == store.count() == 3
    assert not [text for text in embedder.embedded if text.startswith("A title of its own")]


def test_a_root_that_was_renamed_replaces_what_it_was(
    store: MemoryStore, embedder: HashingEmbedder, notes: Path
) -> None:
    ingest([notes], store, embedder)
    papers = notes.rename(notes.with_name("papers"))

    assert counts(ingest([papers], store, embedder)) == {"updated": 3}
    assert sources(store) == ["papers/deep/down/moss.md", "papers/deep/rain.txt", "papers/owls.md"]


def test_a_copy_is_no_move_and_two_copies_replace_one_that_is_gone_once(
    store: MemoryStore, embedder: HashingEmbedder, notes: Path
) -> None:
    ingest([notes], store, embedder)
    write(notes, {"copy.md": NOTES["owls.md"]})
    assert counts(ingest([notes], store, embedder)) == {"new": 1, "unchanged": 3}
    (notes / "owls.md").unlink()
    write(notes, {"one.md": NOTES["owls.md"], "two.md": NOTES["owls.md"]})
    assert counts(ingest([notes], store, embedder)) == {"new": 1, "updated": 1, "unchanged": 3}
    assert [source for source in sources(store) if "deep" not in source] == [
        "notes/copy.md",
        "notes/one.md",
        "notes/two.md",
    ]


def test_the_same_content_on_another_machine_is_not_taken_for_moved(
    store: MemoryStore, embedder: HashingEmbedder, notes: Path, tmp_path: Path
) -> None:
    theirs = write(tmp_path / "machine" / "theirs", {"their.md": NOTES["owls.md"]})
    ingest([theirs], store, embedder)
    (theirs / "their.md").unlink()
    theirs.rmdir()
    (tmp_path / "machine").rmdir()

    assert counts(ingest([notes], store, embedder, PRUNE)) == {"new": 3}
    assert "theirs/their.md" in sources(store)


def test_a_folder_that_moved_unchanged_is_known_by_its_new_place_and_pruned_there(
    store: MemoryStore, embedder: HashingEmbedder, notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "RACE_NS", -(10**18))  # so that no file has to be read again
    ingest([notes], store, embedder)
    (tmp_path / "attic").mkdir()
    moved = notes.rename(tmp_path / "attic" / "notes")
    (moved / "owls.md").unlink()

    assert counts(ingest([moved], store, embedder, IngestOptions(include=["*.md"], prune=True))) == {
        "unchanged": 1,
        "removed": 1,
    }
    assert counts(ingest([moved], store, embedder)) == {"unchanged": 2}
    assert all(is_here(document.location) for document in store.documents())


@pytest.mark.parametrize("writes", range(12))
def test_killed_while_a_moved_file_is_replaced_the_next_run_completes_it(
    store: MemoryStore, embedder: HashingEmbedder, notes: Path, writes: int
) -> None:
    ingest([notes], store, embedder)
    (notes / "owls.md").rename(notes / "birds.md")
    try:
        ingest([notes], Fragile(store, writes), embedder)
    except Killed:
        held = [c.passage.text for source in sources(store) for c in store.passages(source)]
        assert any("Owls" in text for text in held)
    ingest([notes], store, embedder)

    assert sources(store) == ["notes/birds.md", "notes/deep/down/moss.md", "notes/deep/rain.txt"]
    assert store.count() == 3


def test_two_folders_of_one_name_still_do_not_mix(
    store: MemoryStore, embedder: HashingEmbedder, notes: Path, tmp_path: Path
) -> None:
    twin = write(tmp_path / "work" / "notes", {"owls.md": "Other owls."})
    with pytest.raises(StoreConflict, match="Two folders are called 'notes'"):
        ingest([notes, twin], store, embedder)
    ingest([notes], store, embedder)
    with pytest.raises(StoreConflict, match=r"'notes/owls\.md' is taken"):
        ingest([twin], store, embedder)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_not_unicode_go_the_whole_way(
    store: MemoryStore, embedder: HashingEmbedder, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strange = notes / os.fsdecode(b"caf\xe9")
    write(strange, {os.fsdecode(b"men\xfc.md"): "Soup of the day."})
    ingest([notes], store, embedder)
    assert r"notes/caf\xe9/men\xfc.md" in sources(store)
    monkeypatch.setattr(planning, "RACE_NS", -(10**18))
    assert counts(ingest([notes], store, embedder, PRUNE)) == {"unchanged": 4}
    assert counts(ingest([strange], store, embedder, PRUNE)) == {"unchanged": 1}
    (strange / os.fsdecode(b"men\xfc.md")).unlink()
    assert counts(ingest([notes], store, embedder, PRUNE)) == {"unchanged": 3, "removed": 1}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_of_two_names_that_read_the_same_one_fails_and_the_rest_goes_in(
    store: MemoryStore, embedder: HashingEmbedder, notes: Path
) -> None:
    write(notes, {os.fsdecode(b"caf\xe9.md"): "The first.", r"caf\xe9.md": "The second."})
    for _ in range(2):
        report = ingest([notes], store, embedder)
        assert report.failed == 1
        assert [problem.reason for problem in report.problems] == ["another file's name reads the same"]
        assert len(sources(store)) == 4
    texts = [c.passage.text for c in store.passages(r"notes/caf\xe9.md")]
    assert texts == ["The second."]  # the one that the record is of


@pytest.mark.skipif(sys.platform in {"darwin", "win32"}, reason="its file systems take both names for one")
def test_names_that_differ_in_case_only_are_two_documents(
    store: MemoryStore, embedder: HashingEmbedder, notes: Path
) -> None:
    write(notes, {"OWLS.md": "LOUD OWLS.", "Deep/rain.txt": "More rain."})

    assert counts(ingest([notes], store, embedder)) == {"new": 5}
    assert counts(ingest([notes], store, embedder, PRUNE)) == {"unchanged": 5}


@given(st.binary(min_size=1).filter(lambda name: b"\0" not in name))
def test_a_location_leads_back_to_its_path(name: bytes) -> None:
    path = Path("/folder") / os.fsdecode(name)

    location = location_of(path)

    location.encode()
    assert path_at(location) == str(path)
