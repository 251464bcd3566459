"""LangChain's texts and documents into a collection."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.documents import Document

from sift_rag import SourceText
from sift_rag.corpus.framework_metadata import metadata_as_json

_logger = logging.getLogger(__name__)


def of_texts(
    texts: Sequence[str], metadatas: Sequence[Mapping[Any, Any]] | None, ids: Sequence[str | None] | None
) -> list[SourceText]:
    """Return the texts as documents: those without an id are named by their contents, and empty ones left out.

    Raises:
        ValueError: ``texts`` is one string, or not one mapping or one id for each text.
    """
    if isinstance(texts, str):
        raise ValueError("texts is one string: expected a sequence of strings.")
    for name, values in (("metadatas", metadatas), ("ids", ids)):
        if values is not None and len(values) != len(texts):
            raise ValueError(f"There are {len(texts)} texts, but {len(values)} {name}: expected one for each.")
    named = ids or [None] * len(texts)
    described = metadatas or [{}] * len(texts)
    found = [
        SourceText(name or "", text, metadata_as_json(metadata or {}))
        for text, metadata, name in zip(texts, described, named, strict=True)
        if text.strip()
    ]
    if len(found) < len(texts):
        _logger.warning("%d of %d texts are empty and were left out.", len(texts) - len(found), len(texts))
    return found


def of_documents(documents: Sequence[Document]) -> list[SourceText]:
    """Return LangChain's documents as those of the library, as ``of_texts`` does."""
    documents = list(documents)
    return of_texts(
        [document.page_content for document in documents],
        [document.metadata for document in documents],
        [document.id for document in documents],
    )
