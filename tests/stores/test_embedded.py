"""Faults of a store on disk: locks, kills, forks, full disks, and every kind of damage."""

from __future__ import annotations

import json
import os
import random
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from uuid import UUID

import numpy as np
import pytest
from qdrant_edge import EdgeShard, Point, UpdateOperation

from sift_rag.errors import (
    CollectionNotFound,
    StoreConflict,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreInUse,
)
from sift_rag.filters import Filter
from sift_rag.stores.embedded.check import check_collection
from sift_rag.stores.embedded.database import FolderDatabase
from sift_rag.stores.embedded.documents import open_documents
from sift_rag.stores.embedded.folders import building_name, list_collections
from sift_rag.stores.embedded.manifest import SCHEMA_VERSION
from sift_rag.stores.embedded.readers import UNFINISHED
from sift_rag.stores.embedded.store import EmbeddedStore, create_collection, open_collection
from sift_rag.stores.payloads import payload_of
from sift_rag.types import CollectionInfo, Document, Embedding, Passage, Span
from tests.sparse import copy_sparse

DIMENSION = 8
INFO = CollectionInfo("news", "an embedder", DIMENSION, SCHEMA_VERSION)


def drop_collection(root: Path, name: str) -> None:
    FolderDatabase(root).drop(name)


def unit_vectors(count: int, *, seed: int = 0) -> Embedding:
    rows = np.random.default_rng(seed).standard_normal((count, DIMENSION))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def passages(count: int, *, source: str = "a.md", first: int = 1) -> list[Passage]:
    numbers = range(first, first + count)
    return [Passage(str(UUID(int=number)), f"text {number}", source, Span(number, number + 1)) for number in numbers]


def fill(store: EmbeddedStore, count: int = 10, *, source: str = "a.md", first: int = 1) -> None:
    store.upsert(passages(count, source=source, first=first), unit_vectors(count))
    store.put_documents([Document(source, f"/{source}", "ingested", passages=count)])


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a root with the closed collection 'news', to be copied: making one takes many writes to the disk."""
    folder = tmp_path_factory.mktemp("healthy")
    with closing(create_collection(folder, INFO)) as store:
        fill(store)
    return folder


@pytest.fixture
def root(healthy: Path, tmp_path: Path) -> Path:
    """Return a root of the test's own with the healthy, closed collection 'news': 10 passages of 'a.md'."""
    shutil.copytree(healthy, tmp_path, copy_function=copy_sparse, dirs_exist_ok=True)
    return tmp_path


def edit_manifest(folder: Path, **changes: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


class TestCreating:
    def test_a_new_collection_is_empty_healthy_and_listed(self, tmp_path: Path) -> None:
        root = tmp_path / "not" / "there" / "yet"
        store = create_collection(root, INFO)
        assert store.info == INFO
        assert store.count() == 0
        store.close()
        assert list_collections(root) == [INFO]
        assert {path.name for path in (root / "news").iterdir()} == {
            "manifest.json",
            "lock",
            "seal.json",
            "documents.sqlite",
            "shard",
        }
        assert check_collection(root, "news") == []

    def test_a_taken_name_is_refused_and_what_has_it_is_left_alone(self, root: Path) -> None:
        (root / "mine").mkdir()
        for name in ("news", "mine"):
            with pytest.raises(StoreConflict, match="already"):
                create_collection(root, replace(INFO, name=name))
        store = open_collection(root, "news")
        assert store.count() == 10
        store.close()

    @pytest.mark.parametrize(
        "name",
        ["", ".", "..", "../x", "a/b", "/a", ".a", "-a", "a" * 129, "a b", "é", "a\n", "a\0", ".reindex-", "a\\b"],
    )
    def test_a_name_that_could_leave_the_root_is_refused(self, tmp_path: Path, name: str) -> None:
        calls: list[Callable[[], object]] = [
            lambda: create_collection(tmp_path, replace(INFO, name=name)),
            lambda: open_collection(tmp_path, name),
            lambda: open_documents(tmp_path, name),
            lambda: drop_collection(tmp_path, name),
            lambda: FolderDatabase(tmp_path).replace(name, "a"),
            lambda: FolderDatabase(tmp_path).replace("a", name),
            lambda: check_collection(tmp_path, name),
        ]
        for call in calls:
            with pytest.raises(ValueError, match="cannot be called"):
                call()
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        "wrong", [{"dimension": 0}, {"embedder": ""}, {"embedder": "\ud800"}, {"schema_version": 99}], ids=repr
    )
    def test_a_description_that_cannot_be_is_refused(self, tmp_path: Path, wrong: dict[str, object]) -> None:
        with pytest.raises(ValueError, match=r"dimension|embedder|schema"):
            create_collection(tmp_path, replace(INFO, **wrong))  # type: ignore[arg-type]
        assert list(tmp_path.iterdir()) == []

    def test_a_creation_that_fails_leaves_nothing_behind(self, tmp_path: Path) -> None:
        with pytest.raises(StoreFull):
            create_collection(tmp_path, INFO, free_bytes=2**62)
        assert list_collections(tmp_path) == []
        create_collection(tmp_path, INFO).close()

    def test_a_root_that_is_a_file_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("mine")
        with pytest.raises(StoreError, match=r"Not a directory|File exists"):
            create_collection(tmp_path / "file", INFO)


class TestListingAndDropping:
    def test_a_root_that_does_not_exist_has_no_collections(self, tmp_path: Path) -> None:
        assert list_collections(tmp_path / "nowhere") == []

    def test_collections_come_by_name_without_foreign_folders_files_and_those_being_built(self, root: Path) -> None:
        for name in ("zoo", "Art", building_name("news")):
            create_collection(root, replace(INFO, name=name, embedder=f"of {name}")).close()
        (root / "foreign").mkdir()
        (root / "file.txt").write_text("mine")
        assert [(info.name, info.embedder) for info in list_collections(root)] == [
            ("Art", "of Art"),
            ("news", "an embedder"),
            ("zoo", "of zoo"),
        ]

    def test_a_collection_of_a_newer_schema_is_listed_with_its_version(self, root: Path) -> None:
        edit_manifest(root / "news", schema_version=99)
        assert list_collections(root) == [replace(INFO, schema_version=99)]

    def test_a_missing_collection_is_named_together_with_those_there_are(self, root: Path) -> None:
        for call in (open_collection, open_documents, drop_collection, check_collection):
            with pytest.raises(CollectionNotFound, match=r"no collection 'nwes' in .*there: 'news'"):
                call(root, "nwes")
            with pytest.raises(CollectionNotFound, match="there: none"):
                call(root / "nowhere", "news")
        assert not (root / "nowhere").exists()

    def test_looking_for_a_collection_leaves_nothing_in_a_root_that_has_none(self, tmp_path: Path) -> None:
        for call in (open_collection, open_documents, drop_collection, check_collection):
            with pytest.raises(CollectionNotFound):
                call(tmp_path, "news")
        assert list(tmp_path.iterdir()) == []

    def test_a_dropped_collection_is_gone_with_its_files(self, root: Path) -> None:
        drop_collection(root, "news")
        assert list_collections(root) == []
        assert [path.name for path in root.iterdir()] == [".lock"]
        create_collection(root, INFO).close()

    def test_a_damaged_collection_can_be_dropped_a_foreign_folder_cannot(self, root: Path) -> None:
        (root / "news" / "manifest.json").unlink()
        drop_collection(root, "news")
        (root / "foreign").mkdir()
        (root / "foreign" / "letter.txt").write_text("mine")
        with pytest.raises(StoreConflict, match="not a collection"):
            drop_collection(root, "foreign")
        assert [path.name for path in (root / "foreign").iterdir()] == ["letter.txt"]

    def test_a_collection_in_use_is_not_dropped(self, root: Path) -> None:
        store = open_collection(root, "news")
        with pytest.raises(StoreInUse):
            drop_collection(root, "news")
        assert store.count() == 10
        store.close()

    def test_a_copied_folder_is_a_collection_of_its_own(self, root: Path) -> None:
        shutil.copytree(root / "news", root / "backup", copy_function=copy_sparse)
        store = open_collection(root, "backup")
        assert store.info == replace(INFO, name="backup")
        assert store.count() == 10
        store.close()
        assert [info.name for info in list_collections(root)] == ["backup", "news"]


class TestRecords:
    def test_records_are_read_while_the_store_is_open_and_see_what_it_commits(self, root: Path) -> None:
        store = open_collection(root, "news")
        records = open_documents(root, "news")
        assert records.info == INFO
        assert records.document("a.md") == Document("a.md", "/a.md", "ingested", passages=10)
        store.put_documents([Document("b.md", "/b.md", "pending", size=7), Document("c.md", "/c.md", "failed", size=3)])
        assert [document.source for document in records.documents()] == ["a.md", "b.md", "c.md"]
        assert [document.source for document in records.documents("b")] == ["b.md"]
        assert records.totals() == (1, 1, 1, 10, 10)
        store.close()
        assert records.totals().pending == 1
        records.close()

    def test_records_opened_for_reading_cannot_be_written(self, root: Path) -> None:
        records = open_documents(root, "news")
        with pytest.raises(StoreError, match="readonly"):
            records.put([Document("b.md", "/b.md", "ingested")])
        with pytest.raises(StoreError, match="readonly"):
            records.drop(["a.md"])
        records.close()

    def test_closed_records_refuse_every_call(self, root: Path) -> None:
        records = open_documents(root, "news")
        records.close()
        records.close()
        for call in (records.totals, records.documents, lambda: records.document("a.md")):
            with pytest.raises(StoreError, match="closed"):
                call()

    @pytest.mark.slow
    def test_reading_records_loads_no_search_engine_and_no_torch(self, root: Path) -> None:
        script = """
            import sys
            from pathlib import Path
            from sift_rag.stores.embedded.folders import list_collections
            from sift_rag.stores.embedded.documents import open_documents
            assert [info.name for info in list_collections(Path(sys.argv[1]))] == ["news"]
            assert len(list(open_documents(Path(sys.argv[1]), "news").documents())) == 1
            print([name for name in ("qdrant_edge", "torch", "transformers") if name in sys.modules])
        """
        assert run_python(script, root) == "[]\n"


def run_python(script: str, *arguments: object) -> str:
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


@contextmanager
def running(script: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


HOLD = """
    import sys
    from pathlib import Path
    from sift_rag.stores.embedded.store import open_collection
    store = open_collection(Path(sys.argv[1]), sys.argv[2])
    print("open", flush=True)
    sys.stdin.read()
"""


class TestLock:
    @pytest.mark.slow
    def test_a_second_process_is_told_who_holds_the_collection(self, root: Path) -> None:
        with running(HOLD, root, "news") as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "open\n"
            for call in (open_collection, drop_collection, check_collection):
                with pytest.raises(StoreInUse, match=rf"'news' in .* is in use by process {holder.pid} \(-c .*news\)"):
                    call(root, "news")
            records = open_documents(root, "news")
            assert records.totals().passages == 10
            records.close()
            assert list_collections(root) == [INFO]

    @pytest.mark.slow
    def test_the_lock_dies_with_its_process(self, root: Path) -> None:
        with running(HOLD, root, "news") as holder:
            assert holder.stdout is not None
            holder.stdout.readline()
            holder.send_signal(signal.SIGKILL)
            holder.wait()
            open_collection(root, "news").close()

    def test_a_second_opening_in_one_process_is_refused(self, root: Path) -> None:
        store = open_collection(root, "news")
        with pytest.raises(StoreInUse, match="this process"):
            open_collection(root, "news")
        store.close()
        open_collection(root, "news").close()

    def test_a_failed_opening_holds_nothing(self, root: Path) -> None:
        edit_manifest(root / "news", schema_version=99)
        with pytest.raises(StoreConflict):
            open_collection(root, "news")
        edit_manifest(root / "news", schema_version=SCHEMA_VERSION)
        open_collection(root, "news").close()

    def test_the_engine_opened_by_another_program_is_reported_as_in_use(self, root: Path) -> None:
        foreign = EdgeShard.load(str(root / "news" / "shard"))
        with pytest.raises(StoreInUse, match="another program"):
            open_collection(root, "news")
        foreign.close()


WRITE = """
    import sys
    from pathlib import Path
    from uuid import UUID
    import numpy as np
    from sift_rag.stores.embedded.store import open_collection
    from sift_rag.types import Document, Passage, Span
    store = open_collection(Path(sys.argv[1]), "news")
    batch, dimension = int(sys.argv[2]), store.info.dimension
    while True:
        numbers = range(batch * 20 + 1000, batch * 20 + 1020)
        source = f"batch{batch}"
        store.put_documents([Document(source, "/", "pending")])
        vectors = np.random.default_rng(batch).standard_normal((20, dimension)).astype(np.float32)
        store.upsert([Passage(str(UUID(int=n)), f"text {n}", source, Span(n, n + 1)) for n in numbers], vectors)
        store.put_documents([Document(source, "/", "ingested", passages=20)])
        print(batch, flush=True)
        batch += 1
"""


@pytest.mark.slow
def test_what_was_acknowledged_before_a_kill_is_there_exactly_once(root: Path) -> None:
    generator = random.Random(0)
    acknowledged = -1
    for _ in range(4):
        with running(WRITE, root, acknowledged + 1) as writer:
            assert writer.stdout is not None
            for _ in range(generator.randint(1, 4)):
                acknowledged = int(writer.stdout.readline())
            # Somewhere within the next batch: the moment is random, what is asserted holds for every moment.
            select.select([writer.stdout], [], [], generator.uniform(0, 0.1))
            writer.send_signal(signal.SIGKILL)
            acknowledged = max([acknowledged, *map(int, writer.stdout.read().split())])
            writer.wait()
        store = open_collection(root, "news")
        batches = list(store.documents("batch"))
        finished = [document for document in batches if document.state == "ingested"]
        assert len(finished) >= acknowledged + 1
        for document in finished:
            number = int(document.source.removeprefix("batch"))
            expected = [str(UUID(int=n)) for n in range(number * 20 + 1000, number * 20 + 1020)]
            assert [candidate.passage.id for candidate in store.passages(document.source)] == expected
        everything = store.search(unit_vectors(1), 5000)[0]
        assert len({candidate.passage.id for candidate in everything}) == len(everything) == store.count()
        assert store.count() <= 10 + 20 * len(batches)
        store.close()
        assert check_collection(root, "news") == []


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_is_refused_and_its_parent_goes_on(root: Path) -> None:
    script = """
        import os, sys
        from pathlib import Path
        from sift_rag.errors import StoreError
        from sift_rag.stores.embedded.store import open_collection
        store = open_collection(Path(sys.argv[1]), "news")
        child = os.fork()
        if child == 0:
            for use in (store.count, store.documents, lambda: store.passages("a.md")):
                try:
                    use()
                except StoreError as error:
                    print(error, flush=True)
            store.close()
            sys.exit(0)
        print("child ended with", os.waitpid(child, 0)[1], flush=True)
        print(store.count())
        store.close()
    """
    lines = run_python(script, root).splitlines()
    assert len(lines) == 5
    assert all("cannot be used in its forked child" in line for line in lines[:3])
    assert lines[3:] == ["child ended with 0", "10"]


class TestFreeSpace:
    def test_writes_stop_before_the_disk_is_full_and_reading_goes_on(self, root: Path) -> None:
        store = open_collection(root, "news", free_bytes=2**62)
        writes: list[Callable[[], object]] = [
            lambda: store.upsert(passages(1, first=99), unit_vectors(1)),
            lambda: store.delete_passages("a.md"),
            lambda: store.put_documents([Document("b.md", "/b.md", "ingested")]),
            lambda: store.drop_documents(["a.md"]),
            store.optimize,
        ]
        for write in writes:
            with pytest.raises(StoreFull, match=r"has \d+ MiB left; writing safely needs"):
                write()
        assert store.count() == 10
        assert [document.source for document in store.documents()] == ["a.md"]
        store.close()

    def test_a_batch_needs_room_in_proportion_to_its_size(self, root: Path) -> None:
        free = os.statvfs(root).f_bavail * os.statvfs(root).f_frsize
        store = open_collection(root, "news", free_bytes=free - 64 * 2**20)
        large = replace(passages(1, first=99)[0], text="x" * (32 * 2**20))
        with pytest.raises(StoreFull):
            store.upsert([large], unit_vectors(1))
        assert store.count() == 10
        store.close()


def test_what_a_kill_leaves_beside_the_log_hinders_no_write(root: Path) -> None:
    store = open_collection(root, "news")
    store.close()
    [log] = root.rglob("wal")
    (log / ".atomicwrite0aZ9").mkdir()  # the engine makes its files in such a folder
    store = open_collection(root, "news")
    store.upsert(passages(1, source="b.md", first=500), unit_vectors(1, seed=9))
    assert store.delete_passages("b.md") == 1
    store.close()


def without_words(store: EmbeddedStore) -> None:
    """Make a collection as it was before words were indexed."""
    from qdrant_edge import UpdateOperation

    shard = store._shard._shard
    shard.update(UpdateOperation.delete_field_index("text"))
    shard.flush()


@pytest.mark.slow
@pytest.mark.parametrize("way", ["optimize", "upsert"])
def test_a_collection_made_before_words_were_indexed_works_and_is_upgraded_in_place(root: Path, way: str) -> None:
    store = open_collection(root, "news")
    without_words(store)
    store.close()
    store = open_collection(root, "news")
    assert store.search_words(["text"], 3) == [[]]
    if way == "optimize":
        assert store.optimize()
    else:
        store.upsert(passages(1, source="b.md", first=500), unit_vectors(1, seed=9))
    store.close()
    store = open_collection(root, "news")
    assert len(store.search_words(["text"], 3)[0]) == 3
    assert check_collection_is_usable(store)
    store.close()


def check_collection_is_usable(store: EmbeddedStore) -> bool:
    return len(store.search(unit_vectors(1), 5)[0]) == 5


def test_indexes_that_an_earlier_release_loads_into_memory_are_made_anew_once(root: Path) -> None:
    from qdrant_edge import Memory, PayloadSchemaType

    def in_memory() -> list[str]:
        held = store._shard._shard.info().payload_schema
        return [field for field, index in held.items() if getattr(index.params, "memory", None) != Memory.Cold]

    with closing(open_collection(root, "news")) as store:
        shard = store._shard._shard
        shard.update(UpdateOperation.create_field_index("source", PayloadSchemaType.Keyword))
        shard.flush()
        assert in_memory() == ["source"]
    with closing(open_collection(root, "news")) as store:
        assert store.optimize()
        assert in_memory() == []
        assert not store.optimize()
        found = store.search(unit_vectors(1), 20, where=Filter(("a.md",)))[0]
        assert len(found) == 10
        assert len(store.search_words(["text"], 3)[0]) == 3
    assert check_collection(root, "news") == []


def test_what_a_killed_optimisation_has_left_is_removed_and_not_read(root: Path) -> None:
    left = root / "news" / "shard" / UNFINISHED / "segment_builder_x"
    left.mkdir(parents=True)
    (left / "matrix.dat").write_bytes(b"x" * 10_000)
    (root / "news" / "seal.json").unlink()
    with closing(FolderDatabase(root).open_index("news")) as index:
        assert index.count() == 10
    assert not left.exists()
    left.mkdir()
    with pytest.raises(StoreInUse), closing(EdgeShard.load(str(root / "news" / "shard"))):
        open_collection(root, "news")
    assert left.exists()  # it may be another program's work


def test_optimizing_changes_nothing_that_can_be_seen(root: Path) -> None:
    store = open_collection(root, "news")
    store.upsert(passages(1500, source="b.md", first=100), unit_vectors(1500, seed=1))
    store.delete_passages("b.md")
    store.upsert(passages(1500, source="b.md", first=3000), unit_vectors(1500, seed=2))
    store.put_documents([Document("b.md", "/b.md", "ingested", passages=1500)])
    before = store.search(unit_vectors(1, seed=3), 100)
    store.optimize()
    assert store.search(unit_vectors(1, seed=3), 100) == before
    assert store.count() == 1510
    store.close()
    store = open_collection(root, "news")
    assert store.search(unit_vectors(1, seed=3), 100) == before
    store.close()
    assert check_collection(root, "news") == []


class TestReplacing:
    @pytest.fixture
    def rebuilt(self, root: Path) -> Path:
        """Return a root with 'news' of 10 passages and its replacement, of 3 passages and another embedder."""
        store = create_collection(root, replace(INFO, name=building_name("news"), embedder="a better one"))
        fill(store, 3)
        store.close()
        return root

    def test_the_replacement_takes_the_name_and_the_old_one_is_gone(self, rebuilt: Path) -> None:
        FolderDatabase(rebuilt).replace("news", building_name("news"))
        assert list_collections(rebuilt) == [replace(INFO, embedder="a better one")]
        store = open_collection(rebuilt, "news")
        assert store.info == replace(INFO, embedder="a better one")
        assert store.count() == 3
        store.close()
        assert check_collection(rebuilt, "news") == []
        assert sorted(path.name for path in rebuilt.iterdir()) == [".lock", "news"]
        assert "replaces" not in json.loads((rebuilt / "news" / "manifest.json").read_text())

    def test_a_name_that_is_free_can_be_taken(self, root: Path) -> None:
        FolderDatabase(root).replace("archive", "news")
        assert list_collections(root) == [replace(INFO, name="archive")]

    def test_without_a_replacement_the_old_one_stays(self, root: Path) -> None:
        with pytest.raises(CollectionNotFound):
            FolderDatabase(root).replace("news", building_name("news"))
        with pytest.raises(ValueError, match="cannot replace itself"):
            FolderDatabase(root).replace("news", "news")
        assert list_collections(root) == [INFO]

    @pytest.mark.parametrize("held", ["news", ".reindex-news"])
    def test_neither_may_be_open(self, rebuilt: Path, held: str) -> None:
        store = open_collection(rebuilt, held)
        with pytest.raises(StoreInUse):
            FolderDatabase(rebuilt).replace("news", building_name("news"))
        store.close()
        store = open_collection(rebuilt, "news")
        assert store.count() == 10
        store.close()

    @pytest.mark.slow
    def test_killed_between_any_two_steps_the_old_one_or_the_new_one_is_there(self, rebuilt: Path) -> None:
        script = """
            import os, sys
            from pathlib import Path
            from sift_rag.stores.embedded.database import FolderDatabase
            steps = int(sys.argv[2])
            def count(event, arguments):
                global steps
                writes = event == "open" and arguments[2] & os.O_CREAT
                if writes or event in ("os.rename", "shutil.rmtree"):
                    steps -= 1
                    if steps == 0:
                        os.kill(os.getpid(), 9)
            sys.addaudithook(count)
            FolderDatabase(Path(sys.argv[1])).replace("news", ".reindex-news")
        """
        work = rebuilt.with_name("work")
        counts = []
        for steps in range(1, 50):
            shutil.rmtree(work, ignore_errors=True)
            shutil.copytree(rebuilt, work, copy_function=copy_sparse)
            command = [sys.executable, "-c", textwrap.dedent(script), str(work), str(steps)]
            ended = subprocess.run(command, check=False, timeout=60).returncode
            [info] = list_collections(work)
            records = open_documents(work, "news")
            assert records.info == info
            passages_recorded = records.totals().passages
            records.close()
            store = open_collection(work, "news")
            assert store.info == info
            assert store.count() == passages_recorded
            counts.append(store.count())
            store.close()
            assert [collection.name for collection in list_collections(work)] == ["news"]
            assert not [path for path in work.iterdir() if path.name.startswith((".trash", ".creating"))]
            if ended == 0:
                break
        assert ended == 0
        assert counts == sorted(counts, reverse=True)
        assert set(counts) == {10, 3}


def truncate(path: Path) -> None:
    os.truncate(path, 0)


def garble(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\xff" * min(4096, path.stat().st_size))


def only(folder: Path, pattern: str) -> Path:
    [found] = folder.glob(pattern)
    return found


DAMAGES: dict[str, Callable[[Path], object]] = {
    "the manifest is gone": lambda news: (news / "manifest.json").unlink(),
    "the manifest is empty": lambda news: truncate(news / "manifest.json"),
    "the manifest is garbage": lambda news: (news / "manifest.json").write_bytes(b"\xff\xfe{"),
    "the manifest lacks the dimension": lambda news: edit_manifest(news, dimension=None),
    "the records are gone": lambda news: (news / "documents.sqlite").unlink(),
    "the records are garbage": lambda news: garble(news / "documents.sqlite"),
    "the shard is gone": lambda news: shutil.rmtree(news / "shard"),
    "the segments are gone": lambda news: shutil.rmtree(news / "shard" / "segments"),
    "the engine's settings are empty": lambda news: truncate(news / "shard" / "edge_config.json"),
    "a segment's state is empty": lambda news: truncate(only(news, "shard/segments/*/segment.json")),
    "the ids are garbage": lambda news: garble(only(news, "shard/segments/*/mutable_id_tracker.mappings")),
    "the vectors are empty": lambda news: [
        truncate(path) for path in news.glob("shard/segments/*/vector_storage/**/*") if path.is_file()
    ],
    "the log is garbage": lambda news: [garble(path) for path in news.glob("shard/wal/open-*")],
}


class TestDamage:
    @pytest.mark.parametrize("damage", DAMAGES)
    def test_damage_is_found_at_opening_and_by_the_check(self, root: Path, damage: str) -> None:
        DAMAGES[damage](root / "news")
        with pytest.raises(StoreDamaged):
            open_collection(root, "news")
        assert check_collection(root, "news")

    def test_a_log_cut_short_is_found_by_the_counts(self, root: Path) -> None:
        # The engine's own loss: the ids are read anew from the log, which has been cut, and it says nothing.
        store = open_collection(root, "news")
        fill(store, 5, source="b.md", first=100)
        store.close()
        truncate(only(root / "news", "shard/segments/*/mutable_id_tracker.mappings"))
        with pytest.raises(StoreDamaged, match=r"mutable_id_tracker.mappings has 0 bytes instead of"):
            open_collection(root, "news")
        (root / "news" / "seal.json").unlink()  # as after a process was killed
        with pytest.raises(StoreDamaged, match=r"passages of '.\.md', but its record says"):
            open_collection(root, "news")
        assert "but its record says" in "\n".join(check_collection(root, "news"))

    def test_while_a_document_is_under_way_the_counts_may_differ(self, root: Path) -> None:
        store = open_collection(root, "news")
        store.put_documents([Document("b.md", "/b.md", "pending", passages=7)])
        store.close()
        store = open_collection(root, "news")
        assert store.count() == 10
        store.close()
        assert check_collection(root, "news") == []

    def test_passages_without_a_record_do_not_hinder_opening(self, root: Path) -> None:
        store = open_collection(root, "news")
        store.upsert(passages(4, source="stray.md", first=100), unit_vectors(4))
        store.close()
        open_collection(root, "news").close()
        assert check_collection(root, "news") == ["'stray.md' has 4 passages, but no record."]

    def test_a_newer_schema_is_a_conflict(self, root: Path) -> None:
        edit_manifest(root / "news", schema_version=SCHEMA_VERSION + 1)
        for call in (open_collection, open_documents, check_collection):
            with pytest.raises(StoreConflict, match=f"schema version {SCHEMA_VERSION + 1}"):
                call(root, "news")

    def test_a_collection_of_version_1_is_used_as_before_but_not_filtered_by_metadata(self, root: Path) -> None:
        edit_manifest(root / "news", schema_version=1)
        with closing(open_collection(root, "news")) as store:
            count = store.count()
            store.upsert(passages(1, source="new.md", first=100), unit_vectors(1))
            assert store.count() == count + 1
            assert store.search(unit_vectors(1), 5, where=Filter(sources=("nowhere/*",))) == [[]]
            for call in (store.search, store.scan):
                arguments = (unit_vectors(1), 5) if call == store.search else (5,)
                with pytest.raises(StoreConflict, match=r"filtered by metadata \(tag\)"):
                    call(*arguments, where=Filter(labels=(("tag", "x"),)))  # type: ignore[operator]

    def test_a_newer_table_of_documents_is_a_conflict(self, root: Path) -> None:
        connection = sqlite3.connect(root / "news" / "documents.sqlite")
        connection.execute("PRAGMA user_version = 99")
        connection.close()
        with pytest.raises(StoreConflict, match="version 99"):
            open_collection(root, "news")

    def test_a_folder_that_is_no_collection_is_a_conflict_and_stays_as_it_is(self, root: Path) -> None:
        (root / "photos").mkdir()
        (root / "photos" / "cat.jpg").write_bytes(b"mine")
        (root / "other").mkdir()
        (root / "other" / "manifest.json").write_text('{"format": "someone else\'s", "version": 1}')
        for name in ("photos", "other"):
            for call in (open_collection, open_documents, check_collection):
                with pytest.raises(StoreConflict, match="sift-rag"):
                    call(root, name)
        assert [path.name for path in (root / "photos").iterdir()] == ["cat.jpg"]
        assert [path.name for path in (root / "other").iterdir()] == ["manifest.json"]

    def test_a_store_that_was_opened_despite_foreign_points_says_so_when_it_meets_one(self, root: Path) -> None:
        plant(root, [Point(str(UUID(int=500)), unit_vectors(1)[0], {"source": "x.md"})])  # type: ignore[arg-type]
        store = open_collection(root, "news")
        with pytest.raises(StoreDamaged, match="not written by sift-rag"):
            store.search(unit_vectors(1), 20)
        store.close()


def plant(root: Path, points: list[Point]) -> None:
    """Write points past the store, as if the process that had it open had been killed."""
    (root / "news" / "seal.json").unlink()
    shard = EdgeShard.load(str(root / "news" / "shard"))
    shard.update(UpdateOperation.upsert_points(points))
    shard.flush()
    shard.close()


class TestCheck:
    def test_a_healthy_collection_has_no_problems(self, root: Path) -> None:
        assert check_collection(root, "news") == []

    def test_a_document_with_fewer_or_more_passages_than_recorded_is_named(self, root: Path) -> None:
        store = open_collection(root, "news")
        fill(store, 5, source="b.md", first=100)
        store.put_documents([Document("a.md", "/a.md", "ingested", passages=11)])
        store.put_documents([Document("b.md", "/b.md", "ingested", passages=4)])
        store.close()
        assert check_collection(root, "news") == [
            "'a.md' has 10 passages, but its record says 11.",
            "'b.md' has 5 passages, but its record says 4.",
        ]

    def test_a_vector_that_is_not_finite_is_named(self, root: Path) -> None:
        point = passages(1)[0]
        plant(root, [Point(point.id, np.full(DIMENSION, np.nan), payload_of(point))])  # type: ignore[arg-type]
        assert check_collection(root, "news") == [f"The vector of passage {point.id} is not finite."]

    def test_a_vector_without_direction_is_named(self, root: Path) -> None:
        point = passages(1)[0]
        plant(root, [Point(point.id, np.zeros(DIMENSION), payload_of(point))])  # type: ignore[arg-type]
        assert check_collection(root, "news") == [f"The vector of passage {point.id} has norm 0 instead of 1."]

    def test_vectors_of_another_dimension_are_named(self, root: Path) -> None:
        edit_manifest(root / "news", dimension=DIMENSION + 1)
        [problem] = check_collection(root, "news")
        assert "states vectors of 9 dimensions, but the engine keeps 8" in problem
        with pytest.raises(StoreDamaged, match="keeps vectors of 8 dimensions, but its manifest says 9"):
            open_collection(root, "news")

    def test_a_passage_of_foreign_content_is_named(self, root: Path) -> None:
        foreign = str(UUID(int=500))
        plant(root, [Point(foreign, unit_vectors(1)[0], {"source": "x.md"})])  # type: ignore[arg-type]
        assert check_collection(root, "news") == [
            f"Passage {foreign} was not written by sift-rag, or its content is damaged."
        ]

    def test_many_problems_are_counted_rather_than_listed(self, root: Path) -> None:
        store = open_collection(root, "news")
        store.put_documents([Document(f"d{n:03}.md", "/", "ingested", passages=1) for n in range(100)])
        store.close()
        problems = check_collection(root, "news")
        assert len(problems) == 21
        assert problems[-1] == "... and 80 more of the same kinds."

    def test_checking_changes_nothing(self, root: Path) -> None:
        store = open_collection(root, "news")
        found = store.search(unit_vectors(1), 20)
        store.close()
        check_collection(root, "news")
        store = open_collection(root, "news")
        assert store.search(unit_vectors(1), 20) == found
        store.close()


def test_closing_waits_for_what_other_threads_read_at_this_moment(tmp_path: Path) -> None:
    create_collection(tmp_path, INFO).close()
    errors: list[BaseException] = []

    def search(store: EmbeddedStore, started: Event) -> None:
        try:
            while True:
                store.search(unit_vectors(20), 50)
                started.set()
        except BaseException as error:  # noqa: BLE001 - any other than that of a closed store fails the test
            errors.append(error)

    for number in range(5):
        store = open_collection(tmp_path, INFO.name)
        if not number:
            fill(store, 500)
        started = Event()
        threads = [Thread(target=search, args=(store, started)) for _ in range(3)]
        for thread in threads:
            thread.start()
        assert started.wait(60)
        store.close()
        for thread in threads:
            thread.join(60)
    assert {type(error) for error in errors} == {StoreError}
    assert all("closed" in str(error) for error in errors)
    assert len(errors) == 15
