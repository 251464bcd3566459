"""Speed and memory of fine-tuning for one prompt, against bare PyTorch loops over the same batches in the same run.

    python -m benchmarks.speed.tuning_vs_bare_loop [--steps 50] [--rounds 5] [--only steps,overhead,memory]

The bare loops do nothing else: no restoration, no checks, no figures. For LoRA the loop is over PEFT's own wrapper.
Both sides use Adam's fused kernel. The sides take turns.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from pydoc_data.topics import topics
from time import perf_counter, process_time
from typing import Any

import torch

from benchmarks.common.turns import Row, compare, run_parts
from sift_rag.finetuning import FineTuning, Tuner
from sift_rag.finetuning.sequences import training_sequences
from sift_rag.finetuning.settings import learning_rate_for
from sift_rag.models.local import LocalModel, load_local_model

MODEL = Path(__file__).parents[2] / "tests" / "data" / "stdlib-lm"
METHODS = ("lora", "full")


def passages(count: int, characters: int = 1200) -> list[str]:
    """Cut stretches from Python's language reference, each about 400 tokens of the small model."""
    text = "".join(topics[name] for name in sorted(topics))
    return [text[i * characters : (i + 1) * characters] for i in range(count)]


def batches(model: LocalModel, texts: list[str]) -> list[torch.Tensor]:
    made = training_sequences(
        model.tokenizer, texts, window=model.context_length, end_token=False, name=model.name
    ).passages
    return [torch.tensor(window, device=model.network.device)[None] for windows in made for window in windows]


def bare_loop(network: Any, rows: list[torch.Tensor], learning_rate: float) -> None:
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimiser = torch.optim.Adam(trained, lr=learning_rate, eps=1e-8, fused=True)
    for ids in rows:
        optimiser.zero_grad()
        network(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        optimiser.step()


def bare_network(folder: str, settings: FineTuning) -> Any:
    network: Any = load_local_model(folder).network
    if settings.method == "full":
        return network
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=settings.rank, lora_alpha=settings.alpha, target_modules="all-linear", lora_dropout=0.0, task_type="CAUSAL_LM"
    )
    return get_peft_model(network, config)


def steps(folder: str, count: int, rounds: int) -> Iterator[Row]:
    """Compare a whole prompt, set-up and restoration included, with the bare steps."""
    texts = passages(count)
    for method in METHODS:
        settings = FineTuning(method=method, target_modules="all-linear")
        model = load_local_model(folder)
        tuner, bare, rows = Tuner(model, settings), bare_network(folder, settings), batches(model, texts)
        rate = learning_rate_for(settings, model.network.num_parameters(), len(rows))
        ours = Stopwatch(lambda tuner=tuner: whole_prompt(tuner, texts))
        theirs = Stopwatch(lambda bare=bare, rows=rows, rate=rate: bare_loop(bare, rows, rate))
        for side in (ours, theirs):
            side()
        ours.processor.clear(), theirs.processor.clear()
        yield compare(
            f"{count} steps, {method}", ours, "bare PyTorch loop", theirs, runs=rounds, unit="s", goal="<= 1.10"
        )
        us, them = iter(ours.processor), iter(theirs.processor)
        yield compare(
            "the same, processor time",
            lambda us=us: next(us),
            "bare PyTorch loop",
            lambda them=them: next(them),
            runs=rounds,
            unit="s",
            goal="<= 1.10",
        )


def overhead(folder: str, count: int, rounds: int) -> Iterator[Row]:
    """Compare everything except the steps (tokenising, resetting, keeping, restoring) with one step."""
    texts = passages(count)
    for method in METHODS:
        tuner = Tuner(load_local_model(folder), FineTuning(method=method))
        seconds: list[float] = []

        def around(tuner: Tuner = tuner, seconds: list[float] = seconds) -> float:
            started = perf_counter()
            with tuner.tuned(texts) as tuning:
                pass
            synchronise()
            seconds.append(tuning.seconds / tuning.steps)
            return perf_counter() - started - tuning.seconds

        around()
        yield compare(
            f"set-up and restoration, {method}",
            around,
            "one step",
            lambda seconds=seconds: seconds[-1],
            runs=rounds,
            unit="s",
            goal="< 2",
        )


def memory(folder: str, prompts: int) -> Iterator[Row]:
    """Compare resident memory (on a GPU: allocated memory) after many prompts with that after the first tenth."""
    texts = passages(2, 60)
    for method in METHODS:
        tuner = Tuner(load_local_model(folder), FineTuning(method=method))
        held: list[float] = []
        for _ in range(prompts):
            with tuner.tuned(texts):
                pass
            held.append(memory_in_use())
        yield compare(
            f"memory after {prompts} prompts, {method}",
            lambda held=held: held[-1],
            f"after {prompts // 10}",
            lambda held=held, tenth=prompts // 10: held[tenth - 1],
            runs=1,
            unit="MiB",
            goal="about 1",
        )


def whole_prompt(tuner: Tuner, texts: list[str]) -> None:
    with tuner.tuned(texts):
        pass


class Stopwatch:
    """A call that returns its wall seconds and keeps its processor seconds, which a busy machine changes less."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call
        self.processor: list[float] = []

    def __call__(self) -> float:
        synchronise()
        started, processor_started = perf_counter(), process_time()
        self.call()
        synchronise()
        self.processor.append(process_time() - processor_started)
        return perf_counter() - started


def synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def memory_in_use() -> float:
    if torch.cuda.is_available():
        return torch.cuda.memory_allocated() / 2**20
    import psutil

    return float(psutil.Process().memory_info().rss) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(MODEL))
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompts", type=int, default=200, help="of the measurement of memory")
    run_parts(
        {
            "steps": lambda options: steps(options.model, options.steps, options.rounds),
            "overhead": lambda options: overhead(options.model, options.steps, options.rounds),
            "memory": lambda options: memory(options.model, options.prompts),
        },
        parser,
    )


if __name__ == "__main__":
    main()
