"""When an ingest ends by optimising the collection, and what is said of it."""

from __future__ import annotations

import signal
from contextlib import closing
from pathlib import Path

import pytest

from sift_rag import defaults
from sift_rag.errors import StoreFull
from sift_rag.stores.embedded.database import FolderDatabase
from sift_rag_cli.optimizing import ended_at_once
from tests.cli.conftest import Run
from tests.graphs import allow_small_graphs

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    for number in range(60):
        (folder / f"{number}.md").write_text(f"# Note {number}\n\nNumber {number} comes after {number - 1}.\n")
    return folder


def has_graph(store: Path) -> bool:
    with closing(FolderDatabase(store).documents(defaults.COLLECTION)) as records:
        return records.has_graph


def test_an_ingest_optimizes_once_enough_passages_are_new(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    arguments = ("ingest", str(folder), "--store", str(store))
    assert "Optimizing" not in run(*arguments).stderr
    allow_small_graphs(store, defaults.COLLECTION)
    monkeypatch.setattr(defaults, "UNOPTIMIZED_PASSAGES", 61)
    assert "opening " not in run("status", "--store", str(store)).stdout
    monkeypatch.setattr(defaults, "UNOPTIMIZED_PASSAGES", 60)
    assert "run `sift-rag optimize`" in run("status", "--store", str(store)).stdout
    assert "Optimizing" not in run(*arguments).stderr  # nothing came in
    (folder / "more.md").write_text("# More\n\nOne more number.\n")
    result = run(*arguments)
    assert result.exit_code == 0
    assert "Optimizing" in result.stderr
    assert has_graph(store)
    assert "opening " not in run("status", "--store", str(store)).stdout
    monkeypatch.setattr(defaults, "UNOPTIMIZED_PASSAGES", 1)
    (folder / "last.md").write_text("# Last\n\nThe last number.\n")
    assert "Optimizing" not in run(*arguments).stderr  # less than a tenth of the collection
    assert run("search", "the last number", "--store", str(store)).exit_code == 0


def test_a_migration_into_a_folder_ends_like_an_ingest(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("ingest", str(folder), "--store", str(tmp_path / "store")).exit_code == 0
    monkeypatch.setattr(defaults, "UNOPTIMIZED_PASSAGES", 60)
    arguments = ("migrate", str(tmp_path / "store"), str(tmp_path / "copy"))
    assert "Optimizing" in run(*arguments).stderr
    assert "Optimizing" not in run(*arguments).stderr  # all of it was there already


def test_what_keeps_it_from_being_optimized_is_told_and_fails_nothing(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: FolderDatabase, name: str) -> bool:
        raise StoreFull(f"There is no room for {name}.")

    monkeypatch.setattr(FolderDatabase, "optimize", full)
    monkeypatch.setattr(defaults, "UNOPTIMIZED_PASSAGES", 1)
    result = run("ingest", str(folder), "--store", str(tmp_path / "store"))
    assert result.exit_code == 0
    assert "There is no room" in result.stderr


@pytest.mark.parametrize(("before", "meanwhile"), [(signal.default_int_handler, signal.SIG_DFL), (signal.SIG_IGN,) * 2])
def test_ctrl_c_ends_the_command_while_it_optimizes_unless_it_is_ignored(before: object, meanwhile: object) -> None:
    held = signal.signal(signal.SIGINT, before)  # type: ignore[arg-type]
    try:
        with ended_at_once():
            assert signal.getsignal(signal.SIGINT) == meanwhile
        assert signal.getsignal(signal.SIGINT) == before
    finally:
        signal.signal(signal.SIGINT, held)
