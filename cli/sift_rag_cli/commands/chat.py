"""``sift-rag chat``."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, cast

import typer

from sift_rag import defaults
from sift_rag.errors import ConfigurationError, SiftRagError
from sift_rag_cli import options
from sift_rag_cli.answers import HOW_TO_GET_AN_ANSWER, show_step, write_answer
from sift_rag_cli.configuration import settings_for
from sift_rag_cli.fine_tuning import fine_tuning_of, model_of
from sift_rag_cli.output import is_terminal, one_line, say, write
from sift_rag_cli.remedies import message_of
from sift_rag_cli.searching import open_answering, search_options, with_known

if TYPE_CHECKING:
    from sift_rag.answering.settings import Mode

ENDS = {"exit", "quit"}


def chat(
    context: typer.Context,
    k: options.K = defaults.K,
    filters: options.Filter = None,
    known: options.Known = None,
    token_budget: options.TokenBudget = None,
    exact: options.Exact = False,
    selector: options.Selector = defaults.SELECTOR,
    reranker: options.Reranker = None,
    reranker_url: options.RerankerUrl = None,
    model: options.Model = None,
    base_url: options.BaseUrl = None,
    system: options.System = None,
    mode: options.Mode = defaults.MODES[0],
    steps: options.Steps = defaults.STEPS,
    store: options.Store = None,
    collection: options.Collection = defaults.COLLECTION,
    embedder: options.Embedder = None,
    assignments: options.Set = None,
) -> None:
    """Ask questions in turn; each answer builds on the last.

    Each answer uses passages that were not shown before. Type one question on each line; end with "exit" or the end of
    the input.

    Examples:
        sift-rag chat -m Qwen/Qwen3-0.6B
        sift-rag chat --base-url http://localhost:11434/v1 -m llama3.2 -k 8
    """
    from sift_rag.answering.conversation import Conversation
    from sift_rag.answering.settings import AnswerSettings

    values = settings_for(context, assignments, selectors=(selector,))
    wanted = search_options(values, k=k, filters=filters, token_budget=token_budget, exact=exact, selector=selector)
    settings = AnswerSettings(system=system, finetuning=fine_tuning_of(values), steps=steps, **values["answer"])
    if model_of(values, model) is None and base_url is None:
        raise ConfigurationError(f"There is no language model to chat with. {HOW_TO_GET_AN_ANSWER}")
    with open_answering(
        context,
        values,
        wanted,
        settings,
        store=store,
        collection=collection,
        embedder=embedder,
        reranker=reranker,
        reranker_url=reranker_url,
        model=model,
        base_url=base_url,
    ) as assistant:
        conversation = Conversation()
        for question in _typed_questions():
            try:
                query = with_known(wanted.query([question]), known, assistant.retriever.embedder)
                with assistant.stream(
                    query, cast("Mode", mode), conversation=conversation, on_step=show_step
                ) as stream:
                    conversation = write_answer(stream).conversation
                write()
            except (SiftRagError, ValueError) as error:
                if not is_terminal(sys.stdin):
                    raise
                say(one_line(f"Error: {message_of(error)}"))


def _typed_questions() -> Iterator[str]:
    """Yield the lines of the input until one ends the chat; blank lines are skipped."""
    person = is_terminal(sys.stdin) and is_terminal(sys.stdout)
    if person:
        with suppress(ImportError):  # not on Windows; where it is, it gives input() editing and a history
            import readline  # noqa: F401
    while True:
        try:
            line = input("? " if person else "").strip()
        except EOFError:
            return
        if line.lower() in ENDS:
            return
        if line:
            yield line
