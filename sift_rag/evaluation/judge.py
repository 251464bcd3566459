"""Match hits against a question's relevant sources, passages and texts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from sift_rag.evaluation.judged_questions import JudgedQuestion, Relevant
from sift_rag.evaluation.metrics import as_words
from sift_rag.protocols import PassageIndex, Scannable
from sift_rag.types import Hit, JsonValue, Passage

BLOCK = 1000
"""Number of passages read at once."""


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A relevant item that is not in the collection."""

    question: str
    """Question id."""
    name: str
    """Source, passage id or text, as given."""

    def to_dict(self) -> dict[str, JsonValue]:
        """Return its JSON shape."""
        return {"question": self.question, "name": self.name}


class Judge:
    """Judges hits of a collection for a set of questions.

    A name is resolved, in this order, as the source of a document; the id of a passage; the end of exactly one source's
    path, with or without its suffix; or a text, to which every passage is relevant that contains it verbatim up to
    case, punctuation and English articles. Two names of one document count once.
    """

    def __init__(self, questions: Sequence[JudgedQuestion], store: PassageIndex) -> None:
        """Look up every relevant item. Reads the whole collection once if any is a text."""
        wanted = {one for question in questions for one in question.relevant}
        self._names = _names(wanted, _sources(store), store)
        self.questions = tuple(_each_once(question, self._names) for question in questions)
        texts = {one: as_words(one.name) for one in wanted if one not in self._names and as_words(one.name).strip()}
        if texts:
            self._names |= _holders(texts, store)
        self.unmatched = tuple(
            Unmatched(question.id, one.name)
            for question in self.questions
            for one in question.relevant
            if one not in self._names
        )

    def has(self, question: JudgedQuestion) -> bool:
        """Return True if the collection has a relevant item for the question."""
        return any(one in self._names for one in question.relevant)

    def found(self, question: JudgedQuestion, hits: Iterable[Hit]) -> list[tuple[Relevant, ...]]:
        """Return the relevant items that each hit, or one of its copies, is the first to find."""
        left = [one for one in question.relevant if one in self._names]
        firsts = []
        for hit in hits:
            names = {name for passage in (hit.passage, *hit.copies) for name in (passage.source, passage.id)}
            firsts.append(tuple(one for one in left if not names.isdisjoint(self._names[one])))
            left = [one for one in left if one not in firsts[-1]]
        return firsts


def _names(wanted: Iterable[Relevant], sources: Sequence[str], store: PassageIndex) -> dict[Relevant, frozenset[str]]:
    """Return the source or passage id that each name resolves to, if any."""
    known = set(sources)
    ends: dict[str, set[str]] = defaultdict(set)
    for source in sources:
        path = PurePosixPath(source)
        for name in (path.name, path.stem):
            ends[name].add(source)
        for depth in range(2, len(path.parts)):
            ends["/".join(path.parts[-depth:])].add(source)
    names = [one for one in wanted if not one.is_text]
    ids = {candidate.passage.id for candidate in store.fetch([one.name for one in names if _is_id(one.name)])}
    found = {}
    for one in names:
        if one.name in known or one.name in ids:
            found[one] = frozenset({one.name})
        elif len(ends[one.name]) == 1:
            found[one] = frozenset(ends[one.name])
    return found


def _each_once(question: JudgedQuestion, names: Mapping[Relevant, frozenset[str]]) -> JudgedQuestion:
    """Return the question with each source and passage once, however many names it was given; the best grade counts."""
    best: dict[object, Relevant] = {}
    for one in question.relevant:
        key = names.get(one, one)
        if key not in best or best[key].grade < one.grade:
            best[key] = one
    return replace(question, relevant=tuple(best.values()))


def _holders(texts: Mapping[Relevant, str], store: PassageIndex) -> dict[Relevant, frozenset[str]]:
    """Return the ids of the passages that contain each text, if any."""
    holders: dict[Relevant, set[str]] = defaultdict(set)
    for passage in _passages(store):
        words = as_words(passage.text)
        for one, text in texts.items():
            if text in words:
                holders[one].add(passage.id)
    return {one: frozenset(ids) for one, ids in holders.items()}


def _sources(store: PassageIndex) -> list[str]:
    """Return the sources that have passages; texts in memory have no document records."""
    recorded = [document.source for document in store.documents() if document.passages]
    return recorded or sorted({passage.source for passage in _passages(store)})


def _passages(store: PassageIndex) -> Iterator[Passage]:
    if isinstance(store, Scannable):
        for ids, _ in store.scan(BLOCK):
            yield from (candidate.passage for candidate in store.fetch(ids))
    else:
        for document in store.documents():
            yield from (candidate.passage for candidate in store.passages(document.source))


def _is_id(text: str) -> bool:
    return len(text) == 36 and text.count("-") == 4
