"""Faults of machines: full disks, folders that cannot be written, clocks that go backwards, strange files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from typer.testing import CliRunner

from sift_rag.corpus import writing
from sift_rag.corpus.conversion_pool import ConversionPool
from sift_rag.corpus.options import IngestOptions
from sift_rag.errors import StoreConflict, StoreFull, StoreInUse
from sift_rag.ingestion import ingest_paths
from sift_rag.opening import open_store
from sift_rag.stores.embedded.manifest import SCHEMA_VERSION
from sift_rag.stores.embedded.store import EmbeddedStore, create_collection, open_collection
from sift_rag.stores.migration import migrate_collection
from sift_rag.stores.registry import open_database
from sift_rag.types import CollectionInfo, Document, Passage, Span
from sift_rag_cli.app import app
from tests.doubles import HashingEmbedder

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
INFO = CollectionInfo("documents", "hashing", 64, SCHEMA_VERSION)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.md").write_text(f"# Note {number}\n\nWhat stands in note {number}.\n")
    return folder


@pytest.fixture
def store(notes: Path, tmp_path: Path) -> Path:
    ingest_paths([notes], store=tmp_path / "store", embedder=HashingEmbedder())
    return tmp_path / "store"


def texts(store: Path) -> list[str]:
    with closing(open_store(store)) as opened:
        return [c.passage.text for document in opened.documents() for c in opened.passages(document.source)]


@cache
def may_mount() -> bool:
    unshare = shutil.which("unshare")
    mount = "mount -t tmpfs -o size=1m tmpfs /mnt"
    return (
        unshare is not None
        and not subprocess.run([unshare, "-rm", "sh", "-c", mount], check=False, capture_output=True).returncode
    )


FILL_UP = """
    import os, shutil, sys
    from pathlib import Path
    from uuid import UUID
    import numpy as np
    from sift_rag.errors import StoreFull
    from sift_rag.stores.embedded.store import create_collection, open_collection
    from sift_rag.stores.embedded.check import check_collection
    from sift_rag.stores.registry import open_database
    from sift_rag.types import CollectionInfo, Document, Passage, Span
    root = Path(sys.argv[1])
    store = create_collection(root, CollectionInfo("news", "e", 384, int(sys.argv[2])))
    batch, rng = 0, np.random.default_rng(0)

    def write(store, batch):
        source = f"{batch:04}.md"
        passages = [Passage(str(UUID(int=1 + 100 * batch + n)), "x" * 20_000, source, Span(n, n)) for n in range(100)]
        store.put_documents([Document(source, "/", "pending")])
        store.upsert(passages, rng.standard_normal((100, 384)).astype(np.float32))
        store.put_documents([Document(source, "/", "ingested", passages=100)])

    try:
        while True:
            write(store, batch)
            batch += 1
    except StoreFull as error:
        print("writing:", error)
    assert len(store.search(np.ones((1, 384), np.float32), 5)[0]) == 5
    store.close()
    free = shutil.disk_usage(root).free
    for left in (32 * 2**20, 0):
        with open(root / "of another program", "ab", 0) as file:  # which fills the disk up
            os.posix_fallocate(file.fileno(), 0, free - left - 2**16)
        for use in (open_collection, check_collection):
            try:
                use(root, "news")
            except StoreFull as error:
                print("opening:", error)
    (root / "of another program").unlink()
    store = open_collection(root, "news")
    assert store.count() == 100 * batch == sum(document.passages for document in store.documents())
    pending = [document.source for document in store.documents() if document.state == "pending"]
    assert pending in ([], [f"{batch:04}.md"])
    store.close()
    assert open_database(root).check("news") == []
    print("batches:", batch)
"""


def test_a_disk_that_fills_up_stops_writing_in_time_and_loses_nothing(tmp_path: Path) -> None:
    if not may_mount():
        pytest.skip("this system lets no test mount a small disk (unshare -rm)")
    command = 'mount -t tmpfs -o size=430m tmpfs "$0" && exec "$@"'
    script = [sys.executable, "-c", textwrap.dedent(FILL_UP), str(tmp_path), str(SCHEMA_VERSION)]
    ended = subprocess.run(
        ["unshare", "-rm", "sh", "-c", command, str(tmp_path), *script],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    writing, *opening, batches = ended.stdout.splitlines()
    assert "MiB left; writing safely needs" in writing
    assert len(opening) == 4
    assert all("what is stored is safe" in line or "Free some space" in line for line in opening)
    assert int(batches.removeprefix("batches: ")) > 3


@pytest.fixture
def filling_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function after which the disk has room for so many more writes of passages; -1 for any number."""
    upsert = EmbeddedStore.upsert
    left = [-1]

    def limited(self: EmbeddedStore, *arguments: Any) -> None:
        if left[0] == 0:
            raise StoreFull("The disk is full.")
        left[0] -= 1
        upsert(self, *arguments)

    def has_room(writes: int) -> None:
        left[0] = writes

    monkeypatch.setattr(EmbeddedStore, "upsert", limited)
    return has_room


def test_a_disk_that_fills_up_while_files_are_converted_keeps_what_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filling_disk: Callable[[int], None]
) -> None:
    pools: list[ConversionPool] = []

    class Noted(ConversionPool):
        def __init__(self, options: IngestOptions, workers: int | None = None) -> None:
            super().__init__(options, workers or 2)
            pools.append(self)

    pages = tmp_path / "pages"
    pages.mkdir()
    for number in range(12):
        (pages / f"{number:02}.html").write_text(f"<h1>Page {number}</h1><p>What stands on page {number}.</p>")
    monkeypatch.setattr(writing, "WINDOW", 2)
    monkeypatch.setattr("sift_rag.corpus.ingest.ConversionPool", Noted)

    filling_disk(3)
    with pytest.raises(StoreFull):
        ingest_paths([pages], store=tmp_path / "store", embedder=HashingEmbedder())
    assert all(child.is_dead for child in pools[0]._children)
    with closing(open_store(tmp_path / "store")) as opened:
        states = {document.source: document.state for document in opened.documents()}
        assert list(states.values()).count("ingested") >= 4
        assert set(states.values()) <= {"ingested", "pending"}
    assert 4 <= len(texts(tmp_path / "store")) <= 6

    filling_disk(-1)
    report = ingest_paths([pages], store=tmp_path / "store", embedder=HashingEmbedder())
    assert (report.new + report.updated + report.unchanged, report.failed) == (12, 0)
    assert len(texts(tmp_path / "store")) == 12


def test_a_full_disk_is_one_line_and_exit_code_1(
    store: Path, notes: Path, filling_disk: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    (notes / "page.html").write_text("<p>What stands on the page.</p>")
    monkeypatch.setattr("sift_rag.ingestion._embedder_for", lambda *_: HashingEmbedder())
    filling_disk(0)
    result = CliRunner().invoke(app, ["ingest", str(notes), "--store", str(store)], prog_name="sift-rag")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == ["Error: The disk is full."]
    assert len(texts(store)) == 5


def test_a_nearly_full_disk_is_told_before_the_engine_dies_of_it(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=63 * 2**20))
    for use in (open_store, lambda root: open_database(root).check("documents")):
        with pytest.raises(StoreFull, match=r"63 MiB left, and the engine needs 64 to start\. Free some space"):
            use(store)
    monkeypatch.undo()
    assert len(texts(store)) == 5


def test_a_migration_into_a_full_disk_goes_on_once_there_is_room(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage
    left = iter([2**40] * 4)  # enough for so many looks
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=next(left, 2**27)))
    with pytest.raises(StoreFull):
        migrate_collection(store, tmp_path / "new")
    monkeypatch.setattr(shutil, "disk_usage", usage)
    assert migrate_collection(store, tmp_path / "new").differences == ()
    assert texts(tmp_path / "new") == texts(store)


READ_ONLY = """
    import ctypes, os, sys
    from contextlib import closing
    from pathlib import Path
    from sift_rag import ingestion, opening
    from sift_rag.errors import StoreError
    from sift_rag.stores.migration import migrate_collection
    from sift_rag.stores.registry import open_database
    from tests.doubles import HashingEmbedder
    if os.geteuid() == 0:  # let permissions hold for this process too: no capabilities (capset(2), version 3)
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)
        assert ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * 6)()) == 0
    store, notes, copy = map(Path, sys.argv[1:])
    try:
        (store / "file").touch()
    except PermissionError:
        pass
    else:
        raise SystemExit("the folder can be written")
    assert [info.name for info in open_database(store).collections()] == ["documents"]
    with closing(open_database(store).documents("documents")) as records:
        assert len(list(records.documents())) == 5
    embedder = HashingEmbedder()
    for use in (
        lambda: opening.open_retriever(store, embedder=embedder),
        lambda: ingestion.ingest_paths([notes], store=store, embedder=embedder),
        lambda: ingestion.ingest_paths([notes], store=store, collection="other", embedder=embedder),
        lambda: open_database(store).check("documents"),
        lambda: open_database(store).optimize("documents"),
        lambda: open_database(store).drop("documents"),
        lambda: migrate_collection(store, copy),
        lambda: migrate_collection(copy, store, target_collection="other"),
    ):
        try:
            use()
        except StoreError as error:
            print(error)
"""


@pytest.mark.skipif(sys.platform != "linux" and os.geteuid() == 0, reason="root may write anywhere on this system")
def test_a_store_that_cannot_be_written_is_listed_and_left_as_it_is(store: Path, notes: Path, tmp_path: Path) -> None:
    migrate_collection(store, tmp_path / "copy")
    paths = [store, *store.rglob("*")]
    before = {path: path.read_bytes() for path in paths if path.is_file()}
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        command = [sys.executable, "-c", textwrap.dedent(READ_ONLY), str(store), str(notes), str(tmp_path / "copy")]
        ended = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    finally:
        for path in paths:
            path.chmod(0o755 if path.is_dir() else 0o644)
    assert ended.returncode == 0, ended.stderr
    refusals = ended.stdout.splitlines()
    assert len(refusals) == 8
    assert all(f"{store} cannot be used as a store: Permission denied. Check" in line for line in refusals)
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "where", ["", "documents", "documents/shard", "documents/shard/segments", "documents/shard/wal"]
)
def test_what_other_programs_leave_in_a_store_harms_nothing(store: Path, where: str) -> None:
    (store / where / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (store / where / "._lock").write_bytes(b"")
    before = texts(store)
    assert open_database(store).check("documents") == []
    with closing(open_store(store)) as opened:
        opened.put_documents([Document("new.md", "/new.md", "failed")])
    assert texts(store) == before
    assert (store / where / ".DS_Store").exists()
    assert [info.name for info in open_database(store).collections()] == ["documents"]
    open_database(store).drop("documents")
    assert open_database(store).collections() == []


def test_of_several_that_make_one_collection_at_once_one_does_and_the_others_are_told(tmp_path: Path) -> None:
    def make(_: int) -> str:
        try:
            create_collection(tmp_path, INFO).close()
        except (StoreConflict, StoreInUse):
            return "told"
        return "made"

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(make, range(6))) == ["made", *["told"] * 5]
    assert open_database(tmp_path).check("documents") == []


@pytest.mark.parametrize("year", [1971, 2199])
def test_a_change_is_seen_whatever_the_clock_said_at_the_ingest(
    notes: Path, store: Path, year: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (notes / "0.md").write_text("# Note 0\n\nAnother text.\n")
    monkeypatch.setattr(writing, "now", lambda: datetime(year, 1, 1, tzinfo=UTC).isoformat(timespec="microseconds"))
    assert ingest_paths([notes], store=store, embedder=HashingEmbedder()).updated == 1
    monkeypatch.undo()
    status = (notes / "1.md").stat()
    (notes / "1.md").write_text("# Note 1\n\nWhat stands in note A.\n")  # of the same size
    os.utime(notes / "1.md", ns=(status.st_atime_ns, status.st_mtime_ns))  # and as old as before
    report = ingest_paths([notes], store=store, embedder=HashingEmbedder())
    assert (report.updated, report.unchanged) == (1, 4)
    assert any("note A" in text for text in texts(store))


def test_a_file_from_the_future_is_read_at_every_ingest_and_never_embedded_again(notes: Path, store: Path) -> None:
    ahead = datetime(2199, 1, 1, tzinfo=UTC).timestamp()
    os.utime(notes / "2.md", (ahead, ahead))
    for _ in range(2):
        embedder = HashingEmbedder()
        assert ingest_paths([notes], store=store, embedder=embedder).unchanged == 5
        assert embedder.embedded == []


@pytest.mark.parametrize("part", ["text", "metadata"])
def test_a_passage_of_20_megabytes_comes_back_as_it_was(tmp_path: Path, part: str) -> None:
    large = "0123456789" * 2_000_000
    rest: dict[str, object] = {"text": large} if part == "text" else {"text": "", "metadata": {"large": large}}
    given = Passage(id=str(UUID(int=1)), source="large.md", span=Span(0, 9), **rest)  # type: ignore[arg-type]
    with closing(create_collection(tmp_path, INFO)) as made:
        made.upsert([given], np.ones((1, 64), np.float32))
        made.put_documents([Document("large.md", "/large.md", "ingested", passages=1)])
    with closing(open_collection(tmp_path, INFO.name)) as opened:
        assert opened.fetch([given.id])[0].passage == given


LINES: dict[str, tuple[str, Callable[[int], str]]] = {
    "of one letter": (".md", lambda size: "a" * size),
    "of words": (".txt", lambda size: "word and " * (size // 9)),
    "of marks": (".md", lambda size: "#-*`|<[(" * (size // 8)),
    "of spaces": (".py", lambda size: "a" + " " * size + "b"),
    "of emoji": (".jsonl", lambda size: "👩‍👩‍👧" * (size // 5)),
}


@pytest.mark.parametrize("line", LINES)
def test_a_line_of_a_million_characters_goes_in_whole(tmp_path: Path, line: str) -> None:
    suffix, make = LINES[line]
    text = make(10**6)
    path = tmp_path / "notes" / f"long{suffix}"
    path.parent.mkdir()
    path.write_text(f'{{"text": "{text}"}}' if suffix == ".jsonl" else text)
    report = ingest_paths([path], store=tmp_path / "store", embedder=HashingEmbedder(max_tokens=2000))
    assert (report.new, report.failed) == (1, 0)
    with closing(open_store(tmp_path / "store")) as opened:
        covered = 0
        for candidate in opened.passages(f"notes/long{suffix}"):
            start, end = candidate.passage.span[:2]
            assert candidate.passage.text == text[start:end]
            assert not text[covered:start].strip()
            covered = max(covered, end)
    assert not text[covered:].strip()
