"""A large collection in a folder: writing, optimising, opening, searching exactly and by the graph, memory, disk.

python -m benchmarks.speed.million_passages --folder FOLDER [--passages N] [--only PARTS] [--json FILE]

Passages and vectors are made up, so that a million are written in the time that the store takes: topics of unequal
sizes, documents of ten passages around their topics, words by Zipf's law. PARTS are some of rates,write,optimize,read:
``rates`` writes blocks of ten thousand in turns with the engine alone, in collections of its own. ``write`` makes the
collection in FOLDER, which is kept, so that the other parts can be run again. numpy's scan of the same vectors is the
peer, in the same run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from uuid import NAMESPACE_URL, uuid5

import numpy as np
from qdrant_edge import EdgeShard, Point, UpdateOperation

from benchmarks.common.turns import Row, as_line, compare, run_parts
from sift_rag.stores.embedded.engine import create_shard
from sift_rag.stores.embedded.manifest import SCHEMA_VERSION
from sift_rag.stores.embedded.sharing import open_to_read
from sift_rag.stores.embedded.store import create_collection, open_collection
from sift_rag.stores.payloads import payload_of
from sift_rag.stores.waiting import NO_WAIT
from sift_rag.types import CollectionInfo, Document, Embedding, Passage, Span

DIMENSION = 384
BLOCK = 10_000
"""Passages that are made at once."""
BATCH = 1_000
"""Passages in one durable write."""
PER_DOCUMENT = 10
POOL = 100
QUESTIONS = 100
"""Questions asked of each kind of search; all of them are asked for the recall."""
WORDS_OF_TEXT = 60
VOCABULARY = 50_000
COLLECTION = "bench"
DIRECTIONS = 64
"""Standard deviations fall off over about this many directions, as those of sentence embeddings do."""


class Corpus:
    """Made-up passages and vectors, the same in every process."""

    def __init__(self, passages: int) -> None:
        rng = np.random.default_rng(1)
        self.passages = passages
        self.scale = (1 + np.arange(DIMENSION) / DIRECTIONS).astype(np.float32) ** -1
        self.topics = rng.standard_normal((max(1, passages // 500), DIMENSION), dtype=np.float32) * self.scale
        self.weights = 1 / np.arange(1, len(self.topics) + 1) ** 0.5
        self.weights /= self.weights.sum()
        letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
        self.words = ["".join(rng.choice(letters, size=3 + i % 8)) + str(i % 7) for i in range(VOCABULARY)]

    def rows(self, block: int) -> Embedding:
        """Return the vectors ``(n, d)`` of a block, unit norm: topic, document and passage, each a Gaussian."""
        rng = np.random.default_rng([2, block])
        count = min(BLOCK, self.passages - block * BLOCK)
        documents = -(-count // PER_DOCUMENT)
        centres = self.topics[rng.choice(len(self.topics), size=documents, p=self.weights)]
        centres = centres + 0.6 * self._noise(rng, documents)
        return _unit(np.repeat(centres, PER_DOCUMENT, axis=0)[:count] + 0.6 * self._noise(rng, count))

    def questions(self) -> Embedding:
        """Return vectors ``(m, d)`` of questions: near a document of a topic, and like no passage."""
        rng = np.random.default_rng(3)
        centres = self.topics[rng.choice(len(self.topics), size=2 * QUESTIONS, p=self.weights)]
        return _unit(centres + 0.85 * self._noise(rng, len(centres)))

    def batch(self, start: int) -> list[Passage]:
        """Return a batch of passages."""
        rng = np.random.default_rng([4, start])
        count = min(BATCH, self.passages - start)
        places = np.minimum(rng.zipf(1.2, size=(count, WORDS_OF_TEXT)), VOCABULARY) - 1
        return [
            Passage(
                str(uuid5(NAMESPACE_URL, str(number))),
                " ".join([self.words[place] for place in row]),
                source_of(number),
                Span(number, number + 1),
            )
            for number, row in enumerate(places.tolist(), start)
        ]

    def documents(self) -> list[Document]:
        """Return the records of all documents."""
        sources = [source_of(number) for number in range(0, self.passages, PER_DOCUMENT)]
        counts = [min(PER_DOCUMENT, self.passages - place * PER_DOCUMENT) for place in range(len(sources))]
        return [
            Document(source, f"/{source}", "ingested", 4_000, passages=count, content_hash="0" * 64, revision="1" * 32)
            for source, count in zip(sources, counts, strict=True)
        ]

    def _noise(self, rng: np.random.Generator, count: int) -> Embedding:
        return rng.standard_normal((count, DIMENSION), dtype=np.float32) * self.scale


def source_of(number: int) -> str:
    return f"folder{number // 10_000}/file{number // PER_DOCUMENT}.md"


def _unit(rows: Embedding) -> Embedding:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def figure(what: str, value: float, unit: str, goal: str = "") -> Row:
    """Return a figure without a peer."""
    row = Row(what, value, "-", value, 1, 1, 1, unit, goal)
    print(as_line(row), flush=True)
    return row


def rates(folder: Path, n: int) -> Iterator[Row]:
    """Compare writing with what the engine does alone, given the same points, or ids and vectors, ready made."""
    corpus = Corpus(n)
    turns = range(min(5, -(-n // BLOCK)))
    for what, peer in (
        ("the engine alone, the same points, flushed each time", _Alone(flush_each=True)),
        ("the engine alone, the same points, flushed once at the end", _Alone()),
        ("the engine alone, ids and vectors, flushed once at the end", _Alone(payloads=False)),
    ):
        pairs = [(_ours(folder, corpus, block), peer.seconds(folder, corpus, block)) for block in turns]
        for place, kind in enumerate(("", ", per second of processor time")):
            yield compare(
                f"passages written by {BATCH}, durably{kind}",
                iter([BLOCK / ours[place] for ours, _ in pairs]).__next__,
                peer=what,
                theirs=iter([BLOCK / theirs[place] for _, theirs in pairs]).__next__,
                runs=len(pairs),
                unit="/s",
                goal="" if place else ">= 12,000 /s",
            )


def _batches(corpus: Corpus, block: int) -> Iterator[tuple[list[Passage], Embedding]]:
    rows = corpus.rows(block)
    for start in range(0, BLOCK, BATCH):
        yield corpus.batch(block * BLOCK + start), rows[start : start + BATCH]


def _ours(folder: Path, corpus: Corpus, block: int) -> tuple[float, float]:
    """Return the wall and the processor seconds that a block takes in a new collection."""
    clock = Clock()
    info = CollectionInfo(COLLECTION, "none", DIMENSION, SCHEMA_VERSION)
    with TemporaryDirectory(dir=folder) as place, closing(create_collection(Path(place), info)) as store:
        for batch, rows in _batches(corpus, block):
            with clock.running():
                store.upsert(batch, rows)
    return clock.seconds


@dataclass(frozen=True)
class _Alone:
    """The engine without this library: made points of Python's values, one call for each batch."""

    payloads: bool = True
    flush_each: bool = False

    def seconds(self, folder: Path, corpus: Corpus, block: int) -> tuple[float, float]:
        """Return the wall and the processor seconds that a block takes; making vectors and payloads is not timed."""
        clock = Clock()
        with TemporaryDirectory(dir=folder) as place:
            shard_folder = Path(place) / "shard"
            create_shard(shard_folder, DIMENSION, "The benchmark")
            with closing(EdgeShard.load(str(shard_folder))) as shard:
                for batch, rows in _batches(corpus, block):
                    given = [
                        (passage.id, row.tolist(), payload_of(passage, 0.5) if self.payloads else {})
                        for passage, row in zip(batch, rows, strict=True)
                    ]
                    with clock.running():
                        shard.update(UpdateOperation.upsert_points([Point(*parts) for parts in given]))
                        if self.flush_each:
                            shard.flush()
                with clock.running():
                    shard.flush()
        return clock.seconds


class Clock:
    """Adds up wall and processor seconds."""

    def __init__(self) -> None:
        self.seconds = (0.0, 0.0)

    @contextmanager
    def running(self) -> Iterator[None]:
        wall, processor = self.seconds
        begun, begun_cpu = perf_counter(), process_time()
        yield
        self.seconds = wall + perf_counter() - begun, processor + process_time() - begun_cpu


def write(folder: Path, n: int) -> Iterator[Row]:
    """Write the collection, beside a file of its vectors for numpy; making them up is not timed."""
    corpus = Corpus(n)
    info = CollectionInfo(COLLECTION, "none", DIMENSION, SCHEMA_VERSION)
    rates: list[float] = []
    of_processor: list[float] = []
    with (
        closing(create_collection(folder, info)) as store,
        (folder / "rows.f32").open("wb") as file,
    ):
        for block in range(-(-n // BLOCK)):
            rows = corpus.rows(block)
            file.write(rows.tobytes())
            seconds = busy = 0.0
            for start in range(0, len(rows), BATCH):
                batch = corpus.batch(block * BLOCK + start)
                begun, begun_cpu = perf_counter(), process_time()
                store.upsert(batch, rows[start : start + BATCH])
                seconds += perf_counter() - begun
                busy += process_time() - begun_cpu
            rates.append(len(rows) / seconds)
            of_processor.append(len(rows) / busy)
            if block % 10 == 9:
                print(f"  {(block + 1) * BLOCK:,} written, {median(rates[-10:]):,.0f} /s", file=sys.stderr, flush=True)
        begun = perf_counter()
        store.put_documents(corpus.documents())
        recorded = perf_counter() - begun
        begun = perf_counter()
    yield figure(f"passages written by {BATCH}, durably: median", median(rates), "/s", ">= 12,000 /s")
    yield figure("the same, slowest of all blocks", min(rates), "/s")
    yield figure("the same, per second of processor time: median", median(of_processor), "/s")
    yield figure(f"records of {n // PER_DOCUMENT:,} documents written", recorded, "s")
    yield figure("closed", perf_counter() - begun, "s")
    yield from _disk(folder, n)


def optimize(folder: Path, n: int) -> Iterator[Row]:
    """Optimise the collection in a process of its own, as ``sift-rag optimize`` does."""
    found = probe("optimize", folder, n)
    yield figure("optimised, opening and closing included", found["seconds"], "s")
    yield figure("the same, processor time", found["processor"], "s")
    yield figure("own memory of that process at most", found["VmHWM"] / 1024, "GiB")
    yield from _disk(folder, n)


def _disk(folder: Path, n: int) -> Iterator[Row]:
    files = (path.stat() for path in (folder / COLLECTION).rglob("*") if path.is_file())
    yield figure("disk, of each passage", sum(512 * status.st_blocks for status in files) / n, "B")


def read(folder: Path, n: int) -> Iterator[Row]:
    """Measure processes that open and search the collection, and numpy in between."""
    opened = [probe("open", folder, n) for _ in range(5)]
    yield figure("opened to read, median of 5", median(one["seconds"] for one in opened), "s", "<= 1 s")
    yield figure("the same, slowest", max(one["seconds"] for one in opened), "s")
    yield figure("the same, processor time", median(one["processor"] for one in opened), "s")
    found = probe("search", folder, n)
    for how in ("exactly", "by the graph"):
        for kind, which in (("", ""), (", processor time", " (processor)")):
            yield compare(
                f"the {POOL} nearest {how}, with vectors and payloads{kind}",
                iter(found[how + which]).__next__,
                "numpy, the vectors alone",
                iter(found["numpy" + which]).__next__,
                runs=QUESTIONS,
                unit="ms",
                goal="" if kind else "<= 12 ms at 50,000, <= 15 ms at 1,000,000",
            )
    yield figure("30 by words", median(found["words"]), "ms")
    yield figure("the same, processor time", median(found["words (processor)"]), "ms")
    recalls = found["recall"]
    yield figure(f"recall@{POOL} by the graph, mean of {len(recalls)}", float(np.mean(recalls)), "", ">= 0.99")
    yield figure("the same, worst question", min(recalls), "")
    yield figure("passages in the graph", found["graph"], "")
    yield figure("own memory after these searches", found["RssAnon"] / 1024, "GiB", "<= 2.5 GiB")
    yield figure("resident memory, which includes files that can be dropped", found["VmRSS"] / 1024, "GiB")
    yield figure("status", median([_status(folder) for _ in range(3)]), "s")


def _status(folder: Path) -> float:
    command = [sys.executable, "-m", "sift_rag_cli", "status", "--store", str(folder), "--collection", COLLECTION]
    begun = perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return perf_counter() - begun


def probe(what: str, folder: Path, n: int) -> dict[str, float] | dict[str, list[float]]:
    """Return what a process of its own measures."""
    command = [sys.executable, "-m", "benchmarks.speed.million_passages", "--probe", what, "--folder", str(folder)]
    ended = subprocess.run([*command, "--passages", str(n)], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(ended.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def run_probe(what: str, folder: Path, n: int) -> None:
    """Measure in this process and print it as JSON; memory in MiB, as Linux counts it."""
    begun, begun_cpu = perf_counter(), process_time()
    found: dict[str, object] = {}
    if what == "optimize":
        with closing(open_collection(folder, COLLECTION)) as store:
            store.optimize()
    else:
        with closing(open_to_read(folder, COLLECTION, NO_WAIT)) as index:
            found["seconds"], found["processor"] = perf_counter() - begun, process_time() - begun_cpu
            if what == "search":
                found |= _searches(index, folder, n)
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    memory = {key: int(status[key].split()[0]) / 1024 for key in ("RssAnon", "VmHWM", "VmRSS")}
    print(json.dumps({"seconds": perf_counter() - begun, "processor": process_time() - begun_cpu, **found, **memory}))


def _searches(index: object, folder: Path, n: int) -> dict[str, object]:
    corpus = Corpus(n)
    vectors = np.memmap(folder / "rows.f32", np.float32, "r", shape=(n, DIMENSION))
    by_graph = index.by_graph()  # type: ignore[attr-defined]
    times: dict[str, list[float]] = {}
    recalls = []

    def timed(key: str, work: object, *arguments: object) -> list:  # type: ignore[type-arg]
        begun, begun_cpu = perf_counter(), process_time()
        found = work(*arguments)  # type: ignore[operator]
        times.setdefault(key, []).append(1e3 * (perf_counter() - begun))
        times.setdefault(f"{key} (processor)", []).append(1e3 * (process_time() - begun_cpu))
        return found  # type: ignore[no-any-return]

    def by_numpy(row: Embedding) -> Embedding:
        similarities = vectors @ row
        pool = np.argpartition(-similarities, POOL)[:POOL]
        return np.asarray(vectors[pool[np.argsort(-similarities[pool])]])

    def words(text: str) -> list:  # type: ignore[type-arg]
        return index.search_words([text], 30)  # type: ignore[attr-defined,no-any-return]

    texts = [passage.text for passage in corpus.batch(0)[:QUESTIONS]]
    asked = corpus.questions()
    for one, other, text in zip(asked[:QUESTIONS], asked[QUESTIONS:], texts, strict=True):
        timed("exactly", index.search, one[None], POOL)  # type: ignore[attr-defined]
        timed("by the graph", by_graph.search, other[None], POOL)  # another question: nothing is read already
        timed("numpy", by_numpy, one)
        timed("words", words, " ".join(text.split()[:8]))
    for row in asked:
        exact, near = index.search(row[None], POOL)[0], by_graph.search(row[None], POOL)[0]  # type: ignore[attr-defined]
        wanted = {candidate.passage.id for candidate in exact}
        recalls.append(len(wanted & {candidate.passage.id for candidate in near}) / len(wanted))
    return {**times, "recall": recalls, "graph": index.graph.passages}  # type: ignore[attr-defined]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where the collection is, or is made")
    parser.add_argument("--passages", type=int, default=1_000_000)
    parser.add_argument("--probe", help=argparse.SUPPRESS)
    known, _ = parser.parse_known_args()
    if known.probe:
        run_probe(known.probe, known.folder, known.passages)
        return
    run_parts(
        {
            part.__name__: lambda options, part=part: part(options.folder, options.passages)  # type: ignore[misc]
            for part in (rates, write, optimize, read)
        },
        parser,
    )


if __name__ == "__main__":
    main()
