"""An ingest into which nothing goes leaves no collection behind, and touches none that was there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from sift_rag.errors import ModelUnavailable, StoreFull
from sift_rag.ingestion import ingest_paths, ingest_texts
from sift_rag.opening import open_store
from sift_rag.stores.embedded.store import EmbeddedStore
from sift_rag.stores.registry import open_database
from sift_rag.types import Embedding
from tests.doubles import HashingEmbedder
from tests.qdrant_stub.server import QdrantStub

STORES = ("a folder", "a server")


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "a folder":
        return str(tmp_path / "store")
    stub: QdrantStub = request.getfixturevalue("qdrant")
    return f"{stub.url}?grpc_port=9"


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "owls.md").write_text("Owls hunt at night.")
    return folder


class Raising(HashingEmbedder):
    """An embedder that fails at the first passage."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    def embed_passages(self, texts: Sequence[str]) -> Embedding:
        raise self._error


def remains(store: str) -> list[str]:
    return [info.name for info in open_database(store).collections()]


@pytest.mark.parametrize("error", [ModelUnavailable("no weights"), KeyboardInterrupt(), OSError("a bad cable")])
def test_what_ends_before_the_first_passage_leaves_nothing(store: str, notes: Path, error: BaseException) -> None:
    with pytest.raises(type(error)):
        ingest_paths([notes], store=store, embedder=Raising(error))
    assert remains(store) == []
    assert ingest_paths([notes], store=store, embedder=HashingEmbedder()).new == 1


def missing(notes: Path) -> None:
    (notes / "owls.md").unlink()
    notes.rmdir()


FAILURES: dict[str, Callable[[Path], object]] = {
    "no such folder": missing,
    "skipped": lambda notes: (notes / "owls.md").write_bytes(b""),
    "failed": lambda notes: [(notes / "owls.md").unlink(), (notes / "a.pdf").write_bytes(b"%PDF-1.4 broken")],
}


@pytest.mark.parametrize("failure", FAILURES)
def test_where_no_file_goes_in_nothing_is_left(store: str, notes: Path, failure: str) -> None:
    FAILURES[failure](notes)
    report = ingest_paths([notes], store=store, embedder=HashingEmbedder())
    assert (report.new, report.problems != ()) == (0, True)
    assert remains(store) == []


def test_no_texts_leave_nothing(store: str) -> None:
    ingest_texts([], store=store, embedder=HashingEmbedder())
    assert remains(store) == []


def test_a_collection_that_was_there_before_stays_even_if_it_is_empty(store: str, notes: Path) -> None:
    ingest_paths([notes], store=store, embedder=HashingEmbedder())
    with closing(open_store(store)) as opened:
        opened.delete_passages("notes/owls.md")
        opened.drop_documents(["notes/owls.md"])
    ingest_paths([notes / "nowhere"], store=store, embedder=HashingEmbedder())
    assert remains(store) == ["documents"]


def test_what_another_process_has_put_in_meanwhile_stays(qdrant: QdrantStub, notes: Path) -> None:
    store = f"{qdrant.url}?grpc_port=9"

    class Overtaken(HashingEmbedder):
        def embed_passages(self, texts: Sequence[str]) -> Embedding:
            ingest_texts(["Bees dance."], store=store, embedder=HashingEmbedder(), sources=["bees"])
            raise ModelUnavailable("no weights")

    with pytest.raises(ModelUnavailable):
        ingest_paths([notes], store=store, embedder=Overtaken())
    with closing(open_store(store)) as opened:
        assert [document.source for document in opened.documents()] == ["bees"]


def test_a_store_that_refuses_leaves_nothing(tmp_path: Path, notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: EmbeddedStore, batch_bytes: int) -> None:
        raise StoreFull("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(EmbeddedStore, "_check_space", refuse)
        with pytest.raises(StoreFull):
            ingest_paths([notes], store=tmp_path / "store", embedder=HashingEmbedder())
    assert remains(str(tmp_path / "store")) == []


def test_the_report_says_whether_there_is_a_collection(store: str, notes: Path) -> None:
    (notes / "empty").mkdir()
    (notes / "empty" / "a.md").touch()
    assert not ingest_paths([notes / "empty"], store=store, embedder=HashingEmbedder()).has_collection
    assert not ingest_texts([""], store=store, embedder=HashingEmbedder()).has_collection
    assert ingest_paths([notes], store=store, embedder=HashingEmbedder()).has_collection
    assert ingest_paths([notes / "empty"], store=store, embedder=HashingEmbedder()).has_collection


def test_another_precision_is_told_and_the_first_one_is_kept(store: str, notes: Path) -> None:
    class Half(HashingEmbedder):
        precision = "bfloat16"

    class Single(HashingEmbedder):
        precision = "float32"

    assert ingest_paths([notes], store=store, embedder=Half()).notices == ()
    (notes / "bees.md").write_text("Bees dance.")
    [notice] = ingest_paths([notes], store=store, embedder=Single()).notices
    assert "computed in float32, those of the collection in bfloat16" in notice.reason
    assert [info.precision for info in open_database(store).collections()] == ["bfloat16"]
    assert ingest_paths([notes], store=store, embedder=Single()).notices == ()
