"""`reindex` rebuilds a collection that is damaged, from the files, whatever the damage."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from sift_rag import ingest_paths
from sift_rag.ingestion import reindex
from sift_rag.stores.registry import open_database
from tests.doubles import HashingEmbedder

pytestmark = pytest.mark.slow

_CHECK = """
import sys
from sift_rag.errors import SiftRagError
from sift_rag.stores.registry import open_database
try:
    findings = open_database(sys.argv[1]).check("documents")
except SiftRagError as error:
    findings = [str(error)]
print(len(findings))
"""


def _made(folder: Path) -> Path:
    """Return a store with a collection of a folder's documents; the folder is ``notes`` beside it."""
    notes = folder / "notes"
    notes.mkdir(parents=True)
    for number in range(12):
        paragraphs = (f"Paragraph {part} of note {number} tells of matter {number * part}." for part in range(4))
        (notes / f"{number}.md").write_text(f"# Note {number}\n\n" + "\n\n".join(paragraphs), encoding="utf-8")
    ingest_paths([notes], store=folder / "store", embedder=HashingEmbedder())
    return folder / "store"


def _texts(store: Path) -> dict[str, list[str]]:
    database = open_database(store)
    with closing(database.open("documents")) as opened:
        return {
            document.source: sorted(candidate.passage.text for candidate in opened.passages(document.source))
            for document in opened.documents()
        }


def _files(store: Path) -> list[str]:
    folder = store / "documents"
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_collection_that_lost_a_file_is_repaired_by_reindex(tmp_path: Path) -> None:
    made = _made(tmp_path / "made")
    whole = _texts(made)
    failures: list[str] = []
    for name in _files(made):
        if name == "lock":
            continue
        store = tmp_path / "damaged"
        shutil.copytree(made, store)
        (store / "documents" / name).unlink()
        script = (
            "import sys; from pathlib import Path; from sift_rag.ingestion import reindex; "
            "from tests.doubles import HashingEmbedder; "
            "reindex([Path(sys.argv[2])], store=sys.argv[1], embedder=HashingEmbedder())"
        )
        arguments = [str(store), str(tmp_path / "made" / "notes")]
        done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            failures.append(f"{name}: {done.returncode} {done.stderr[-300:]}")
        else:
            checked = subprocess.run(
                [sys.executable, "-c", _CHECK, str(store)], capture_output=True, text=True, check=False
            )
            if checked.stdout.strip() != "0" or _texts(store) != whole:
                failures.append(f"{name}: {checked.stdout}{checked.stderr[-300:]}")
        shutil.rmtree(store)
    assert not failures


def test_without_paths_the_files_that_the_records_name_are_read_again(tmp_path: Path) -> None:
    store = _made(tmp_path)
    whole = _texts(store)
    shutil.rmtree(store / "documents" / "shard")
    (tmp_path / "notes" / "3.md").unlink()

    report = reindex(store=store, embedder=HashingEmbedder())

    assert [notice.source for notice in report.notices] == ["notes/3.md"]
    del whole["notes/3.md"]
    assert _texts(store) == whole
    assert open_database(store).check("documents") == []
