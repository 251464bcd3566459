"""One bad file costs one file: hostile documents beside good ones, and children that are killed at their work."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest

from sift_rag.corpus import roots
from sift_rag.corpus.files import FoundFile
from sift_rag.corpus.ingest import ingest
from sift_rag.corpus.options import IngestOptions
from sift_rag.ingestion import ingest_paths
from sift_rag.opening import open_store
from sift_rag.stores.memory import MemoryStore
from sift_rag.types import CollectionInfo
from tests.corpus import paths
from tests.corpus.test_conversion_pool import is_running, written_identity
from tests.doubles import HashingEmbedder
from tests.reliability.hostile_files import good_files, hostile_files

pytestmark = pytest.mark.slow


def memory_store(embedder: HashingEmbedder) -> MemoryStore:
    return MemoryStore(CollectionInfo("notes", embedder.name, embedder.dimension, 1))


def test_good_files_go_in_beside_hostile_ones(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    good, hostile = good_files(), hostile_files()
    for name, content in (good | hostile).items():
        (notes / name).write_bytes(content)
    options = IngestOptions(file_timeout=6)

    report = ingest_paths([notes], store=tmp_path / "store", embedder=HashingEmbedder(), options=options)

    reasons = {problem.source.removeprefix("notes/"): problem.reason for problem in report.problems}
    assert set(reasons) <= set(hostile)
    assert report.new + len(reasons) == len(good) + len(hostile) >= 25
    assert all("\n" not in reason and len(reason) < 200 for reason in reasons.values())
    with closing(open_store(tmp_path / "store")) as opened:
        for name in good:
            assert opened.document(f"notes/{name}") is not None
            assert any(opened.passages(f"notes/{name}"))


@pytest.fixture
def strange_paths(monkeypatch: pytest.MonkeyPatch) -> dict[str, type[Path]]:
    """Let files of some names have the paths of ``tests.corpus.paths``; return the kinds by name, to be filled."""
    kinds: dict[str, type[Path]] = {}
    real = roots.find_files

    def found(root: Path, **options: object) -> Iterator[object]:
        for item in real(root, **options):  # type: ignore[arg-type]
            kind = kinds.get(item.source.rpartition("/")[2], Path)
            yield FoundFile(item.source, kind(item.path)) if isinstance(item, FoundFile) else item

    monkeypatch.setattr(roots, "find_files", found)
    return kinds


def pages(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:02}.html").write_text(f"<h1>Page {number}</h1><p>Owls hunt, page {number}.</p>")
    return folder


def test_a_child_killed_at_its_work_costs_its_file_and_the_rest_goes_in(
    tmp_path: Path, strange_paths: dict[str, type[Path]]
) -> None:
    notes = pages(tmp_path / "notes", 12)
    (notes / "05.html").rename(notes / "long.html")
    strange_paths["long.html"] = paths.TellingWhenRead

    def kill() -> None:
        os.kill(written_identity(notes / "long.html.pid"), signal.SIGKILL)

    killer = Thread(target=kill)
    killer.start()
    embedder = HashingEmbedder()
    store = memory_store(embedder)
    report = ingest([notes], store, embedder, IngestOptions(exclude=["*.pid"]))
    killer.join()

    assert (report.new, report.failed) == (11, 1)
    assert [(problem.source, problem.reason) for problem in report.problems] == [
        ("notes/long.html", "the conversion crashed")
    ]
    failed = store.document("notes/long.html")
    assert failed is not None
    assert failed.state == "failed"


def test_an_interrupted_ingest_leaves_no_child(tmp_path: Path, strange_paths: dict[str, type[Path]]) -> None:
    notes = pages(tmp_path / "notes", 3)
    (notes / "01.html").rename(notes / "long.html")
    strange_paths["long.html"] = paths.TellingWhenRead

    def interrupt() -> None:
        written_identity(notes / "long.html.pid")
        os.kill(os.getpid(), signal.SIGINT)

    interrupter = Thread(target=interrupt)
    interrupter.start()
    embedder = HashingEmbedder()
    with pytest.raises(KeyboardInterrupt):
        ingest([notes], memory_store(embedder), embedder, IngestOptions(exclude=["*.pid"]))
    interrupter.join()
    assert not is_running(written_identity(notes / "long.html.pid"))


def test_what_is_written_does_not_depend_on_which_conversion_ends_first(
    tmp_path: Path, strange_paths: dict[str, type[Path]]
) -> None:
    notes = pages(tmp_path / "notes", 20)
    embedder = HashingEmbedder()
    order: list[list[str]] = []
    for late in ((), ("00.html", "03.html", "11.html")):
        strange_paths.clear()
        strange_paths.update(dict.fromkeys(late, paths.Late))
        store = memory_store(embedder)
        embedder.embedded.clear()
        assert ingest([notes], store, embedder).new == 20
        order.append(list(embedder.embedded))
    assert order[0] == order[1]


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no such signals")
def test_text_files_start_no_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("a child was started"))
    (tmp_path / "notes").mkdir()
    for name in ("a.md", "b.txt", "c.py", "d.csv", "e.jsonl"):
        (tmp_path / "notes" / name).write_text('{"text": "x"}\n')
    embedder = HashingEmbedder()
    assert ingest([tmp_path / "notes"], memory_store(embedder), embedder).failed == 0
