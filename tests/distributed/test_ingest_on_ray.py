"""An ingest on a local Ray cluster of two workers, into a stub of a Qdrant server: what dies is not done twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Thread

import psutil
import pytest

from sift_rag.clusters import RayCluster
from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.report import IngestReport, Progress
from sift_rag.distributed import ingest as distributed
from sift_rag.errors import ModelUnavailable
from sift_rag.ingestion import ingest_paths
from sift_rag.opening import open_store
from sift_rag.protocols import Embedder
from sift_rag.stores.registry import open_database
from tests.distributed.work import Recording, recorded
from tests.doubles import HashingEmbedder
from tests.qdrant_stub.server import QdrantStub

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings(r"ignore:.*deprecated:DeprecationWarning:ray\."),  # of Ray, by Ray
]

ROOT = Path(__file__).parents[2]
LONG_AGO = 1_600_000_000
FILES, PARTS = 6, 20
PATIENCE = 60.0
"""Seconds within which what is waited for has to happen."""


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    for number in range(FILES):
        sections = (f"## Part {part}\n\n" + f"word{number}x{part} " * 45 for part in range(PARTS))
        write(folder / f"{number}.md", "\n\n".join(sections))
    write(folder / "page.html", "<html><body><h1>Bees</h1><p>Bees dance to show where flowers grow.</p></body></html>")
    write(folder / "empty.md", "")
    return folder


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (LONG_AGO, LONG_AGO))


@pytest.fixture
def store(qdrant: QdrantStub) -> str:
    return f"{qdrant.url}?grpc_port=9"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "embedded"


def on_ray(notes: Path, store: str, embedder: Embedder | str, cluster: RayCluster) -> IngestReport:
    return ingest_paths(notes, store=store, embedder=embedder, options=IngestOptions(cluster=cluster))


def contents(store: str | Path) -> dict[str, object]:
    with closing(open_store(store)) as opened:
        return {
            document.source: (
                *(document.state, document.passages, document.revision),
                [(one.passage.id, one.passage.text, one.embedding.round(5).tolist()) for one in passages],
            )
            for document in opened.documents()
            for passages in [list(opened.passages(document.source))]
        }


def texts(store: str) -> set[str]:
    """Return the texts of which the store has a passage, whether their documents are complete or not."""
    try:
        with closing(open_store(store)) as opened:
            sources = [document.source for document in opened.documents()]
            return {one.passage.embedding_text for source in sources for one in opened.passages(source)}
    except Exception:  # noqa: BLE001 - there is no collection yet
        return set()


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def test_the_collection_is_the_one_that_an_ordinary_ingest_makes(
    notes: Path, store: str, cluster: RayCluster, log: Path, tmp_path: Path
) -> None:
    seen: list[Progress] = []
    options = IngestOptions(cluster=cluster)
    report = ingest_paths(notes, store=store, embedder=Recording(str(log)), options=options, progress=seen.append)
    ordinary = ingest_paths(notes, store=tmp_path / "store", embedder=HashingEmbedder())
    assert (report.new, report.skipped, report.failed, report.passages_total) == (
        FILES + 1,
        1,
        0,
        ordinary.passages_total,
    )
    assert contents(store) == contents(tmp_path / "store")
    assert (seen[-1].files_done, seen[-1].passages_done) == (FILES + 2, report.passages_added)
    assert len({process for process, _ in recorded(log)}) >= 2
    assert open_database(store).check("documents") == []
    again = ingest_paths(notes, store=store, embedder=HashingEmbedder())
    assert (again.new, again.updated, again.unchanged) == (0, 0, FILES + 1)


def test_without_changes_no_cluster_is_started(notes: Path, store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (notes / "empty.md").unlink()
    assert ingest_paths(notes, store=store, embedder=HashingEmbedder()).new == FILES + 1
    time.sleep(2.1)  # files that changed within two seconds before their ingest are read again
    ingest_paths(notes, store=store, embedder=HashingEmbedder())
    monkeypatch.setattr(distributed, "connected", lambda _: pytest.fail("a cluster was started"))
    assert on_ray(notes, store, HashingEmbedder(), RayCluster("local")).unchanged == FILES + 1


def test_killed_workers_are_replaced_and_what_they_stored_is_not_embedded_again(
    notes: Path, store: str, cluster: RayCluster, log: Path
) -> None:
    held: list[set[str]] = []

    def kill() -> None:
        for count in (30, 70):
            until(lambda count=count: len(recorded(log)) >= count)
            held.append(texts(store))
            os.kill(recorded(log)[-1][0], signal.SIGKILL)

    killer = Thread(target=kill)
    killer.start()
    report = on_ray(notes, store, Recording(str(log), pause=0.03), cluster)
    killer.join()
    assert (report.new, report.failed) == (FILES + 1, 0)
    assert len({process for process, _ in recorded(log)}) >= 4
    embedded = Counter(text for _, text in recorded(log))
    assert all(embedded[text] == 1 for text in held[0])
    assert texts(store) <= set(embedded)
    assert open_database(store).check("documents") == []


def test_after_a_killed_driver_a_second_run_completes_what_it_began(
    notes: Path, store: str, cluster: RayCluster, log: Path
) -> None:
    command = [sys.executable, "-m", "tests.distributed.work", str(notes), store, str(log), "0.03"]
    driver = subprocess.Popen(command, cwd=ROOT)
    try:
        until(lambda: len(texts(store)) >= 20)
        children = psutil.Process(driver.pid).children(recursive=True)
        workers = [child for child in children if "MapWorker" in child.name()]
    finally:
        driver.kill()
        driver.wait()
    assert len(workers) >= 2
    until(lambda: not any(map(is_alive, workers)))
    for child in filter(is_alive, children):
        child.kill()  # Ray's own services notice within minutes
    held, before = texts(store), len(recorded(log))
    assert 0 < len(held) < FILES * PARTS
    report = on_ray(notes, store, Recording(str(log)), cluster)
    assert report.new + report.updated + report.unchanged == FILES + 1
    assert held.isdisjoint({text for _, text in recorded(log)[before:]})
    with closing(open_store(store)) as opened:
        assert all(document.state == "ingested" for document in opened.documents())
        assert opened.count() == sum(document.passages for document in opened.documents())
    assert open_database(store).check("documents") == []


def test_a_worker_without_the_embedder_is_told(notes: Path, store: str, cluster: RayCluster) -> None:
    with pytest.raises(ModelUnavailable, match="nobody/has-this"):
        on_ray(notes, store, "nobody/has-this", cluster)
    assert open_database(store).collections() == []
