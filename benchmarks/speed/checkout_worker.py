"""The process of one checkout in ``two_checkouts.py``: it does named work on request, one line of JSON each way.

Run by its path with the checkout's packages in front, so it imports nothing of ``benchmarks``. It knows the API before
and after selectors became values.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from time import perf_counter, process_time
from typing import Any

import numpy as np

import sift_rag.selection as selection
from sift_rag import Reranker, open_retriever
from sift_rag.embedders.functions import FunctionEmbedder

VALUES = not hasattr(selection, "SelectorSettings")
"""True if selectors are values that carry their own parameters."""
DIMENSION = 384
SHORTEST = 0.03
"""Seconds that one answer's repetitions last at least."""
SELECTORS = ("sift", "nearest", "mmr", "dpp", "facility-location", "hull", "uncertainty")


def unit_rows(n: int, seed: int) -> np.ndarray:
    """Draw rows whose cosines spread around 0.5, as those of near neighbours do."""
    rows = np.eye(DIMENSION)[0] + np.random.default_rng(seed).normal(size=(n, DIMENSION)) / np.sqrt(DIMENSION)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def works() -> dict[str, Callable[[], Sequence[int]]]:
    """Return the work by name; each call returns what it chose."""
    query = unit_rows(1, 1)
    found: dict[str, Callable[[], Sequence[int]]] = {}
    for n in (200, 1_000, 10_000):
        rows = unit_rows(n, 2)
        for kernel in ("linear", "rbf"):
            found[f"select_sift, {kernel}, n = {n:,}, k = 50"] = selecting(query[0], rows, kernel)
    rows = unit_rows(100, 3)
    for name in SELECTORS:
        found[f"selector {name}, n = 100, k = 5"] = choosing(name, query, rows, 5)
    found["selector sift, three targets, n = 100, k = 5"] = choosing("sift", unit_rows(3, 4), rows, 5)
    found["selector sift, n = 200, k = 50"] = choosing("sift", query, unit_rows(200, 2), 50)
    found["rerank of 200 texts, k = 10"] = reranking(10)
    found["rerank of 200 texts, all"] = reranking(None)
    return found


def selecting(query: np.ndarray, rows: np.ndarray, kernel: str) -> Callable[[], Sequence[int]]:
    options: dict[str, Any] = {"kernel": kernel, "noise_variance": 0.1 if kernel == "linear" else 5.0}
    if VALUES and kernel == "rbf":
        options["centring"] = 0.0  # what the function did before it had the default of the product
    return lambda: list(map(int, selection.select_sift(query, rows, 50, **options).indices))


def choosing(name: str, targets: np.ndarray, rows: np.ndarray, k: int) -> Callable[[], Sequence[int]]:
    make: Any = selection.selector_from if VALUES else selection.SelectorSettings
    selector = make(name)
    pool: Any = getattr(selection, "Pool", None)  # before it, targets and candidates were two arguments
    given = (targets, rows) if pool is None else (pool(targets, rows),)
    return lambda: list(map(int, selector.select(*given, k).selection.indices))


def reranking(k: int | None) -> Callable[[], Sequence[int]]:
    rows = unit_rows(200, 5)
    words = np.random.default_rng(6).integers(0, 5_000, (len(rows), 60))
    texts = [f"Text {i}: " + " ".join(f"word{j}" for j in row) for i, row in enumerate(words)]
    question = unit_rows(1, 7)[0]
    reranker = Reranker(FunctionEmbedder(lambda _: question, lambda _: rows))
    return lambda: [text.index for text in reranker.rerank("A question?", texts, k=k, embeddings=rows).ranked]


def timed(work: Callable[[], Sequence[int]]) -> dict[str, Any]:
    """Repeat the work; return the shortest wall and processor seconds of one call, and what it chose."""
    wall, processor = [], []
    begun = perf_counter()
    while perf_counter() - begun < SHORTEST or len(wall) < 3:
        started, started_cpu = perf_counter(), process_time()
        chosen = work()
        wall.append(perf_counter() - started)
        processor.append(process_time() - started_cpu)
    return {"seconds": min(wall), "cpu": min(processor), "chosen": list(chosen)}


def hits(store: str, questions: Sequence[str], k: int) -> list[list[list[Any]]]:
    """Retrieve k passages for each question: source, start and text."""
    retriever = open_retriever(store)
    with closing(retriever.store):
        found = [retriever.retrieve(question, k).hits for question in questions]
    return [[[one.passage.source, one.passage.span.start, one.passage.text] for one in each] for each in found]


def main() -> None:
    known = works()
    answer(sorted(known, key=list(known).index))
    for line in sys.stdin:
        request = json.loads(line)
        answer(timed(known[request["work"]]) if "work" in request else hits(**request))


def answer(value: object) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main()
