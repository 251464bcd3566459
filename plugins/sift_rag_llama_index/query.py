"""A LlamaIndex query that carries search options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llama_index.core.schema import QueryBundle

from sift_rag import SearchOptions
from sift_rag_llama_index.filters import with_filters


@dataclass
class SiftQuery(QueryBundle):
    """A query with search options of its own, which win over the retriever's: ``SiftQuery("...", options={"k": 10})``.

    ``custom_embedding_strs`` are questions that are asked together, in place of ``query_str``.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    """Search options of this query, by the names of ``sift_rag.SearchOptions``; ``filters`` are LlamaIndex's."""


def options_for(query: QueryBundle, options: Mapping[str, Any]) -> SearchOptions:
    """Return the search options of a query: those that it carries, and ``options`` for the rest.

    Raises:
        ValueError: an unknown name, or a value of another type, such as LlamaIndex's filters, or out of range.
    """
    return SearchOptions.from_dict(
        {**options, **with_filters(query.options)} if isinstance(query, SiftQuery) else options
    )
