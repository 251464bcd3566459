"""A LlamaIndex vector store that is a collection: the end of an ingestion pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.schema import BaseNode, MetadataMode, NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores import MetadataFilters, VectorStoreQuery, VectorStoreQueryResult
from llama_index.core.vector_stores.types import BasePydanticVectorStore, VectorStoreQueryMode
from pydantic import PrivateAttr, SecretStr, SkipValidation

from sift_rag import (
    Candidate,
    CollectionNotFound,
    Embedder,
    EmbedderEndpoint,
    SourceText,
    defaults,
    delete_documents,
    ingest_documents,
    open_database,
    open_index,
)
from sift_rag.corpus.framework_metadata import metadata_as_json
from sift_rag.ingestion import embedder_of_collection
from sift_rag.vectors import as_unit_rows
from sift_rag_llama_index.embedding import SiftEmbedding, as_embedder
from sift_rag_llama_index.filters import filter_from

_SEPARATOR = "#"


class SiftVectorStore(BasePydanticVectorStore):
    """Writes nodes to a collection, which a ``SiftRetriever`` of the same store and collection searches.

    It goes where an ``IngestionPipeline`` takes a ``vector_store``, with ``embedding`` as the last transformation: a
    pipeline hands over only nodes that have an embedding, and drops others without a word. A node is one passage, found
    by its embedding; ``add`` splits and embeds one without. Its name in the collection is ``REF_DOC_ID#NODE_ID``, or
    its id alone, and it replaces what had that name. The collection is open only during a call, so that other pipelines
    and programs can write to it in between. ``query`` returns the nearest nodes; only a ``SiftRetriever`` selects.
    """

    stores_text: bool = True
    store: SkipValidation[str | Path | None] = None
    """Folder or URL; None for the user's data folder."""
    collection: str = defaults.COLLECTION
    """Name of the collection; it is created by the first nodes."""
    embed_model: SkipValidation[str | EmbedderEndpoint | Embedder | BaseEmbedding | None] = None
    """The embedder of the nodes: its name, an endpoint, an embedder, or LlamaIndex's embedding model. By default the
    one that made the collection."""
    api_key: SecretStr | None = None
    """API key of a Qdrant server."""

    _embedding: SiftEmbedding | None = PrivateAttr(None)

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)

    @classmethod
    def class_name(cls) -> str:
        """Return the name under which LlamaIndex saves it."""
        return "SiftVectorStore"

    @property
    def client(self) -> None:
        """Return None: nothing stays open between calls."""

    @property
    def embedding(self) -> BaseEmbedding:
        """The embedding model of the nodes, for a pipeline's transformations; loaded when first asked for.

        Raises:
            ModelUnavailable: it cannot be loaded.
            StoreConflict: the collection was made with another one.
        """
        if isinstance(self.embed_model, BaseEmbedding):
            return self.embed_model
        if self._embedding is None:
            part = as_embedder(self.embed_model)
            self._embedding = SiftEmbedding(
                embedder_of_collection(self.store, self.collection, part, api_key=self._key)
            )
        return self._embedding

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:  # noqa: ARG002 - LlamaIndex's signature
        """Write nodes, and return the ids of those that have text; raises what ``sift_rag.ingest_documents`` does."""
        written = [node for node in nodes if node.get_content(MetadataMode.NONE).strip()]
        if written:
            ingest_documents(
                [
                    SourceText(
                        _name(node.ref_doc_id, node.node_id),
                        node.get_content(MetadataMode.NONE),
                        metadata_as_json(node.metadata),
                        vector=node.embedding,
                    )
                    for node in written
                ],
                store=self.store,
                collection=self.collection,
                embedder=as_embedder(self._embedding or self.embed_model),
                api_key=self._key,
            )
        return [node.node_id for node in written]

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:  # noqa: ARG002 - LlamaIndex's signature
        """Delete the nodes of a document; none for an unknown one."""
        prefix = f"{ref_doc_id}{_SEPARATOR}"
        self._delete([name for name in self._names(prefix) if _parts(name)[0] == ref_doc_id])

    def delete_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        **delete_kwargs: Any,  # noqa: ARG002 - LlamaIndex's signature
    ) -> None:
        """Delete nodes by id; unknown ids are ignored. Every name in the collection is looked at.

        Raises:
            ValueError: filters are given.
        """
        if filters is not None:
            raise ValueError("Nodes are deleted by id, not by filters: ask for their ids first.")
        wanted = set(node_ids or ())
        self._delete([name for name in self._names() if _parts(name)[1] in wanted])

    def clear(self) -> None:
        """Remove the collection, also what did not come from nodes."""
        with suppress(CollectionNotFound):
            open_database(self.store, api_key=self._key).drop(self.collection)

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:  # noqa: ARG002
        """Return the nearest nodes to the query's embedding.

        Raises:
            CollectionNotFound: nothing was written yet.
            ValueError: no embedding, another mode than the default, or filters that cannot be mapped.
        """
        if query.mode is not VectorStoreQueryMode.DEFAULT or query.query_embedding is None:
            raise ValueError("A query needs an embedding and the default mode: a SiftRetriever has more to offer.")
        where = filter_from(query.filters) if query.filters else None
        with closing(open_index(self.store, self.collection, api_key=self._key)) as index:
            target = as_unit_rows([query.query_embedding], index.info.dimension, what="The query's embeddings")
            found = index.search(target, query.similarity_top_k, where=where)[0]
        nodes = [_node(candidate) for candidate in found]
        return VectorStoreQueryResult(
            nodes, [float(candidate.similarity) for candidate in found], [node.node_id for node in nodes]
        )

    @property
    def _key(self) -> str | None:
        return self.api_key.get_secret_value() if self.api_key else None

    def _names(self, prefix: str = "") -> list[str]:
        database = open_database(self.store, api_key=self._key)
        with suppress(CollectionNotFound), closing(database.documents(self.collection)) as records:
            return [record.source for record in records.documents(prefix) if not record.location]
        return []

    def _delete(self, names: Sequence[str]) -> None:
        if names:
            delete_documents(names, store=self.store, collection=self.collection, api_key=self._key)


def _name(ref_doc_id: str | None, node_id: str) -> str:
    """Return the name of a node in the collection, which ``_parts`` takes apart again."""
    if ref_doc_id is None:
        return node_id
    return f"{ref_doc_id}{_SEPARATOR}{node_id.replace('%', '%25').replace(_SEPARATOR, '%23')}"


def _parts(name: str) -> tuple[str, str]:
    """Return the id of the document, or "", and the id of the node."""
    document, separator, node = name.rpartition(_SEPARATOR)
    return document, node.replace("%23", _SEPARATOR).replace("%25", "%") if separator else node


def _node(candidate: Candidate) -> TextNode:
    passage = candidate.passage
    document, node_id = _parts(passage.source)
    return TextNode(
        id_=node_id,
        text=passage.text,
        metadata=dict(passage.metadata),
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=document)} if document else {},
    )
