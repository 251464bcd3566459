"""Scores that tell whether a corpus holds the answer to a question.

    python -m research.answerable --data FOLDER [--tasks hotpotqa-passages ...] [--json FILE]

Each dev question is asked of its own corpus, and of corpora that cannot answer it: *another* corpus altogether, and its
own one without the passages that hold its evidence (*gold removed*; what is alike stays). A score is good if it is
higher where the answer is there: the area under the ROC curve is how often that is so for one question of each kind
(0.5: a coin), with a 95 % bootstrap interval over the questions.

The scores: the share of the variance that all candidates together explain, 1 - irreducible / prior, by a process of
several lengthscales, noise variances and centrings; the same after the k passages chosen; the largest cosine, and means
of the largest. The second table is for ``--max-variance``: the threshold that refuses 5 % of the answerable *train*
questions, and what it refuses on dev.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from benchmarks.common.datasets import RetrievalTask, data_folder, open_tasks
from benchmarks.common.embedding import POOL, add_data_options, embed_cached, nearest_rows
from benchmarks.common.intervals import Estimate, area_under_curve, over_questions
from sift_rag.selection import Features, GaussianProcess, Pool, Rbf, Sift, posterior_variance
from sift_rag.selection.features import centred

CHOSEN = 5
"""The product's default k."""

DEFAULT_TASKS = ("hotpotqa-passages", "hotpotqa-windows", "strategyqa")
OTHER_CORPORA = ("cranfield", "strategyqa", "hotpotqa-passages", "musique")

LENGTHSCALES = (0.408, 0.707)
NOISE_VARIANCES = (0.1, 1.0, 5.0)
CENTRINGS = (0.0, 0.5)

REFUSED = 0.05
"""Share of the answerable train questions that the threshold refuses."""

Score = Callable[[np.ndarray, np.ndarray], float]
"""A score of targets ``(m, d)`` and candidates ``(n, d)``; higher where the answer is there."""


class Corpus(NamedTuple):
    passages: np.ndarray
    """``(n, d)``."""
    pools: Sequence[np.ndarray]
    """Rows of ``passages`` for each question, nearest first."""


OWN, GOLD_REMOVED = "own", "gold removed"


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    folder = data_folder(options.data)
    tasks = {split: open_tasks(folder, split) for split in ("train", "dev")}
    corpora = {
        name: embed_cached(tasks["dev"][name].passages, "passage", options.cache)
        for name in OTHER_CORPORA
        if name in tasks["dev"]
    }
    records = []
    for name in options.tasks or [name for name in DEFAULT_TASKS if name in tasks["dev"]]:
        others = {corpus: rows for corpus, rows in corpora.items() if corpus.split("-")[0] != name.split("-")[0]}
        passages = embed_cached(tasks["dev"][name].passages, "passage", options.cache)
        asked = {split: _targets(of_split[name], options) for split, of_split in tasks.items() if name in of_split}
        dev = corpora_of(tasks["dev"][name], asked["dev"], passages, others)
        for score_name, score in scores().items():
            of_dev = {corpus: score_all(score, asked["dev"], held) for corpus, held in dev.items()}
            record: dict[str, Any] = {"task": name, "questions": len(asked["dev"]), "score": score_name}
            record["auc"] = {
                corpus: over_questions(area_under_curve, of_dev[OWN], values)
                for corpus, values in of_dev.items()
                if corpus != OWN
            }
            if "train" in asked:
                pools = [nearest_rows(row[None], passages, POOL) for row in asked["train"]]
                threshold = float(np.quantile(score_all(score, asked["train"], Corpus(passages, pools)), REFUSED))
                record["threshold"] = threshold
                record["refused"] = {corpus: float((values < threshold).mean()) for corpus, values in of_dev.items()}
            records.append(record)
    _show(records)
    if options.json:
        options.json.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


def corpora_of(
    task: RetrievalTask, targets: np.ndarray, passages: np.ndarray, others: Mapping[str, np.ndarray]
) -> dict[str, Corpus]:
    """Return the corpora that each question, ``(questions, d)``, is asked of.

    These are its own, the same without the passages that hold its evidence, and ``others``.
    """
    golden = [holders(task, needs) for needs in task.needs]
    return {
        OWN: Corpus(passages, [nearest_rows(row[None], passages, POOL) for row in targets]),
        GOLD_REMOVED: Corpus(
            passages,
            [nearest_rows(row[None], passages, POOL, without=gold) for row, gold in zip(targets, golden, strict=True)],
        ),
        **{
            name: Corpus(rows, [nearest_rows(row[None], rows, POOL) for row in targets])
            for name, rows in others.items()
        },
    }


def holders(task: RetrievalTask, needs: frozenset[int]) -> list[int]:
    """Return the passages that hold any of the evidence needed."""
    return [passage for passage, held in enumerate(task.holds) if held & needs]


def scores() -> dict[str, Score]:
    """Return every score by name."""
    surrogates = {
        f"all explain: l={lengthscale:g} noise={noise:g} centring={centring:g}": partial(
            explained_by_all, process=GaussianProcess(Rbf(lengthscale), noise, Features(centring))
        )
        for centring in CENTRINGS
        for lengthscale in LENGTHSCALES
        for noise in NOISE_VARIANCES
    }
    return {
        "all explain: the default": partial(explained_by_all, process=GaussianProcess()),
        f"the {CHOSEN} chosen explain: the default": explained_by_chosen,
        "largest cosine": partial(mean_cosine, count=1),
        f"mean of the {CHOSEN} largest cosines": partial(mean_cosine, count=CHOSEN),
        "largest cosine above the pool's mean": above_mean,
        **surrogates,
    }


def explained_by_all(targets: np.ndarray, candidates: np.ndarray, *, process: GaussianProcess) -> float:
    """Return 1 - irreducible / prior."""
    centre = process.features.centre_of(candidates)
    left = posterior_variance(
        centred(targets, centre),
        centred(candidates, centre),
        kernel=process.kernel,
        noise_variance=process.noise_variance,
    )
    return 1 - left / len(targets)


def explained_by_chosen(targets: np.ndarray, candidates: np.ndarray) -> float:
    """Return 1 - posterior / prior after the product's choice of ``CHOSEN``."""
    selection = Sift().select(Pool(targets, candidates), CHOSEN).selection
    return float(1 - selection.posterior_variances[-1] / selection.prior_variance)


def mean_cosine(targets: np.ndarray, candidates: np.ndarray, *, count: int) -> float:
    """Return the mean cosine of the ``count`` candidates nearest to any target."""
    return float(np.sort((targets @ candidates.T).max(axis=0))[-count:].mean())


def above_mean(targets: np.ndarray, candidates: np.ndarray) -> float:
    """Return the largest cosine, in standard deviations over the mean of the pool's."""
    cosines = (targets @ candidates.T).max(axis=0)
    return float((cosines.max() - cosines.mean()) / cosines.std())


def score_all(score: Score, targets: np.ndarray, corpus: Corpus) -> np.ndarray:
    """Score every question: ``(questions,)``, from targets ``(questions, d)``."""
    pools = zip(targets, corpus.pools, strict=True)
    return np.array([score(row[None], corpus.passages[pool]) for row, pool in pools])


def _targets(task: RetrievalTask, options: argparse.Namespace) -> np.ndarray:
    """Embed the questions of a task with one target each: ``(questions, d)``."""
    return embed_cached([texts[0] for texts in task.questions], "query", options.cache)


def _show(records: Sequence[dict[str, Any]]) -> None:
    for task in dict.fromkeys(record["task"] for record in records):
        of_task = [record for record in records if record["task"] == task]
        corpora = list(of_task[0]["auc"])
        print(f"\n{task}, {of_task[0]['questions']} questions: area under the curve, own corpus against\n")
        print("| score | " + " | ".join(corpora) + " |\n|---|" + "---|" * len(corpora))
        for record in of_task:
            print(f"| {record['score']} | " + " | ".join(str(Estimate(*record["auc"][c])) for c in corpora) + " |")
        if "threshold" in of_task[0]:
            print(f"\n{task}: refused on dev, per cent, below the {REFUSED:.0%} quantile of train\n")
            print(
                "| score | threshold | " + " | ".join([OWN, *corpora]) + " |\n|---|---|" + "---|" * (len(corpora) + 1)
            )
            for record in of_task:
                cells = [f"{100 * record['refused'][c]:.0f}" for c in [OWN, *corpora]]
                print(f"| {record['score']} | {record['threshold']:.4g} | " + " | ".join(cells) + " |")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m research.answerable",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_data_options(parser)
    parser.add_argument("--tasks", nargs="+", metavar="TASK", help=f"default: {', '.join(DEFAULT_TASKS)}")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
