"""Evidence of a question among the k passages that each method chooses, or within a budget of tokens.

    python -m benchmarks.quality.evidence_found --data FOLDER                          every task, the dev questions
    python -m benchmarks.quality.evidence_found --data FOLDER --budgets 128 256 512    the same within budgets
    python -m benchmarks.quality.evidence_found --data FOLDER --split train --methods nearest mmr:relevance=0.8/0.9

Every method chooses from the same pool: the passages nearest to the question, for several targets those nearest to
each. Shares are means over questions, in per cent; differences are paired, with a 95 % bootstrap interval over the
questions.

A budget is spent in a method's order. The tokens of a passage are those of all its text, title included, as the
embedder counts them. The rule *stop* ends at the first passage that does not fit, as ``Stopping(tokens=...)`` does;
*skip* passes over what does not fit and goes on to the end of the pool.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from benchmarks.common import methods
from benchmarks.common.datasets import data_folder, evidence_found, open_tasks
from benchmarks.common.embedding import POOL, WORDLLAMA, EmbeddedTask, add_data_options, embed_task
from benchmarks.common.intervals import Difference, paired_difference
from benchmarks.common.methods import alternatives, read_method
from sift_rag import defaults

KS = (2, 4, 6, 10, 20)

DEFAULT_TASKS = (
    "hotpotqa-windows",
    "hotpotqa-passages",
    "musique",
    "musique-sub-questions",
    "strategyqa",
    "cranfield",
    "pubmedqa",
    "identifiers",
    "identifiers-in-sentences",
)
DEFAULT_METHODS = (
    "nearest",
    "nearest:centring=0.5",
    "bm25",
    "hybrid",
    "convex",
    "rocchio",
    "mmr:relevance=0.95",
    "mmr:relevance=0.97,centring=0.5,words=0.5",
    "dpp:quality_scale=16",
    "dpp:quality_scale=12,centring=0.5,words=0.5",
    "sift:words=0,follow=0",
    "sift:follow=0",
    "sift",
    "sift:noise_variance=1e6",
)
"""The rivals' settings are the best of those tried on train. At a noise variance of 1e6 relevance alone decides."""

METHODS_WITHIN_BUDGETS = (
    "nearest",
    "nearest:centring=0.5",
    "mmr:relevance=0.97,centring=0.5",
    "dpp:quality_scale=12,centring=0.5",
    "sift",
    "sift:per_token=0.5",
    "sift:per_token=1",
    "sift:noise_variance=1e6,per_token=1",
)

RIVALS_OF_SEVERAL_TARGETS = ("rrf", "round-robin")

BudgetRule: TypeAlias = Literal["stop", "skip"]


class Found(NamedTuple):
    """The evidence that one method finds, for each question and column of the table."""

    shares: np.ndarray
    """``(questions, columns)``."""
    sizes: np.ndarray
    """``(questions, columns)``: passages taken."""


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    tasks = open_tasks(data_folder(options.data), options.split)
    records = []
    for name in options.tasks or [name for name in DEFAULT_TASKS if name in tasks]:
        if name not in tasks:
            raise SystemExit(f"There is no task {name!r}: the data folder holds {', '.join(tasks)}.")
        several = any(len(targets) > 1 for targets in tasks[name].questions)
        embedded = embed_task(
            tasks[name], options.cache, options.pool, sharing=options.sharing, embedder=options.embedder
        )
        found: dict[str, Found] = {}
        for method in _methods(options, several=several):
            if options.budgets:
                stopping, skipping = found_within(method, embedded, options.budgets)
                found |= {method: stopping, f"{method}, skipping": skipping}
            else:
                found[method] = found_by(method, embedded)
        of_task = [_record(name, options, method, found) for method in found]
        records += of_task
        _show(of_task)
    if options.json:
        options.json.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


def found_by(method: str, embedded: EmbeddedTask, ks: Sequence[int] = KS) -> Found:
    """Measure the evidence among the first k, for each of ``ks``."""
    ordered = orders(method, embedded, max(ks))
    return Found(
        np.array([_at(ks, _shares(embedded, question, order)) for question, order in enumerate(ordered)]),
        np.array([[min(k, len(order)) for k in ks] for order in ordered]),
    )


def found_within(method: str, embedded: EmbeddedTask, budgets: Sequence[int]) -> tuple[Found, Found]:
    """Measure the evidence within each budget of tokens, by the rule *stop* and by the rule *skip*."""
    ordered = orders(method, embedded, len(embedded.passages))
    rules: list[Found] = []
    for rule in ("stop", "skip"):
        taken = [
            [affordable(order, embedded.token_counts, budget, rule) for budget in budgets]
            for question, order in enumerate(ordered)
        ]
        rules.append(
            Found(
                np.array([[_share(embedded, q, choice) for choice in choices] for q, choices in enumerate(taken)]),
                np.array([[len(choice) for choice in choices] for choices in taken]),
            )
        )
    return rules[0], rules[1]


def affordable(order: Sequence[int], token_counts: np.ndarray, budget: int, rule: BudgetRule) -> list[int]:
    """Take from an order of passages, ``token_counts`` ``(n,)`` each, what fits the budget."""
    taken: list[int] = []
    left = budget
    for candidate in order:
        if token_counts[candidate] <= left:
            taken.append(candidate)
            left -= int(token_counts[candidate])
        elif rule == "stop":
            break
    return taken


def orders(method: str, embedded: EmbeddedTask, k: int) -> list[Sequence[int]]:
    """Return the rows of the passages that are chosen for each question, in order."""
    select = read_method(method, embedded.passages)
    orders: list[Sequence[int]] = []
    for question in range(len(embedded.pools)):
        asked = embedded.asked(question)
        chosen = select(asked.pool, k)
        orders.append([asked.rows[place] for place in chosen])
    return orders


def _shares(embedded: EmbeddedTask, question: int, order: Sequence[int]) -> list[float]:
    """Return the share of the evidence among the first 1, 2, ... of the order; 0 at once where it is empty."""
    task = embedded.task
    return evidence_found(order, task.holds, task.needs[question]) or [0.0]


def _share(embedded: EmbeddedTask, question: int, choice: Sequence[int]) -> float:
    return _shares(embedded, question, choice)[-1]


def _at(ks: Sequence[int], shares: Sequence[float]) -> list[float]:
    """Read the shares at each k; a method that runs out of candidates keeps what it found with its last."""
    return [shares[min(k, len(shares)) - 1] for k in ks]


def _methods(options: argparse.Namespace, *, several: bool) -> list[str]:
    chosen = options.methods or (METHODS_WITHIN_BUDGETS if options.budgets else DEFAULT_METHODS)
    if several and not options.methods:
        chosen = (*chosen, *RIVALS_OF_SEVERAL_TARGETS, "sift:balanced=0")
    return list(dict.fromkeys([options.against, *(method for text in chosen for method in alternatives(text))]))


def _record(task: str, options: argparse.Namespace, method: str, found: dict[str, Found]) -> dict[str, Any]:
    ours, theirs = found[method], found[options.against]
    labels = [f"{budget} tokens" for budget in options.budgets] if options.budgets else [f"k={k}" for k in KS]
    at = {
        label: {
            "found": 100 * float(ours.shares[:, place].mean()),
            "passages": float(ours.sizes[:, place].mean()),
            **paired_difference(ours.shares[:, place], theirs.shares[:, place])._asdict(),
        }
        for place, label in enumerate(labels)
    }
    average = {
        "found": 100 * float(ours.shares.mean()),
        "passages": float(ours.sizes.mean()),
        **paired_difference(ours.shares.mean(axis=1), theirs.shares.mean(axis=1))._asdict(),
    }
    return {
        "task": task,
        "split": options.split,
        "questions": len(ours.shares),
        "pool": options.pool,
        "embedder": options.embedder,
        "method": method,
        "against": options.against,
        "at": {**at, "average": average},
    }


def _show(records: Sequence[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    first = records[0]
    within = "tokens" in next(iter(first["at"]))
    table = Table(
        title=f"{first['task']}, {first['split']}: evidence found by {first['questions']} questions, "
        f"{first['against']} in per cent, the others in points over it" + (" (passages taken)" if within else ""),
        title_justify="left",
    )
    table.add_column("method", no_wrap=True)
    for column in first["at"]:
        table.add_column(column, justify="right", no_wrap=True)
    for record in records:
        cells = [
            (f"{at['found']:.1f}" if record is first else str(Difference(at["mean"], at["low"], at["high"])))
            + (f" ({at['passages']:.1f})" if within else "")
            for at in record["at"].values()
        ]
        table.add_row(record["method"], *cells)
    console = Console()
    Console(width=max(console.width, 260) if not console.is_terminal else None).print(table)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.evidence_found",
        description=f"{__doc__}\n{methods.__doc__}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_data_options(parser)
    parser.add_argument("--split", choices=("train", "dev"), default="dev", help="choose on train, report on dev")
    parser.add_argument("--tasks", nargs="+", metavar="TASK", help=f"default: {', '.join(DEFAULT_TASKS)}")
    parser.add_argument("--methods", nargs="+", metavar="METHOD", help=f"default: {' '.join(DEFAULT_METHODS)}")
    parser.add_argument("--budgets", nargs="+", type=int, metavar="TOKENS", help="instead of the first k passages")
    parser.add_argument("--against", default="nearest", metavar="METHOD", help="what differences are taken from")
    parser.add_argument(
        "--embedder",
        default=defaults.EMBEDDER,
        metavar="NAME[@D]",
        help=f"{WORDLLAMA}, or a model's name or folder; @D keeps the first D dimensions",
    )
    parser.add_argument("--pool", type=int, default=POOL, help="candidates a target")
    parser.add_argument(
        "--sharing", type=int, default=defaults.WORD_CANDIDATES, help="further candidates a target, by BM25"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
