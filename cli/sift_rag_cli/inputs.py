"""What a person names on the command line, read: questions, paths, what is already known, which passages may come."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sift_rag.errors import UnreadableDocument
from sift_rag_cli.output import say

if TYPE_CHECKING:
    from sift_rag.corpus.shards import Shard
    from sift_rag.protocols import Embedder
    from sift_rag.filters import Filter

STDIN = "-"


def read_questions(arguments: Sequence[str]) -> tuple[str, ...]:
    """The questions; ``-`` stands for the one on stdin.

    Raises:
        ValueError: a question is empty or not valid Unicode, or ``-`` stands twice.
    """
    if list(arguments).count(STDIN) > 1:
        raise ValueError("'-' stands for the question on stdin: give it once.")
    questions = tuple((sys.stdin.read() if argument == STDIN else argument).strip() for argument in arguments)
    if not all(questions):
        raise ValueError("The question is empty.")
    if any("\ud800" <= character <= "\udfff" for question in questions for character in question):
        raise ValueError("The question is not valid UTF-8.")
    if len(questions) > 2 and not any(" " in question for question in questions):
        say(f"{len(questions)} questions of one word each. To ask them as one, put it in quotes.")
    return questions


def read_paths(arguments: Sequence[str]) -> list[Path]:
    """The paths; ``-`` stands for those on stdin, one a line."""
    return [
        Path(name).expanduser()
        for argument in arguments
        for name in (_lines(sys.stdin.read()) if argument == STDIN else (argument,))
    ]


def read_share(text: str) -> Shard:
    """The share that ``3/16`` means.

    Raises:
        ValueError: it means none.
    """
    from sift_rag.corpus.shards import Shard

    number, slash, of = text.partition("/")
    if not (slash and number.isdecimal() and of.isdecimal()):
        raise ValueError(f"--shard is {text!r}: expected the share's number and how many there are, for example 3/16.")
    return Shard(int(number), int(of))


def read_given(values: Sequence[str], embedder: Embedder) -> tuple[list[str], list[str]]:
    """What is already known, as names in the collection and as texts; a file that exists is read, in passages.

    Raises:
        UnreadableDocument: a file cannot become text.
    """
    names = [value for value in values if not Path(value).expanduser().is_file()]
    files = [Path(value).expanduser() for value in values if value not in names]
    return names, [text for file in files for text in _passage_texts(file, embedder)]


def read_filter(values: Sequence[str]) -> Filter | None:
    """``KEY=VALUE`` texts as one filter; the key ``source`` is that of the document, all others are of metadata.

    Raises:
        ValueError: one is not of that form, or asks for what no passage can have.
    """
    from sift_rag.filters import Filter

    pairs = []
    for value in values:
        key, found, wanted = value.partition("=")
        if not found or not key or (key == "source" and not wanted):
            raise ValueError(
                f"--filter {value!r} is not understood: expected KEY=VALUE, as in --filter 'source=docs/*' or "
                "--filter tag=draft."
            )
        pairs.append((key, wanted))
    if not pairs:
        return None
    return Filter(
        sources=tuple(wanted for key, wanted in pairs if key == "source"),
        labels=tuple(pair for pair in pairs if pair[0] != "source"),
    )


def filter_json(where: Filter | None) -> dict[str, object] | None:
    """What ``--json`` says of a filter."""
    if where is None:
        return None
    return {"sources": list(where.sources), "metadata": where.choices()}


def _passage_texts(file: Path, embedder: Embedder) -> Iterator[str]:
    """The file as texts that the embedder reads whole."""
    from sift_rag.corpus.documents import read_document
    from sift_rag.corpus.passages import split_document

    try:
        document = read_document(file)
        for passage in split_document(
            document, file.name, tokenizer=embedder.tokenizer, max_tokens=embedder.max_tokens, revision=""
        ):
            yield passage.embedding_text
    except UnreadableDocument as error:
        raise UnreadableDocument(f"{file} cannot be taken as given: {error}.") from error


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]
