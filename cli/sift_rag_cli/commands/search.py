"""``sift-rag search``."""

from contextlib import closing
from typing import Annotated

import typer

from sift_rag_cli import options
from sift_rag_cli.explanation import write_explanation
from sift_rag_cli.inputs import read_given, read_questions
from sift_rag_cli.output import say, write_json
from sift_rag_cli.retrievals import retrieval_json, summary, write_hits


def search(
    questions: Annotated[
        list[str],
        typer.Argument(
            metavar="QUESTION", help="One question, or several parts that are answered together. - reads it from stdin."
        ),
    ],
    k: options.K = options.DEFAULT_K,
    selector: options.Selector = "sift",
    kernel: options.Kernel = "rbf",
    lengthscale: options.Lengthscale = options.DEFAULT_LENGTHSCALE,
    noise_variance: options.NoiseVariance = options.DEFAULT_NOISE_VARIANCE,
    candidates: options.Candidates = options.DEFAULT_CANDIDATES,
    given: options.Given = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show what each passage added, and what it kept out.")
    ] = False,
    keep_copies: Annotated[
        bool,
        typer.Option("--keep-copies", help="Let copies be candidates each for itself, as a plain vector search does."),
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="Show passages whole, however long.")] = False,
    store: options.Store = None,
    collection: options.Collection = options.DEFAULT_COLLECTION,
    embedder: options.Embedder = None,
    json: options.Json = False,
) -> None:
    """Show the passages that answer a question together."""
    from sift_rag.assembly import open_retriever
    from sift_rag.selection import SelectorSettings

    asked = read_questions(questions)
    settings = SelectorSettings(selector, kernel, lengthscale, noise_variance)
    retriever = open_retriever(
        store, collection, embedder, selector=settings, candidate_limit=candidates, keep_copies=keep_copies
    )
    with closing(retriever.store):
        known, known_texts = read_given(given or (), retriever.embedder)
        retrieval = retriever.retrieve(asked, k, given=known, given_texts=known_texts)
    if json:
        write_json(retrieval_json(retrieval, collection=collection, selector=settings, explain=explain))
        return
    write_hits(retrieval, full=full)
    if explain:
        write_explanation(retrieval)
    say(summary(retrieval))
