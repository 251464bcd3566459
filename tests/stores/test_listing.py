"""Pages of a list of documents: SQLite's are those of the function that reads all records."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from sift_rag.errors import StoreDamaged
from sift_rag.stores.embedded.documents import SqliteDocuments, connect_documents, create_documents
from sift_rag.stores.embedded.manifest import DOCUMENTS
from sift_rag.stores.listing import KINDS, Listing, ListsDocuments, listed
from sift_rag.types import CollectionInfo, Document

INFO = CollectionInfo("notes", "hashing", 8, 1)
STATES = ("ingested", "ingested", "failed", "pending")
NAMES = ("owl", "Owl's", "STRASSE", "Straße", "%", "a_b", "\u212aelvin", "ünï", "z\nz", "'; drop")


def document(place: int) -> Document:
    name = NAMES[place % len(NAMES)]
    return Document(
        f"{place % 7}/{name}/{place}.md",
        "",
        STATES[place % 4],  # type: ignore[arg-type]
        size=place % 5,
        passages=place % 3,
        title=f"Title {place % 11}" if place % 2 else "",
        ingested_at=f"2026-01-{1 + place % 9:02d}",
        notices=("guessed",) if place % 6 == 1 else (),
        pages_without_text=place % 8 == 5,
        language=("", "en", "de", "en", "yue")[place % 5],
    )


DOCUMENTS_OF_NOTES = sorted((document(place) for place in range(120)), key=lambda one: one.source)


@pytest.fixture
def records(tmp_path: Path) -> Iterator[SqliteDocuments]:
    create_documents(tmp_path)
    with closing(connect_documents(tmp_path, INFO)) as opened:
        opened.put(DOCUMENTS_OF_NOTES)
        yield opened


@pytest.mark.parametrize(
    "words",
    [[], ["owl"], ["OWL", "title 1"], ["strasse"], ["kelvin"], ["%"], ["_"], ["Ü"], ["'"], ["\ud800"], ["none"]],
)
def test_a_page_is_that_of_all_records(records: SqliteDocuments, words: list[str]) -> None:
    assert isinstance(records, ListsDocuments)
    for kind, order, (offset, limit) in product(KINDS, ("source", "passages", "size", "ingested"), [(0, 9), (6, 50)]):
        for language in (None, "", "en", "fi"):
            listing = Listing(
                words=words,
                kind=kind,
                language=language,
                order=order,  # type: ignore[arg-type]
                offset=offset,
                limit=limit,
            )
            assert records.listed(listing) == listed(DOCUMENTS_OF_NOTES, listing)


def test_each_number_is_that_of_the_documents_which_its_choice_would_list(records: SqliteDocuments) -> None:
    asked = Listing(words=["owl"], kind="ingested", language="en", limit=500)
    shown = records.listed(asked)
    assert shown.counts["ingested"] == shown.languages["en"] == len(shown.documents) > 0
    for kind, number in shown.counts.items():
        assert number == len(records.listed(replace(asked, kind=kind)).documents)
    for language, number in shown.languages.items():
        assert number == len(records.listed(replace(asked, language=language)).documents)
    assert sum(shown.languages.values()) == len(records.listed(replace(asked, language=None)).documents)


def test_pages_together_are_the_list(records: SqliteDocuments) -> None:
    pages = [records.listed(Listing(order="size", offset=offset, limit=50)) for offset in (0, 50, 100, 150)]
    found = [one for page in pages for one in page.documents]
    assert len(found) == len({one.source for one in found}) == len(DOCUMENTS_OF_NOTES)
    assert [one.size for one in found] == sorted((one.size for one in found), reverse=True)


def test_a_table_of_an_earlier_release_is_listed_to_read(tmp_path: Path, records: SqliteDocuments) -> None:
    records.close()
    with closing(sqlite3.connect(tmp_path / DOCUMENTS)) as connection:
        for column in ("notices", "pages_without_text", "language"):
            connection.execute(f"ALTER TABLE documents DROP COLUMN {column}")
    with closing(connect_documents(tmp_path, INFO, read_only=True)) as opened:
        page = opened.listed(Listing(words=["owl"]))
        assert (page.counts["notices"], page.counts["scans"], page.counts["all"]) == (0, 0, 24)
        assert page.documents[0].notices == ()
        assert page.languages == {"": 24}


def test_damage_is_told_as_damage(tmp_path: Path, records: SqliteDocuments) -> None:
    with closing(sqlite3.connect(tmp_path / DOCUMENTS)) as connection, connection:
        connection.execute("UPDATE documents SET notices = 'no JSON'")
    with pytest.raises(StoreDamaged):
        records.listed(Listing())
