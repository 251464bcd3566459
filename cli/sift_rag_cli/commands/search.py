"""``sift-rag search``."""

from typing import Annotated

import typer

from sift_rag_cli import options
from sift_rag_cli.explanation import write_explanation
from sift_rag_cli.inputs import read_questions
from sift_rag_cli.output import say, write_json
from sift_rag_cli.retrievals import retrieval_json, summary, write_hits
from sift_rag_cli.selecting import SelectionOptions, with_selection_options


@with_selection_options
def search(
    questions: Annotated[
        list[str],
        typer.Argument(
            metavar="QUESTION", help="One question, or several parts that are answered together. - reads it from stdin."
        ),
    ],
    selecting: SelectionOptions,
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
    asked = read_questions(questions)
    with selecting.retriever(store, collection, embedder, keep_copies=keep_copies) as retriever:
        retrieval = selecting.retrieve(retriever, asked)
    if json:
        write_json(
            retrieval_json(
                retrieval,
                collection=collection,
                selector=selecting.settings(),
                where=selecting.where(),
                explain=explain,
            )
        )
        return
    write_hits(retrieval, full=full)
    if explain:
        write_explanation(retrieval)
    say(summary(retrieval))
