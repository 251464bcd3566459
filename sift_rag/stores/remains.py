"""The readable rest of a collection, whatever has happened to it: the material for rebuilding it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

from sift_rag.errors import StoreDamaged
from sift_rag.types import CollectionInfo, Document, Passage

if TYPE_CHECKING:
    from types import TracebackType

    from sift_rag.protocols import Database


@dataclass(frozen=True)
class Remains:
    """The readable rest of a collection; close it before the collection is replaced."""

    info: CollectionInfo | None
    """Its description; None if that cannot be read."""
    documents: tuple[Document, ...]
    """The records that can be read; where the records are lost, one for each document whose passages can be read."""
    readable: Mapping[str, int]
    """Number of intact passages by source."""
    passages: Callable[[str], Iterator[Passage]]
    """Returns the intact passages of a source in reading order."""
    damage: tuple[str, ...] = ()
    """The parts that cannot be read and why, a sentence each; empty for a collection that opens."""
    resources: ExitStack = field(default_factory=ExitStack)

    def whole(self, document: Document) -> bool:
        """Return True if all passages of a document can be read."""
        return document.state != "pending" and self.readable.get(document.source, 0) == document.passages

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.resources.close()


@runtime_checkable
class Salvageable(Protocol):
    """A database that can read parts of a damaged collection."""

    def salvage(self, name: str) -> Remains:
        """Return what can be read of a collection.

        Raises:
            CollectionNotFound, StoreInUse, StoreUnreachable, StoreFull: as when it is opened.
            StoreConflict: it is not one of ours, or of a newer schema.
        """


def salvage(database: Database, name: str) -> Remains:
    """Return what can be read of a collection; from a database that salvages nothing, all of it or its records alone.

    Raises as ``Salvageable.salvage`` does.
    """
    if isinstance(database, Salvageable):
        return database.salvage(name)
    with ExitStack() as opened:
        try:
            store = database.open(name)
        except StoreDamaged as error:
            return Remains(None, _records(database, name), {}, lambda _: iter(()), (str(error),))
        opened.callback(store.close)
        documents = tuple(store.documents())
        return Remains(
            store.info,
            documents,
            {document.source: document.passages for document in documents},
            lambda source: (candidate.passage for candidate in store.passages(source)),
            resources=opened.pop_all(),
        )


def _records(database: Database, name: str) -> tuple[Document, ...]:
    with suppress(StoreDamaged), ExitStack() as opened:
        records = database.documents(name)
        opened.callback(records.close)
        return tuple(records.documents())
    return ()


def record_of(source: str, passages: int, example: Passage) -> Document:
    """Return a record for a document of which nothing but its passages is left.

    Args:
        source: its name.
        passages: number of its passages.
        example: one of them.
    """
    return Document(
        source, location="", state="ingested", passages=passages, revision=example.revision, title=example.title
    )
