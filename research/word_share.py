"""A share of words that depends on the question, looked for and not found.

    python -m research.word_share --data FOLDER [--tasks TASK ...] [--questions 700]

Evidence that SIFT finds on train questions, averaged over k = 2, 4, 6, 10, 20, with words at several shares of the
similarity: over all questions, and in thirds of them by what is known before the choice. A share that depended on such
a feature would have to gain in one third and lose in another.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmarks.common.datasets import data_folder, open_tasks
from benchmarks.common.embedding import Asked, EmbeddedTask, add_data_options, embed_task
from benchmarks.quality.evidence_found import found_by
from sift_rag.selection.lexical import Vocabulary, WordRows
from sift_rag.words import bag_of

SHARES = ("0.35", "0.5", "0.6", "0.65", "0.7", "0.8")
KEPT = "0.5"
FEATURES = ("words, 1st", "words, 2nd", "words, 10th", "embeddings, 1st", "embeddings, 10th", "length")
"""The largest, second and tenth similarity of words or embeddings with a candidate; distinct words of the question."""


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    tasks = open_tasks(data_folder(options.data), "train")
    for name in options.tasks:
        embedded = spread(embed_task(tasks[name], options.cache), options.questions)
        nearest = 100 * found_by("nearest", embedded).shares.mean(axis=1)
        found = {share: 100 * found_by(f"sift:words={share}", embedded).shares.mean(axis=1) for share in SHARES}
        features = np.array([features_of(embedded.asked(question)) for question in range(len(nearest))])
        print(f"\n{name}, {len(nearest)} train questions, points over nearest ({nearest.mean():.1f}) by share of words")
        print("  ".join(f"{share}: {(found[share] - nearest).mean():+.1f}" for share in SHARES))
        print(f"in thirds, points over {KEPT}")
        for column, feature in zip(features.T, FEATURES, strict=True):
            thirds = np.array_split(np.argsort(column, kind="stable"), 3)
            cells = [
                " ".join(f"{(found[share] - found[KEPT])[third].mean():+5.1f}" for share in SHARES) for third in thirds
            ]
            print(f"  {feature:<16} | {' | '.join(cells)}")


def spread(embedded: EmbeddedTask, limit: int) -> EmbeddedTask:
    """Return the task with at most ``limit`` of its questions, evenly spaced."""
    size = len(embedded.pools)
    kept = np.unique(np.linspace(0, size - 1, min(size, limit)).astype(int)).tolist()
    task = embedded.task
    return embedded._replace(
        task=replace(task, questions=tuple(task.questions[i] for i in kept), needs=tuple(task.needs[i] for i in kept)),
        targets=tuple(embedded.targets[i] for i in kept),
        pools=tuple(embedded.pools[i] for i in kept),
        sharing=tuple(embedded.sharing[i] for i in kept),
    )


def features_of(asked: Asked) -> list[float]:
    """Return what ``FEATURES`` names, for a question of one target."""
    pool = asked.pool
    assert pool.texts is not None
    bags = [bag_of(text) for text in pool.texts.candidates]
    words = WordRows(bags, Vocabulary.of(bags[: pool.reference]))
    question = bag_of(pool.texts.targets[0])
    said = np.sort(words.columns @ words.targets([question])[0, : len(bags)])[::-1]
    near = np.sort(np.asarray(pool.candidates) @ np.asarray(pool.targets)[0])[::-1]
    return [*said[[0, 1, 9]].tolist(), *near[[0, 9]].tolist(), float(len(question.ids))]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m research.word_share", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_options(parser)
    parser.add_argument("--tasks", nargs="+", metavar="TASK", default=["hotpotqa-windows", "strategyqa"])
    parser.add_argument("--questions", type=int, default=700, metavar="N", help="at most N of each task, evenly spaced")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
