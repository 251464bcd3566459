"""Speed and memory of one selection and of a batch, against published implementations and the floor, in one run.

    python -m benchmarks.speed.select_vs_peers [--rows 200 1000 10000 100000] [--choices 10 50] [--dimensions 384 1024]
                                   [--memory] [--batch] [--device] [--json FILE]

Peers: ``activeft`` (the reference implementation of SIFT: its exact VTL, whose choice must be ours, and its LazyVTL,
whose choice is another), ``pyversity`` (MMR and DPP), ``langchain-core`` (MMR). The floor is numpy's matrix-vector
product of all rows with each chosen row, alone: what a method pays that looks at every candidate at every step, step
after step. All get the same unit rows in float32.

Everything takes turns, round after round, so that a machine whose speed drifts slows all; reported are medians and, for
each peer, the median over rounds of its time divided by ours. Run it with OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 to
compare algorithms rather than thread pools.
"""

from __future__ import annotations

import argparse
import json
import platform
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
WELL_SLOW = 0.2
"""Seconds from which on it is timed in three."""
ROUNDING = 1e-4
"""Gains of float32 that differ by this share, late in a selection, may differ by rounding alone."""
PEERS = ("pyversity", "langchain_core", "activeft")

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
    """Median over the rounds of this method's time divided by that of the first method in the same round."""


def embeddings(rng: np.random.Generator, n: int, d: int) -> Any:
    """Draw unit rows whose cosines with each other spread around 0.5, as those of near neighbours do."""
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
    if find_spec("langchain_core") and n <= 1000:  # beyond, a minute and more
        from langchain_core.vectorstores.utils import maximal_marginal_relevance

        made["langchain-core MMR"] = lambda: maximal_marginal_relevance(query, list(rows), k=k)
    if find_spec("activeft") and n <= 1000:  # beyond, it works in chunks and its choice is another one
        made["activeft VTL"] = lambda: activeft_vtl(query, rows, k)
        made["activeft LazyVTL"] = lambda: activeft_lazy_vtl(query, rows, k)
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


def activeft_lazy_vtl(query: Any, rows: Any, k: int) -> list[int]:
    import torch
    from activeft.acquisition_functions.lazy_vtl import LazyVTL

    chooser = LazyVTL(
        target=torch.from_numpy(query[None]), num_workers=1, subsample=False, noise_std=NOISE_VARIANCE**0.5
    )
    indices, _ = chooser.select_from_minibatch(k, None, torch.from_numpy(rows), torch.device("cpu"))
    return [int(index) for index in indices]


def timed(method: Method) -> float:
    started = perf_counter()
    method()
    return perf_counter() - started


def take_turns(made: dict[str, Method], rounds: int) -> dict[str, list[float]]:
    """Time each method round by round, in seconds; slow ones, except the first, sit out most rounds (NaN)."""
    first = next(iter(made))
    every = {}
    for name, method in made.items():
        once = timed(method)
        seconds = once if once > WELL_SLOW else min(once, timed(method))
        few = 3 if seconds > WELL_SLOW else 5 if seconds > SLOW else rounds
        every[name] = 1 if name == first else max(1, rounds // few)
    times: dict[str, list[float]] = {name: [] for name in made}
    for turn in range(rounds):
        for name, method in made.items():
            times[name].append(float("nan") if turn % every[name] else timed(method))
    return times


def compare(n: int, k: int, d: int, rounds: int) -> list[Row]:
    rng = np.random.default_rng(0)
    query, rows = embeddings(rng, 1, d)[0], embeddings(rng, n, d)
    times = take_turns(methods(query, rows, k), rounds)
    return [row_of(n, k, d, name, seconds, times["sift linear"]) for name, seconds in times.items()]


def peak_memory(n: int, k: int, d: int) -> Row:
    """Measure the bytes beyond the input, as a share of n k values of 4 bytes: the columns of the recurrence."""
    rng = np.random.default_rng(0)
    query, rows = embeddings(rng, 1, d)[0], embeddings(rng, n, d)
    tracemalloc.start()
    select_sift(query, rows, k)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    mebibytes = peak / 2**20
    return Row(
        n, k, d, "peak memory (MiB; last column: of 4 n k)", mebibytes, (mebibytes, mebibytes), peak / (4 * n * k)
    )


def compare_batch(queries: int, n: int, k: int, d: int, rounds: int) -> list[Row]:
    rng = np.random.default_rng(0)
    asked, pools = embeddings(rng, queries, d), embeddings(rng, queries * n, d).reshape(queries, n, d)

    def one(b: int) -> Any:
        return select_sift(asked[b], pools[b], k, kernel="linear")

    def one_by_one(threads: int) -> list[Any]:
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(one, range(queries)))

    made: dict[str, Method] = {
        "one by one": lambda: [one(b) for b in range(queries)],
        "one by one in two threads": lambda: one_by_one(2),
        "batch": lambda: select_sift_batch(asked, pools, k, kernel="linear"),
        "batch in two threads": lambda: select_sift_batch(asked, pools, k, kernel="linear", threads=2),
    }
    got, in_threads, wanted = (made[name]() for name in ("batch", "batch in two threads", "one by one"))
    others = [b for b in range(queries) if got.indices[b].tolist() != wanted[b].indices.tolist()]
    for b in others:
        step = int((got.indices[b] != wanted[b].indices).argmax())
        if abs(got.gains[b, step] / wanted[b].gains[step] - 1.0) > ROUNDING:
            raise RuntimeError(f"For query {b} the batch chose otherwise than the single call, and worse than a tie.")
    print(f"{queries - len(others)} of {queries} choices are those of single calls, the others ties to rounding.")
    if in_threads.indices.tolist() != got.indices.tolist():
        raise RuntimeError("Two threads chose otherwise than one.")
    times = {
        f"{queries} queries, each: {name}": [t / queries for t in seconds]
        for name, seconds in take_turns(made, rounds).items()
    }
    return [row_of(n, k, d, name, seconds, next(iter(times.values()))) for name, seconds in times.items()]


def compare_on_device(queries: int, n: int, k: int, d: int, rounds: int) -> list[Row]:
    """Compare a batch on a GPU with the time its memory needs to deliver the candidates once a step."""
    import torch

    if not torch.cuda.is_available():
        print("The part for a GPU is left out: torch sees none here.")
        return []
    generator = torch.Generator("cuda").manual_seed(0)
    rows = torch.randn(queries, n + 1, d, device="cuda", generator=generator)
    rows[..., 0] += d**0.5
    rows /= rows.norm(dim=-1, keepdim=True)
    asked, pools = rows[:, 0].contiguous(), rows[:, 1:].contiguous()
    del rows
    sums = torch.empty(queries, n, device="cuda")

    def waited(method: Method) -> Method:
        def run() -> None:
            method()
            torch.cuda.synchronize()

        return run

    def floor() -> None:
        for step in range(k):
            torch.matmul(pools, pools[:, step, :, None], out=sums[:, :, None])

    got = select_sift_batch(asked, pools, k, kernel="linear").indices
    for b in range(0, queries, max(1, queries // 16)):
        single = select_sift(asked[b].cpu(), pools[b].cpu(), k, kernel="linear").indices
        if got[b].tolist() != single.tolist():
            print(f"Query {b}: the device chose {got[b].tolist()}, the processor {single.tolist()}.")
    made = {
        "batch": waited(lambda: select_sift_batch(asked, pools, k, kernel="linear")),
        "floor: matrix-vector products": waited(floor),
        "floor: candidates copied once": waited(pools.clone),
    }
    name = torch.cuda.get_device_name()
    times = {f"{queries} queries on {name}: {what}": seconds for what, seconds in take_turns(made, rounds).items()}
    print(f"Read at every step: {pools.nbytes / 1e9:.2f} GB of candidates, {k} times.")
    return [row_of(n, k, d, what, seconds, next(iter(times.values()))) for what, seconds in times.items()]


def row_of(n: int, k: int, d: int, name: str, seconds: list[float], ours: list[float]) -> Row:
    pairs = [(a, b) for a, b in zip(seconds, ours, strict=True) if not np.isnan(a)]
    figures = [1e3 * a for a, _ in pairs]
    return Row(n, k, d, name, median(figures), (min(figures), max(figures)), median(a / b for a, b in pairs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=[200, 1_000, 10_000, 100_000])
    parser.add_argument("--choices", type=int, nargs="+", default=[10, 50])
    parser.add_argument("--dimensions", type=int, nargs="+", default=[384])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--memory", action="store_true", help="also the peak memory beyond the input")
    parser.add_argument(
        "--batch", action="store_true", help="also 256 queries with 200 and 64 with 1,000 candidates each"
    )
    parser.add_argument("--device", action="store_true", help="also 1,024 queries with 1,000 candidates each on a GPU")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found: list[Row] = []
    missing = [name for name in PEERS if not find_spec(name)]
    if missing:
        print(f"Left out, not installed: {', '.join(missing)}.")
    print(f"{'n':>7} {'k':>3} {'d':>5}  {'method':<48} {'ms':>9} {'min':>9} {'max':>9}  x the first")
    for d in arguments.dimensions:
        for n in arguments.rows:
            for k in arguments.choices:
                rounds = max(5, min(arguments.rounds, 4_000_000 // (n * k)))
                found += show(compare(n, k, d, rounds))
                if arguments.memory:
                    found += show([peak_memory(n, k, d)])
    if arguments.batch:
        found += show(compare_batch(256, 200, 50, 384, 7))
        found += show(compare_batch(64, 1_000, 50, 384, 7))
    if arguments.device:
        found += show(compare_on_device(1_024, 1_000, 50, 768, 10))
    if arguments.json:
        machine = {"processor": platform.processor() or platform.machine(), "numpy": np.__version__}
        rows = [asdict(row) for row in found]
        arguments.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1), encoding="utf-8")


def show(rows: list[Row]) -> list[Row]:
    for row in rows:
        print(
            f"{row.n:>7} {row.k:>3} {row.d:>5}  {row.method:<48} {row.milliseconds:>9.3f} {row.spread[0]:>9.3f} "
            f"{row.spread[1]:>9.3f}  {row.times_ours:>6.2f}",
            flush=True,
        )
    return rows


if __name__ == "__main__":
    main()
