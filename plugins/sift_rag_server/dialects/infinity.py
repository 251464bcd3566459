"""Infinity: Cohere's requests, and replies in which a document is its text. Only its path tells it from Cohere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sift_rag.retrieval.reranker import Reranking
from sift_rag_server.dialects.cohere import COHERE
from sift_rag_server.dialects.dialect import ReplyHead, RerankRequest


def _write(request: RerankRequest, ranking: Reranking, head: ReplyHead) -> object:
    reply: Any = COHERE.write(request, ranking, head)
    for result in reply["results"]:
        if isinstance(document := result.get("document"), Mapping):
            result["document"] = document["text"]
    return reply


INFINITY = replace(COHERE, write=_write)
