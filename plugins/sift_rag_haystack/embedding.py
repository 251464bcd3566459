"""Embedders at an endpoint, as saved pipelines hold them."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from haystack.utils import Secret

from sift_rag import EmbedderEndpoint


def check_embedder(embedder: str | EmbedderEndpoint | None) -> None:
    """Raise ``ValueError`` if an endpoint holds a key, which a saved pipeline would show."""
    if isinstance(embedder, EmbedderEndpoint) and embedder.api_key is not None:
        raise ValueError("The endpoint of the embedder holds an API key: give it as embedder_api_key, a Secret.")


def with_key(embedder: str | EmbedderEndpoint | None, key: Secret | None) -> str | EmbedderEndpoint | None:
    """Return the embedder with the key of its endpoint."""
    if isinstance(embedder, EmbedderEndpoint) and key is not None:
        return replace(embedder, api_key=key.resolve_value())
    return embedder


def saved_embedder(embedder: str | EmbedderEndpoint | None) -> str | dict[str, Any] | None:
    """Return the embedder for a saved pipeline."""
    if not isinstance(embedder, EmbedderEndpoint):
        return embedder
    return {name: value for name, value in asdict(embedder).items() if name != "api_key"}


def loaded_embedder(saved: str | dict[str, Any] | None) -> str | EmbedderEndpoint | None:
    """Return the embedder that ``saved_embedder`` saved."""
    return EmbedderEndpoint(**saved) if isinstance(saved, dict) else saved
