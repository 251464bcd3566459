"""Reading and splitting in several processes: the result is that of one."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sift_rag.corpus import conversion_pool
from sift_rag.corpus import ingest as module
from sift_rag.corpus.conversion_pool import ConversionPool
from sift_rag.corpus.ingest import ingest
from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.report import IngestReport
from sift_rag.stores.memory import MemoryStore
from tests.doubles import HashingEmbedder
from tests.reliability.test_hostile_conversions import memory_store

pytestmark = pytest.mark.slow

PARAGRAPH = "Owls hunt at night, and rest by day in the hollow of an old tree. "


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of every kind: text, converted, records, long, empty, broken."""
    root = tmp_path / "notes"
    root.mkdir()
    for number in range(30):
        (root / f"{number:02}.md").write_text(f"# Owl {number}\n\n## Night\n\n" + PARAGRAPH * (number % 9 + 1))
    for number in range(4):
        (root / f"page{number}.html").write_text(f"<title>Page {number}</title><h1>Owls</h1><p>{PARAGRAPH * 9}</p>")
    (root / "copy.md").write_text((root / "03.md").read_text())
    (root / "code.py").write_text("def hunt():\n    return 'at night'\n" * 50)
    (root / "records.jsonl").write_text('{"text": "An owl."}\n{"text": "Another owl."}\n')
    (root / "broken.jsonl").write_text('{"text": "An owl."}\n{"text": \n')
    (root / "table.csv").write_text("name,text\nowl,Owls hunt\n")
    (root / "long.txt").write_text(PARAGRAPH * 700)
    (root / "empty.md").write_text("")
    (root / "broken.docx").write_bytes(b"no archive")
    (root / "binary.bin").write_bytes(bytes(range(256)))
    return root


@pytest.fixture(autouse=True)
def long_files_are_read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_READ_AHEAD_BYTES", 20_000)


def counts(report: IngestReport) -> dict[str, Any]:
    return {name: getattr(report, name) for name in report.__dataclass_fields__ if name != "seconds"}


def content(store: MemoryStore) -> dict[str, Any]:
    found = {}
    for document in store.documents():
        for candidate in store.passages(document.source):
            found[candidate.passage.id] = (candidate.passage, np.asarray(candidate.embedding).tobytes())
    return found


def state_after(folder: Path, workers: int) -> tuple[Any, ...]:
    embedder = HashingEmbedder()
    store = memory_store(embedder)
    report = ingest([folder], store, embedder, IngestOptions(workers=workers))
    return counts(report), content(store), list(embedder.embedded)


def test_any_number_of_workers_gives_the_same_passages_vectors_order_and_report(folder: Path) -> None:
    one = state_after(folder, 1)
    assert one[0]["new"] > 35
    assert one[0]["failed"] >= 2
    for workers in (2, 4):
        assert state_after(folder, workers) == one


def test_changed_files_are_updated_alike(folder: Path) -> None:
    results = []
    for workers in (1, 3):
        for number in range(0, 30, 3):
            (folder / f"{number:02}.md").write_text(f"# Owl {number}\n\nAt first.\n")
        embedder = HashingEmbedder()
        store = memory_store(embedder)
        ingest([folder], store, embedder, IngestOptions(workers=workers))
        for number in range(0, 30, 3):
            (folder / f"{number:02}.md").write_text(f"# Owl {number}\n\n" + PARAGRAPH * 5)
        (folder / "01.md").rename(folder / "renamed.md")
        report = ingest([folder], store, embedder, IngestOptions(workers=workers, prune=True))
        (folder / "renamed.md").rename(folder / "01.md")
        results.append((counts(report), content(store)))
    assert results[0] == results[1]


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no such signals")
def test_workers_that_are_killed_change_nothing_for_files_of_text(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in [*folder.glob("*.html"), folder / "broken.docx"]:
        path.unlink()
    one = state_after(folder, 1)
    convert = conversion_pool._Child.convert
    killed = []

    def kill_some(child: conversion_pool._Child, request: Any) -> Any:
        if len(killed) < 5 and request.path.stem in {"02", "07", "11", "19", "28"}:
            killed.append(request.path)
            os.kill(child._process.pid, signal.SIGKILL)
        return convert(child, request)

    monkeypatch.setattr(conversion_pool._Child, "convert", kill_some)
    assert state_after(folder, 2) == one
    assert len(killed) == 5


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no such signals")
def test_ctrl_c_ends_all_workers_and_a_second_run_completes_it(folder: Path) -> None:
    one = state_after(folder, 1)
    embedder = Interrupting(after=3)
    store = memory_store(embedder)
    before = children()
    with pytest.raises(KeyboardInterrupt):
        ingest([folder], store, embedder, IngestOptions(workers=3))
    assert children() <= before
    report = ingest([folder], store, HashingEmbedder(), IngestOptions(workers=3))
    assert content(store) == one[1]
    assert report.passages_total == one[0]["passages_total"]


def test_few_files_of_text_start_no_process_unless_it_is_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in folder.glob("*.html"):
        path.unlink()
    (folder / "broken.docx").unlink()
    started = []
    start = ConversionPool._start
    monkeypatch.setattr(ConversionPool, "_start", lambda pool: (started.append(1), start(pool))[1])
    ingest([folder], memory_store(HashingEmbedder()), HashingEmbedder(), IngestOptions(workers=1))
    ingest([folder], memory_store(HashingEmbedder()), HashingEmbedder(), IngestOptions())
    assert not started
    monkeypatch.setattr(module, "_READ_HERE", 10)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    ingest([folder], memory_store(HashingEmbedder()), HashingEmbedder(), IngestOptions())
    assert not started, "the embedder needs both"
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    ingest([folder], memory_store(HashingEmbedder()), HashingEmbedder(), IngestOptions())
    assert started


def test_the_number_of_workers_is_at_least_one() -> None:
    with pytest.raises(ValueError, match="workers is 0"):
        IngestOptions(workers=0)


class Interrupting(HashingEmbedder):
    """An embedder at whose n-th call somebody presses Ctrl-C."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.calls_left = after

    def embed_passages(self, texts: Any) -> Any:
        self.calls_left -= 1
        if self.calls_left < 0:
            raise KeyboardInterrupt
        return super().embed_passages(texts)


def children() -> set[int]:
    """Ids of the processes that this one has started and that still run."""
    import psutil

    return {process.pid for process in psutil.Process().children() if process.status() != psutil.STATUS_ZOMBIE}
