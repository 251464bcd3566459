"""Print the results of ``evidence_found.py`` as the tables of this folder's README.

python -m benchmarks.quality.evidence_tables results.json
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.common.intervals import Difference

SKIPPING = ", skipping"

LABELS = {
    "nearest:centring=0.5": "nearest, centred",
    "bm25": "BM25",
    "hybrid": "RRF hybrid",
    "convex": "0.7 cosine + 0.3 BM25",
    "rocchio": "Rocchio",
    "mmr:relevance=0.95": "MMR",
    "mmr:relevance=0.97,centring=0.5": "MMR, centred",
    "mmr:relevance=0.97,centring=0.5,words=0.5": "MMR, centred, with words",
    "dpp:quality_scale=16": "DPP",
    "dpp:quality_scale=12,centring=0.5": "DPP, centred",
    "dpp:quality_scale=12,centring=0.5,words=0.5": "DPP, centred, with words",
    "sift:words=0,follow=0": "SIFT, embeddings alone",
    "sift:follow=0": "SIFT, not following",
    "sift": "**SIFT, the default**",
    "sift:noise_variance=1e6": "the same without selection",
    "sift:noise_variance=1e6,per_token=1": "gain per token, without selection",
    "sift:balanced=0": "SIFT, targets not balanced",
    "sift:per_token=1": "SIFT, gain per token",
    "sift:per_token=0.5": "SIFT, gain per root of the tokens",
    "rrf": "RRF of the parts",
    "round-robin": "round robin",
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality.evidence_tables", description=__doc__)
    parser.add_argument("results", type=Path, help="output of evidence_found --json")
    options = parser.parse_args(arguments)
    for lines in tables(json.loads(options.results.read_text(encoding="utf-8"))):
        print("\n".join(lines), end="\n\n")


def tables(records: Sequence[dict[str, Any]]) -> Iterator[list[str]]:
    """Yield each task's table in Markdown: the first row in per cent, the others as differences from it in points."""
    for task, group in groupby(records, lambda record: record["task"]):
        rows = list(group)
        first, columns = rows[0], list(rows[0]["at"])
        within = "tokens" in columns[0]
        yield [
            f"| {task} ({first['questions']}) | {' | '.join(columns)} |",
            f"|{'---|' * (len(columns) + 1)}",
            *(_line(row, [_cell(row, first, column, within=within) for column in columns]) for row in rows),
        ]


def _line(record: dict[str, Any], cells: Sequence[str]) -> str:
    method = record["method"]
    plain = method.removesuffix(SKIPPING)
    label = LABELS.get(plain, plain) + (SKIPPING if plain != method else "")
    return f"| {label} | {' | '.join(cells)} |"


def _cell(record: dict[str, Any], first: dict[str, Any], column: str, *, within: bool) -> str:
    at = record["at"][column]
    if record is first:
        text = f"{at['found']:.1f}"
    elif column == "average":
        text = str(Difference(at["mean"], at["low"], at["high"]))
    else:
        text = f"{at['mean']:+.1f}"
    return f"{text} ({at['passages']:.1f})" if within and column != "average" else text


if __name__ == "__main__":
    main()
