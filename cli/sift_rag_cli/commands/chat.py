"""``sift-rag chat``."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import typer

from sift_rag.errors import ConfigurationError, NoEvidence, SiftRagError
from sift_rag_cli import options
from sift_rag_cli.answers import say_dropped, write_sources, write_stream
from sift_rag_cli.language_model import HOW_TO_GET_AN_ANSWER, open_named_model
from sift_rag_cli.output import is_terminal, one_line, say, write
from sift_rag_cli.selecting import SelectionOptions, with_selection_options

if TYPE_CHECKING:
    from sift_rag.answering.prompt import Prompt
    from sift_rag.types import Passage

ENDS = {"exit", "quit"}


@with_selection_options
def chat(
    context: typer.Context,
    selecting: SelectionOptions,
    model: options.Model = None,
    base_url: options.BaseUrl = None,
    system: options.System = None,
    max_new_tokens: options.MaxNewTokens = options.DEFAULT_MAX_NEW_TOKENS,
    store: options.Store = None,
    collection: options.Collection = options.DEFAULT_COLLECTION,
    embedder: options.Embedder = None,
) -> None:
    """Ask in turns; each adds what the earlier ones did not show.

    One question a line. It ends with "exit" or at the end of the input.
    """
    from sift_rag.answering.answer import stream_answer
    from sift_rag.answering.conversation import Conversation
    from sift_rag.answering.prompt import build_prompt

    if model is None and base_url is None:
        raise ConfigurationError(f"A chat needs a language model. {HOW_TO_GET_AN_ANSWER}")
    with selecting.retriever(store, collection, embedder) as retriever:
        language_model = open_named_model(context, model, base_url)

        def turn(question: str, conversation: Conversation) -> "tuple[Prompt, str]":
            passages: list[Passage] = []
            try:
                retrieval = selecting.retrieve(retriever, [question], shown=conversation.given)
                passages = [hit.passage for hit in retrieval.hits]
            except NoEvidence:
                if not conversation.turns:
                    raise
                say("Every passage has been shown already.")
            prompt = build_prompt(
                [question],
                passages,
                model=language_model,
                system=system,
                max_new_tokens=max_new_tokens,
                history=conversation.history,
                shown=conversation.shown,
            )
            say_dropped(prompt)
            answer = write_stream(stream_answer(language_model, prompt, max_new_tokens=max_new_tokens))
            write_sources(prompt, answer)
            write()
            return prompt, answer

        conversation = Conversation()
        for question in _typed_questions():
            conversation = conversation.trimmed(language_model)
            try:
                conversation = conversation.with_turn(*turn(question, conversation))
            except (SiftRagError, ValueError) as error:
                if not is_terminal(sys.stdin):
                    raise
                say(one_line(f"Error: {error}"))


def _typed_questions() -> Iterator[str]:
    """Lines until the input ends or one of them says so; blank ones are passed over."""
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
