"""Haystack: documents written to a collection, by Haystack's own tests of a document store and ours."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from sift_rag.protocols import Database
from sift_rag.stores.memory import MemoryStore
from tests.doubles import HashingEmbedder
from tests.plugins.conftest import QUESTION, TEXTS

pytest.importorskip("haystack", reason="Haystack is not installed: pip install 'sift-rag[haystack]'")

from haystack import Document, Pipeline
from haystack.components.writers import DocumentWriter
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy
from haystack.testing.document_store import (
    CountDocumentsTest,
    DeleteDocumentsTest,
    FilterDocumentsTest,
    WriteDocumentsTest,
)

from sift_rag_haystack import SiftDocumentStore

DOCUMENTS = [Document(id=name, content=text, meta={"name": name}) for name, text in TEXTS.items()]


class TestHaystacksOwnTests(CountDocumentsTest, DeleteDocumentsTest, FilterDocumentsTest, WriteDocumentsTest):
    """Haystack's own tests of a document store."""

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
