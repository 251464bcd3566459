"""Measure the cost of the gold answer to a model given the passages that each method selects.

    python -m benchmarks.quality.answers MODEL --data FOLDER [--questions 200] [--json FILE]

Questions are HotpotQA's first dev questions, passages are k = 4 windows of two sentences. The prompt is that of
``sift-rag ask``; cost is in bits per byte of the gold answer, lower is better. Differences have 95 % paired bootstrap
intervals over questions. MODEL is an instruction-tuned causal language model: a folder, a GGUF file or a name.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import numpy as np

from benchmarks.common.datasets import data_folder, hotpot_task, read_hotpotqa
from benchmarks.common.embedding import add_data_options, embed_task
from benchmarks.common.intervals import paired_difference
from benchmarks.quality.evidence_found import orders
from sift_rag.answering.prompt import build_prompt
from sift_rag.finetuning.scoring import score_text
from sift_rag.models.local import load_local_model
from sift_rag.models.options import ModelOptions
from sift_rag.types import Passage, Span

K = 4
METHODS = ("nearest", "hybrid", "sift:follow=0", "sift")


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    folder = data_folder(options.data)
    read = {part: read_hotpotqa(folder / "hotpotqa" / f"{part}.jsonl") for part in ("train", "dev")}
    asked = read["dev"][: options.questions]
    task = hotpot_task(asked, [*read["train"], *read["dev"]], unit="windows")
    if len(task.questions) != len(asked):
        raise SystemExit("A question has no evidence in the corpus, so questions and answers do not line up.")
    embedded = embed_task(task, options.cache)
    chosen = {method: orders(method, embedded, K) for method in METHODS}
    passages = [_passage(row, text) for row, text in enumerate(task.passages)]
    model = load_local_model(options.model, options=ModelOptions(device="cpu"))
    costs = {method: np.zeros(len(asked)) for method in METHODS}
    for place, question in enumerate(asked):
        known: dict[tuple[int, ...], float] = {}
        for method, cost in costs.items():
            rows = tuple(chosen[method][place][:K])
            if rows not in known:
                quoted = [passages[row] for row in rows]
                prompt = build_prompt([question.question], quoted, model=model)
                context = model.encode(prompt.messages)
                known[rows] = score_text(model, question.answer, context=context).bits_per_byte
            cost[place] = known[rows]
        print(f"\r{place + 1} of {len(asked)} questions", end="", file=sys.stderr, flush=True)
    records = [_record(costs, method) | {"questions": len(asked), "model": model.name} for method in costs]
    _show(records)
    if options.json:
        options.json.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


def _passage(row: int, text: str) -> Passage:
    title, _, body = text.partition("\n")
    return Passage(str(uuid5(NAMESPACE_URL, f"window/{row}")), body, title, Span(0, len(body)), title=title)


def _record(costs: dict[str, np.ndarray], method: str) -> dict[str, Any]:
    ours, theirs = costs[method], costs["nearest"]
    difference = paired_difference(ours / 100, theirs / 100)
    return {"method": method, "k": K, "bits_per_byte": float(ours.mean()), **difference._asdict()}


def _show(records: Sequence[dict[str, Any]]) -> None:
    print("\n| | bits per byte of the gold answer | to nearest |\n|---|---|---|")
    for record in records:
        low, high = record["low"], record["high"]
        print(
            f"| {record['method']} | {record['bits_per_byte']:.3f} | {record['mean']:+.3f} [{low:+.3f}, {high:+.3f}] |"
        )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.answers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", help="the model: a folder, a GGUF file or a name")
    add_data_options(parser)
    parser.add_argument("--questions", type=int, default=200, metavar="N", help="use the first N dev questions")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
