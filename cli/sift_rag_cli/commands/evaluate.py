"""``sift-rag evaluate``."""

from pathlib import Path
from typing import Annotated

import typer

from sift_rag import defaults
from sift_rag_cli import options
from sift_rag_cli.configuration import settings_for
from sift_rag_cli.embedding import embedder_of
from sift_rag_cli.evaluations import evaluation_json, write_failures, write_found
from sift_rag_cli.inputs import names_in, spread, whole_numbers_in
from sift_rag_cli.output import check_writable, one_line, say, write_json, write_page
from sift_rag_cli.progress import collected
from sift_rag_cli.searching import open_scoring, open_search, search_options


def evaluate(
    context: typer.Context,
    questions: Annotated[
        Path,
        typer.Argument(
            metavar="QUESTIONS",
            help="JSON lines with 'question' and either 'relevant' (sources, passage ids or texts) or 'answer' (a text "
            "that relevant passages contain); or a folder in BEIR format (queries.jsonl and qrels/*.tsv).",
        ),
    ],
    selectors: Annotated[
        str,
        typer.Option(
            "--selectors",
            metavar="A,B",
            rich_help_panel=options.PASSAGES,
            help=f"Selectors to compare: {', '.join(defaults.SELECTORS)}. nearest is always included.",
        ),
    ] = ",".join(defaults.EVALUATED_SELECTORS),
    k: Annotated[
        str,
        typer.Option("-k", metavar="N,N", rich_help_panel=options.PASSAGES, help="Values of k to evaluate at."),
    ] = ",".join(map(str, defaults.EVALUATED_KS)),
    filters: options.Filter = None,
    reranker: options.Reranker = None,
    reranker_url: options.RerankerUrl = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=1, help="Use only N of the questions, evenly spaced."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="FILE",
            rich_help_panel=options.OUTPUT,
            help="Write an HTML report with plots and the questions with no relevant hit.",
        ),
    ] = None,
    json: options.Json = False,
    store: options.Store = None,
    collection: options.Collection = defaults.COLLECTION,
    wait: options.Wait = None,
    embedder: options.Embedder = None,
    embedder_url: options.EmbedderUrl = None,
    assignments: options.Set = None,
) -> None:
    """Find out which selector finds more, on your own questions.

    Every selector searches for each question, and the hits are scored against its relevance judgements. Several
    passages of one relevant source count once. A setting applies to every selector that has it.

    Examples:
        sift-rag evaluate questions.jsonl
        sift-rag evaluate questions.jsonl --selectors sift,hybrid -k 5 --report page.html
        sift-rag evaluate beir/nfcorpus --limit 100 --set noise_variance=1
    """
    from sift_rag.evaluation import read_judged_questions, searches_with
    from sift_rag.evaluation.found import judge_searches, sum_up
    from sift_rag.evaluation.judge import Judge
    from sift_rag.evaluation.plots import require_matplotlib

    names, ks = names_in(selectors), whole_numbers_in(k)
    if not names:
        raise ValueError(f"--selectors is empty: expected one or more of {', '.join(defaults.SELECTORS)}.")
    values = settings_for(context, assignments, selectors=names)
    settings = {name: value for group in ("search", "selector") for name, value in values[group].items()}
    usual = search_options(
        {**values, "selector": {}},
        k=defaults.K,
        filters=filters,
        token_budget=None,
        exact=False,
        selector=defaults.SELECTOR,
    )
    searches = searches_with(names, usual, values["selector"])
    check_writable(report)
    asked = spread(read_judged_questions(questions), limit)
    if report is not None:
        require_matplotlib()
    with open_search(
        context,
        values,
        usual,
        store=store,
        collection=collection,
        embedder=embedder_of(context, values, embedder, embedder_url),
        relevance=open_scoring(context, reranker, reranker_url),
        wait=wait,
    ) as retriever:
        judge = Judge(asked, retriever.store)
        results = judge_searches(
            judge,
            embedder=retriever.embedder,
            store=retriever.store,
            searches=searches,
            ks=ks,
            relevance=retriever.relevance,
        )
        ids = (question.id for question in judge.questions)
        judged, interrupted = collected(results, len(asked), doing="evaluating", least=1, names=ids)
    evaluation = sum_up(judged, judge, ks)
    if report is not None:
        from sift_rag.evaluation.found_report import render_found

        words = ", ".join(f"{name} = {value}" for name, value in settings.items())
        write_page(report, render_found(evaluation, collection=collection, settings=words))
    if json:
        write_json(evaluation_json(evaluation, collection=collection, searches=searches))
    else:
        write_found(evaluation)
        write_failures(evaluation)
        say(one_line(evaluation.verdict))
    if interrupted is not None:
        raise interrupted
