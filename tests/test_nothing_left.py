"""An ingest into which nothing goes leaves no collection behind, and touches none that was there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from sift_rag.corpus.ingest import ingest
from sift_rag.errors import ModelUnavailable, StoreConflict, StoreFull
from sift_rag.ingestion import ingest_paths, ingest_texts, open_to_ingest
from sift_rag.opening import collection_info, open_or_make, open_store
from sift_rag.protocols import PassageStore
from sift_rag.stores.embedded.store import EmbeddedStore
from sift_rag.stores.registry import open_database
from sift_rag.types import Embedding
from tests.doubles import HashingEmbedder
from tests.qdrant_stub.server import QdrantStub
from tests.stores.test_sharing import process, said

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


INGEST_BEES = """
    import sys
    from sift_rag.ingestion import ingest_texts
    from sift_rag.stores.waiting import Wait
    from tests.doubles import HashingEmbedder
    wait = Wait(60, lambda waiting: print("waits", flush=True))
    ingest_texts(["Bees dance."], store=sys.argv[1], embedder=HashingEmbedder(), sources=["bees"], wait=wait)
"""


@pytest.mark.slow
def test_one_that_waits_for_the_folder_begins_anew_when_nothing_is_left(tmp_path: Path, notes: Path) -> None:
    store, waiting = tmp_path / "store", ExitStack()

    class Awaited(HashingEmbedder):
        def embed_passages(self, texts: Sequence[str]) -> Embedding:
            child = waiting.enter_context(process(INGEST_BEES, store))
            assert said(child) == "waits"
            waiting.callback(child.wait, 60)
            raise ModelUnavailable("no weights")

    with waiting, pytest.raises(ModelUnavailable):
        ingest_paths([notes], store=store, embedder=Awaited())
    with closing(open_store(store)) as opened:
        assert [document.source for document in opened.documents()] == ["bees"]


def test_one_that_has_looked_at_the_server_loses_nothing(qdrant: QdrantStub, notes: Path) -> None:
    """Two ingests find no collection; one writes nothing, and the other goes on in the end."""
    store = f"{qdrant.url}?grpc_port=9"

    class Overtaken(HashingEmbedder):
        def embed_passages(self, texts: Sequence[str]) -> Embedding:
            assert not ingest_paths([broken(notes)], store=store, embedder=HashingEmbedder()).has_collection
            return super().embed_passages(texts)

    assert ingest_paths([notes], store=store, embedder=Overtaken()).has_collection
    assert remains(store) == ["documents"]
    assert ingest_texts(["Bees dance."], store=store, embedder=HashingEmbedder()).new == 1


def test_the_collection_of_another_embedder_that_came_first_is_left_alone(qdrant: QdrantStub, notes: Path) -> None:
    store = f"{qdrant.url}?grpc_port=9"

    class Overtaken(HashingEmbedder):
        def embed_passages(self, texts: Sequence[str]) -> Embedding:
            ingest_texts(["Bees dance."], store=store, embedder=HashingEmbedder("another"), sources=["bees"])
            return super().embed_passages(texts)

    with pytest.raises(StoreConflict, match="made with the embedder another"):
        ingest_paths([notes], store=store, embedder=Overtaken())
    with closing(open_store(store)) as opened:
        assert [document.source for document in opened.documents()] == ["bees"]


def broken(notes: Path) -> Path:
    (notes / "owls.md").unlink()
    (notes / "a.pdf").write_bytes(b"%PDF-1.4 broken")
    return notes


def test_what_failed_goes_in_with_the_first_document(store: str, notes: Path) -> None:
    with closing(open_to_ingest(open_database(store), "documents", HashingEmbedder())) as opened:
        assert ingest([broken(notes)], opened, HashingEmbedder()).failed == 1
        assert [document.state for document in opened.documents()] == ["failed"]
        (notes / "bees.md").write_text("Bees dance.")
        assert ingest([notes], opened, HashingEmbedder()).new == 1
    with closing(open_store(store)) as opened:
        found = {document.source: document.state for document in opened.documents()}
    assert found == {"notes/a.pdf": "failed", "notes/bees.md": "ingested"}


@pytest.mark.parametrize("gone", [False, True])
def test_a_collection_that_comes_and_goes_while_it_is_opened_is_opened_or_made(tmp_path: Path, gone: bool) -> None:
    database, info = open_database(tmp_path, wait=0), collection_info("documents", HashingEmbedder())

    def make() -> PassageStore:
        if not made:
            made.append(database.create(info))
            made[0].close()
            if gone:
                database.drop("documents")
            raise StoreConflict("Another process has just created it.")
        return database.create(info)

    made: list[PassageStore] = []
    with closing(open_or_make(database, "documents", make)) as opened:
        assert opened.info == info
