"""Embedded to server and back, and several ingests into one server: on a stub, not on Qdrant."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.shards import Shard
from sift_rag.ingestion import ingest_paths
from sift_rag.opening import open_store
from sift_rag.stores.migration import migrate_collection
from sift_rag.stores.registry import open_database
from tests.doubles import HashingEmbedder
from tests.qdrant_stub.faults import Fault
from tests.qdrant_stub.server import QdrantStub

pytestmark = pytest.mark.slow  # each test has a server and an embedded store of its own


@pytest.fixture
def url(qdrant: QdrantStub) -> Iterator[str]:
    yield f"{qdrant.url}?grpc_port={qdrant.grpc_port}"
    assert qdrant.requests


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    for number in range(9):
        text = "\n\n".join(f"## Part {part}\n\n" + f"word{number * part} " * 30 for part in range(1 + number % 4))
        (folder / f"{number}.md").write_text(text)
    (folder / "broken.txt").write_bytes(b"\xff\xfe" + b"\0\xdc" * 20)  # half characters only
    return folder


@pytest.fixture
def embedded(notes: Path, tmp_path: Path) -> Path:
    """Return a folder with the collection 'documents'."""
    ingest_paths([notes], store=tmp_path / "store", embedder=HashingEmbedder())
    return tmp_path / "store"


def contents(store: str | Path, collection: str = "documents") -> object:
    with closing(open_store(store, collection)) as opened:
        return {
            (document.source, document.state, document.revision, document.passages): [
                (c.passage, c.embedding.tobytes()) for c in opened.passages(document.source)
            ]
            for document in opened.documents()
        }


def test_there_and_back_again_every_bit_is_the_same(embedded: Path, url: str, tmp_path: Path) -> None:
    there = migrate_collection(embedded, url, target_collection="archive")
    back = migrate_collection(url, tmp_path / "back", "archive", target_collection="documents")
    assert (there.carried, there.deviation, there.differences) == (10, 0.0, ())
    assert back == there
    assert contents(tmp_path / "back") == contents(url, "archive") == contents(embedded)
    assert [info.name for info in open_database(url).collections()] == ["archive"]
    assert open_database(tmp_path / "back").check("documents") == []


def test_faults_on_the_way_are_got_over_and_nothing_is_there_twice(
    embedded: Path, url: str, qdrant: QdrantStub
) -> None:
    qdrant.faults += [
        Fault("reset_after", on="upsert*", skip=1),
        Fault("status", on="upsert*", skip=3, status=503),
        Fault("reset_before", on="scroll*", skip=5),
    ]
    done = migrate_collection(embedded, url)
    assert done.differences == ()
    assert contents(url) == contents(embedded)
    assert [fault.times for fault in qdrant.faults] == [0, 0, 0]  # each has struck


def test_a_server_under_two_names_is_not_carried_over_into_itself(embedded: Path, url: str, qdrant: QdrantStub) -> None:
    migrate_collection(embedded, url)
    with closing(open_store(url)) as opened:
        record = opened.document("notes/broken.txt")
        assert record is not None
        opened.put_documents([replace(record, state="pending")])
    before = contents(url)
    with pytest.raises(ValueError, match="into itself"):
        migrate_collection(url, url.replace("127.0.0.1", "localhost"))
    with pytest.raises(ValueError, match="into itself"):
        migrate_collection(url, qdrant.url)
    assert contents(url) == before


def test_ingests_at_the_same_time_into_one_server_end_like_one(notes: Path, embedded: Path, url: str) -> None:
    def ingest(number: int) -> int:
        return ingest_paths(
            [notes], store=url, embedder=HashingEmbedder(), options=IngestOptions(shard=Shard(number, 4))
        ).passages_added

    with ThreadPoolExecutor(4) as pool:
        added = list(pool.map(ingest, range(1, 5)))
    assert contents(url) == contents(embedded)
    with closing(open_store(url)) as opened:
        assert sum(added) == opened.count()
