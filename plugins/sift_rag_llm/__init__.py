"""Passages for ``llm``, the command line by Simon Willison: as fragments, and as a tool that a model calls.

``llm -f 'sift:Who may book a flight?' 'Answer from these passages.'`` and ``llm -T search_documents 'Who may book a
flight?'``. The collection is that of ``SIFT_RAG_STORE`` and ``SIFT_RAG_COLLECTION``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import llm

from sift_rag import SiftRagError, defaults
from sift_rag.answering.prompt import locate
from sift_rag.opening import open_retriever
from sift_rag.types import Hit


@llm.hookimpl
def register_fragment_loaders(register: Callable[..., Any]) -> None:
    """Add ``-f sift:QUESTION``."""
    register("sift", load_passages)


@llm.hookimpl
def register_tools(register: Callable[..., Any]) -> None:
    """Add ``-T search_documents``."""
    register(search_documents)


def load_passages(question: str) -> list[llm.Fragment]:
    """sift:QUESTION - The passages of your documents that answer a question together."""
    try:
        return [_fragment(hit) for hit in _hits(question)]
    except SiftRagError as error:
        raise ValueError(str(error)) from error  # which `llm` shows without a traceback


def search_documents(question: str) -> str:
    """Search the user's documents. Returns the passages that answer the question together, none repeating another."""
    return "\n\n".join(map(_cited, _hits(question)))


def _hits(question: str) -> tuple[Hit, ...]:
    store = os.environ.get("SIFT_RAG_STORE") or None
    collection = os.environ.get("SIFT_RAG_COLLECTION") or defaults.COLLECTION
    with open_retriever(store, collection, api_key=os.environ.get("QDRANT_API_KEY") or None) as retriever:
        return retriever.retrieve(question).hits


def _fragment(hit: Hit) -> llm.Fragment:
    return llm.Fragment(_cited(hit), source=f"sift:{hit.passage.id}")  # type: ignore[no-untyped-call]


def _cited(hit: Hit) -> str:
    return f"[{hit.rank}] {locate(hit.passage)}\n{hit.passage.text}"
