"""Reranker scores of one retrieval: each pair of question and candidate is scored once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sift_rag.protocols import Relevance
from sift_rag.relevance.scores import checked_scores


def check_reranker(relevance: object) -> None:
    """Raise ``TypeError`` unless it is None or can score texts: a name alone cannot."""
    if relevance is not None and not callable(getattr(relevance, "score", None)):
        raise TypeError(f"relevance must be a Relevance, but got {relevance!r}: open_relevance opens one by its name.")


class ScoredTexts:
    """Scores of a growing list of texts for a set of questions. Lives for one selection."""

    def __init__(self, relevance: Relevance, questions: Sequence[str]) -> None:
        self._relevance = relevance
        self._questions = questions
        self._scores: dict[str, list[float]] = {question: [] for question in questions}

    def of(self, texts: Sequence[str]) -> np.ndarray:
        """Return ``(q, n)`` in [0, 1], one row per question; ``texts`` must extend those of the previous call.

        Raises:
            ModelUnavailable: see ``Relevance.score``.
            ModelUnsuitable: see ``Relevance.score``.
        """
        for question, held in self._scores.items():
            fresh = list(texts[len(held) :])
            if fresh:
                found = self._relevance.score(question, fresh)
                held.extend(checked_scores(found, len(fresh), self._relevance.name).tolist())
        return np.array([self._scores[question] for question in self._questions])
