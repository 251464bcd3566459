"""The match of a question with a collection, compared with questions about everyday matters.

Cosines of unrelated texts differ between embedders and between collections, so no constant says which one is low. The
level is measured: everyday questions from many fields are searched for in the same collection with the same embedder.
A question whose best passage is no nearer than theirs has most likely no answer there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sift_rag.protocols import Embedder, PassageIndex

EVERYDAY_QUESTIONS = (
    "How long should I boil an egg?",
    "Which football club won the cup last year?",
    "How do I remove a red wine stain from a carpet?",
    "When do tulips need to be planted?",
    "What is a good name for a kitten?",
    "How do I change the tyre of a bicycle?",
    "Why do leaves turn yellow in autumn?",
    "Which chords are in this guitar song?",
    "How far away is the moon?",
    "Can I freeze fresh bread?",
    "How do I tie a bow tie?",
    "What does a plumber charge for a blocked sink?",
    "How many players are in a volleyball team?",
    "What should I pack for a week at the beach?",
    "How often should a dog be walked?",
    "Which paint is best for a garden fence?",
    "How do I teach a child to swim?",
    "What is the capital of Mongolia?",
    "How can I get rid of hiccups?",
    "Is the museum open on Mondays?",
    "How do I knit a scarf?",
    "Why does my back hurt in the morning?",
    "Where can I park a caravan overnight?",
    "What rhymes with orange?",
)
"""Questions from many fields; a collection that covers a few of them hardly moves the level."""
_QUANTILE = 0.9
FEWEST_PASSAGES = 20
"""Number of passages below which a level says little."""


class MatchLevel(NamedTuple):
    """Similarity that unrelated questions reach in a collection."""

    typical: float
    """Median similarity of an everyday question's nearest passage."""
    high: float
    """Similarity that one in ten of them exceeds."""

    def is_weak(self, similarity: float) -> bool:
        """Return True if a best similarity is no higher than that of unrelated questions."""
        return similarity <= self.high

    def strength(self, similarity: float) -> float:
        """Return where a similarity lies between the typical unrelated one (0) and that of equal texts (1)."""
        return float(np.clip((similarity - self.typical) / max(1.0 - self.typical, 1e-6), 0.0, 1.0))


def measure_level(embedder: Embedder, store: PassageIndex) -> MatchLevel | None:
    """Return the level of a collection; None if it has fewer than ``FEWEST_PASSAGES`` passages.

    Embeds two dozen short questions and searches for the nearest passage of each.
    """
    if store.count() < FEWEST_PASSAGES:
        return None
    found = store.search(embedder.embed_queries(EVERYDAY_QUESTIONS), 1)
    best = [candidates[0].similarity for candidates in found if candidates]
    return MatchLevel(float(np.median(best)), float(np.quantile(best, _QUANTILE)))
