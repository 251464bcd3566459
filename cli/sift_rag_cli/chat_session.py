"""A chat at a terminal: questions, and commands about the chat itself. It holds the store only while it retrieves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from sift_rag.suggestions import suggestion
from sift_rag_cli.answers import show_step, write_answer
from sift_rag_cli.hits import heading_path, locate
from sift_rag_cli.inputs import check_question
from sift_rag_cli.output import (
    console,
    count_of,
    is_terminal,
    one_line,
    printable,
    say,
    say_wrapped,
    write,
    write_wrapped,
)
from sift_rag_cli.searching import with_known
from sift_rag_cli.wrapping import wrapped

if TYPE_CHECKING:
    from sift_rag.answering.conversation import Conversation
    from sift_rag.answering.settings import AnswerSettings, Mode
    from sift_rag.protocols import Embedder, LanguageModel
    from sift_rag.retrieval.options import SearchOptions
    from sift_rag.retrieval.retriever import Retriever

_INDENT = " " * 4


@dataclass(frozen=True, kw_only=True)
class ChatParts:
    """The parts of a chat that stay the same."""

    open_retriever: Callable[[Embedder | None], Retriever]
    """Opens the collection, with an embedder that is loaded already if there is one."""
    open_model: Callable[[str], LanguageModel]
    """Opens a language model by name."""
    settings: AnswerSettings
    options: SearchOptions
    mode: Mode
    known: tuple[str, ...] = ()
    """Files, sources and passages that count as known from the beginning."""


@dataclass
class ChatSession:
    """The state of a chat."""

    parts: ChatParts
    model: LanguageModel
    conversation: Conversation
    known: list[str] = field(default_factory=list)
    """Files, sources and passages that ``/known`` has added."""
    embedder: Embedder | None = None

    def greet(self) -> None:
        """Say what is being asked, and how to leave."""
        with self._retriever() as retriever:
            info, passages = retriever.store.info, retriever.store.count()
        say_wrapped(one_line(f"Collection {info.name!r}, {count_of(passages, 'passage')}; model {self.model.name}."))
        say_wrapped("Ask a question. /help lists the commands; exit or Ctrl-D leaves.")

    def read(self, line: str) -> None:
        """Run a command, or answer a question.

        Raises:
            SiftRagError: the question cannot be answered.
            ValueError: an argument of a command is wrong.
        """
        if not line.startswith("/"):
            self._answer(line)
            return
        name, _, argument = line.partition(" ")
        command = COMMANDS.get(name)
        if command is None:
            say_wrapped(
                one_line(f"There is no command {name!r}.{suggestion(name, COMMANDS)} /help lists the commands.")
            )
            return
        command.run(self, argument.strip())

    def _answer(self, question: str) -> None:
        from sift_rag.answering.assistant import Assistant

        check_question(question)
        with self._retriever() as retriever:
            assistant = Assistant(retriever, self.model, self.parts.settings, options=self.parts.options)
            query = with_known(self.parts.options.query([question]), self._all_known, retriever)
            stream = assistant.stream(query, self.parts.mode, conversation=self.conversation, on_step=show_step)
        with stream:
            self.conversation = write_answer(stream).conversation
        write()

    @property
    def _all_known(self) -> list[str]:
        return [*self.parts.known, *self.known]

    def _retriever(self) -> Retriever:
        retriever = self.parts.open_retriever(self.embedder)
        self.embedder = retriever.embedder
        return retriever

    def show_help(self, _: str) -> None:
        """Write the commands."""
        for name, command in COMMANDS.items():
            write_wrapped(f"{f'{name} {command.argument}':<16}  {command.help}", " " * 18)
        write_wrapped(f"{'exit, Ctrl-D':<16}  Leave the chat. Ctrl-C stops an answer.", " " * 18)

    def show_sources(self, _: str) -> None:
        """Write the passages that the chat still holds."""
        shown = self.conversation.shown
        if not shown:
            say("No passages yet: ask a question.")
        for number, passage in sorted(shown.items()):
            write_wrapped(f"[{number}] {locate(passage)}  {heading_path(passage)}".rstrip(), _INDENT)
            text = printable(passage.text.strip())
            if is_terminal(sys.stdout):
                text = "".join(wrapped([text], console().width - len(_INDENT)))
            write("".join(f"{_INDENT}{line}".rstrip() + "\n" for line in text.splitlines()))

    def clear(self, _: str) -> None:
        """Forget the chat so far, and what counts as known since it began."""
        from sift_rag.answering.conversation import Conversation

        self.conversation = Conversation()
        self.known = []
        say("Forgotten: the next question begins a new chat.")

    def change_model(self, name: str) -> None:
        """Change to the model of this name, if there is one, and name the model."""
        if name:
            self.model = self.parts.open_model(name)
        say_wrapped(one_line(f"Model {self.model.name}, context of {self.model.context_length:,} tokens."))

    def add_known(self, name: str) -> None:
        """Count a source as known from now on; without a name, list what is known.

        Raises:
            DocumentNotFound: there is no such source, file or passage: every further question would fail of it.
            UnreadableDocument: the file cannot become text.
        """
        if name:
            with self._retriever() as retriever:
                with_known(self.parts.options.query([name]), [name], retriever)
            if name not in self._all_known:
                self.known.append(name)
            say_wrapped(one_line(f"Counts as known from now on: {name}"))
            return
        shown = self.conversation.shown.values()
        if not self._all_known and not shown:
            say_wrapped("Nothing is known yet. /known SOURCE, FILE or ID adds something that you have read.")
        for known in self._all_known:
            write(one_line(known))
        for source in dict.fromkeys(passage.source for passage in shown):
            passages = sum(passage.source == source for passage in shown)
            write(one_line(f"{source}  ({count_of(passages, 'passage')} in this chat)"))


class _Command(NamedTuple):
    run: Callable[[ChatSession, str], None]
    argument: str
    help: str


COMMANDS: Mapping[str, _Command] = {
    "/help": _Command(ChatSession.show_help, "", "List the commands."),
    "/sources": _Command(ChatSession.show_sources, "", "Show the passages in this chat, with their text."),
    "/known": _Command(ChatSession.add_known, "[SOURCE]", "Count a source as known, or list what is."),
    "/model": _Command(ChatSession.change_model, "[NAME]", "Show the model, or change to another."),
    "/clear": _Command(ChatSession.clear, "", "Forget the chat so far, and what /known added."),
}
"""Commands by name."""
