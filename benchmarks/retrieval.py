"""How much of a question's evidence is among the k passages that each method chooses.

    python -m benchmarks.retrieval --data FOLDER                            the table: every task, the dev questions
    python -m benchmarks.retrieval --data FOLDER --split train --grid       SIFT over lengthscale and noise variance
    python -m benchmarks.retrieval --data FOLDER --methods nearest sift:noise_variance=3 mmr:relevance=0.8

A method is a name, with parameters after a colon where they differ from the default:

    nearest                        largest cosine (with several targets: with any of them)
    sift                           kernel, lengthscale, noise_variance: the library's
    mmr, dpp                       relevance; quality_scale: the library's
    rrf, round-robin               several targets: reciprocal rank fusion; each target's next best in turn
    variant                        SIFT changed in one respect, for docs/log.md: see ``Variant``

Every method chooses from the same pool: the passages nearest to the question, for several targets those nearest to
each. Shares are means over questions, in per cent; differences are paired, with a 95 % bootstrap interval over the
questions.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from benchmarks.datasets import DATA_VARIABLE, RetrievalTask, data_folder, evidence_found, open_tasks
from sift_rag.selection import GreedySelection, select_dpp, select_mmr, select_nearest, select_sift

KS = (2, 4, 6, 10, 20)
POOL = 100
RESAMPLES = 10_000
SEED = 20261123

LENGTHSCALES = (0.2, 0.25, 0.289, 0.354, 0.408, 0.5, 0.707)
NOISE_VARIANCES = (0.1, 0.3, 1.0, 2.0, 3.0, 5.0, 10.0)

DEFAULT_TASKS = ("hotpotqa-windows", "hotpotqa-passages", "musique", "musique-sub-questions", "strategyqa", "cranfield")
DEFAULT_METHODS = (
    "nearest",
    "mmr",
    "dpp",
    "sift",
    "sift:noise_variance=3",
    "sift:kernel=linear",
    "variant:lengthscale=0.408,noise_variance=3,centre=0.5,mean_of=pool",
    "variant:lengthscale=0.408,noise_variance=1e6,centre=0.5,mean_of=pool",
)
"""The last one is the one before it without the selection: at so large a noise variance relevance alone decides."""

RIVALS_OF_SEVERAL_TARGETS = ("rrf", "round-robin")

CACHE_CHUNK = 2048
"""Texts embedded between two writes to the cache: what an interrupted run does not lose."""

Select: TypeAlias = Callable[[np.ndarray, np.ndarray, int], Sequence[int]]
"""Targets ``(m, d)`` and candidates ``(n, d)``, nearest first; the indices of k candidates, in order."""


class EmbeddedTask(NamedTuple):
    task: RetrievalTask
    passages: np.ndarray
    """``(n, d)``, unit norm."""
    targets: tuple[np.ndarray, ...]
    """``(m, d)`` for each question."""
    pools: tuple[np.ndarray, ...]
    """Rows of ``passages`` for each question, nearest first."""


class Difference(NamedTuple):
    """Of two methods on the same questions, in points, with the bounds of its interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:+.1f} [{self.low:+.1f}, {self.high:+.1f}]"


@dataclass(frozen=True, slots=True)
class Variant:
    """SIFT's greedy choice with something changed. The defaults of all fields are the library's SIFT."""

    lengthscale: float = 0.354
    noise_variance: float = 1.0
    centre: float = 0.0
    """Share of the mean vector that is taken off every embedding before the kernel."""
    mean_of: Literal["collection", "pool"] = "collection"
    """Whose mean that is."""
    whiten: float = 0.0
    """Directions of the collection are divided by their standard deviation to this power (1 whitens)."""
    spread: Literal["", "collection", "pool"] = ""
    """Measure 1 - cos in units of its median over random pairs of the collection, or over the pairs of the pool; the
    lengthscale then stands for a collection in which that median is 1."""
    noise_of_pool: bool = False
    """Noise variance in units of the mean kernel value between two candidates of the pool."""
    query_lengthscale: float = 0.0
    """Another lengthscale between question and passage than between passages; 0 for the same."""
    relevance: float = 0.0
    """Each gain is multiplied by the squared kernel value with the question to this power."""
    balance: float = 0.0
    """Several targets: each is divided by the squared kernel value of its nearest candidate to this power, so that at 1
    every target has as much to be told about as any other."""
    one_sided: bool = False
    """A negative posterior covariance with the question counts as none: what is explained away tells nothing."""


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    tasks = open_tasks(data_folder(options.data), options.split)
    records = []
    for name in options.tasks or [name for name in DEFAULT_TASKS if name in tasks]:
        if name not in tasks:
            raise SystemExit(f"There is no task {name!r}: the data folder holds {', '.join(tasks)}.")
        several = any(len(targets) > 1 for targets in tasks[name].questions)
        methods = list(_grid() if options.grid else options.methods or DEFAULT_METHODS)
        methods += RIVALS_OF_SEVERAL_TARGETS if several and not options.methods else ()
        methods = list(dict.fromkeys([options.against, *methods]))
        embedded = embed_task(tasks[name], options.cache, options.pool)
        found = {method: found_by(method, embedded) for method in methods}
        records += [_record(name, options, method, found[method], found[options.against]) for method in methods]
        _show(records[-len(methods) :])
    if options.json:
        options.json.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


def embed_task(task: RetrievalTask, cache: Path, pool: int = POOL) -> EmbeddedTask:
    """Embed what is asked and what is searched, and search."""
    passages = embed_cached(task.passages, "passage", cache)
    rows = embed_cached([target for targets in task.questions for target in targets], "query", cache)
    ends = np.cumsum([len(targets) for targets in task.questions])
    targets = tuple(np.split(rows, ends[:-1]))
    return EmbeddedTask(task, passages, targets, tuple(_pool(asked, passages, pool) for asked in targets))


def found_by(method: str, embedded: EmbeddedTask) -> np.ndarray:
    """``(questions, len(KS))``: the share of evidence found at each k."""
    select = read_method(method, embedded)
    task = embedded.task
    return np.array(
        [
            _at_each_k(
                evidence_found([pool[i] for i in select(targets, embedded.passages[pool], max(KS))], task.holds, needs)
            )
            for targets, pool, needs in zip(embedded.targets, embedded.pools, task.needs, strict=True)
        ]
    )


def read_method(text: str, embedded: EmbeddedTask) -> Select:
    """See this module's docstring.

    Raises:
        SystemExit: no such method or parameter.
    """
    name, _, parameters = text.partition(":")
    given = dict(part.split("=", 1) for part in parameters.split(",") if part)
    values: dict[str, Any] = {key: _number(value) for key, value in given.items()}
    library: dict[str, Callable[..., GreedySelection]]
    library = {"nearest": select_nearest, "sift": select_sift, "mmr": select_mmr, "dpp": select_dpp}
    rivals: dict[str, Callable[..., Sequence[int]]] = {"rrf": select_fused, "round-robin": select_in_turn}
    try:
        if name in library:
            function = partial(library[name], **values)
            function(np.eye(1), np.eye(1), 1)  # a parameter that it does not take shows here
            return lambda targets, candidates, k: function(targets, candidates, k).indices
        if name == "variant":
            return _variant(Variant(**values), embedded.passages)
        return partial(rivals[name], **values)
    except (KeyError, TypeError, ValueError) as error:
        raise SystemExit(f"{text!r} is not a method: {error}. --help says what is.") from error


def select_fused(targets: np.ndarray, candidates: np.ndarray, k: int, *, constant: float = 60.0) -> Sequence[int]:
    """Reciprocal rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009) of one ranking a target."""
    ranks = np.argsort(np.argsort(-(targets @ candidates.T), axis=1, kind="stable"), axis=1) + 1
    return list(np.argsort(-(1.0 / (constant + ranks)).sum(axis=0), kind="stable")[:k])


def select_in_turn(targets: np.ndarray, candidates: np.ndarray, k: int) -> Sequence[int]:
    """The best of the first target, of the second, ..., then the next best of each; none twice."""
    rankings = np.argsort(-(targets @ candidates.T), axis=1, kind="stable")
    return list(dict.fromkeys(rankings.T.ravel().tolist()))[:k]


def paired_difference(ours: np.ndarray, theirs: np.ndarray) -> Difference:
    """Of the means, in points, with a 95 % percentile bootstrap interval; ``(questions,)`` shares each."""
    differences = 100 * (ours - theirs)
    n = len(differences)
    generator = np.random.default_rng(SEED)
    means = np.concatenate(
        [generator.multinomial(n, np.full(n, 1 / n), size=1000) @ differences / n for _ in range(RESAMPLES // 1000)]
    )
    low, high = np.quantile(means, [0.025, 0.975])
    return Difference(float(differences.mean()), float(low), float(high))


def embed_cached(texts: Sequence[str], role: Literal["query", "passage"], cache: Path) -> np.ndarray:
    """Unit-norm float32 ``(n, d)`` by the default embedder, on one thread; what was embedded before is read back."""
    from sift_rag.assembly import DEFAULT_EMBEDDER

    cache.mkdir(parents=True, exist_ok=True)
    embed: Callable[[Sequence[str]], np.ndarray] | None = None
    chunks = []
    for start in range(0, len(texts), CACHE_CHUNK):
        chunk = list(texts[start : start + CACHE_CHUNK])
        digest = hashlib.blake2b("\0".join([DEFAULT_EMBEDDER, role, *chunk]).encode(), digest_size=16)
        path = cache / f"{digest.hexdigest()}.npy"
        if not path.is_file():
            embed = embed or _embedding_function(role)
            partial_file = path.with_suffix(f".{os.getpid()}.partial")
            with partial_file.open("wb") as file:
                np.save(file, embed(chunk))
            partial_file.replace(path)
        chunks.append(np.load(path))
    return np.concatenate(chunks)


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """``--data`` and ``--cache``."""
    from platformdirs import user_cache_path

    cache = user_cache_path("sift-rag", appauthor=False) / "benchmarks"
    parser.add_argument("--data", type=Path, help=f"folder of the collections (default: ${DATA_VARIABLE})")
    parser.add_argument("--cache", type=Path, default=cache, help="where embeddings are kept between runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")


def _embedding_function(role: Literal["query", "passage"]) -> Callable[[Sequence[str]], np.ndarray]:
    import torch

    from sift_rag.assembly import open_embedder

    torch.set_num_threads(1)  # the machine may be shared
    embedder = open_embedder()
    return embedder.embed_queries if role == "query" else embedder.embed_passages


def _pool(targets: np.ndarray, passages: np.ndarray, limit: int) -> np.ndarray:
    """The ``limit`` passages nearest to each target, in one list by the largest similarity."""
    similarities = targets @ passages.T
    limit = min(limit, len(passages))
    rows = np.unique(np.argpartition(-similarities, limit - 1, axis=1)[:, :limit])
    return rows[np.argsort(-similarities[:, rows].max(axis=0), kind="stable")]


def _at_each_k(shares: Sequence[float]) -> list[float]:
    """A method that runs out of candidates has found at larger k what it found with its last."""
    return [shares[min(k, len(shares)) - 1] for k in KS]


def _variant(variant: Variant, passages: np.ndarray) -> Select:
    of_collection = passages.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(passages.T)) if variant.whiten else (np.ones(1), np.eye(1))
    squeeze = np.maximum(values, 1e-6) ** (-variant.whiten / 2)

    def transform(rows: np.ndarray, mean: np.ndarray = of_collection) -> np.ndarray:
        rows = rows - variant.centre * mean
        if variant.whiten:
            rows = (rows @ vectors) * squeeze
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))

    generator = np.random.default_rng(SEED)
    pairs = generator.integers(len(passages), size=(2, 20_000))
    unit = 1.0
    if variant.spread == "collection":
        first, second = transform(passages[pairs[0]]), transform(passages[pairs[1]])
        unit = float(np.median(1 - np.einsum("nd,nd->n", first, second)))

    def select(targets: np.ndarray, candidates: np.ndarray, k: int) -> Sequence[int]:
        mean = candidates.mean(axis=0) if variant.mean_of == "pool" else of_collection
        targets, candidates = transform(targets, mean), transform(candidates, mean)
        gram = candidates @ candidates.T
        distance = unit
        if variant.spread == "pool":
            distance = float(np.median(1 - gram[np.triu_indices(len(gram), 1)]))
        return _greedy(variant, targets @ candidates.T, gram, distance, k)

    return select


def _greedy(variant: Variant, to_targets: np.ndarray, gram: np.ndarray, unit: float, k: int) -> list[int]:
    """From cosines ``(m, n)`` and ``(n, n)``: the recurrence of ``select_sift`` on a kernel matrix."""
    scale = 1 / (unit * variant.lengthscale**2)
    to_query = 1 / (unit * variant.query_lengthscale**2) if variant.query_lengthscale else scale
    prior = np.exp(to_query * (to_targets - 1))
    covariance = prior * prior.max(axis=1, keepdims=True) ** -variant.balance
    kernel = np.exp(scale * (gram - 1))
    noise = variant.noise_variance
    if variant.noise_of_pool:
        noise *= (kernel.sum() - np.trace(kernel)) / max(kernel.size - len(kernel), 1)
    weight = (prior**2).sum(axis=0) ** variant.relevance
    chosen: list[int] = []
    for _ in range(min(k, len(gram))):
        told = np.maximum(covariance, 0.0) if variant.one_sided else covariance
        gains = weight * (told**2).sum(axis=0) / (kernel.diagonal() + noise)
        gains[chosen] = -1.0
        pick = int(gains.argmax())
        column, known = kernel[pick].copy(), covariance[:, pick].copy()
        scale_of_pick = column[pick] + noise
        covariance -= np.outer(known, column) / scale_of_pick
        kernel -= np.outer(column, column) / scale_of_pick
        chosen.append(pick)
    return chosen


def _grid() -> Iterator[str]:
    for lengthscale in LENGTHSCALES:
        for noise in NOISE_VARIANCES:
            yield f"sift:lengthscale={lengthscale:g},noise_variance={noise:g}"


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _record(
    task: str, options: argparse.Namespace, method: str, ours: np.ndarray, theirs: np.ndarray
) -> dict[str, Any]:
    at = {
        f"k={k}": {
            "found": 100 * float(ours[:, place].mean()),
            **paired_difference(ours[:, place], theirs[:, place])._asdict(),
        }
        for place, k in enumerate(KS)
    }
    average = {"found": 100 * float(ours.mean()), **paired_difference(ours.mean(axis=1), theirs.mean(axis=1))._asdict()}
    return {
        "task": task,
        "split": options.split,
        "questions": len(ours),
        "pool": options.pool,
        "method": method,
        "against": options.against,
        "at": {**at, "average": average},
    }


def _show(records: Sequence[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    first = records[0]
    table = Table(
        title=f"{first['task']}, {first['split']}: evidence found by {first['questions']} questions, "
        f"{first['against']} in per cent, the others in points over it",
        title_justify="left",
    )
    table.add_column("method", no_wrap=True)
    for column in first["at"]:
        table.add_column(column, justify="right", no_wrap=True)
    for record in records:
        cells = [
            f"{at['found']:.1f}" if record is first else str(Difference(at["mean"], at["low"], at["high"]))
            for at in record["at"].values()
        ]
        table.add_row(record["method"], *cells)
    console = Console()
    Console(width=max(console.width, 260) if not console.is_terminal else None).print(table)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.retrieval", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_options(parser)
    parser.add_argument("--split", choices=("train", "dev"), default="dev", help="choose on train, report on dev")
    parser.add_argument("--tasks", nargs="+", metavar="TASK", help=f"default: {', '.join(DEFAULT_TASKS)}")
    parser.add_argument("--methods", nargs="+", metavar="METHOD", help=f"default: {' '.join(DEFAULT_METHODS)}")
    parser.add_argument("--grid", action="store_true", help="SIFT's rbf kernel over lengthscales and noise variances")
    parser.add_argument("--against", default="nearest", metavar="METHOD", help="what differences are taken from")
    parser.add_argument("--pool", type=int, default=POOL, help="candidates a target")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
