"""LlamaIndex: nodes of an ingestion pipeline, written to a collection."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import pytest

from sift_rag import StoreConflict, open_store
from tests.doubles import HashingEmbedder
from tests.plugins.conftest import QUESTION, TEXTS

pytest.importorskip("llama_index.core", reason="LlamaIndex is not installed: pip install 'sift-rag[llama-index]'")

from llama_index.core import VectorStoreIndex
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import Document, NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.storage.docstore import SimpleDocumentStore

from sift_rag_llama_index import SiftRetriever, SiftVectorStore
from tests.plugins.test_llama_index import HashingModel

DOCUMENTS = [Document(id_=name, text=text, metadata={"name": name}) for name, text in TEXTS.items()]


def node_of(name: str, text: str = "some text", *, document: str | None = None) -> TextNode:
    related = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=document)} if document else {}
    (row,) = HashingEmbedder().embed_queries([text]).tolist()
    return TextNode(id_=name, text=text, embedding=row, relationships=related)


def sources(folder: Path) -> list[str]:
    with closing(open_store(folder)) as store:
        return [record.source for record in store.documents()]


def test_a_pipeline_writes_and_replaces_documents_which_are_then_found(tmp_path: Path) -> None:
    vectors = SiftVectorStore(store=tmp_path, embed_model=HashingModel())
    pipeline = IngestionPipeline(
        transformations=[SentenceSplitter(), HashingModel()], vector_store=vectors, docstore=SimpleDocumentStore()
    )
    assert len(pipeline.run(documents=DOCUMENTS)) == 5
    changed = Document(id_="owls.md", text="owls sleep by day", metadata={"name": "owls.md"})
    assert len(pipeline.run(documents=[*DOCUMENTS[1:], changed])) == 1
    retriever = SiftRetriever(tmp_path, embed_model=HashingModel(), similarity_top_k=9)
    found = retriever.retrieve(QUESTION)
    retriever.close()
    assert {node.text for node in found} == set(TEXTS.values()) - {TEXTS["owls.md"]} | {"owls sleep by day"}
    assert {node.metadata["name"] for node in found} == set(TEXTS)
    index = VectorStoreIndex.from_vector_store(vectors, embed_model=HashingModel())
    (nearest,) = index.as_retriever(similarity_top_k=1).retrieve("bees dance")
    assert (nearest.text, nearest.node.ref_doc_id) == (TEXTS["bees.md"], "bees.md")


def test_nodes_are_deleted_by_document_and_by_id_by_whichever_store_wrote_them(tmp_path: Path) -> None:
    first = SiftVectorStore(store=tmp_path, embed_model=HashingModel())
    first.delete("nothing written yet")
    nodes = [node_of("1", document="a"), node_of("2#%", document="a"), node_of("3", document="a#b"), node_of("4")]
    assert first.add([*nodes, node_of("5", " ")]) == ["1", "2#%", "3", "4"]
    second = SiftVectorStore(store=tmp_path)
    second.delete_nodes(["2#%", "unknown"])
    assert sources(tmp_path) == ["4", "a#1", "a#b#3"]
    second.delete("a")
    assert sources(tmp_path) == ["4", "a#b#3"]
    first.clear()
    first.clear()


def test_an_embedding_of_another_dimension_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    vectors = SiftVectorStore(store=tmp_path, embed_model=HashingModel())
    bad = TextNode(id_="bad", text="text", embedding=[1.0, 2.0])
    with pytest.raises(ValueError, match="64"):
        vectors.add([node_of("good"), bad])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("embed_model", [HashingEmbedder(), HashingModel()])
def test_a_pipeline_with_the_stores_own_embedding_loses_nothing(tmp_path: Path, embed_model: object) -> None:
    vectors = SiftVectorStore(store=tmp_path, embed_model=embed_model)
    pipeline = IngestionPipeline(transformations=[SentenceSplitter(), vectors.embedding], vector_store=vectors)
    assert {node.ref_doc_id for node in pipeline.run(documents=DOCUMENTS)} == TEXTS.keys()
    assert {name.rpartition("#")[0] for name in sources(tmp_path)} == TEXTS.keys()
    index = VectorStoreIndex.from_vector_store(vectors, embed_model=vectors.embedding)
    (nearest,) = index.as_retriever(similarity_top_k=1).retrieve("bees dance")
    assert (nearest.text, nearest.node.ref_doc_id) == (TEXTS["bees.md"], "bees.md")
    retriever = SiftRetriever(tmp_path, embed_model=vectors.embedding, similarity_top_k=9)
    assert {node.metadata["name"] for node in retriever.retrieve(QUESTION)} == TEXTS.keys()
    retriever.close()


def test_a_store_of_another_embedder_gives_no_embedding(tmp_path: Path) -> None:
    SiftVectorStore(store=tmp_path, embed_model=HashingEmbedder()).add([node_of("1")])
    with pytest.raises(StoreConflict):
        _ = SiftVectorStore(store=tmp_path, embed_model="sentence-transformers/all-MiniLM-L6-v2").embedding


def test_the_stores_embedding_is_the_embedder_sync_and_async(tmp_path: Path) -> None:
    embedder, texts = HashingEmbedder(), list(TEXTS.values())
    embedding = SiftVectorStore(store=tmp_path, embed_model=embedder).embedding
    assert embedding.model_name == embedder.name
    rows = embedder.embed_passages(texts).tolist()
    assert embedding.get_text_embedding_batch(texts) == rows
    assert asyncio.run(embedding.aget_text_embedding_batch(texts)) == rows
    assert embedding.get_query_embedding(QUESTION) == embedder.embed_queries([QUESTION])[0].tolist()
    assert asyncio.run(embedding.aget_query_embedding(QUESTION)) == embedding.get_query_embedding(QUESTION)
