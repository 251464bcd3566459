"""The settings of an MCP server."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sift_rag import defaults

if TYPE_CHECKING:
    from sift_rag.protocols import Embedder, LanguageModel, Relevance


@dataclass(frozen=True, kw_only=True)
class McpSettings:
    """The settings of an MCP server."""

    store: str | Path | None = None
    """Folder or URL; None: the user's data folder."""
    collection: str = defaults.COLLECTION
    embedder: str | Embedder | None = None
    """Embedder or its name; None: the one that the collection was made with."""
    api_key: str | None = field(default=None, repr=False)
    """API key of the Qdrant server."""
    read_only: bool = False
    """Leave out the tools that change the collection."""
    roots: tuple[Path, ...] = ()
    """Folders that agents may ingest from; none: no ingesting."""
    idle_seconds: float = 5.0
    """Time after which an idle collection is closed. Until then no other process can write to it if it is embedded."""
    model: LanguageModel | None = None
    """Language model of the tool ``ask``, which is left out without one."""
    relevance: Relevance | None = None
    """Reranker."""
