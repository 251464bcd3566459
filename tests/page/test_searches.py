"""The kept searches of the page: a change of the collection is seen at once."""

from __future__ import annotations

from collections.abc import Iterator

from sift_rag.protocols import Totals
from sift_rag.stores.listing import Listing
from sift_rag.stores.remembering import Found
from sift_rag.types import CollectionInfo, Document
from sift_rag_server.page.documents import RecordCache
from sift_rag_server.page.problems import Recent
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


class Records:
    """Records that are handed out all at once, and count how often."""

    info = CollectionInfo("notes", "hashing", 8, 1)

    def __init__(self) -> None:
        self.held = [Document("a.md", "", "ingested"), Document("b.md", "", "failed")]
        self.read = 0

    def document(self, source: str) -> Document | None:
        return next((one for one in self.held if one.source == source), None)

    def documents(self, prefix: str = "") -> Iterator[Document]:
        self.read += 1
        return (one for one in self.held if one.source.startswith(prefix))

    def totals(self) -> Totals:
        return Totals(1, 0, 1, 0, 0)

    def close(self) -> None:
        """Nothing is open."""


def test_records_of_a_server_are_read_once_for_some_seconds_and_until_a_change() -> None:
    cache, records = RecordCache(), Records()
    assert [one.source for one in cache.listed("notes", records, Listing()).documents] == ["a.md", "b.md"]
    assert cache.listed("notes", records, Listing(kind="failed")).documents == records.held[1:]
    assert records.read == 1
    records.held.pop()
    cache.forget()
    assert len(cache.listed("notes", records, Listing()).documents) == 1
    cache.listed("others", records, Listing())
    assert records.read == 3
    at_once = RecordCache(seconds=0)
    at_once.listed("notes", records, Listing())
    at_once.listed("notes", records, Listing())
    assert records.read == 5


def test_the_values_made_last_are_kept() -> None:
    recent, made = Recent[int](entries=2), list[str]()

    def value(key: str) -> int:
        return recent.get(key, lambda: made.append(key) or len(made))

    assert [value(key) for key in ("a", "b", "a", "c", "a", "b")] == [1, 2, 1, 3, 1, 4]
    assert made == ["a", "b", "c", "b"]
