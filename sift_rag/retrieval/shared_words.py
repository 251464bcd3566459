"""Words that a question and a hit share: the visible reason of a choice by words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sift_rag.selection import Features
from sift_rag.selection.lexical import Vocabulary
from sift_rag.words import bag_of, surface_forms

SHOWN = 8
"""Largest number of words that are named."""


class SharedWords:
    """The words of questions, weighed by the candidates as the kernel weighs them."""

    def __init__(self, questions: Sequence[str], candidates: Sequence[str], features: Features) -> None:
        """Take the texts of the questions, and of the nearest candidates, which define the kernel's word counts."""
        self._language = features.language
        self._vocabulary = Vocabulary.of([bag_of(text, self._language) for text in candidates])
        self._written: dict[int, str] = {}
        for question in questions:
            self._written |= surface_forms(question, self._language)

    def of(self, text: str) -> tuple[str, ...]:
        """Return the questions' words that the text holds, as the questions write them, the most telling first."""
        ids = bag_of(text, self._language).ids
        held = ids[np.isin(ids, np.fromiter(self._written, dtype=np.int64, count=len(self._written)))]
        order = np.argsort(-self._vocabulary.weights(held), kind="stable")
        words = list(dict.fromkeys(self._written[number] for number in held[order].tolist()))
        wholes = [word for word in words if not any(word in other and word != other for other in words)]
        return tuple(wholes[:SHOWN])
