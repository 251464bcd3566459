"""``sift-rag search``."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from sift_rag import defaults
from sift_rag_cli import options
from sift_rag_cli.configuration import settings_for
from sift_rag_cli.embedding import embedder_of
from sift_rag_cli.explanation import write_explanation
from sift_rag_cli.hits import HitView, links_of, summary, weak_match, write_hits
from sift_rag_cli.inputs import read_questions
from sift_rag_cli.output import is_terminal, say, write_json
from sift_rag_cli.searching import about_search, open_scoring, open_search, search_options, with_known

if TYPE_CHECKING:
    from sift_rag.retrieval.retriever import Retriever
    from sift_rag.types import Retrieval


def search(
    context: typer.Context,
    questions: Annotated[
        list[str],
        typer.Argument(
            metavar="QUESTION...", help="A question, or several parts to answer together; - reads from stdin."
        ),
    ],
    k: options.K = defaults.K,
    filters: options.Filter = None,
    known: options.Known = None,
    token_budget: options.TokenBudget = None,
    neighbours: options.Context = 0,
    exact: options.Exact = False,
    selector: options.Selector = defaults.SELECTOR,
    reranker: options.Reranker = None,
    reranker_url: options.RerankerUrl = None,
    explain: options.Explain = False,
    full: Annotated[
        bool, typer.Option("--full", rich_help_panel=options.OUTPUT, help="Show every passage in full.")
    ] = False,
    json: options.Json = False,
    store: options.Store = None,
    collection: options.Collection = defaults.COLLECTION,
    wait: options.Wait = None,
    embedder: options.Embedder = None,
    embedder_url: options.EmbedderUrl = None,
    assignments: options.Set = None,
) -> None:
    """Find passages that answer a question together.

    Examples:
        sift-rag search "How do I book a flight, and who pays?"
        sift-rag search "How do I book a flight?" -k 3 --filter 'source=travel/*'
        sift-rag search "What is new?" --known report.pdf --explain
        sift-rag search "Taxi fares" --selector mmr --set relevance=0.7 --json
        sift-rag search "Taxi fares" --reranker cross-encoder/ms-marco-MiniLM-L6-v2
    """
    asked = read_questions(questions)
    values = settings_for(context, assignments, selectors=(selector,))
    wanted = search_options(
        values,
        k=k,
        filters=filters,
        token_budget=token_budget,
        exact=exact,
        selector=selector,
        context=neighbours,
    )
    with open_search(
        context,
        values,
        wanted,
        store=store,
        collection=collection,
        embedder=embedder_of(context, values, embedder, embedder_url),
        relevance=open_scoring(context, reranker, reranker_url),
        wait=wait,
    ) as retriever:
        retrieval = retriever.retrieve(with_known(wanted.query(asked), known, retriever))
        view = HitView() if json else _view(retriever, retrieval)
    if json:
        write_json({**retrieval.to_dict(explain=explain), **about_search(wanted, collection)})
        return
    write_hits(retrieval, full=full, view=view)
    if explain:
        write_explanation(retrieval)
    weak = weak_match(retrieval, view.level)
    if weak:
        say(weak)
    say(f"{summary(retrieval)}.")


def _view(retriever: "Retriever", retrieval: "Retrieval") -> HitView:
    from sift_rag.retrieval.matching import measure_level

    level = measure_level(retriever.embedder, retriever.store)
    links = links_of(retrieval, retriever.store) if is_terminal(sys.stdout) else {}
    return HitView(retrieval.questions, retriever.language, level, links)
