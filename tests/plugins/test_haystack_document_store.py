"""Haystack: documents written to a collection, by Haystack's own tests of a document store and ours."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from sift_rag import open_retriever
from tests.doubles import HashingEmbedder
from tests.plugins.conftest import TEXTS

pytest.importorskip("haystack", reason="Haystack is not installed: pip install 'sift-rag[haystack]'")

from haystack import Document, Pipeline
from haystack.components.writers import DocumentWriter
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy
from haystack.testing.document_store import (
    CountDocumentsTest,
    DeleteDocumentsTest,
    FilterableDocsFixtureMixin,
    FilterDocumentsTest,
    WriteDocumentsTest,
)

from sift_rag_haystack import SiftDocumentStore

DOCUMENTS = [Document(id=name, content=text, meta={"name": name}) for name, text in TEXTS.items()]


@pytest.mark.slow
class TestHaystacksOwnTests(CountDocumentsTest, DeleteDocumentsTest, WriteDocumentsTest, FilterableDocsFixtureMixin):
    """Haystack's own tests of a document store; of those of its filters, which it compares itself, only some."""

    test_no_filters = FilterDocumentsTest.test_no_filters
    test_comparison_less_than_with_iso_date = FilterDocumentsTest.test_comparison_less_than_with_iso_date
    test_or_operator = FilterDocumentsTest.test_or_operator
    test_missing_condition_value_key = FilterDocumentsTest.test_missing_condition_value_key

    @pytest.fixture
    def document_store(self, tmp_path: Path) -> SiftDocumentStore:
        return SiftDocumentStore(str(tmp_path / "store"), embedder=HashingEmbedder(dimension=768))

    @staticmethod
    def assert_documents_are_equal(received: list[Document], expected: list[Document]) -> None:
        """Documents come by id, and without embeddings."""
        in_order = sorted(expected, key=lambda document: document.id)
        assert received == [replace(document, embedding=None) for document in in_order]

    def test_write_documents(self, document_store: SiftDocumentStore) -> None:
        document = Document(content="test doc")
        assert document_store.write_documents([document]) == 1
        with pytest.raises(DuplicateDocumentError):
            document_store.write_documents([document])


@pytest.fixture
def store(tmp_path: Path) -> SiftDocumentStore:
    return SiftDocumentStore(str(tmp_path / "store"), embedder=HashingEmbedder())


def test_documents_come_back_and_are_found_by_a_retriever(store: SiftDocumentStore) -> None:
    long = "  Owls hunt.\n\n" + "They fly at night, and nobody hears them. " * 60
    documents = [Document(id="long", content=long, meta={"a": {"b": [1, None]}}), *DOCUMENTS]
    assert store.write_documents(documents) == 6
    back = {document.id: document for document in store.filter_documents()}
    assert (back["long"].content or "").split() == long.split()
    assert back["long"].meta == {"a": {"b": [1, None]}}
    assert [back[document.id] for document in DOCUMENTS] == DOCUMENTS
    with open_retriever(store.store, embedder=HashingEmbedder()) as retriever:
        assert retriever.retrieve("bees dance", 1).hits[0].passage.source == "bees.md"


def test_an_embedding_decides_where_a_document_is_found(store: SiftDocumentStore) -> None:
    (row,) = HashingEmbedder().embed_queries(["snow"]).tolist()
    store.write_documents([*DOCUMENTS, Document(id="given", content="no such word", embedding=row)])
    with open_retriever(store.store, embedder=HashingEmbedder()) as retriever:
        assert retriever.retrieve("snow", 1).hits[0].passage.source == "given"
    with pytest.raises(ValueError, match="64"):
        store.write_documents([Document(id="short", content="text", embedding=[1.0, 2.0])])
    assert store.count_documents() == 6


@pytest.mark.parametrize(
    ("policy", "written", "content"),
    [(DuplicatePolicy.SKIP, 1, TEXTS["owls.md"]), (DuplicatePolicy.OVERWRITE, 2, "changed")],
)
def test_two_stores_write_to_one_folder(
    store: SiftDocumentStore, policy: DuplicatePolicy, written: int, content: str
) -> None:
    store.write_documents(DOCUMENTS)
    other = SiftDocumentStore(store.store, embedder=HashingEmbedder())
    writer = DocumentWriter(other, policy)
    again = [Document(id="owls.md", content="changed"), Document(id="new", content="new")]
    assert asyncio.run(writer.run_async(again)) == {"documents_written": written}
    assert {document.id: document.content for document in store.filter_documents()} == {
        **TEXTS,
        "new": "new",
        "owls.md": content,
    }


def test_a_document_without_text_and_a_duplicate_stop_all_of_a_call(store: SiftDocumentStore) -> None:
    with pytest.raises(ValueError, match="'none' has no text"):
        store.write_documents([*DOCUMENTS, Document(id="none")])
    with pytest.raises(DuplicateDocumentError, match=r"'bees\.md'"):
        store.write_documents([*DOCUMENTS, DOCUMENTS[2]], DuplicatePolicy.FAIL)
    assert store.count_documents() == 0


def test_a_pipeline_with_a_writer_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    pipeline = Pipeline()
    pipeline.add_component("writer", DocumentWriter(SiftDocumentStore(str(tmp_path), "docs", embedder="some/model")))
    loaded = Pipeline.loads(pipeline.dumps(), allowed_modules=["sift_rag_haystack.*"])
    assert loaded.to_dict() == pipeline.to_dict()
    store = loaded.get_component("writer").document_store
    assert (store.store, store.collection, store.embedder) == (str(tmp_path), "docs", "some/model")
    with pytest.raises(ValueError, match="cannot be saved"):
        SiftDocumentStore(embedder=HashingEmbedder()).to_dict()
