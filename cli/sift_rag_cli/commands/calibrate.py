"""``sift-rag calibrate``."""

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

import typer

from sift_rag import defaults
from sift_rag_cli import options
from sift_rag_cli.calibrations import calibration_json, say_proposals, write_proposals
from sift_rag_cli.configuration import settings_for
from sift_rag_cli.embedding import embedder_of
from sift_rag_cli.inputs import spread, whole_numbers_in
from sift_rag_cli.output import check_writable, count_of, say, write_json, write_page
from sift_rag_cli.progress import collected, counted_progress
from sift_rag_cli.searching import open_language_model, open_scoring, open_search, search_options

if TYPE_CHECKING:
    from sift_rag.evaluation import JudgedQuestion
    from sift_rag.evaluation.trials import Plan, Uncertainty
    from sift_rag.protocols import Embedder, LanguageModel, PassageIndex, Relevance
    from sift_rag.retrieval.retriever import Retriever
    from sift_rag_cli.settings import Values


class _Parts(TypedDict):
    """Keyword arguments of every search."""

    embedder: "Embedder"
    store: "PassageIndex"
    relevance: "Relevance | None"


def calibrate(
    context: typer.Context,
    questions: Annotated[
        Path | None,
        typer.Argument(
            metavar="[QUESTIONS]",
            help="Judged questions, in the format of `sift-rag evaluate`. Without them, questions are generated from "
            "the collection and give thresholds only.",
        ),
    ] = None,
    generate: Annotated[
        int | None,
        typer.Option(
            "--generate",
            metavar="N",
            min=1,
            help=f"Generate N questions from the collection ({defaults.GENERATED_QUESTIONS} if QUESTIONS is omitted): "
            "sentences of its passages, or with --model, questions that the model writes about them.",
        ),
    ] = None,
    foreign: Annotated[
        Path | None,
        typer.Option(
            "--foreign",
            metavar="FILE",
            help="Check thresholds on questions that the collection cannot answer: JSON lines with 'question'.",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=1, help="Use only N of the QUESTIONS, evenly spaced."),
    ] = None,
    k: Annotated[
        str,
        typer.Option(
            "-k",
            metavar="N,N",
            rich_help_panel=options.PASSAGES,
            help="Values of k to average recall over.",
        ),
    ] = ",".join(map(str, defaults.EVALUATED_KS)),
    filters: options.Filter = None,
    reranker: options.Reranker = None,
    reranker_url: options.RerankerUrl = None,
    model: options.Model = None,
    base_url: options.BaseUrl = None,
    steps: options.Steps = defaults.STEPS,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="FILE",
            rich_help_panel=options.OUTPUT,
            help="Write an HTML report with plots and all figures.",
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
    """Propose settings that suit a collection.

    With judged questions, propose values of words, noise_variance and follow if they find significantly more than the
    current ones on held-out questions. With any questions, propose the max_variance and min_gain that 95 % of them
    pass. No file is changed: the lines to add to sift-rag.toml are printed.

    Examples:
        sift-rag calibrate questions.jsonl --foreign others.jsonl
        sift-rag calibrate questions.jsonl -k 5 --report page.html
        sift-rag calibrate --generate 200
        sift-rag calibrate -m Qwen/Qwen3-0.6B --json > calibration.json
    """
    from sift_rag.evaluation import read_foreign_questions, read_judged_questions
    from sift_rag.evaluation.calibration import choose, sum_up
    from sift_rag.evaluation.judge import Judge
    from sift_rag.evaluation.plots import require_matplotlib
    from sift_rag.evaluation.trials import Plan, measure_foreign, try_out

    if questions is not None and generate is not None:
        raise ValueError("Give QUESTIONS or --generate, not both.")
    if questions is None and limit is not None:
        raise ValueError("--limit applies to QUESTIONS: use --generate N to set the number of generated ones.")
    values = settings_for(context, assignments, selectors=(defaults.SELECTOR,))
    usual = search_options(
        values, k=defaults.K, filters=filters, token_budget=None, exact=False, selector=defaults.SELECTOR
    )
    by_model = model is not None or base_url is not None
    plan = Plan(
        options=usual,
        ks=whole_numbers_in(k),
        origin="judged" if questions is not None else "model" if by_model else "sentences",
        steps=steps,
        min_gain=values["answer"].get("min_gain", defaults.MIN_GAIN),
    )
    check_writable(report)
    asked = None if questions is None else spread(read_judged_questions(questions), limit)
    others = [] if foreign is None else read_foreign_questions(foreign)
    if report is not None:
        require_matplotlib()
    theirs: list[Uncertainty] = []
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
        if asked is None:
            language_model = open_language_model(context, model, base_url, values)
            asked = _generated(retriever, plan, values, language_model, generate or defaults.GENERATED_QUESTIONS)
        judge = Judge(asked, retriever.store)
        parts = _Parts(embedder=retriever.embedder, store=retriever.store, relevance=retriever.relevance)
        trials, interrupted = collected(try_out(plan, judge, **parts), len(asked), doing="measuring", least=1)
        choice = choose(plan, trials)
        if others and interrupted is None:
            measured = measure_foreign(plan, choice.values, others, **parts)
            theirs, interrupted = collected(measured, len(others), doing="measuring", least=0)
    calibration = sum_up(plan, choice, trials, theirs, judge)
    if report is not None:
        from sift_rag.evaluation.calibration_report import render_calibration

        write_page(report, render_calibration(calibration, collection=collection))
    if json:
        write_json(calibration_json(calibration, collection=collection, plan=plan))
    else:
        write_proposals(calibration)
        say_proposals(calibration)
    if interrupted is not None:
        raise interrupted


def _generated(
    retriever: "Retriever", plan: "Plan", values: "Values", model: "LanguageModel | None", wanted: int
) -> "list[JudgedQuestion]":
    """Return questions generated from the collection."""
    from sift_rag.errors import ConfigurationError, NoEvidence
    from sift_rag.evaluation.generated_questions import sentence_questions, written_questions

    store, where = retriever.store, plan.options.where or None
    if not store.count():
        raise NoEvidence(f"Collection {store.info.name!r} is empty: ingest something first.")
    if model is None:
        made = list(islice(sentence_questions(store, where=where), wanted))
    else:
        tokens = values["answer"].get("max_new_tokens", defaults.MAX_NEW_TOKENS)
        written = written_questions(store, model, where=where, max_new_tokens=tokens)
        with counted_progress("writing questions", "question", wanted) as advance:
            made = []
            for one in islice(written, wanted):
                made.append(one)
                advance(one.questions[0])
    if not made:
        of_these = "" if where is None else " that the filter matches"
        raise ConfigurationError(
            f"No questions can be generated from the collection: no passage{of_these} contains a sentence of prose."
            if model is None
            else "No questions can be generated from the collection: the model wrote none."
        )
    if len(made) < wanted:
        say(f"Generated only {count_of(len(made), 'question')} of {wanted:,}.")
    return made
