"""Fine-tuning for a question: what to train on, and which weights.

    python -m research.training_objectives MODEL --data FOLDER [--questions 40] [--json FILE]

HotpotQA's first train questions, SIFT's ten windows of two sentences each, ten steps of LoRA at the default rate. A
model is scored on the gold answer, after the question alone and after the question with its first four windows: bits
per byte, lower is better, with 95 % bootstrap intervals over questions, paired with ``each passage once``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from unittest.mock import patch

import numpy as np
import torch

from benchmarks.common.datasets import data_folder, hotpot_task, read_hotpotqa
from benchmarks.common.embedding import add_data_options, embed_task
from benchmarks.quality.evidence_found import orders
from sift_rag.evaluation.metrics import bootstrap
from sift_rag.finetuning import FineTuning, Tuner, score_text, training
from sift_rag.finetuning.sequences import encode_texts
from sift_rag.models.local import LocalModel, load_local_model
from sift_rag.models.options import ModelOptions
from sift_rag.protocols import Message

if TYPE_CHECKING:
    from transformers import PreTrainedModel

STEPS, SHOWN, FEW = 10, 4, 5
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
REFERENCE = "each passage once"


@dataclass(frozen=True)
class Objective:
    """A way to train on the passages for a question."""

    tuning: FineTuning = field(default_factory=FineTuning)
    passages: int = STEPS
    """Number of distinct passages; they are gone through until there are ``STEPS`` steps."""
    prefixed: bool = False
    """True to put the question before each passage."""
    masked: bool = False
    """True to predict the passage alone, given the question before it."""


OBJECTIVES: Mapping[str, Objective] = {
    REFERENCE: Objective(),
    "the question before each": Objective(prefixed=True),
    "each given the question": Objective(prefixed=True, masked=True),
    "five passages twice": Objective(passages=FEW),
    "attention alone": Objective(FineTuning(target_modules=ATTENTION)),
    "rank 64": Objective(FineTuning(rank=64, alpha=128)),
}


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    path = data_folder(options.data) / "hotpotqa"
    train, dev = (read_hotpotqa(path / f"{part}.jsonl") for part in ("train", "dev"))
    asked = train[: options.questions]
    task = hotpot_task(asked, [*train, *dev], unit="windows")
    if len(task.questions) != len(asked):
        raise SystemExit("A question has no evidence in the corpus, so questions and answers do not line up.")
    chosen = orders("sift", embed_task(task, options.cache), STEPS)
    model = load_local_model(options.model, options=ModelOptions(device="cpu"))
    bits: dict[str, list[tuple[float, float]]] = {}
    for question, rows in zip(asked, chosen, strict=True):
        texts = [task.passages[row] for row in rows[:STEPS]]
        contexts = [_context(model, question.question, shown) for shown in ((), texts[:SHOWN])]

        def score(answer: str = question.answer, contexts: Sequence[Sequence[int]] = contexts) -> tuple[float, float]:
            alone, shown = (score_text(model, answer, context=each).bits_per_byte for each in contexts)
            return alone, shown

        bits.setdefault("the model as it is", []).append(score())
        for name, objective in OBJECTIVES.items():
            bits.setdefault(name, []).append(_after(model, objective, question.question, texts, score))
        print(f"{len(bits[REFERENCE])} of {len(asked)}", *(f"{each[-1][0]:.2f}" for each in bits.values()), flush=True)
    _show(bits)
    if options.json:
        options.json.write_text(json.dumps(bits, indent=1) + "\n", encoding="utf-8")


def _context(model: LocalModel, question: str, texts: Sequence[str]) -> Sequence[int]:
    """Return the tokens before an answer."""
    content = "\n\n".join([*texts, f"Answer in a few words. Question: {question}"])
    return model.encode([Message("user", content)])


def _after(
    model: LocalModel,
    objective: Objective,
    question: str,
    texts: Sequence[str],
    score: Callable[[], tuple[float, float]],
) -> tuple[float, float]:
    """Return the scores of the model after training."""
    distinct = texts[: objective.passages]
    steps = [distinct[step % len(distinct)] for step in range(len(texts))]
    prefix = f"{question}\n\n" if objective.prefixed else ""
    read = len(encode_texts(model.tokenizer, [prefix])[0]) if objective.masked else 0
    with _given(read), Tuner(model, objective.tuning).tuned([prefix + text for text in steps]):
        return score()


@contextmanager
def _given(tokens: int) -> Iterator[None]:
    """Predict no token of a sequence before this many, within the block."""
    if not tokens:
        yield
        return

    def summed_loss(network: PreTrainedModel, rows: torch.Tensor) -> torch.Tensor:
        logits = network(input_ids=rows, use_cache=False).logits[:, tokens - 1 : -1]
        wanted = rows[:, tokens:]
        mean = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), wanted.flatten())
        return mean * rows[:, 1:].numel()

    with patch.object(training, "_summed_loss", summed_loss):
        yield


def _show(bits: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    print(f"\n| | the question alone | - once | with {SHOWN} windows | - once |\n|---|---|---|---|---|")
    reference = np.array(bits[REFERENCE])
    for name, each in bits.items():
        found = np.array(each)
        cells = []
        for column in (0, 1):
            mean, low, high = bootstrap(list(found[:, column] - reference[:, column]))
            cells += [f"{found[:, column].mean():.3f}", f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]"]
        print(f"| {name} | {' | '.join(cells)} |")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m research.training_objectives",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", help="the model: a folder, a GGUF file or a name")
    parser.add_argument("--questions", type=int, default=40, metavar="N", help="use the first N train questions")
    parser.add_argument("--threads", type=int, default=1)
    add_data_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
