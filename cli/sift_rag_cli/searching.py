"""The options of a search as the library's values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sift_rag_cli.inputs import read_known

if TYPE_CHECKING:
    from sift_rag.retrieval.options import SearchOptions

    from sift_rag.protocols import Embedder
    from sift_rag.retrieval.queries import Query
    from sift_rag.stores.qdrant.layout import Layout
    from sift_rag_cli.settings import Values


def search_options(
    values: Values, *, k: int, filters: Sequence[str] | None, token_budget: int | None, exact: bool, selector: str
) -> SearchOptions:
    """Return the options of a search; errors in them are raised here, before anything is opened.

    Raises:
        ValueError: a filter is not KEY=VALUE, or a setting is out of range.
    """
    from sift_rag.filters import Filter
    from sift_rag.retrieval.options import SearchOptions

    options = SearchOptions(
        k=k,
        where=Filter.parse(filters) if filters else None,
        token_budget=token_budget,
        exact=exact,
        selector=selector,
        settings=values["selector"],
        **values["search"],
    )
    options.make_selector()
    options.query("?")
    return options


def layout_of(values: Values) -> Layout:
    """Return the layout of a collection that another tool made."""
    from sift_rag.stores.qdrant.layout import Layout

    return Layout(**values["layout"])


def with_known(query: Query, known: Sequence[str] | None, embedder: Embedder) -> Query:
    """Return the query of somebody who knows these files, sources and passages.

    Raises:
        UnreadableDocument: a file cannot become text.
    """
    names, texts = read_known(known or (), embedder)
    return replace(query, known=tuple(names), known_texts=tuple(texts))


def about_search(options: SearchOptions, collection: str) -> dict[str, object]:
    """Return what ``--json`` tells of a search besides its result."""
    from sift_rag.selection.settings import settings_of

    return {
        "collection": collection,
        "selector": {"name": options.selector, **settings_of(options.make_selector())},
        "where": None if options.where is None else options.where.to_dict(),
    }
