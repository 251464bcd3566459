"""One version of sift-rag against another: times in turns, and whether both choose the same.

    git worktree add BEFORE COMMIT
    OMP_NUM_THREADS=1 python -m benchmarks.speed.two_checkouts BEFORE [AFTER] [--rounds 31] [--only choices,cold,hits]

Each checkout has a process of its own with its packages in front. ``choices`` asks both for the same selections and
rerankings in turn, ``cold`` starts commands, ``hits`` lets BEFORE ingest a folder and both retrieve from its store.
Ratios are AFTER over BEFORE, pair by pair. Every row also says whether both chose the same.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from pydoc_data.topics import topics
from statistics import median, quantiles
from time import perf_counter
from typing import Any

WORKER = Path(__file__).with_name("checkout_worker.py")
COMMAND = "from sift_rag_cli.app import main; main()"
QUESTION = "who cleans up after an exception?"


class Worker:
    """A process of one checkout that answers one request at a time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.works: list[str] = self._read()

    def ask(self, **request: object) -> Any:
        """Return the answer to a request."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"A checkout's process ended with {self._process.wait()}.")
        return json.loads(line)


@contextmanager
def worker(repo: Path) -> Iterator[Worker]:
    """Start the process of a checkout; it ends with the block."""
    with subprocess.Popen(
        [sys.executable, str(WORKER)], env=environment(repo), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Worker(process)
        assert process.stdin is not None
        process.stdin.close()


def environment(repo: Path) -> dict[str, str]:
    """Return this environment with the checkout's packages in front."""
    path = os.pathsep.join(str(repo / folder) for folder in (".", "cli", "plugins"))
    return {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1"}


def choices(before: Path, after: Path, rounds: int, match: str) -> Iterator[dict[str, Any]]:
    """Compare every selection and reranking."""
    with worker(before) as old, worker(after) as new:
        for work in [work for work in old.works if match in work]:
            pairs = [(new.ask(work=work), old.ask(work=work)) for _ in range(rounds)]
            same = all(ours["chosen"] == theirs["chosen"] for ours, theirs in pairs)
            yield row(work, pairs[1:], same=same)  # the first pair warms up


def cold(before: Path, after: Path, rounds: int) -> Iterator[dict[str, Any]]:
    """Compare commands as cold processes."""
    with tempfile.TemporaryDirectory() as folder:
        store = ingest(before, Path(folder), documents=20)
        for name, arguments in (
            ("--help", ["--help"]),
            ("search --help", ["search", "--help"]),
            ("list", ["list", "--store", store]),
            ("search", ["search", QUESTION, "--store", store, "--json"]),
        ):
            pairs = [(command(after, arguments), command(before, arguments)) for _ in range(max(3, rounds // 3))]
            yield row(f"sift-rag {name}", pairs, same=None)


def command(repo: Path, arguments: Sequence[str]) -> dict[str, Any]:
    """Run a command of the checkout; return its seconds."""
    started = perf_counter()
    subprocess.run(
        [sys.executable, "-P", "-c", COMMAND, *arguments], env=environment(repo), check=True, capture_output=True
    )
    return {"seconds": perf_counter() - started, "cpu": float("nan")}


def hits(before: Path, after: Path, questions: int) -> Iterator[dict[str, Any]]:
    """Compare the hits of questions to Python's language reference."""
    with tempfile.TemporaryDirectory() as folder, worker(before) as old, worker(after) as new:
        store = ingest(before, Path(folder), documents=40)
        asked = [f"What should I know about {name}?" for name in sorted(topics)][:questions]
        ours, theirs = (each.ask(store=store, questions=asked, k=8) for each in (new, old))
        same = sum(a == b for a, b in zip(ours, theirs, strict=True))
        print(f"| hits of {len(asked)} questions, k = 8, one store | | | | | {same} of {len(asked)} the same |")
        yield {"what": "hits", "questions": len(asked), "same": same}


def ingest(repo: Path, folder: Path, *, documents: int) -> str:
    """Ingest topics of Python's language reference with the checkout; return the store."""
    corpus, store = folder / "python-reference", str(folder / "store")
    corpus.mkdir()
    for name, text in islice(sorted(topics.items()), documents):
        (corpus / f"{name}.txt").write_text(text, encoding="utf-8")
    command(repo, ["ingest", str(corpus), "--store", store])
    return store


def row(what: str, pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]], *, same: bool | None) -> dict[str, Any]:
    """Print and return one comparison."""
    ours, theirs = (median(1e3 * pair[side]["seconds"] for pair in pairs) for side in (0, 1))
    ratios = [a["seconds"] / b["seconds"] for a, b in pairs]
    low, _, high = quantiles(ratios, n=4)
    by_processor = median(a["cpu"] / b["cpu"] for a, b in pairs)
    print(
        f"| {what} | {ours:.3g} ms | {theirs:.3g} ms | {median(ratios):.2f} ({low:.2f} to {high:.2f}) | "
        f"{'' if by_processor != by_processor else f'{by_processor:.2f}'} | "
        f"{'' if same is None else 'the same' if same else 'OTHERWISE'} |",
        flush=True,
    )
    return {
        "what": what,
        "after_ms": ours,
        "before_ms": theirs,
        "ratio": median(ratios),
        "quartiles": [low, high],
        "ratio_of_processor_time": by_processor,
        "same": same,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="the checkout to compare with")
    parser.add_argument("after", type=Path, nargs="?", default=Path(__file__).resolve().parents[2])
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--match", default="", metavar="TEXT", help="only the choices whose name contains it")
    parser.add_argument("--questions", type=int, default=50, help="of hits")
    parser.add_argument("--only", default="choices,cold,hits", help="parts to compare, separated by commas")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows there")
    options = parser.parse_args()
    before, after = options.before.resolve(), options.after.resolve()
    print(
        "| what | after | before | ratio: median (quartiles) | of processor time | choice |\n|---|---|---|---|---|---|"
    )
    parts = {
        "choices": lambda: choices(before, after, options.rounds, options.match),
        "cold": lambda: cold(before, after, options.rounds),
        "hits": lambda: hits(before, after, options.questions),
    }
    rows = [one for part in options.only.split(",") for one in parts[part]()]
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
