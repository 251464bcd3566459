"""Time search and selection on 50,000 passages against embedding the question, with and without words and following.

python -m benchmarks.speed.retrieve_vs_embed [--json FILE]

Passages are 150 words sampled from Python's language reference by frequency, with synthetic vectors in 500 clusters.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import numpy as np

from benchmarks.common.turns import Row, compare, run_parts, unit_rows
from sift_rag import Features, GaussianProcess, Retriever, Sift
from sift_rag.protocols import PassageStore
from sift_rag.types import CollectionInfo, Passage, Span

PASSAGES = 50_000
QUESTIONS = ("how do nested functions rebind names?", "who cleans up after an exception?")
RUNS = 40


def retrieval() -> Iterator[Row]:
    """Compare search and selection with embedding the question, and each addition with embeddings alone."""
    from sift_rag.opening import open_embedder
    from sift_rag.stores.embedded.manifest import SCHEMA_VERSION
    from sift_rag.stores.embedded.store import create_collection

    embedder = open_embedder()
    info = CollectionInfo("bench", embedder.name, embedder.dimension, SCHEMA_VERSION)
    with tempfile.TemporaryDirectory() as folder, closing(create_collection(Path(folder), info)) as store:
        fill(store)
        alone = Sift(GaussianProcess(features=Features(words=0)), follow=0)
        by_embeddings, with_words, default = (
            Retriever(embedder, store, selector=selector) for selector in (alone, Sift(follow=0), Sift())
        )
        label = f"search + select, {PASSAGES:,} passages"
        embedding = lambda: default.retrieve(QUESTIONS[0]).timings_ms.embed  # noqa: E731
        yield compare(label, took(default), "embedding the question", embedding, runs=RUNS, unit="ms", goal="<= 1")
        for what, retriever, goal in (("words", with_words, "<= 1.5"), ("words and following", default, "<= 2.2")):
            yield compare(
                f"... with {what}",
                took(retriever),
                "embeddings alone",
                took(by_embeddings),
                runs=RUNS,
                unit="ms",
                goal=goal,
            )


def took(retriever: Retriever) -> Callable[[], float]:
    """Return a function that retrieves for the next question and returns the milliseconds, embedding excluded."""
    asked = 0
    for question in QUESTIONS:
        retriever.retrieve(question)

    def once() -> float:
        nonlocal asked
        asked += 1
        timings = retriever.retrieve(QUESTIONS[asked % len(QUESTIONS)]).timings_ms
        return timings.search + timings.select

    return once


def fill(store: PassageStore) -> None:
    """Write the passages."""
    from pydoc_data.topics import topics

    rng = np.random.default_rng(4)
    words = np.array(" ".join(topics[name] for name in sorted(topics)).split())
    rows = unit_rows(PASSAGES, store.info.dimension, 3, clusters=500)
    for start in range(0, PASSAGES, 1000):
        passages = [
            Passage(
                str(uuid5(NAMESPACE_URL, str(i))), " ".join(rng.choice(words, 150)), f"file{i // 20}.md", Span(i, i + 1)
            )
            for i in range(start, start + 1000)
        ]
        store.upsert(passages, rows[start : start + 1000])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    run_parts({"retrieval": lambda _: retrieval()}, parser)


if __name__ == "__main__":
    main()
