"""Search and selection on 50,000 passages, against embedding the question in the same run.

python -m benchmarks.speed.retrieve_vs_embed [--json FILE]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benchmarks.common.turns import Row, compare, run_parts, unit_rows


def retrieval() -> Iterator[Row]:
    """Compare search and selection on 50,000 passages with embedding the question."""
    from uuid import NAMESPACE_URL, uuid5

    from sift_rag import Retriever
    from sift_rag.opening import open_embedder
    from sift_rag.stores.embedded.store import create_collection
    from sift_rag.types import CollectionInfo, Passage, Span

    embedder = open_embedder()
    n, questions = 50_000, ["how do nested functions rebind names?", "who cleans up after an exception?"]
    rows = unit_rows(n, embedder.dimension, 3, clusters=500)
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(
            create_collection(Path(folder), CollectionInfo("bench", embedder.name, embedder.dimension, 1))
        ) as store,
    ):
        for start in range(0, n, 1000):
            passages = [
                Passage(str(uuid5(NAMESPACE_URL, str(i))), f"passage {i} " * 40, f"file{i // 20}.md", Span(i, i + 1))
                for i in range(start, start + 1000)
            ]
            store.upsert(passages, rows[start : start + 1000])
        retriever = Retriever(embedder, store)
        retriever.retrieve(questions[0])
        timings = [retriever.retrieve(questions[i % 2]).timings_ms for i in range(40)]
        turns = iter(timings)
        seen: list[float] = []

        def search_and_select() -> float:
            timing = next(turns)
            seen.append(timing.embed)
            return timing.search + timing.select

        yield compare(
            f"search + select, {n:,} passages",
            search_and_select,
            "embedding the question",
            lambda: seen[-1],
            runs=len(timings),
            unit="ms",
            goal="<= 1",
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    run_parts({"retrieval": lambda _: retrieval()}, parser)


if __name__ == "__main__":
    main()
