"""The documents of a collection that another tool made, as far as its points name them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from qdrant_client import models

from sift_rag.protocols import Totals
from sift_rag.stores.qdrant.collections import CollectionRef
from sift_rag.stores.qdrant.connection import Connection
from sift_rag.stores.qdrant.layout import SAMPLE, Layout, choose_source, value_at
from sift_rag.stores.qdrant.transport import PointId, Target, limits_of
from sift_rag.stores.qdrant.transports import scroll, transport_for
from sift_rag.types import CollectionInfo, Document, JsonValue


class ForeignDocuments:
    """The ``DocumentRecords`` of another tool's collection, counted at each call, which reads all its payloads."""

    def __init__(self, connection: Connection, ref: CollectionRef, layout: Layout) -> None:
        self._connection = connection
        self._label = f"The collection '{ref.name}'"
        target = Target(ref.physical, self._label, limits=limits_of(ref.state.config))
        self._transport = transport_for(connection, target)
        sample, _ = self._transport.scroll(SAMPLE, payload=True)
        self.source = choose_source(sample.payloads, layout)
        """Path of the payload field that names the document; None if each point is its own document."""
        dimensions = set(dense_vectors(ref.state.config).values())
        self._info = CollectionInfo(ref.name, "", dimensions.pop() if len(dimensions) == 1 else 0, 0)

    @property
    def info(self) -> CollectionInfo:
        """Name and dimension; the embedder is not known, and empty."""
        return self._info

    def document(self, source: str) -> Document | None:
        """Implement ``DocumentRecords.document``."""
        return next((document for document in self.documents(source) if document.source == source), None)

    def documents(self, prefix: str = "") -> Iterator[Document]:
        """Implement ``DocumentRecords.documents``: one for each name of a document."""
        self._connection.check_open(self._label)
        passages = Counter(source for _, source in self.points() if source.startswith(prefix))
        return iter([Document(source, "", "ingested", passages=passages[source]) for source in sorted(passages)])

    def sources(self, prefix: str = "") -> list[str]:
        """Return the sources that start with ``prefix``, ascending."""
        return [document.source for document in self.documents(prefix)]

    def totals(self) -> Totals:
        """Implement ``DocumentRecords.totals``; sizes in bytes are not known, and 0."""
        documents = list(self.documents())
        return Totals(len(documents), 0, 0, sum(document.passages for document in documents), 0)

    def points(self) -> Iterator[tuple[PointId, str]]:
        """Iterate over id and source of every point, by id."""
        for page in scroll(self._transport, payload=False if self.source is None else [self.source]):
            for identifier, payload in zip(page.ids, page.payloads, strict=True):
                yield identifier, source_of(identifier, payload, self.source)

    def values(
        self, paths: Sequence[str], where: models.Filter | None = None
    ) -> Iterator[tuple[PointId, list[JsonValue]]]:
        """Iterate over id and the values at these paths of the points that match ``where``, by id."""
        for page in scroll(self._transport, where=where, payload=list(paths)):
            for identifier, payload in zip(page.ids, page.payloads, strict=True):
                yield identifier, [value_at(payload, path) for path in paths]

    def close(self) -> None:
        """Release the connection; closing twice is allowed."""
        self._connection.close()


def dense_vectors(config: models.CollectionConfig) -> dict[str, int]:
    """Return the dimension of each vector that points have one of, by name; the unnamed one's is empty."""
    vectors = config.params.vectors
    kinds = {"": vectors} if isinstance(vectors, models.VectorParams) else dict(vectors or {})
    return {name: kind.size for name, kind in kinds.items() if kind.multivector_config is None}


def source_of(identifier: PointId, payload: Mapping[str, Any], path: str | None) -> str:
    """Return the name of a point's document; the point's id if the payload does not tell."""
    value = None if path is None else value_at(payload, path)
    return str(value) if isinstance(value, str | int) else str(identifier)
