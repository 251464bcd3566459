"""Following the evidence where a question has several parts: train questions asked together.

    python -m research.asked_together --data FOLDER [--tasks TASK ...] [--follow 0 0.5 1 2]

Two and three unrelated train questions are one question with as many targets; its evidence is that of all of them.
Points over nearest at k = 2, 4, 6, 10, 20 and on average, by the weight of following, and the paired difference of the
default to not following with its 95 % bootstrap interval.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.common.datasets import RetrievalTask, data_folder, open_tasks
from benchmarks.common.embedding import add_data_options, embed_task
from benchmarks.common.intervals import paired_difference
from benchmarks.quality.evidence_found import found_by

QUESTIONS = 300


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    tasks = open_tasks(data_folder(options.data), "train")
    for name in options.tasks:
        for parts in (2, 3):
            task = together(tasks[name], parts)
            embedded = embed_task(task, options.cache)
            nearest = found_by("nearest", embedded).shares
            found = {weight: found_by(f"sift:follow={weight}", embedded).shares for weight in options.follow}
            print(f"\n{name}, {parts} at a time, {len(task.questions)} questions, nearest {100 * nearest.mean():.1f}")
            for weight, shares in found.items():
                gap = 100 * (shares - nearest)
                by_k = " ".join(f"{points:+.1f}" for points in gap.mean(axis=0))
                print(f"  follow {weight}: {by_k}, on average {gap.mean():+.1f}")
            if {"0", "1"} <= set(found):
                print(f"  1 to 0: {paired_difference(found['1'].mean(axis=1), found['0'].mean(axis=1))}")


def together(task: RetrievalTask, parts: int) -> RetrievalTask:
    """Return the task whose questions are ``parts`` of the first ones each, apart by an equal distance."""
    count = min(QUESTIONS, len(task.questions)) // parts
    groups = [range(first, count * parts, count) for first in range(count)]
    return replace(
        task,
        questions=tuple(tuple(text for place in group for text in task.questions[place]) for group in groups),
        needs=tuple(frozenset().union(*(task.needs[place] for place in group)) for group in groups),
    )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m research.asked_together",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_data_options(parser)
    parser.add_argument("--tasks", nargs="+", metavar="TASK", default=["hotpotqa-passages"])
    parser.add_argument("--follow", nargs="+", metavar="WEIGHT", default=["0", "0.5", "1", "2"])
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
