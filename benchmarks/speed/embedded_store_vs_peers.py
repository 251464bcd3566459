"""Speed, disk and memory of the embedded store, against numpy, its engine alone and qdrant-client's local mode.

python -m benchmarks.speed.embedded_store_vs_peers [--only embedded,memory] [--passages N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter
from uuid import NAMESPACE_URL, uuid5

import numpy as np

from benchmarks.common.turns import Row, compare, compare_times, run_parts, unit_rows
from benchmarks.speed.canned_replies import TEXT
from sift_rag.stores.embedded.engine import create_shard, load_shard
from sift_rag.stores.embedded.manifest import SCHEMA_VERSION
from sift_rag.stores.embedded.store import EmbeddedStore, create_collection, open_collection
from sift_rag.types import CollectionInfo, Document, Passage, Span

DIMENSION = 384
BATCH = 1000
CANDIDATES = 200


def passages(start: int, stop: int) -> list[Passage]:
    return [
        Passage(str(uuid5(NAMESPACE_URL, str(i))), f"{i} {TEXT}", f"folder/file{i // 20}.md", Span(i, i + 1))
        for i in range(start, stop)
    ]


def new_store(folder: Path) -> EmbeddedStore:
    return create_collection(folder, CollectionInfo("bench", "none", DIMENSION, SCHEMA_VERSION))


def fill(store: EmbeddedStore, rows: np.ndarray) -> float:
    """Return the seconds that the upserts take; making the passages is not timed."""
    seconds = 0.0
    for start in range(0, len(rows), BATCH):
        batch = passages(start, min(start + BATCH, len(rows)))
        begun = perf_counter()
        store.upsert(batch, rows[start : start + BATCH])
        seconds += perf_counter() - begun
    return seconds


def embedded(n: int) -> Iterator[Row]:
    """Compare writing, searching and opening with the client's local mode, numpy and reading the same bytes."""
    from qdrant_client import QdrantClient, models

    rows = unit_rows(n, DIMENSION, 1, clusters=max(1, n // 100))
    few = 1000
    numbers = count()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)

        def ours() -> float:
            with closing(new_store(root / f"ours{next(numbers)}")) as store:
                return min(n, 10_000) / fill(store, rows[:10_000])

        def local_mode() -> float:
            from sift_rag.stores.payloads import payload_of

            client = QdrantClient(path=str(root / f"local{next(numbers)}"))
            client.create_collection("bench", models.VectorParams(size=DIMENSION, distance=models.Distance.COSINE))
            points = [
                models.PointStruct(id=passage.id, vector=row.tolist(), payload=payload_of(passage))
                for passage, row in zip(passages(0, few), rows[:few], strict=True)
            ]
            begun = perf_counter()
            client.upsert("bench", points)
            seconds = perf_counter() - begun
            client.close()
            return few / seconds

        yield compare(
            f"embedded: passages written, in batches of {BATCH}, durably",
            ours,
            f"qdrant-client's local mode, {few:,} at once",
            local_mode,
            runs=5,
            unit="/s",
            goal=">= 25,000 /s",
        )

        def engine_alone() -> float:
            folder = root / f"engine{next(numbers)}"
            folder.mkdir()
            create_shard(folder / "shard", DIMENSION, "The benchmark")
            with closing(load_shard(folder / "shard", "The benchmark")) as shard:
                batches = [
                    [(passage.id, row, {}) for passage, row in zip(passages(start, start + BATCH), rows, strict=False)]
                    for start in range(0, min(n, 10_000), BATCH)
                ]
                begun = perf_counter()
                for batch in batches:
                    shard.write(batch)
                return min(n, 10_000) / (perf_counter() - begun)

        yield compare(
            "the same",
            ours,
            "the engine alone: ids and vectors, unchecked",
            engine_alone,
            runs=5,
            unit="/s",
            goal="",
        )
        with closing(new_store(root / "full")) as store:
            fill(store, rows)
            sources = Counter(passage.source for passage in passages(0, n))
            store.put_documents([Document(name, f"/{name}", "ingested", passages=sources[name]) for name in sources])
            targets = iter(np.roll(rows, 7, axis=1))

            def search() -> None:
                (found,) = store.search(next(targets)[None], CANDIDATES)
                np.stack([candidate.embedding for candidate in found])

            def by_numpy() -> None:
                similarities = rows @ next(targets)
                pool = np.argpartition(-similarities, CANDIDATES)[:CANDIDATES]
                rows[pool[np.argsort(-similarities[pool])]]

            search()
            yield from compare_times(
                f"embedded: the {CANDIDATES} nearest of {n:,}, with vectors and payloads",
                search,
                "numpy, the vectors alone",
                by_numpy,
                runs=40,
                goal="<= 5 ms at 50,000",
            )
        np.save(root / "rows.npy", rows)

        def reopen() -> float:
            begun = perf_counter()
            open_collection(root / "full", "bench").close()
            return perf_counter() - begun

        def load() -> float:
            begun = perf_counter()
            np.load(root / "rows.npy")
            return perf_counter() - begun

        yield compare(
            f"embedded: a collection of {n:,} opened", reopen, "numpy.load of its vectors", load, runs=7, unit="s",
            goal="<= 0.3 s at 50,000",
        )  # fmt: skip
        sizes = {path: path.stat() for path in (root / "full").rglob("*") if path.is_file()}
        used = sum(512 * status.st_blocks for status in sizes.values())
        payload = median(len(passage.text) for passage in passages(0, 100))
        yield compare(
            f"embedded: disk, of each passage with {payload:.0f} B of text",
            lambda: used / n,
            "vector and text",
            lambda: 4 * DIMENSION + payload,
            runs=1,
            unit="B",
            goal="",
        )


MEMORY_PROBE = """
import json, sys
from pathlib import Path
from benchmarks.common.turns import unit_rows
from benchmarks.speed import embedded_store_vs_peers as stores
from sift_rag.stores.embedded.store import open_collection
root, n = Path(sys.argv[1]), int(sys.argv[2])
rows = unit_rows(1000, stores.DIMENSION, 5)
if sys.argv[3] == "fill":
    with stores.closing(stores.new_store(root)) as store:
        for start in range(0, n, stores.BATCH):
            store.upsert(stores.passages(start, start + stores.BATCH), unit_rows(stores.BATCH, stores.DIMENSION, start))
else:
    with stores.closing(open_collection(root, "bench")) as store:
        for row in rows[:20]:
            store.search(row[None], stores.CANDIDATES)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({key: int(status[key].split()[0]) / 1024 for key in ("RssAnon", "VmHWM", "VmRSS")}))
"""


def memory(n: int) -> Iterator[Row]:
    """Compare the memory of processes that filled or searched a large and a small collection (Linux).

    Own memory cannot be taken away. The rest of the resident memory is the engine's files, which the system drops when
    it needs the room.
    """
    with tempfile.TemporaryDirectory() as root:
        probes = {
            key: json.loads(run([sys.executable, "-c", MEMORY_PROBE, f"{root}/{size}", str(size), how]))
            for key, size, how in (
                ("filled", n, "fill"),
                ("searched", n, "search"),
                ("small", BATCH, "fill"),
                ("small, searched", BATCH, "search"),
            )
        }
        for kind, name in (("RssAnon", "own memory"), ("VmRSS", "resident")):
            for ours, theirs in (("filled", "small"), ("searched", "small, searched")):
                yield compare(
                    f"embedded: {name} of a process that has {ours} {n:,}",
                    lambda kind=kind, ours=ours: probes[ours][kind],
                    f"the same with {BATCH:,}",
                    lambda kind=kind, theirs=theirs: probes[theirs][kind],
                    runs=1,
                    unit="MiB",
                    goal="< 1,000 MiB at 200,000" if kind == "VmRSS" else "",
                )


def run(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, help="in place of 50,000 (embedded) and 200,000 (memory)")
    run_parts(
        {
            "embedded": lambda options: embedded(options.passages or 50_000),
            "memory": lambda options: memory(options.passages or 200_000),
        },
        parser,
    )


if __name__ == "__main__":
    main()
