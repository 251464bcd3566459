"""Read command-line arguments: questions, paths, lists, --known, --shard."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sift_rag.errors import UnreadableDocument
from sift_rag.unicode import is_text
from sift_rag_cli.output import say

if TYPE_CHECKING:
    from sift_rag.corpus.shards import Shard
    from sift_rag.protocols import Embedder

STDIN = "-"
T = TypeVar("T")


def read_questions(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return the questions; ``-`` stands for the one on stdin.

    Raises:
        ValueError: a question is empty or not valid Unicode, or ``-`` is given twice.
    """
    if list(arguments).count(STDIN) > 1:
        raise ValueError("'-' reads the question from stdin: write it once.")
    questions = tuple((sys.stdin.read() if argument == STDIN else argument).strip() for argument in arguments)
    if not all(questions):
        raise ValueError("The question is empty.")
    for question in questions:
        check_question(question)
    if len(questions) > 2 and not any(" " in question for question in questions):
        say(f"These are {len(questions)} questions of one word each. To ask one question, put it in quotes.")
    return questions


def check_question(question: str) -> None:
    """Raise ``ValueError`` if a question is not valid Unicode."""
    if not is_text(question):
        raise ValueError("The question is not valid UTF-8.")


def read_paths(arguments: Sequence[str]) -> list[Path]:
    """Return the paths; ``-`` stands for a list of them on stdin, one on each line."""
    return [
        Path(name).expanduser()
        for argument in arguments
        for name in (_lines(sys.stdin.read()) if argument == STDIN else (argument,))
    ]


def read_shard(text: str) -> Shard:
    """Return the shard that a text such as ``3/16`` names.

    Raises:
        ValueError: it names none.
    """
    from sift_rag.corpus.shards import Shard

    number, slash, of = text.partition("/")
    if not (slash and number.isdecimal() and of.isdecimal()):
        raise ValueError(f"--shard is {text!r}: expected a number and a total, such as 3/16.")
    return Shard(int(number), int(of))


def names_in(value: str) -> tuple[str, ...]:
    """Return the distinct names in a comma-separated list."""
    return tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))


def whole_numbers_in(value: str) -> tuple[int, ...]:
    """Return the distinct numbers that ``-k`` lists, ascending.

    Raises:
        ValueError: one is not a whole number.
    """
    try:
        return tuple(sorted({int(number) for number in names_in(value)}))
    except ValueError:
        raise ValueError(f"-k is {value!r}, but must be comma-separated whole numbers, such as 5,20,50.") from None


def spread(items: Sequence[T], limit: int | None) -> list[T]:
    """Return at most ``limit`` items, evenly spaced over the list."""
    if limit is None or limit >= len(items):
        return list(items)
    return [items[index * len(items) // limit] for index in range(limit)]


def read_known(values: Sequence[str], embedder: Embedder) -> tuple[list[str], list[str]]:
    """Return the values that are names in the collection, and the passages of the values that are files.

    Raises:
        UnreadableDocument: a file cannot become text.
    """
    names = [value for value in values if not _is_file(value)]
    files = [Path(value).expanduser() for value in values if value not in names]
    return names, [text for file in files for text in _passage_texts(file, embedder)]


def _is_file(value: str) -> bool:
    try:
        return Path(value).expanduser().is_file()
    except (OSError, RuntimeError):  # too long for a name, or in the home of nobody
        return False


def _passage_texts(file: Path, embedder: Embedder) -> Iterator[str]:
    """Return the file as passages, each short enough for the embedder."""
    from sift_rag.corpus.documents import read_document
    from sift_rag.corpus.passages import split_document

    try:
        document = read_document(file)
        for passage in split_document(
            document, file.name, tokenizer=embedder.tokenizer, max_tokens=embedder.max_tokens, revision=""
        ):
            yield passage.embedding_text
    except UnreadableDocument as error:
        raise UnreadableDocument(f"{file} cannot be used as --known: {error}.") from error


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]
