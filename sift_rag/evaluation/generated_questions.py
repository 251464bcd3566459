"""Generate questions from a collection: sentences of its passages, or questions that a model writes about them.

Both share more words with their passage than real questions do, and have a single relevant passage. They serve to
calibrate thresholds on answerable questions, but not to choose how much words should count.
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
"""Minimum and maximum length in characters of a sentence that serves as a question."""
PROSE = 0.75
"""Minimum share of letters and spaces in a sentence of prose; code and tables have less."""

_END = re.compile(r"(?<=[.!?])\s+|(?<=[\u3002\uff01\uff1f])|\n\s*\n")


def sentence_questions(store: PassageIndex, *, where: Filter | None = None) -> Iterator[JudgedQuestion]:
    """Yield one sentence of each passage as a question, in pseudo-random but reproducible order.

    Passages without a sentence of prose and repeats of an earlier text are skipped.

    Args:
        store: the collection.
        where: filter that passages must match.
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
    """Yield the question that a language model writes about each passage, in the same order.

    Passages for which the model writes no question are skipped.

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
    """Yield passages with distinct texts in random order."""
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
