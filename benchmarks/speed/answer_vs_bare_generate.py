"""Time to the first token and per token of a local model's answer, against transformers' bare ``generate``.

    python -m benchmarks.speed.answer_vs_bare_generate [--model NAME] [--passages 5] [--tokens 30] [--rounds 7]

Both sides read the same prompt, of passages and a question, on the same loaded network; ours also encodes the chat,
holds the weights against fine-tuning, and turns tokens into text.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import islice
from time import perf_counter

import torch

from benchmarks.common.turns import Row, compare, run_parts
from benchmarks.speed.tuning_vs_bare_loop import MODEL, passages
from sift_rag.models.local import LocalModel, load_local_model
from sift_rag.protocols import Message

QUESTION = "What is a decorator, and when is it applied?"


def answers(options: argparse.Namespace) -> Iterator[Row]:
    """Compare the first token, then all of them."""
    model = load_local_model(options.model)
    numbered = "\n\n".join(f"[{number}] {text}" for number, text in enumerate(passages(options.passages), start=1))
    messages = [Message("user", f"{numbered}\n\n{QUESTION}")]
    prompt = model.encode(messages)
    for name, tokens, goal in (("first token", 1, "<= 1.5"), (f"{options.tokens} tokens", options.tokens, "<= 1.1")):

        def ours(tokens: int = tokens) -> float:
            started = perf_counter()
            list(islice(model.stream(messages, max_new_tokens=tokens), tokens))
            return perf_counter() - started

        def theirs(tokens: int = tokens) -> float:
            started = perf_counter()
            bare(model, prompt, tokens)
            return perf_counter() - started

        ours(), theirs()
        yield compare(
            f"{name} after {len(prompt)}", ours, "bare generate", theirs, runs=options.rounds, unit="s", goal=goal
        )


@torch.no_grad()
def bare(model: LocalModel, prompt: list[int], tokens: int) -> None:
    """Generate greedily without a stop."""
    ids = torch.tensor([prompt], device=model.network.device)
    model.network.generate(  # type: ignore[operator]
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=tokens, eos_token_id=None
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(MODEL))
    parser.add_argument("--passages", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=7)
    run_parts({"answers": answers}, parser)


if __name__ == "__main__":
    main()
