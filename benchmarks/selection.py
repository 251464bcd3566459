"""Speed of one selection and of a batch, against published implementations and against the floor, in one run.

    python -m benchmarks.selection [--rows 200 1000 10000] [--choices 10 50] [--dimensions 384] [--batch] [--json FILE]

Peers: ``activeft`` (the reference implementation of SIFT: its exact VTL, whose choice must be ours), ``pyversity``
(MMR and DPP), ``langchain-core`` (its MMR). The floor is numpy's matrix-vector product of all rows with each chosen
row, alone: what any method pays that looks at every candidate at every step. All get the same unit rows in float32.

Everything takes turns, round after round, so that a machine whose speed drifts slows all; reported are medians and, for
each peer, the median over rounds of its time divided by ours. Run it with OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 to
compare algorithms rather than thread pools.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from sift_rag.selection import select_sift, select_sift_batch

NOISE_VARIANCE = 0.1
SLOW = 0.02
"""Seconds from which on a method is timed in a few rounds only."""

Method = Callable[[], Any]


@dataclass(frozen=True)
class Row:
    n: int
    k: int
    d: int
    method: str
    milliseconds: float
    spread: tuple[float, float]
    """Smallest and largest, milliseconds."""
    times_ours: float
    """Median over the rounds of this method's time divided by that of "sift linear" in the same round."""


def embeddings(rng: np.random.Generator, n: int, d: int) -> Any:
    """Unit rows whose cosines with each other spread around 0.5, as those of a pool of near neighbours do."""
    rows = np.eye(d)[0] + rng.normal(size=(n, d)) / np.sqrt(d)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def methods(query: Any, rows: Any, k: int) -> dict[str, Method]:
    n = len(rows)
    options: dict[str, Any] = {"noise_variance": NOISE_VARIANCE}
    chosen = select_sift(query, rows, k, kernel="linear", **options).indices
    out = np.empty(n, dtype=np.float32)

    def floor() -> None:
        for index in chosen:
            np.dot(rows, rows[index], out=out)

    made: dict[str, Method] = {
        "sift linear": lambda: select_sift(query, rows, k, kernel="linear", **options),
        "sift rbf": lambda: select_sift(query, rows, k, **options),
        "floor: matrix-vector products": floor,
    }
    if find_spec("pyversity"):
        from pyversity.strategies import dpp, mmr

        scores = rows @ query
        made["pyversity MMR"] = lambda: mmr(rows, scores, k, diversity=0.5)
        made["pyversity DPP"] = lambda: dpp(rows, scores, k, diversity=0.5)
    if find_spec("langchain_core") and n <= 1000:
        from langchain_core.vectorstores.utils import maximal_marginal_relevance

        made["langchain-core MMR"] = lambda: maximal_marginal_relevance(query, list(rows), k=k)
    if find_spec("activeft") and n <= 1000:  # beyond, it works in chunks and its choice is another one
        made["activeft VTL"] = lambda: activeft_vtl(query, rows, k)
        theirs = made["activeft VTL"]()
        ours = select_sift(query, rows, k, kernel="linear", with_repeats=True, **options).indices.tolist()
        if theirs != ours:
            raise RuntimeError(f"activeft chose {theirs}, we {ours}: the comparison means nothing.")
    return made


def activeft_vtl(query: Any, rows: Any, k: int) -> list[int]:
    import torch
    from activeft import ActiveDataLoader
    from activeft.acquisition_functions.vtl import VTL
    from activeft.sift import Dataset

    chooser = VTL(
        target=torch.from_numpy(query[None]),
        num_workers=1,
        subsample=False,
        force_nonsequential=False,
        noise_std=NOISE_VARIANCE**0.5,
    )
    loader = ActiveDataLoader(
        dataset=Dataset(torch.from_numpy(rows)), batch_size=k, acquisition_function=chooser, device=torch.device("cpu")
    )
    return [int(index) for index in loader.next()[0]]


def timed(method: Method) -> float:
    started = perf_counter()
    method()
    return perf_counter() - started


def take_turns(made: dict[str, Method], rounds: int) -> dict[str, list[float]]:
    """Seconds of each method, round by round; slow ones sit out most rounds (NaN)."""
    slow = {name for name, method in made.items() if min(timed(method), timed(method)) > SLOW}
    times: dict[str, list[float]] = {name: [] for name in made}
    for turn in range(rounds):
        for name, method in made.items():
            sits_out = name in slow and name != "sift linear" and turn % max(1, rounds // 5)
            times[name].append(float("nan") if sits_out else timed(method))
    return times


def compare(n: int, k: int, d: int, rounds: int) -> list[Row]:
    rng = np.random.default_rng(0)
    query, rows = embeddings(rng, 1, d)[0], embeddings(rng, n, d)
    times = take_turns(methods(query, rows, k), rounds)
    return [row_of(n, k, d, name, seconds, times["sift linear"]) for name, seconds in times.items()]


def compare_batch(queries: int, n: int, k: int, d: int, rounds: int) -> list[Row]:
    rng = np.random.default_rng(0)
    asked, pools = embeddings(rng, queries, d), embeddings(rng, queries * n, d).reshape(queries, n, d)
    made: dict[str, Method] = {
        "sift linear": lambda: select_sift_batch(asked, pools, k, kernel="linear"),
        "sift linear, one by one": lambda: [
            select_sift(query, pool, k, kernel="linear") for query, pool in zip(asked, pools, strict=True)
        ],
    }
    batch, singles = (method() for method in made.values())
    if batch.indices.tolist() != [single.indices.tolist() for single in singles]:
        raise RuntimeError("The batch chose otherwise than the single calls.")
    times = take_turns(made, rounds)
    return [
        row_of(n, k, d, f"{queries} queries, {name}", [t / queries for t in seconds], [t / queries for t in ours])
        for ours in [times["sift linear"]]
        for name, seconds in times.items()
    ]


def row_of(n: int, k: int, d: int, name: str, seconds: list[float], ours: list[float]) -> Row:
    pairs = [(a, b) for a, b in zip(seconds, ours, strict=True) if not np.isnan(a)]
    figures = [1e3 * a for a, _ in pairs]
    return Row(n, k, d, name, median(figures), (min(figures), max(figures)), median(a / b for a, b in pairs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[200, 1_000, 10_000])
    parser.add_argument("--choices", type=int, nargs="+", default=[10, 50])
    parser.add_argument("--dimensions", type=int, nargs="+", default=[384])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--batch", action="store_true", help="also 256 queries with 200 candidates each")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found: list[Row] = []
    print(f"{'n':>7} {'k':>3} {'d':>5}  {'method':<42} {'ms':>9} {'min':>9} {'max':>9}  x sift linear")
    for d in arguments.dimensions:
        for n in arguments.rows:
            for k in arguments.choices:
                rounds = max(5, min(arguments.rounds, 4_000_000 // (n * k)))
                found += show(compare(n, k, d, rounds))
    if arguments.batch:
        found += show(compare_batch(256, 200, 50, 384, 5))
    if arguments.json:
        machine = {"processor": platform.processor() or platform.machine(), "numpy": np.__version__}
        rows = [asdict(row) for row in found]
        arguments.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1), encoding="utf-8")


def show(rows: list[Row]) -> list[Row]:
    for row in rows:
        print(
            f"{row.n:>7} {row.k:>3} {row.d:>5}  {row.method:<42} {row.milliseconds:>9.3f} {row.spread[0]:>9.3f} "
            f"{row.spread[1]:>9.3f}  {row.times_ours:>6.2f}",
            flush=True,
        )
    return rows


if __name__ == "__main__":
    main()
