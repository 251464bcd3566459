"""``sift-rag search``."""

from typing import Annotated

import typer

from sift_rag import defaults
from sift_rag_cli import options
from sift_rag_cli.configuration import settings_for
from sift_rag_cli.embedding import embedder_of
from sift_rag_cli.explanation import write_explanation
from sift_rag_cli.help import command_line
from sift_rag_cli.hits import HitView, summary, view_of, weak_match, write_hits
from sift_rag_cli.inputs import read_questions
from sift_rag_cli.output import check_writable, say_wrapped, write_json
from sift_rag_cli.searching import about_search, open_scoring, open_search, search_options, with_known
from sift_rag_cli.shared_page import SharedPage, write_shared


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
    exact_search: options.ExactSearch = False,
    selector: options.Selector = defaults.SELECTOR,
    reranker: options.Reranker = None,
    reranker_url: options.RerankerUrl = None,
    explain: options.Explain = False,
    full: Annotated[
        bool, typer.Option("--full", rich_help_panel=options.OUTPUT, help="Show every passage in full.")
    ] = False,
    json: options.Json = False,
    html: options.Html = None,
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
    check_writable(html)
    asked = read_questions(questions)
    values = settings_for(context, assignments, selectors=(selector,))
    wanted = search_options(
        values,
        k=k,
        filters=filters,
        token_budget=token_budget,
        exact=exact,
        exact_search=exact_search,
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
        view = HitView() if json and html is None else view_of(retriever, retrieval, store)
    page = SharedPage(retrieval, view, command_line(context), collection)
    if json:
        write_json({**retrieval.to_dict(explain=explain), **about_search(wanted, collection)})
        write_shared(html, page)
        return
    write_hits(retrieval, full=full, view=view)
    if explain:
        write_explanation(retrieval)
    weak = weak_match(retrieval, view.level)
    if weak:
        say_wrapped(weak)
    say_wrapped(f"{summary(retrieval)}.")
    write_shared(html, page)
