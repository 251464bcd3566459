"""The pool of open collections."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest

from sift_rag.errors import CollectionNotFound, StoreInUse
from sift_rag.opening import open_index, open_store
from sift_rag_server import store_pool
from sift_rag_server.store_pool import StorePool

if TYPE_CHECKING:
    from sift_rag.protocols import PassageIndex


def test_a_collection_stays_open_for_the_next_search_and_is_closed_when_none_comes(store: Path) -> None:
    pool = StorePool(store, idle_seconds=0.05)
    with pool.collection("documents") as first, pool.collection("documents") as second:
        assert first is second
    with pool.collection("documents") as third:
        assert third is first
    while True:  # until it is closed
        try:
            open_store(store).close()
            break
        except StoreInUse:
            continue
    with pool.collection("documents") as fourth:
        assert fourth.count() == 3
    pool.close()
    open_store(store).close()


def test_a_collection_that_is_read_is_not_closed_under_its_reader(store: Path) -> None:
    pool = StorePool(store, idle_seconds=0)
    with pool.collection("documents") as held:
        with pool.collection("documents"):
            pass
        pool.close()
        assert held.count() == 3
    open_store(store).close()


def test_opening_one_collection_keeps_nobody_waiting_who_reads_another(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening, may_open = Event(), Event()

    def slow(location: Path, name: str, **more: Any) -> PassageIndex:
        if name == "slow":
            opening.set()
            may_open.wait()
            raise CollectionNotFound(name)
        return open_index(location, name, **more)

    monkeypatch.setattr(store_pool, "open_index", slow)
    pool = StorePool(store, idle_seconds=60)

    def borrow_slow() -> None:
        with pytest.raises(CollectionNotFound), pool.collection("slow"):
            pass

    with pool.collection("documents"):
        pass
    other = Thread(target=borrow_slow)
    other.start()
    opening.wait()
    with pool.collection("documents") as read:
        assert read.count() == 3
    may_open.set()
    other.join()
    pool.close()


def test_a_collection_is_read_while_it_is_written_and_given_back_by_its_last_reader(store: Path) -> None:
    pool = StorePool(store, idle_seconds=60)
    with pool.collection("documents") as held:
        assert held.count() == 3
    reading, may_return = Event(), Event()

    def read() -> None:
        with pool.collection("documents") as borrowed:
            reading.set()
            assert may_return.wait(30)
            assert borrowed.count() == 3

    reader = Thread(target=read)
    with pool.writing("documents", lambda: closing(open_store(store))) as written:
        reader.start()
        assert reading.wait(30)
        assert written.count() == 3
        with pytest.raises(StoreInUse), pool.writing("documents", lambda: closing(open_store(store))):
            pass
        may_return.set()
    reader.join()
    open_store(store).close()  # nobody holds it, though nothing is idle for long
    with pool.collection("documents") as again:
        assert again.count() == 3
    pool.close()


def test_a_writer_that_cannot_open_a_collection_leaves_it_to_others(store: Path) -> None:
    pool = StorePool(store, idle_seconds=60)
    other = open_store(store)
    with pytest.raises(StoreInUse), pool.writing("documents", lambda: closing(open_store(store))):
        pass
    other.close()
    with pool.writing("documents", lambda: closing(open_store(store))) as written:
        assert written.count() == 3
    pool.close()
