"""BM25 with a constant in place of a collection's average length: how many of its best it keeps.

    python -m research.average_length

Python's language reference and this project's documentation, in stretches of 60, 150 and 250 words, every third one
halved. 200 questions are 8 words in a row of some stretch. The figure is the share of the 30 best by the constant that
are also among the 30 best by the true average.
"""

from __future__ import annotations

from pathlib import Path
from pydoc_data.topics import topics

import numpy as np

from sift_rag.selection.lexical import Vocabulary, frequencies
from sift_rag.words import UNSTEMMED, Bag, bag_of

SIZES = (60, 150, 250)
CONSTANTS = (64, 128, 256, 512)
QUESTIONS, WORDS, BEST = 200, 8, 30
FOLDER = Path(__file__).resolve().parents[1]


def main() -> None:
    pages = [path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("docs/**/*.md"))]
    words = " ".join([*(topics[name] for name in sorted(topics)), *pages]).split()
    print("| words on average | " + " | ".join(map(str, CONSTANTS)) + " |\n|---|" + "---|" * len(CONSTANTS))
    for size in SIZES:
        texts = stretches(words, size)
        bags = [bag_of(text, UNSTEMMED) for text in texts]
        lengths = np.array([bag.counts.sum() for bag in bags], dtype=np.float64)
        rng = np.random.default_rng(0)
        places = rng.integers(len(words) - WORDS, size=QUESTIONS)
        asked = [bag_of(" ".join(words[place : place + WORDS]), UNSTEMMED) for place in places]
        true = best(asked, bags, lengths / lengths.mean())
        kept = [
            np.mean([len(a & b) / len(a) for a, b in zip(true, best(asked, bags, lengths / constant), strict=True)])
            for constant in CONSTANTS
        ]
        cells = " | ".join(f"{100 * share:.1f}" for share in kept)
        print(f"| {lengths.mean():.0f} ({len(texts):,} passages) | {cells} |")


def stretches(words: list[str], size: int) -> list[str]:
    """Return the words cut into texts of ``size``, every third one half as long."""
    texts, start = [], 0
    while start < len(words):
        length = size // 2 if len(texts) % 3 == 2 else size
        texts.append(" ".join(words[start : start + length]))
        start += length
    return texts


def best(asked: list[Bag], bags: list[Bag], relative: np.ndarray) -> list[set[int]]:
    """Return the rows of largest BM25 for each question, by lengths over the average ``(n,)``."""
    vocabulary = Vocabulary.of(bags)
    rows = np.repeat(np.arange(len(bags)), [len(bag.ids) for bag in bags])
    ids, counts = np.concatenate([bag.ids for bag in bags]), np.concatenate([bag.counts for bag in bags])
    weights = vocabulary.weights(ids) * frequencies(counts, relative[rows])
    found = []
    for question in asked:
        held = np.isin(ids, question.ids)
        scores = np.bincount(rows[held], weights=weights[held], minlength=len(bags))
        ranking = np.argsort(-scores, kind="stable")[:BEST]
        found.append(set(ranking[scores[ranking] > 0].tolist()) or {-1})
    return found


if __name__ == "__main__":
    main()
