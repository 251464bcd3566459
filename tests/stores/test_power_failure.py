"""What a write has left on the disk when the power fails: its log for certain, of the other files what there may be.

A power failure is made by putting files together: the log as it is when a write has returned, which is what the write
has brought to the disk, with the engine's other files, page by page, as they were before or as they are now.
"""

from __future__ import annotations

import os
import random
import shutil
from contextlib import closing
from dataclasses import replace
from errno import EIO
from itertools import count
from pathlib import Path

import pytest

from sift_rag.errors import StoreError
from sift_rag.stores.embedded.check import check_collection
from sift_rag.stores.embedded.manifest import SHARD
from sift_rag.stores.embedded.readers import LOG
from sift_rag.stores.embedded.seal import SEAL
from sift_rag.stores.embedded.store import create_collection, open_collection
from sift_rag.types import Document
from tests.sparse import copy_sparse
from tests.stores.test_embedded import INFO, fill, passages, unit_vectors

pytestmark = pytest.mark.slow

PAGE = 4096


def copied(root: Path, target: Path) -> Path:
    shutil.copytree(root, target, copy_function=copy_sparse)
    return target


def mixed(before: Path, now: Path, share: float, rng: random.Random) -> None:
    """Let pages of the shard's files in ``now`` be as they were before, and new files not there, but not the log's."""
    for path in sorted((now / "news" / SHARD / "segments").rglob("*")):
        old = before / path.relative_to(now)
        if not path.is_file() or not old.exists():
            continue
        was, held = old.read_bytes(), bytearray(path.read_bytes())
        for start in range(0, min(len(was), len(held)), PAGE):
            if rng.random() < share:
                held[start : start + PAGE] = was[start : start + PAGE].ljust(len(held[start : start + PAGE]), b"\0")
        path.write_bytes(held)


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_what_was_acknowledged_survives_a_power_failure(tmp_path: Path, share: float) -> None:
    root = tmp_path / "store"
    with closing(create_collection(root, INFO)) as store:
        fill(store, 400)
        fill(store, 300, source="gone.md", first=5000)
    with closing(open_collection(root, INFO.name)) as store:
        before = copied(root, tmp_path / "before")
        fill(store, 500, source="b.md", first=1000)
        store.upsert(passages(50, source="c.md"), unit_vectors(50, seed=3))  # of another document now
        store.put_documents([Document("a.md", "/a.md", "pending"), Document("c.md", "/c.md", "pending")])
        assert store.delete_passages("gone.md") == 300
        store.drop_documents(["gone.md"])
        expected = {found.passage.id: found for source in ("a.md", "b.md", "c.md") for found in store.passages(source)}
        after = copied(root, tmp_path / "after")
    mixed(before, after, share, random.Random(7))
    with closing(open_collection(after, INFO.name)) as store:
        found = [one for source in ("a.md", "b.md", "c.md", "gone.md") for one in store.passages(source)]
        assert len(found) == len(expected) == store.count() == 900
        for one in found:
            assert one.passage == expected[one.passage.id].passage
            assert (one.embedding == expected[one.passage.id].embedding).all()
        assert {one.passage.id for one in store.search(unit_vectors(1), 2000)[0]} == set(expected)
    assert check_collection(after, INFO.name) == []


@pytest.mark.parametrize("nth", range(3))
def test_a_write_fails_whichever_sync_of_it_the_disk_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    calls = count()
    bring = os.fsync

    def fsync(descriptor: int) -> None:
        if next(calls) == nth:
            raise OSError(EIO, os.strerror(EIO))
        bring(descriptor)

    with closing(create_collection(tmp_path, INFO)) as store:
        monkeypatch.setattr(os, "fsync", fsync)
        with pytest.raises(StoreError, match=os.strerror(EIO)):
            fill(store, 700)  # in three parts
        fill(store, 700)
        assert store.count() == 700


def test_a_write_returns_after_a_sync_that_began_when_all_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    bring = os.fsync

    class Watched:
        """The engine, which notes when something was written."""

        def __init__(self, shard: object) -> None:
            self.shard = shard

        def __getattr__(self, name: str) -> object:
            return getattr(self.shard, name)

        def update(self, operation: object) -> None:
            self.shard.update(operation)  # type: ignore[attr-defined]
            events.append("written")

    def fsync(descriptor: int) -> None:
        events.append("sync")
        bring(descriptor)

    with closing(create_collection(tmp_path, INFO)) as store:
        shard = store._parts.shard  # type: ignore[union-attr]
        shard._shard = Watched(shard._shard)  # type: ignore[assignment]
        monkeypatch.setattr(os, "fsync", fsync)
        store.upsert(passages(700), unit_vectors(700))
        monkeypatch.undo()
    assert events.count("written") == 3
    assert events[-1] == "sync"


def test_the_log_is_cut_as_it_grows_and_nothing_is_left_to_replay_when_a_collection_is_closed(tmp_path: Path) -> None:
    root = tmp_path / "store"
    sizes, names = [], set()
    with closing(create_collection(root, INFO)) as store:
        for first in range(0, 12_000, 1_000):
            made = [
                replace(one, text=f"{one.text} " * 600) for one in passages(1000, source=f"{first}", first=first + 1)
            ]
            store.upsert(made, unit_vectors(1000, seed=first))
            store.put_documents([Document(f"{first}", f"/{first}", "ingested", passages=1000)])
            files = list((root / "news" / SHARD / LOG).iterdir())
            names |= {path.name for path in files if path.name.startswith("closed")}
            sizes.append(sum(512 * path.stat().st_blocks for path in files))
    assert len(names) > 1  # it went on in further files
    assert max(sizes) <= 4 * 32 * 2**20
    shutil.rmtree(root / "news" / SHARD / LOG)
    (root / "news" / SEAL).unlink()
    with closing(open_collection(root, INFO.name)) as store:
        assert store.count() == 12_000
    assert check_collection(root, INFO.name) == []
