"""The choice from the nearest candidates beside the best choice of the whole collection, and the cost of proving it.

    python -m research.beyond_candidates --data FOLDER
    python -m research.beyond_candidates --data FOLDER --pool 30 --kernel linear --noise-variance 1

For the first questions of a task: how often the plain choice *is* the greedy optimum of the collection, and which share
of the variance that the optimum explains it explains. Then, of a store that only answers searches: how often the
optimum is proven, and from how many rows. Times are per question, without embedding; the store is the reference one, in
memory, whose searches are slow.
"""

from __future__ import annotations

import argparse
import uuid
from collections.abc import Sequence
from statistics import mean, median
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.common.datasets import data_folder, open_tasks
from benchmarks.common.embedding import add_data_options, embed_task
from sift_rag import defaults
from sift_rag.exact.selection import choose_from_all
from sift_rag.filters import Filter
from sift_rag.protocols import PassageStore
from sift_rag.retrieval.candidates import distinct_candidates
from sift_rag.selection import Choice, Pool, Sift, selector_from
from sift_rag.stores.memory import MemoryStore
from sift_rag.types import CollectionInfo, Passage, Span

NAMESPACE = uuid.UUID("8c5a5a36-6a0f-4c59-9f54-4f6ed4a0c3f1")


class SearchOnly:
    """A store that only answers searches, like a server."""

    def __init__(self, store: PassageStore) -> None:
        self._store = store
        self.searches = 0
        self.rows = 0

    def __getattr__(self, name: str) -> Any:
        if name == "scan":
            raise AttributeError(name)
        return getattr(self._store, name)

    def search(self, targets: np.ndarray, limit: int, *, offset: int = 0, where: Filter | None = None) -> Any:
        """Search, and count what is read."""
        self.searches += len(targets)
        self.rows += len(targets) * limit
        return self._store.search(targets, limit, offset=offset, where=where)


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    task = open_tasks(data_folder(options.data), "dev")[options.task]
    embedded = embed_task(task, options.cache, options.pool)
    store = MemoryStore(CollectionInfo(options.task, "benchmark", embedded.passages.shape[1], 1))
    store.upsert([_passage(number, text) for number, text in enumerate(task.passages)], embedded.passages)
    selector = selector_from(
        "sift",
        {"kernel": options.kernel, "lengthscale": options.lengthscale, "noise_variance": options.noise_variance},
    )
    assert isinstance(selector, Sift)
    print(f"{options.task}: {store.count():,} passages, pool of {options.pool}, {selector}")
    columns = ("k", "questions", "same", "kept: mean (min)", "proven", "rows read", "plain ms", "proof ms")
    print(" ".join(f"{name:>{width}}" for name, width in zip(columns, (3, 9, 6, 18, 7, 10, 9, 9), strict=True)))
    for k in options.k:
        _compare(store, selector, embedded, k, options)


def _compare(store: MemoryStore, selector: Sift, embedded: Any, k: int, options: argparse.Namespace) -> None:
    same, kept, proven, rows, plain_ms, proof_ms = [], [], [], [], [], []
    for targets in embedded.targets[: options.questions]:
        pool = distinct_candidates(store, targets, options.pool)
        embeddings = np.stack([candidate.embedding for candidate in pool])
        started = perf_counter()
        plain = selector.select(Pool(targets, embeddings), k)
        plain_ms.append(1e3 * (perf_counter() - started))
        searched = SearchOnly(store)
        started = perf_counter()
        whole = choose_from_all(searched, selector, targets, k, pool)  # type: ignore[arg-type]
        proof_ms.append(1e3 * (perf_counter() - started))
        proven.append(whole.report.proven)
        rows.append(searched.rows)
        ours = [pool[index].passage.id for index in plain.selection.indices]
        best = [whole.candidates[index].passage.id for index in whole.choice.selection.indices]
        same.append(ours == best)
        kept.append(_explained(plain) / _explained(whole.choice))
    print(
        f"{k:>3} {len(same):>9} {mean(same):>6.0%} {mean(kept):>10.4f} ({min(kept):.3f}) {mean(proven):>7.0%} "
        f"{median(rows):>10,.0f} {median(plain_ms):>9.1f} {median(proof_ms):>9.1f}"
    )


def _explained(choice: Choice) -> float:
    selection = choice.selection
    return float(selection.prior_variance - selection.posterior_variances[-1])


def _passage(number: int, text: str) -> Passage:
    return Passage(str(uuid.uuid5(NAMESPACE, str(number))), text, f"{number}", Span(0, len(text)))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data_options(parser)
    parser.add_argument("--task", default="hotpotqa-windows")
    parser.add_argument("--questions", type=int, default=20)
    parser.add_argument("--pool", type=int, default=100)
    parser.add_argument("-k", type=int, nargs="+", default=[5, 10, 20])
    parser.add_argument("--kernel", default=defaults.KERNEL)
    parser.add_argument("--lengthscale", type=float, default=defaults.LENGTHSCALE)
    parser.add_argument("--noise-variance", type=float, default=defaults.NOISE_VARIANCE)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
