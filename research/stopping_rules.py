"""Rules that stop early, beside a fixed k of the same average size.

    python -m research.stopping_rules --data FOLDER [--sizes 2 4 6 10] [--tasks TASK ...] [--selector sift]

Each rule keeps a prefix of the product's choice: the passages before the first that falls below the rule's threshold. A
threshold is chosen on the train questions so that the average prefix has the size wanted (no evidence is looked at),
and then applied to the dev questions. What it finds there is compared with a fixed k equal to its average size on the
same questions; between two whole numbers, with the mix of both. Tasks without a train part take their threshold from
the very questions, again by size alone. ``all`` is every question of the other tasks, one threshold for all.

``variance``, ``explained`` and ``alpha`` are the library's rules (``Stopping``); the others are tries.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks.common.datasets import data_folder, evidence_found, open_tasks
from benchmarks.common.embedding import EmbeddedTask, add_data_options, embed_task
from benchmarks.common.intervals import Difference, paired_difference
from sift_rag import Selector
from sift_rag.selection import GreedySelection, Pool, selector_from

LONGEST = 40
"""Passages a choice may grow to."""

SIZES = (2, 4, 6, 10)

DEFAULT_TASKS = ("hotpotqa-windows", "hotpotqa-passages", "strategyqa", "musique", "musique-sub-questions", "cranfield")

ALL = "all"


class Trace(NamedTuple):
    """One question's choice, step by step."""

    selection: GreedySelection
    cosines: np.ndarray
    """``(LONGEST,)``: each pick's with the question, the largest over its targets."""
    found: np.ndarray
    """``(LONGEST + 1,)``: share of the evidence among the first 0, 1, 2, ..."""


Rule = Callable[[Trace], np.ndarray]
"""``(LONGEST,)``: how much there is to say for each step; the prefix ends before the first step below the threshold."""


def _doubt_before(trace: Trace) -> np.ndarray:
    """Return the variance that each step meets."""
    return np.concatenate([[trace.selection.prior_variance], trace.selection.posterior_variances[:-1]])


def _left(trace: Trace) -> float:
    assert trace.selection.irreducible_variance is not None
    return trace.selection.irreducible_variance


def _reducible(trace: Trace) -> float:
    return trace.selection.prior_variance - _left(trace)


RULES: Mapping[str, Rule] = {
    "variance": _doubt_before,
    "explained": lambda t: 1 - (t.selection.prior_variance - _doubt_before(t)) / _reducible(t),
    "alpha": lambda t: 1 / (np.arange(1, len(t.cosines) + 1) * np.sqrt(t.selection.posterior_variances)),
    "gain": lambda t: t.selection.gains,
    "gain over the first": lambda t: t.selection.gains / t.selection.gains[0],
    "gain over what is reducible": lambda t: t.selection.gains / _reducible(t),
    "gain over the root of what is reducible": lambda t: t.selection.gains / _reducible(t) ** 0.5,
    "gain over what is still reducible": lambda t: t.selection.gains / (_doubt_before(t) - _left(t)),
    "gain over relevance": lambda t: t.selection.gains / t.selection.relevance,
    "cosine": lambda t: t.cosines,
    "cosine over the first": lambda t: t.cosines / t.cosines[0],
    "cosine below the first": lambda t: t.cosines - t.cosines[0],
}


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    folder = data_folder(options.data)
    selector = selector_from(options.selector)
    tasks = {split: open_tasks(folder, split) for split in ("train", "dev")}
    traces: dict[str, tuple[list[Trace], list[Trace]]] = {}
    for name in options.tasks or [name for name in DEFAULT_TASKS if name in tasks["dev"]]:
        dev = traces_of(selector, embed_task(tasks["dev"][name], options.cache))
        train = dev
        if name in tasks["train"]:
            train = traces_of(selector, embed_task(tasks["train"][name], options.cache))
        traces[name] = train, dev
    if len(traces) > 1:
        together = [trace for _, dev in traces.values() for trace in dev]
        traces[ALL] = together, together
    records = [
        {"task": task, "questions": len(dev), "rule": rule, **compare(RULES[rule], train, dev, size)}
        for task, (train, dev) in traces.items()
        for rule in RULES
        for size in options.sizes
    ]
    _show(records, options.sizes)
    if options.json:
        options.json.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


def traces_of(selector: Selector, embedded: EmbeddedTask) -> list[Trace]:
    """Trace the product's choice for every question, and what it finds."""
    task = embedded.task
    traces = []
    for question, (pool, needs) in enumerate(zip(embedded.pools, task.needs, strict=True)):
        targets, candidates, _ = embedded.asked(question)
        selection = selector.select(Pool(targets, candidates), LONGEST).selection
        cosines = (targets @ candidates[selection.indices].T).max(axis=0)
        found = evidence_found(pool[selection.indices].tolist(), task.holds, needs)
        traces.append(Trace(selection, cosines, np.array([0.0, *found])))
    return traces


def compare(rule: Rule, train: Sequence[Trace], dev: Sequence[Trace], size: int) -> dict[str, Any]:
    """Compare a rule with a fixed k on dev, at the threshold that gives ``size`` passages on average on train."""
    threshold = threshold_for(rule, train, size)
    sizes = prefix_sizes(rule, dev, threshold)
    found = np.stack([trace.found for trace in dev])
    ours = found[np.arange(len(dev)), sizes]
    theirs = found_at(found, float(sizes.mean()))
    return {
        "wanted": size,
        "threshold": threshold,
        "size": float(sizes.mean()),
        "spread": float(sizes.std()),
        "found": 100 * float(ours.mean()),
        "fixed": 100 * float(theirs.mean()),
        **paired_difference(ours, theirs)._asdict(),
    }


def threshold_for(rule: Rule, traces: Sequence[Trace], size: int) -> float:
    """Return the largest threshold that gives ``size`` passages on average, or more where values are equal."""
    values = np.sort(np.concatenate([np.minimum.accumulate(rule(trace)) for trace in traces]))[::-1]
    return float(values[min(size * len(traces), len(values)) - 1])


def prefix_sizes(rule: Rule, traces: Sequence[Trace], threshold: float) -> np.ndarray:
    """Count the steps before the first that falls below the threshold: ``(questions,)``."""
    return np.array([(np.minimum.accumulate(rule(trace)) >= threshold).sum() for trace in traces])


def found_at(found: np.ndarray, size: float) -> np.ndarray:
    """Return what a fixed k finds, from shares ``(questions, sizes)``; between whole numbers the mix of both."""
    below = int(size)
    above = min(below + 1, found.shape[1] - 1)
    return np.asarray(found[:, below] + (size - below) * (found[:, above] - found[:, below]))


def _show(records: Sequence[dict[str, Any]], sizes: Sequence[int]) -> None:
    for task in dict.fromkeys(record["task"] for record in records):
        of_task = [record for record in records if record["task"] == task]
        print(
            f"\n{task}, {of_task[0]['questions']} questions: points over a fixed k of the same average size (sizes)\n"
        )
        print("| | " + " | ".join(str(size) for size in sizes) + " |")
        print("|---|" + "---|" * len(sizes))
        for rule in RULES:
            cells = [
                f"{Difference(r['mean'], r['low'], r['high'])} ({r['size']:.1f} ± {r['spread']:.1f})"
                for r in of_task
                if r["rule"] == rule
            ]
            print(f"| {rule} | " + " | ".join(cells) + " |")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m research.stopping_rules",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_data_options(parser)
    parser.add_argument("--tasks", nargs="+", metavar="TASK", help=f"default: {', '.join(DEFAULT_TASKS)}")
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES), metavar="K")
    parser.add_argument("--selector", default="sift", help="whose order the prefixes are of")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
