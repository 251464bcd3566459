"""A collection on a server that cannot be opened, or has lost its records, is rebuilt from what is left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from qdrant_client import QdrantClient, models

from sift_rag.errors import StoreDamaged
from sift_rag.ingestion import ingest_paths, ingest_texts, reindex
from sift_rag.opening import open_store
from sift_rag.stores.registry import open_database
from sift_rag.types import Passage
from tests.doubles import HashingEmbedder
from tests.qdrant_stub.server import QdrantStub

NAME = "documents"


@pytest.fixture
def url(qdrant: QdrantStub) -> str:
    return f"{qdrant.url}?grpc_port=9"


@pytest.fixture
def client(qdrant: QdrantStub) -> Iterator[QdrantClient]:
    """The client of another tool."""
    with closing(QdrantClient(url=qdrant.url, check_compatibility=False)) as other:
        yield other


@pytest.fixture
def notes(tmp_path: Path, url: str) -> Path:
    """A folder with two files, ingested beside a text."""
    folder = tmp_path / "notes"
    folder.mkdir()
    for animal in ("owls", "bees"):
        (folder / f"{animal}.md").write_text(f"# {animal}\n\nWhat {animal} do at night.\n")
    ingest_paths([folder], store=url, embedder=HashingEmbedder())
    ingest_texts(["Mice sleep by day."], store=url, embedder=HashingEmbedder(), sources=["mice"])
    return folder


def contents(url: str) -> dict[str, list[tuple[Passage, bytes]]]:
    with closing(open_store(url)) as opened:
        return {
            document.source: [(c.passage, c.embedding.tobytes()) for c in opened.passages(document.source)]
            for document in opened.documents()
        }


def test_changed_metadata_are_written_anew_with_the_embedder_that_is_named(
    url: str, client: QdrantClient, notes: Path
) -> None:
    whole = contents(url)
    client.update_collection(f"{NAME}@0", metadata={"embedder": 7})
    with pytest.raises(StoreDamaged):
        open_store(url)
    report = reindex([notes], store=url, embedder=HashingEmbedder())
    assert any("no longer told its embedder" in notice.reason for notice in report.notices)
    assert contents(url) == whole
    assert open_database(url).check(NAME) == []


def test_without_records_passages_are_enough(url: str, client: QdrantClient, notes: Path) -> None:
    whole = contents(url)
    client.delete_collection(f"{NAME}@0.documents")
    reindex(store=url, embedder=HashingEmbedder())
    assert contents(url) == whole
    assert open_database(url).check(NAME) == []


def test_documents_whose_passages_are_gone_come_from_their_files_or_are_named(
    url: str, client: QdrantClient, notes: Path
) -> None:
    whole = contents(url)
    client.delete(f"{NAME}@0", models.FilterSelector(filter=models.Filter()))
    report = reindex(store=url, embedder=HashingEmbedder())
    assert [notice.source for notice in report.notices if "could not be read back" in notice.reason] == ["mice"]
    del whole["mice"]
    assert contents(url) == whole


def test_records_that_outlived_their_passages_are_not_believed(url: str, client: QdrantClient, notes: Path) -> None:
    client.delete_collection(f"{NAME}@0")
    assert ingest_paths([notes], store=url, embedder=HashingEmbedder()).new == 2
    assert open_database(url).check(NAME) == []


def test_a_text_that_was_changed_and_a_vector_that_was_turned_are_found(
    url: str, client: QdrantClient, notes: Path
) -> None:
    [(owls, _)], [(bees, _)] = contents(url)["notes/owls.md"], contents(url)["notes/bees.md"]
    reworded, turned = client.retrieve(f"{NAME}@0", [owls.id, bees.id], with_vectors=True)
    if reworded.id != owls.id:
        reworded, turned = turned, reworded
    payload = (reworded.payload or {}) | {"text": "Bees."}
    points = [
        models.PointStruct(id=owls.id, payload=payload, vector=reworded.vector),  # type: ignore[arg-type]
        models.PointStruct(id=bees.id, payload=turned.payload, vector=reworded.vector),  # type: ignore[arg-type]
    ]
    client.upsert(f"{NAME}@0", points)
    found = "\n".join(open_database(url).check(NAME))
    assert f"The text of passage {owls.id} of 'notes/owls.md'" in found
    assert f"The vector of passage {bees.id} is not the one it was written with" in found
