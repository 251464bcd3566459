"""The kept searches of the page: a change of the collection is seen at once."""

from __future__ import annotations

from sift_rag.stores.remembering import Found
from sift_rag_server.page.searches import SearchCache


def test_a_search_is_made_once_until_the_collection_changes() -> None:
    cache, made = SearchCache(), list[int]()

    def search() -> Found:
        made.append(1)
        return [[]]

    assert cache.get("key", search) == cache.get("key", search) == [[]]
    assert len(made) == 1
    cache.forget()
    cache.get("key", search)
    assert len(made) == 2


def test_what_was_found_while_the_collection_changed_is_not_kept() -> None:
    cache, made = SearchCache(), list[int]()

    def search() -> Found:
        made.append(1)
        if len(made) == 1:
            cache.forget()
        return [[]]

    cache.get("key", search)
    cache.get("key", search)
    assert len(made) == 2
