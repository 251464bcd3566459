"""Replies in the shapes of OpenAI's API. They describe the OpenAPI document; nothing is validated on the way out."""

from __future__ import annotations

from typing import Any

from sift_rag_server.replies import Reply


class ChatReply(Reply):
    """A completion of a chat."""

    id: str
    object: str
    created: int
    model: str
    choices: list[dict[str, Any]]
    usage: dict[str, int]


class EmbeddingsReply(Reply):
    """Embeddings of texts."""

    object: str
    data: list[dict[str, Any]]
    model: str
    usage: dict[str, int]
