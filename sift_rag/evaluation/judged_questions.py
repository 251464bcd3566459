"""Read questions with relevance judgements: JSON lines, or a folder in BEIR format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from sift_rag.errors import ConfigurationError
from sift_rag.evaluation.tasks import read_rows, row_id
from sift_rag.types import JsonValue

QUERIES = "queries.jsonl"
QRELS = "qrels/*.tsv"

_KEYS = ("question", "relevant", "answer", "id", "group")


@dataclass(frozen=True, slots=True)
class Relevant:
    """A relevant item. Any number of passages that match it count once."""

    name: str
    """Source, passage id, or text that a passage contains."""
    grade: int = 1
    """Gain in nDCG, >= 1."""
    is_text: bool = False
    """True if ``name`` is always a text, never a source or an id."""


@dataclass(frozen=True, slots=True)
class JudgedQuestion:
    """One question, or several asked together, with its relevant items."""

    id: str
    """Identifier, unique within an evaluation."""
    questions: tuple[str, ...]
    """At least one; none blank."""
    relevant: tuple[Relevant, ...]
    """At least one."""

    def to_dict(self) -> dict[str, JsonValue]:
        """Return its JSON shape."""
        return {
            "id": self.id,
            "questions": list(self.questions),
            "relevant": [{"name": one.name, "grade": one.grade} for one in self.relevant],
        }


def read_judged_questions(path: Path) -> list[JudgedQuestion]:
    """Read questions: a JSONL file, or a folder with ``queries.jsonl`` and ``qrels/*.tsv``.

    A line has a ``question`` (a text, or a list of texts asked together), and either ``relevant`` (a list of sources,
    passage ids or texts) or ``answer`` (a text that relevant passages contain); with both, ``relevant`` takes
    precedence. An ``id`` is optional. In a folder, document ids are sources; queries without a relevant document are
    skipped.

    Raises:
        ConfigurationError: there is no question, or a line cannot be used.
    """
    found = list(_in_folder(path) if path.is_dir() else _in_lines(path))
    if not found:
        raise ConfigurationError(f"{str(path)!r} contains no question with a relevant item.")
    seen: set[str] = set()
    for question in found:
        if question.id in seen:
            raise ConfigurationError(f"{str(path)!r} has the id {question.id!r} twice: ids must be unique.")
        seen.add(question.id)
    return found


def read_foreign_questions(path: Path) -> list[tuple[str, ...]]:
    """Read questions that a collection cannot answer from the ``question`` of each line of a JSONL file.

    Each is a text, or a list of texts asked together. Other keys are ignored.

    Raises:
        ConfigurationError: there is no question, or a line has none.
    """
    found = []
    for number, row in read_rows(path):
        if row.get("question") is None:
            raise ConfigurationError(f"{path}:{number} has no 'question': expected a text or a list of texts.")
        found.append(_texts(row, "question", f"{path}:{number}"))
    if not found:
        raise ConfigurationError(f"{str(path)!r} contains no question.")
    return found


def _in_lines(path: Path) -> Iterator[JudgedQuestion]:
    for number, row in read_rows(path):
        place = f"{path}:{number}"
        _check_keys(row, place)
        relevant = (
            tuple(map(Relevant, dict.fromkeys(_texts(row, "relevant", place))))
            if row.get("relevant") is not None
            else tuple(Relevant(text, is_text=True) for text in _texts(row, "answer", place, lists=False))
        )
        yield JudgedQuestion(row_id(row, path, number), _texts(row, "question", place), relevant)


def _check_keys(row: Mapping[str, Any], place: str) -> None:
    """Raise an error for a misspelt or missing key; ignore unrelated ones."""
    for key in row.keys() - _KEYS:
        close = get_close_matches(key, _KEYS, n=1, cutoff=0.75)
        if close:
            raise ConfigurationError(f"{place} has the unknown key {key!r}: did you mean {close[0]!r}?")
    if row.get("question") is None:
        raise ConfigurationError(f"{place} has no 'question': expected a text or a list of texts.")
    if row.get("relevant") is None and row.get("answer") is None:
        raise ConfigurationError(
            f"{place} has neither 'relevant' nor 'answer': expected a list of sources, passage ids or texts as "
            "'relevant', or a text that relevant passages contain as 'answer'."
        )


def _texts(row: Mapping[str, Any], name: str, place: str, *, lists: bool = True) -> tuple[str, ...]:
    value = row[name]
    texts = value if isinstance(value, list) and lists else [value]
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        expected = "a non-blank text, or a list of such texts" if lists else "a non-blank text"
        raise ConfigurationError(f"{place} has {value!r} as {name!r}: expected {expected}.")
    return tuple(texts)


def _in_folder(folder: Path) -> Iterator[JudgedQuestion]:
    files = sorted(folder.glob(QRELS))
    if not files or not (folder / QUERIES).is_file():
        raise ConfigurationError(f"The folder {str(folder)!r} is not in BEIR format: expected {QUERIES} and {QRELS}.")
    queries: dict[str, str] = {}
    for number, row in read_rows(folder / QUERIES):
        key, text = row.get("_id"), row.get("text")
        if not isinstance(key, str) or not isinstance(text, str) or not text.strip():
            raise ConfigurationError(
                f"{folder / QUERIES}:{number} is not a query: expected '_id' and a non-blank 'text', both strings."
            )
        queries[key] = text
    relevant: dict[str, dict[str, int]] = {}
    for file in files:
        for place, query, document, grade in _judgements(file):
            if query not in queries:
                raise ConfigurationError(f"{place} refers to query {query!r}, which is not in {QUERIES}.")
            if grade > 0:
                relevant.setdefault(query, {})[document] = grade
    for key, grades in relevant.items():
        yield JudgedQuestion(key, (queries[key],), tuple(Relevant(name, grade) for name, grade in grades.items()))


def _judgements(file: Path) -> Iterator[tuple[str, str, str, int]]:
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{str(file)!r} cannot be read: {error}.") from error
    for number, line in enumerate(lines, start=1):
        cells = line.rstrip("\r").split("\t")
        if cells == [""] or (number == 1 and cells[0] == "query-id"):
            continue
        try:
            query, document, grade = cells
            if not document.strip():
                raise ValueError
            yield f"{file}:{number}", query, document, int(grade)
        except ValueError:
            raise ConfigurationError(
                f"{file}:{number} is not a judgement: expected query-id, corpus-id and an integer, separated by tabs."
            ) from None
