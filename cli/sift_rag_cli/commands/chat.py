"""``sift-rag chat``."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, cast

import typer

from sift_rag import defaults
from sift_rag.errors import ConfigurationError, SiftRagError
from sift_rag_cli import options
from sift_rag_cli.answers import HOW_TO_GET_AN_ANSWER
from sift_rag_cli.chat_session import ChatParts, ChatSession
from sift_rag_cli.configuration import settings_for
from sift_rag_cli.embedding import embedder_of
from sift_rag_cli.fine_tuning import fine_tuning_of, model_of
from sift_rag_cli.output import is_terminal, one_line, say, say_wrapped
from sift_rag_cli.remedies import message_of
from sift_rag_cli.searching import open_language_model, open_scoring, open_search, search_options

if TYPE_CHECKING:
    from sift_rag.answering.settings import Mode
    from sift_rag.protocols import Embedder, LanguageModel
    from sift_rag.retrieval.retriever import Retriever

ENDS = {"exit", "quit"}


def chat(
    context: typer.Context,
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
    model: options.Model = None,
    base_url: options.BaseUrl = None,
    system: options.System = None,
    mode: options.Mode = defaults.MODES[0],
    steps: options.Steps = defaults.STEPS,
    store: options.Store = None,
    collection: options.Collection = defaults.COLLECTION,
    wait: options.Wait = None,
    embedder: options.Embedder = None,
    embedder_url: options.EmbedderUrl = None,
    assignments: options.Set = None,
) -> None:
    """Ask questions in turn; each answer builds on the last.

    Each answer uses passages that were not shown before, and a follow-up question keeps the subject. Type one question
    on each line. /help lists the commands; "exit" or the end of the input leaves. Ctrl-C stops an answer.

    Examples:
        sift-rag chat -m Qwen/Qwen3-0.6B
        sift-rag chat --base-url http://localhost:11434/v1 -m llama3.2 -k 8
    """
    from sift_rag.answering.conversation import Conversation
    from sift_rag.answering.settings import AnswerSettings

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
    settings = AnswerSettings(system=system, finetuning=fine_tuning_of(values), steps=steps, **values["answer"])

    named = embedder_of(context, values, embedder, embedder_url)

    def open_retriever(loaded: "Embedder | None") -> "Retriever":
        return open_search(
            context,
            values,
            wanted,
            store=store,
            collection=collection,
            embedder=loaded or named,
            relevance=relevance,
            wait=wait,
        )

    def open_model(name: str | None) -> "LanguageModel":
        opened = open_language_model(context, name, base_url, values)
        if opened is None:
            raise ConfigurationError(f"There is no language model to chat with. {HOW_TO_GET_AN_ANSWER}")
        return opened

    language_model = open_model(model_of(values, model, base_url))
    relevance = open_scoring(context, reranker, reranker_url)
    parts = ChatParts(
        open_retriever=open_retriever,
        open_model=open_model,
        settings=settings,
        options=wanted,
        mode=cast("Mode", mode),
        known=tuple(known or ()),
    )
    session = ChatSession(parts=parts, model=language_model, conversation=Conversation())
    person = is_terminal(sys.stdin) and is_terminal(sys.stdout)
    if person:
        session.greet()
    for line in _typed_lines(person=person):
        try:
            session.read(line)
        except BrokenPipeError:
            raise
        except (SiftRagError, ValueError, OSError, KeyboardInterrupt) as error:
            if not is_terminal(sys.stdin):
                raise
            if isinstance(error, KeyboardInterrupt):
                say("\nStopped.")  # after the ^C that the terminal shows
            else:
                say_wrapped(one_line(f"Error: {message_of(error)}"))


def _typed_lines(*, person: bool) -> "Iterator[str]":
    """Yield the lines of the input until one ends the chat; blank lines are skipped.

    At a terminal, Ctrl-C drops the line in progress.
    """
    if person:
        with suppress(ImportError):  # not on Windows; where it is, it gives input() editing and a history
            import readline  # noqa: F401
    while True:
        try:
            line = input("? " if person else "").strip()
        except EOFError:
            return
        except KeyboardInterrupt:
            if not person:
                raise
            say("\nexit or Ctrl-D leaves.")
            continue
        if line.lower().removeprefix("/") in ENDS:
            return
        if line:
            yield line
