"""The actors of an ingest without Ray: their tables, and what comes back when a part of them fails."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sift_rag.corpus.elsewhere import Ack, Job, Parcel
from sift_rag.corpus.incoming import IncomingFile
from sift_rag.corpus.options import IngestOptions
from sift_rag.distributed import connection
from sift_rag.distributed.connection import Failure, checked
from sift_rag.distributed.flow import message_in, table_of
from sift_rag.distributed.ingest import (
    DescribedEmbedder,
    Description,
    EmbeddingWorker,
    ReadingWorker,
    Target,
    _description_of,
)
from sift_rag.errors import (
    ConfigurationError,
    MissingExtra,
    ModelUnavailable,
    ModelUnsuitable,
    SiftRagError,
    StoreUnreachable,
)
from sift_rag.opening import collection_info
from sift_rag.protocols import Embedder
from sift_rag.stores.registry import open_database
from tests.distributed.work import Differing
from tests.doubles import HashingEmbedder
from tests.qdrant_stub.server import QdrantStub

pytest.importorskip("pyarrow", reason="Ray Data's tables need pyarrow, of the extra ray.")


@pytest.fixture
def target(qdrant: QdrantStub) -> Target:
    target = Target(f"{qdrant.url}?grpc_port=9", "documents")
    open_database(target.url).create(collection_info("documents", HashingEmbedder())).close()
    return target


@pytest.fixture
def description() -> Description:
    return _description_of(HashingEmbedder())


def read(target: Target, description: Description, path: Path) -> list[Parcel | Failure]:
    worker = ReadingWorker(target, description, IngestOptions())
    with closing(worker):
        tables = list(worker(table_of([Job(IncomingFile(path.name, path), None)])))
    return [message_in(table) for table in tables]


def embedded(target: Target, description: Description, load: Callable[[], Embedder], parcel: Any) -> Ack | Failure:
    worker = EmbeddingWorker(target, description, load)
    with closing(worker):
        return message_in(worker(table_of(parcel)))


@pytest.fixture
def owls(tmp_path: Path) -> Path:
    (tmp_path / "owls.md").write_text("# Owls\n\nOwls hunt at night.\n")
    return tmp_path / "owls.md"


def test_what_is_read_is_embedded_and_stored(target: Target, description: Description, owls: Path) -> None:
    [parcel] = read(target, description, owls)
    assert isinstance(parcel, Parcel)
    ack = embedded(target, description, HashingEmbedder, parcel)
    assert isinstance(ack, Ack)
    assert [(one.source, one.passages) for one in ack.ended] == [("owls.md", 1)]
    with closing(target.open()) as opened:
        assert opened.count() == 1
        assert [document.state for document in opened.documents()] == ["pending"]


def test_a_file_that_is_on_no_shared_disk_is_a_mistake_of_the_user(
    target: Target, description: Description, tmp_path: Path
) -> None:
    [failure] = read(target, description, tmp_path / "only-there.md")
    assert isinstance(failure, Failure)
    with pytest.raises(ConfigurationError, match=r"There is no .*only-there.md' on .*all machines of the cluster"):
        checked(failure)


def test_other_weights_are_told_before_anything_is_stored(target: Target, description: Description, owls: Path) -> None:
    [parcel] = read(target, description, owls)
    failure = embedded(target, description, Differing, parcel)
    with pytest.raises(ModelUnsuitable, match="the same weights on all machines"):
        checked(failure)
    with closing(target.open()) as opened:
        assert list(opened.documents()) == []


def test_a_missing_embedder_a_store_that_is_gone_and_a_reader_that_failed_come_back_as_values(
    target: Target, description: Description, owls: Path, qdrant: QdrantStub
) -> None:
    [parcel] = read(target, description, owls)

    def missing() -> Embedder:
        raise ModelUnavailable("no weights")

    with pytest.raises(ModelUnavailable, match=r"^no weights$"):
        checked(embedded(target, description, missing, parcel))
    earlier = Failure(StoreUnreachable("gone"), connection.platform.node())
    with pytest.raises(StoreUnreachable, match=r"^gone$"):
        checked(embedded(target, description, HashingEmbedder, earlier))


@pytest.mark.parametrize(
    "error", [MissingExtra("pypdfium2", "pdf"), StoreUnreachable("gone"), ValueError("too few tokens")]
)
def test_an_error_of_another_machine_names_it_and_keeps_its_kind(error: Exception) -> None:
    failure = pickle.loads(pickle.dumps(Failure(error, "node-7")))
    with pytest.raises(type(error), match=f"^On node-7: {error}".replace("[", r"\[").replace("]", r"\]")):
        checked(failure)


def test_a_key_is_not_shown(target: Target) -> None:
    assert "secret" not in repr(Target("http://localhost:6333", "documents", "secret"))


def test_a_worker_is_not_asked_for_vectors_by_the_driver(description: Description) -> None:
    with pytest.raises(SiftRagError, match="on the workers only"):
        DescribedEmbedder(description).embed_passages(["a"])
