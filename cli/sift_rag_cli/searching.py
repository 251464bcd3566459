"""Turn the options of a search or an answer into the library's values, and open the parts that they name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from sift_rag import defaults
from sift_rag_cli.api_keys import endpoint_key, reranker_key, store_key
from sift_rag_cli.fine_tuning import model_of
from sift_rag_cli.inputs import read_known
from sift_rag_cli.progress import loading
from sift_rag_cli.sources import full_source
from sift_rag_cli.waiting import patience

if TYPE_CHECKING:
    import typer

    from sift_rag.answering.assistant import Assistant
    from sift_rag.answering.settings import AnswerSettings
    from sift_rag.embedders.endpoint import EmbedderEndpoint
    from sift_rag.protocols import Embedder, LanguageModel, Relevance
    from sift_rag.retrieval.options import SearchOptions
    from sift_rag.retrieval.queries import Query
    from sift_rag.retrieval.retriever import Retriever
    from sift_rag.stores.qdrant.layout import Layout
    from sift_rag_cli.settings import Values


def search_options(
    values: Values,
    *,
    k: int,
    filters: Sequence[str] | None,
    token_budget: int | None,
    exact: bool,
    selector: str,
    exact_search: bool = False,
    context: int = 0,
) -> SearchOptions:
    """Return the options of a search; errors in them are raised here, before anything is opened.

    Raises:
        ValueError: a filter is not KEY=VALUE, or a setting is out of range.
    """
    from sift_rag.filters import Filter
    from sift_rag.retrieval.options import SearchOptions

    return SearchOptions(
        k=k,
        where=Filter.parse(filters) if filters else None,
        token_budget=token_budget,
        context=context,
        exact=exact,
        selector=selector,
        settings=values["selector"],
        **{**values["search"], **({"exact_search": True} if exact_search else {})},
    )


def open_search(
    context: typer.Context,
    values: Values,
    options: SearchOptions,
    *,
    store: str | None,
    collection: str,
    embedder: str | EmbedderEndpoint | Embedder | None,
    relevance: Relevance | None,
    wait: float | None,
) -> Retriever:
    """Open the collection that the options name, for searching as they specify."""
    with loading_embedder(embedder if isinstance(embedder, str) else None):
        from sift_rag.opening import open_retriever

        return open_retriever(
            store,
            collection,
            embedder,
            selector=options.make_selector(),
            candidate_limit=options.candidate_limit,
            keep_copies=options.keep_copies,
            relevance=relevance,
            api_key=store_key(context, store),
            layout=layout_of(values),
            wait=patience(wait),
            runtime=runtime_of(values),
        )


def loading_embedder(name: str | None) -> AbstractContextManager[object]:
    """Show that a collection is being opened with its embedder."""
    return loading("the collection", name or "its embedder")


def open_scoring(context: typer.Context, reranker: str | None, reranker_url: str | None) -> Relevance | None:
    """Open the reranker that the options name, or return None."""
    if reranker is None and reranker_url is None:
        return None
    with loading(reranker or "the reranker"):
        from sift_rag.opening import open_relevance

        return open_relevance(reranker, base_url=reranker_url, api_key=reranker_key(context, reranker_url))


def open_language_model(
    context: typer.Context, name: str | None, base_url: str | None, values: Values | None = None
) -> LanguageModel | None:
    """Open the language model that the options name, or return None."""
    if name is None and base_url is None:
        return None
    with loading(name or "the language model") as show_stage:
        from sift_rag.models.options import ModelOptions
        from sift_rag.opening import open_model

        key = endpoint_key(context, base_url)
        options = ModelOptions(**(values or {}).get("model", {}))
        return open_model(name, base_url=base_url, api_key=key, options=options, on_stage=show_stage)


def layout_of(values: Values) -> Layout:
    """Return the layout of a collection that another tool made."""
    from sift_rag.stores.qdrant.layout import Layout

    return Layout(**values["layout"])


def with_known(query: Query, known: Sequence[str] | None, retriever: Retriever) -> Query:
    """Return the query with these files, sources and passages marked as known.

    Raises:
        DocumentNotFound: a name is neither a file nor a passage or source of the collection.
        UnreadableDocument: a file cannot become text.
    """
    names, texts = read_known(known or (), retriever.embedder)
    store = retriever.store
    resolved = [name if store.fetch([name]) else full_source(name, store.documents, store.info.name) for name in names]
    return replace(query, known=tuple(resolved), known_texts=tuple(texts))


def runtime_of(values: Values) -> str:
    """Return what is to compute the vectors of embedders."""
    return str(values["runtime"].get("runtime", defaults.RUNTIME))


@contextmanager
def open_answering(
    context: typer.Context,
    values: Values,
    options: SearchOptions,
    settings: AnswerSettings,
    *,
    store: str | None,
    collection: str,
    embedder: str | EmbedderEndpoint | None,
    reranker: str | None,
    reranker_url: str | None,
    model: str | None,
    base_url: str | None,
    wait: float | None,
) -> Iterator[Assistant]:
    """Open an assistant on the collection that the options name, with the model that they name, if any."""
    from sift_rag.answering.assistant import Assistant

    name = model_of(values, model, base_url)
    relevance = open_scoring(context, reranker, reranker_url)
    with open_search(
        context,
        values,
        options,
        store=store,
        collection=collection,
        embedder=embedder,
        relevance=relevance,
        wait=wait,
    ) as retriever:
        language_model = open_language_model(context, name, base_url, values)
        yield Assistant(retriever, language_model, settings, options=options)


def about_search(options: SearchOptions, collection: str) -> dict[str, object]:
    """Return what ``--json`` prints about a search besides its result."""
    from sift_rag.selection.settings import settings_of

    return {
        "collection": collection,
        "selector": {"name": options.selector, **settings_of(options.make_selector())},
        "where": None if options.where is None else options.where.to_dict(),
    }
