"""Processor time of a search for the duplicates of a collection, a fifth of whose vectors nearly repeat others.

python -m benchmarks.speed.duplicates [--passages 100000] [--slope 0.5]

Component i of a random vector has the standard deviation i^-slope: 0 is the same in all directions, and embedders of
text fall. No text has numbers, so that nothing but vectors tells them apart. Set OMP_NUM_THREADS=1 and
OPENBLAS_NUM_THREADS=1 to count one thread's work alone.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from time import process_time

import numpy as np

from benchmarks.speed.page_latency import DIMENSION, fill, passage
from sift_rag.opening import open_index
from sift_rag.repetition import find_duplicates
from sift_rag.types import Embedding, Passage


def without_numbers(number: int, draw: np.random.Generator) -> Passage:
    made = passage(number, draw)
    return replace(made, text=made.text.translate(LETTERS))


LETTERS = str.maketrans("0123456789", "abcdefghij")


def repeating_rows(size: int, slope: float) -> Embedding:
    """Return rows ``(size, d)`` of norm 1."""
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(size, DIMENSION)) / np.arange(1, DIMENSION + 1) ** slope
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    copies = draw.choice(size, size // 5, replace=False)
    rows[copies] = rows[draw.integers(size, size=len(copies))] + 0.15 * rows[copies]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--slope", type=float, default=0.5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), repeating_rows(arguments.passages, arguments.slope), without_numbers)
        with closing(open_index(folder)) as index:
            begun = process_time()
            found = find_duplicates(index)
            seconds = process_time() - begun
    print(f"{found.passages:,} passages, {found.repeated:,} of them repeated: {seconds:.1f} s of processor time")


if __name__ == "__main__":
    main()
