"""The pool of open collections."""

from __future__ import annotations

from pathlib import Path

from sift_rag.errors import StoreInUse
from sift_rag.opening import open_store
from sift_rag_server.store_pool import StorePool


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
