"""``status`` on a collection whose records and passages do not agree."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sift_rag import ingest_paths, open_store
from tests.cli.conftest import Run
from tests.doubles import HashingEmbedder


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    for name in ("owls", "bats", "foxes"):
        (folder / f"{name}.md").write_text(f"# {name}\n\n" + f"The {name} hunt at night.\n\n" * 100)
    ingest_paths(folder, store=tmp_path / "store", embedder=HashingEmbedder())
    return tmp_path / "store"


def test_passages_that_no_record_names_are_counted(run: Run, store: Path) -> None:
    assert json.loads(run("status", "-s", str(store), "--json").stdout)["passages_without_records"] == 0
    assert "no record" not in run("status", "-s", str(store)).stdout
    opened = open_store(store)
    passages = len(list(opened.passages("notes/bats.md")))
    opened.drop_documents(["notes/bats.md"])
    opened.close()
    assert passages > 1
    assert json.loads(run("status", "-s", str(store), "--json").stdout)["passages_without_records"] == passages
    line = f"no record   {passages} passages without records: ingest their files to complete them"
    assert line in run("status", "-s", str(store)).stdout.splitlines()


def test_those_of_a_document_whose_ingest_was_interrupted_are_not_among_them(run: Run, store: Path) -> None:
    opened = open_store(store)
    record = opened.document("notes/bats.md")
    assert record is not None
    opened.put_documents([replace(record, state="pending", passages=0)])
    opened.close()
    assert json.loads(run("status", "-s", str(store), "--json").stdout)["passages_without_records"] == 0


def test_it_is_not_known_while_another_process_holds_the_folder(run: Run, store: Path) -> None:
    opened = open_store(store)
    found = json.loads(run("status", "-s", str(store), "--json").stdout)
    opened.close()
    assert found["passages_without_records"] is None
