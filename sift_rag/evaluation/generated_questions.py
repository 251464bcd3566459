"""Questions made from a collection, where nobody judged any: a sentence of a passage, or what a model asks about it.

Either shares more words with its passage than a stranger's question does, and has one relevant passage. So they can say
what is usual of questions that the collection can answer, and cannot say how much words should count.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

from sift_rag import defaults
from sift_rag.answering.questions import question_about
from sift_rag.evaluation.judged_questions import JudgedQuestion, Relevant
from sift_rag.filters import Filter
from sift_rag.protocols import LanguageModel, PassageIndex, Scannable
from sift_rag.types import Passage

SEED = 20261201
BLOCK = 64
"""Number of passages read at once."""
SHORTEST, LONGEST = 30, 240
"""Lengths in characters between which a sentence serves as a question."""
PROSE = 0.75
"""Share of letters and blanks that a sentence of prose has at least; code and tables have less."""

_END = re.compile(r"(?<=[.!?])\s+|(?<=[\u3002\uff01\uff1f])|\n\s*\n")


def sentence_questions(store: PassageIndex, *, where: Filter | None = None) -> Iterator[JudgedQuestion]:
    """Yield a sentence of each passage as a question, in an order that looks random and is always the same.

    A passage without a sentence of prose is left out, and so is one that repeats an earlier text.

    Args:
        store: the collection.
        where: leaves only the passages that it matches.
    """
    generator = random.Random(SEED)  # noqa: S311 - no secret
    for passage in _passages(store, where):
        sentences = _sentences(passage.text)
        if sentences:
            yield _about(passage, generator.choice(sentences))


def written_questions(
    store: PassageIndex,
    model: LanguageModel,
    *,
    where: Filter | None = None,
    max_new_tokens: int = defaults.MAX_NEW_TOKENS,
) -> Iterator[JudgedQuestion]:
    """Yield the question that a language model asks about each passage, in the same order.

    A passage for which the model writes no question is left out.

    Raises:
        ModelUnavailable: the endpoint does not answer.
        ModelUnsuitable: a passage does not fit the model's context.
    """
    for passage in _passages(store, where):
        question = question_about(passage.embedding_text, model, max_new_tokens=max_new_tokens)
        if question is not None:
            yield _about(passage, question)


def _about(passage: Passage, question: str) -> JudgedQuestion:
    return JudgedQuestion(passage.id, (question,), (Relevant(passage.id),))


def _sentences(text: str) -> list[str]:
    parts = (" ".join(part.split()) for part in _END.split(text))
    return [part for part in parts if SHORTEST <= len(part) <= LONGEST and _prose(part) >= PROSE]


def _prose(text: str) -> float:
    return sum(character.isalpha() or character == " " for character in text) / len(text)


def _passages(store: PassageIndex, where: Filter | None) -> Iterator[Passage]:
    """Yield passages of different texts in random order."""
    ids = _ids(store, where)
    random.Random(SEED).shuffle(ids)  # noqa: S311
    seen: set[str] = set()
    for first in range(0, len(ids), BLOCK):
        for candidate in store.fetch(ids[first : first + BLOCK]):
            passage = candidate.passage
            if passage.text not in seen:
                seen.add(passage.text)
                yield passage


def _ids(store: PassageIndex, where: Filter | None) -> list[str]:
    if isinstance(store, Scannable):
        return [identifier for ids, _ in store.scan(1000, where=where) for identifier in ids]
    documents = (
        document.source for document in store.documents() if where is None or where.matches_source(document.source)
    )
    passages = (candidate.passage for source in documents for candidate in store.passages(source))
    return sorted(passage.id for passage in passages if where is None or where.matches(passage))
