"""The tasks of a comparison: texts to predict, or questions with reference answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sift_rag.corpus.documents import read_document
from sift_rag.corpus.files import FoundFile, find_files
from sift_rag.corpus.json_lines import read_json_lines
from sift_rag.errors import ConfigurationError, UnreadableDocument

ROWS = ".jsonl"


@dataclass(frozen=True, slots=True)
class Task:
    """One text to predict, or one question to answer."""

    id: str
    """Identifier, unique within a comparison."""
    group: str
    """Domain, folder or file type; each group has rows of its own in the result."""
    text: str
    """Text that the model has to predict: a text, or the reference answer to ``question``. Not blank."""
    question: str | None = None
    """Question to answer; None for a text."""


def read_texts(path: Path) -> list[Task]:
    """Read texts: each file of a folder, or the field ``text`` of each line of a JSONL file.

    The group of a file is its folder below ``path``; for files in ``path`` itself, their suffix. A line may state its
    ``group`` and its ``id``.

    Raises:
        ConfigurationError: there is no text, or a line is not an object with one.
        UnreadableDocument: ``path`` is a file that cannot become text. Such files in a folder are skipped.
    """
    return _unique([Task(id=name, group=group, text=text) for name, group, text in _texts(path)], path)


def read_questions(path: Path) -> list[Task]:
    """Read questions: each line of a JSONL file is an object with ``question`` and ``answer``.

    A line may state its ``group`` and its ``id``.

    Raises:
        ConfigurationError: there is no question, or a line is not such an object.
    """
    return _unique(
        [
            Task(
                id=row_id(row, path, number),
                group=str(row.get("group") or "questions"),
                text=_field(row, "answer", path, number),
                question=_field(row, "question", path, number),
            )
            for number, row in read_rows(path)
        ],
        path,
    )


def _texts(path: Path) -> Iterator[tuple[str, str, str]]:
    if path.is_file() and path.suffix == ROWS:
        for number, row in read_rows(path):
            text = _field(row, "text", path, number)
            yield row_id(row, path, number), str(row.get("group") or path.stem), text
        return
    if not path.exists():
        raise ConfigurationError(f"There is no {str(path)!r}: expected a file of texts, or a folder of them.")
    if path.is_file():
        yield path.name, path.suffix or path.name, _text(path)
        return
    for found in find_files(path):
        if not isinstance(found, FoundFile):
            continue
        try:
            text = _text(found.path)
        except UnreadableDocument:
            continue
        if text.strip():
            name = found.source.partition("/")[2]  # without that of the folder
            folder, below, _ = name.partition("/")
            yield name, folder if below else found.path.suffix or "texts", text


def _text(file: Path) -> str:
    return "\n".join(section.text for section in read_document(file).sections)


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number of each line of a JSONL file, from 1, with its object.

    Raises:
        ConfigurationError: the file cannot be read, or a line is not a JSON object.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{str(path)!r} cannot be read as lines of JSON: it is not UTF-8 from byte {error.start:,} on."
        ) from error
    except OSError as error:
        raise ConfigurationError(f"{str(path)!r} cannot be read as lines of JSON: {error}.") from error
    try:
        yield from read_json_lines(text, prefix=f"{path}:")
    except UnreadableDocument as error:
        raise ConfigurationError(f"{error}.") from error


def row_id(row: Mapping[str, Any], path: Path, number: int) -> str:
    """Return the ``id`` that a line states, a text or a number; else the name of its file and its number.

    Raises:
        ConfigurationError: it is something else.
    """
    value = row.get("id")
    if value is None or value == "":
        return f"{path.name}:{number}"
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ConfigurationError(f"{path}:{number} has {value!r} as 'id': expected a text or a number.")
    return str(value)


def _field(row: dict[str, Any], name: str, path: Path, number: int) -> str:
    value = row.get(name)
    if value is not None and not isinstance(value, str):
        raise ConfigurationError(f"{path}:{number} has {value!r} as {name!r}: expected a text that is not blank.")
    if value is None or not value.strip():
        raise ConfigurationError(f"{path}:{number} has no {name!r}: expected a text that is not blank.")
    return value


def _unique(tasks: Sequence[Task], path: Path) -> list[Task]:
    if not tasks:
        raise ConfigurationError(f"{str(path)!r} holds nothing to compare on: expected at least one text or question.")
    seen: set[str] = set()
    for task in tasks:
        if task.id in seen:
            raise ConfigurationError(f"{str(path)!r} has the id {task.id!r} twice: ids must be unique.")
        seen.add(task.id)
    return list(tasks)
