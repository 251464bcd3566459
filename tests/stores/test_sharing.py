"""Several processes and threads on one collection in a folder."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from threading import Event, Thread
from time import sleep

import pytest

from sift_rag.errors import StoreInUse
from sift_rag.filters import Filter
from sift_rag.stores.embedded.check import check_collection
from sift_rag.stores.embedded.database import FolderDatabase
from sift_rag.stores.embedded.folders import building_name
from sift_rag.stores.embedded.manifest import SCHEMA_VERSION
from sift_rag.stores.embedded.store import create_collection, open_collection
from sift_rag.stores.waiting import Wait, Waiting
from sift_rag.types import CollectionInfo
from tests.graphs import allow_small_graphs
from tests.stores.test_embedded import DIMENSION, INFO, fill, unit_vectors

LONG = 60.0
"""Seconds after which a test gives up."""

READ = """
    import sys
    from pathlib import Path
    from sift_rag.stores.embedded.database import FolderDatabase
    from sift_rag.stores.waiting import Wait
    index = FolderDatabase(Path(sys.argv[1]), Wait(float(sys.argv[2]))).open_index("news")
    print(index.count(), flush=True)
    sys.stdin.readline()
    print(index.count(), flush=True)
    index.close()
"""
WRITE = """
    import sys
    from pathlib import Path
    from sift_rag.stores.embedded.store import open_collection
    from sift_rag.stores.waiting import Wait
    from tests.stores.test_embedded import fill
    store = open_collection(Path(sys.argv[1]), "news", wait=Wait(float(sys.argv[2])))
    print("open", flush=True)
    fill(store, 5, source="b.md", first=100)
    sys.stdin.readline()
    store.close()
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a root with the closed collection 'news' of 10 passages."""
    with closing(create_collection(tmp_path, INFO)) as store:
        fill(store)
    return tmp_path


@contextmanager
def process(script: str, root: Path, wait: float = 0) -> Iterator[subprocess.Popen[str]]:
    """Run a script in a process that ends with the block, whatever happens."""
    command = [sys.executable, "-c", textwrap.dedent(script), str(root), str(wait)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], **pipes) as child:  # type: ignore[call-overload]
        try:
            yield child
        finally:
            child.kill()


def said(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def go_on(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()


def state_of(shard: Path) -> dict[str, tuple[str, int]]:
    files = (file for file in shard.rglob("*") if file.is_file())
    return {
        str(file.relative_to(shard)): (hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_mtime_ns)
        for file in files
    }


class TestReaders:
    @pytest.mark.slow
    def test_processes_read_at_once_and_leave_nothing(self, root: Path) -> None:
        with process(READ, root) as one, process(READ, root) as other:
            assert (said(one), said(other)) == ("10", "10")
            go_on(one)
            go_on(other)
            assert (said(one), said(other)) == ("10", "10")
            assert (one.wait(LONG), other.wait(LONG)) == (0, 0)
        assert check_collection(root, "news") == []
        left = {path.name for path in (root / "news").iterdir() if not path.name.startswith("documents.sqlite")}
        assert left == {"lock", "manifest.json", "seal.json", "shard"}

    @pytest.mark.parametrize("optimized", [False, True])
    def test_reading_changes_no_file_of_the_collection(self, root: Path, optimized: bool) -> None:
        with closing(open_collection(root, "news")) as store:
            fill(store, 1500, source="b.md", first=100)
        if optimized:
            allow_small_graphs(root, "news")
        with closing(open_collection(root, "news")) as store:
            if optimized:
                fill(store, 1500, source="c.md", first=5000)
                store.delete_passages("c.md")
                store.drop_documents(["c.md"])
                assert store.optimize()
        before = state_of(root / "news" / "shard")
        with closing(FolderDatabase(root).open_index("news")) as index:
            found = index.search(unit_vectors(3, seed=5), 20)
            assert [len(row) for row in found] == [20, 20, 20]
            assert index.graph.passages == (1510 if optimized else 0)  # type: ignore[attr-defined]
            found = index.by_graph().search(unit_vectors(3, seed=6), 20, where=Filter(("b.md",)))  # type: ignore[attr-defined]
            assert [len(row) for row in found] == [20, 20, 20]
            assert len(list(index.passages("b.md"))) == 1500
            assert index.search_words(["text 120"], 5)  # type: ignore[attr-defined]
        assert state_of(root / "news" / "shard") == before

    def test_a_reader_finds_what_a_writer_finds(self, root: Path) -> None:
        targets = unit_vectors(4, seed=3)
        with closing(open_collection(root, "news")) as store:
            expected = [[(hit.passage, hit.similarity) for hit in row] for row in store.search(targets, 7)]
        with closing(FolderDatabase(root).open_index("news")) as index:
            assert [[(hit.passage, hit.similarity) for hit in row] for row in index.search(targets, 7)] == expected

    def test_readers_of_one_process_share_and_close_for_themselves(self, root: Path) -> None:
        database = FolderDatabase(root)
        first, second = database.open_index("news"), database.open_index("news")
        assert len(list((root / "news" / "readers").iterdir())) == 1
        first.close()
        first.close()
        assert second.count() == 10
        with pytest.raises(StoreInUse, match="this process"):
            open_collection(root, "news")
        second.close()
        open_collection(root, "news").close()

    def test_what_was_written_in_between_is_read_by_the_next_reader(self, root: Path) -> None:
        database = FolderDatabase(root)
        database.open_index("news").close()
        with closing(open_collection(root, "news")) as store:
            fill(store, 5, source="b.md", first=100)
        with closing(database.open_index("news")) as index:
            assert index.count() == 15

    def test_without_hard_links_readers_take_turns(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> None:
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(Path, "hardlink_to", refuse)
        database = FolderDatabase(root)
        with closing(database.open_index("news")) as index:
            assert index.count() == 10
            with pytest.raises(StoreInUse, match="this process"):
                database.open_index("news")
        with closing(database.open_index("news")) as index:
            assert index.count() == 10
        assert not (root / "news" / "readers").exists()

    def test_a_collection_that_was_not_closed_is_repaired_before_it_is_shared(self, root: Path) -> None:
        (root / "news" / "seal.json").unlink()
        with closing(FolderDatabase(root).open_index("news")) as index:
            assert index.count() == 10
            assert (root / "news" / "seal.json").exists()
            assert (root / "news" / "readers").exists()

    @pytest.mark.slow
    def test_a_killed_reader_holds_nothing_and_its_files_go(self, root: Path) -> None:
        with process(READ, root) as reader:
            assert said(reader) == "10"
            reader.send_signal(signal.SIGKILL)
            reader.wait()
        assert len(list((root / "news" / "readers").iterdir())) == 1
        with closing(FolderDatabase(root).open_index("news")):
            assert len(list((root / "news" / "readers").iterdir())) == 1
        open_collection(root, "news").close()
        assert check_collection(root, "news") == []


class TestWaiting:
    @pytest.mark.slow
    def test_a_reader_waits_for_a_writer_and_reads_what_it_wrote(self, root: Path) -> None:
        told: list[Waiting] = []
        with process(WRITE, root) as writer:
            assert said(writer) == "open"
            wait = Wait(LONG, lambda waiting: [told.append(waiting), go_on(writer)][0])
            with closing(FolderDatabase(root, wait).open_index("news")) as index:
                assert index.count() == 15
            [waiting] = told
            assert (waiting.collection, waiting.seconds) == ("news", LONG)
            assert waiting.holder.startswith(f"process {writer.pid} (-c ")

    @pytest.mark.slow
    def test_a_writer_waits_for_readers_and_new_readers_wait_for_it(self, root: Path) -> None:
        with process(READ, root) as early:
            assert said(early) == "10"
            with process(WRITE, root, LONG) as writer:
                while not said_to_wait(root, writer.pid):
                    sleep(0.01)
                with pytest.raises(StoreInUse, match=f"process {writer.pid}"):  # readers cannot starve the writer
                    FolderDatabase(root).open_index("news")
                with process(READ, root, LONG) as late:
                    go_on(early)
                    assert said(early) == "10"
                    assert said(writer) == "open"
                    go_on(writer)
                    assert said(late) == "15"

    @pytest.mark.slow
    @pytest.mark.parametrize(("held", "script"), [("to write", WRITE), ("to read", READ)])
    def test_the_wait_ends_with_the_name_of_the_holder(self, root: Path, held: str, script: str) -> None:
        with process(script, root) as holder:
            said(holder)
            message = rf"'news' in .* is in use by process {holder.pid} \(-c .*and still was after 0.05 seconds"
            with pytest.raises(StoreInUse, match=message) as refusal:
                open_collection(root, "news", wait=Wait(0.05))
            assert refusal.value.remedy is not None
        seal = (root / "news" / "seal.json").exists()
        assert seal == (held == "to read")
        with closing(open_collection(root, "news")) as store:
            assert store.count() == (15 if held == "to write" else 10)

    def test_nobody_waits_for_oneself(self, root: Path) -> None:
        with closing(open_collection(root, "news")), pytest.raises(StoreInUse, match="this process"):
            FolderDatabase(root, Wait(LONG)).open_index("news")

    @pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
    def test_a_time_that_is_none_is_refused(self, seconds: float) -> None:
        with pytest.raises(ValueError, match="seconds, 0 or more"):
            Wait(seconds)

    @pytest.mark.slow
    def test_a_writer_among_many_readers_gets_its_turn(self, root: Path) -> None:
        done, counts = Event(), []

        def read() -> None:
            while not done.is_set():
                with process(READ, root, LONG) as reader:
                    counts.append(said(reader))
                    go_on(reader)
                    reader.wait()

        with ExitStack() as ending:
            for _ in range(3):
                thread = Thread(target=read)
                thread.start()
                ending.callback(thread.join)
            ending.callback(done.set)
            while not counts:
                sleep(0.01)
            with process(WRITE, root, LONG) as writer:
                assert said(writer) == "open"
                go_on(writer)
                assert writer.wait(LONG) == 0
            before = len(counts)
            while len(counts) < before + 4:
                sleep(0.01)
        assert set(counts) == {"10", "15"}
        assert counts == sorted(counts)


@pytest.mark.slow
def test_a_reader_during_a_reindex_reads_the_old_state_and_then_the_new_one(root: Path) -> None:
    with process(READ, root) as reader:
        assert said(reader) == "10"
        with closing(
            create_collection(root, CollectionInfo(building_name("news"), "e", DIMENSION, SCHEMA_VERSION))
        ) as new:
            fill(new, 3)
        with pytest.raises(StoreInUse, match=f"process {reader.pid}"):
            FolderDatabase(root, Wait(0.05)).replace("news", building_name("news"))
        go_on(reader)
        assert said(reader) == "10"
        FolderDatabase(root, Wait(LONG)).replace("news", building_name("news"))
    with closing(FolderDatabase(root).open_index("news")) as index:
        assert (index.count(), index.info.embedder) == (3, "e")


def said_to_wait(root: Path, pid: int) -> bool:
    return f'"pid": {pid},' in (root / "news" / "lock").read_text()
