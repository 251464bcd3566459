"""Centring of a handful of texts: evidence among the first k of the n nearest, for small n.

    python -m research.small_pools --data FOLDER [--sizes 2 3 5 10 20] [--split train]

``none`` takes the embeddings as they are, ``half`` takes half of the texts' mean off, as the default for a pool of a
hundred does, ``shared`` half of the part of the mean that is common to them, as ``Reranker`` does. Shares of evidence
are means over the questions in per cent, over the k up to half of n; differences to ``none`` are paired, with a 95 %
bootstrap interval. ``first`` is what the first text tells, as a correlation with the answer: for a lone text it should
not hang on what is taken off.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.common.datasets import data_folder, evidence_found, open_tasks
from benchmarks.common.embedding import EmbeddedTask, add_data_options, embed_task
from benchmarks.common.intervals import paired_difference
from sift_rag.selection import Features, GaussianProcess, Pool, Sift
from sift_rag.selection.features import common_share

TASKS = ("hotpotqa-windows", "hotpotqa-passages", "strategyqa")
CENTRINGS: dict[str, Callable[[np.ndarray], float]] = {
    "none": lambda rows: 0.0,  # noqa: ARG005 - one signature
    "half": lambda rows: 0.5,  # noqa: ARG005
    "shared": lambda rows: 0.5 * common_share(rows),
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data_options(parser)
    parser.add_argument("--split", choices=("train", "dev"), default="dev")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 2, 3, 5, 10, 20])
    options = parser.parse_args(arguments)
    tasks = open_tasks(data_folder(options.data), options.split)
    records = []
    for name in [name for name in TASKS if name in tasks]:
        embedded = embed_task(tasks[name], options.cache, max(options.sizes))
        for size in options.sizes:
            records.append({"task": name, "n": size, **measure(embedded, size)})
            print(as_line(records[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


def measure(embedded: EmbeddedTask, size: int) -> dict[str, Any]:
    """Measure each centring: evidence, difference to none, and what the first text tells."""
    found: dict[str, np.ndarray] = {}
    tells: dict[str, float] = {}
    for name, centring in CENTRINGS.items():
        shares, firsts = [], []
        for question, pool in enumerate(embedded.pools):
            asked = embedded.asked(question)
            rows = asked.candidates[:size]
            process = GaussianProcess(features=Features(centring(rows)))
            chosen = Sift(process).select(Pool(asked.targets, rows), max(1, size // 2)).selection
            shares.append(_evidence(embedded, question, [int(pool[i]) for i in chosen.indices], max(1, size // 2)))
            firsts.append(chosen.gains[0] / chosen.prior_variance * (1 + process.noise_variance))
        found[name] = np.array(shares)
        tells[name] = float(np.sqrt(np.mean(firsts)))
    return {
        name: {
            "found": 100 * float(found[name].mean()),
            **paired_difference(found[name], found["none"])._asdict(),
            "first": tells[name],
        }
        for name in CENTRINGS
    }


def as_line(record: dict[str, Any]) -> str:
    parts = [
        f"{name} {of['found']:.1f} ({of['mean']:+.1f} [{of['low']:+.1f}, {of['high']:+.1f}]; first {of['first']:.2f})"
        for name, of in record.items()
        if name in CENTRINGS
    ]
    return f"{record['task']:18} n = {record['n']:2}: " + "; ".join(parts)


def _evidence(embedded: EmbeddedTask, question: int, chosen: Sequence[int], k: int) -> float:
    shares = evidence_found(chosen, embedded.task.holds, embedded.task.needs[question])
    return float(np.mean(shares[:k]))


if __name__ == "__main__":
    main()
