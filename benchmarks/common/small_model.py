"""Train a Llama of 5 million parameters on general text and Python, for the benchmark of learning at test time.

    python -m benchmarks.common.small_model --data FOLDER --output FOLDER [--tokens N] [--minutes M] [--threads T]

Writes a folder that ``transformers`` loads by itself: ``AutoModelForCausalLM`` and ``AutoTokenizer``. The texts are
those of ``small_corpus.py``; one document in a hundred is held out of both trainings, the tokenizer's and the model's,
and scored at the end in bits per byte.

The learning rate is constant and falls to nothing over the last fifth, of the tokens or of the minutes, whichever end
first. Every few minutes of the constant part, and at its end, the state is written to ``FOLDER/training``; run again,
the training goes on from there. So a finished model is trained on by a larger ``--tokens``: from where its rate began
to fall. Equal texts, seed, tokens, thread count and torch give equal weights, with or without interruptions, unless
``--minutes`` ends the run first.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn.functional import cross_entropy
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from benchmarks.common.datasets import DATA_VARIABLE, data_folder
from benchmarks.common.small_corpus import Corpus, open_corpus

END_OF_TEXT = "<|endoftext|>"
END_OF_TEXT_ID = 0
VOCABULARY = 4096
CONTEXT = 1024

TOKENS = 8_000_000
BLOCKS_PER_STEP = 2
TOKENS_PER_STEP = BLOCKS_PER_STEP * CONTEXT
"""Few: with some million tokens to see, steps are short. At half of it gradients are so noisy that as many tokens teach
less."""
SHORT = 512
"""Tokens of a sequence while the rate is constant: four fifths of the work at little over half the attention."""
REPEATED = 1 / 8
"""Share of sequences that repeat themselves: so few tokens do not teach a model to use its context otherwise."""
PEAK = 2e-3
WARM_UP = 100
"""Steps."""
DECAY = 0.2
"""Share of the training."""

HeldOut: TypeAlias = Mapping[str, Sequence[str]]
"""Documents by kind."""


@dataclass(frozen=True, slots=True)
class Material:
    """The texts for training and scoring, as they were when the training began."""

    tokenizer: Tokenizer
    stream: torch.Tensor
    """``(n,)``: the documents in random order, an end-of-text token before each."""
    held_out: HeldOut


@dataclass(slots=True)
class Training:
    """The state that continues from step to step."""

    model: LlamaForCausalLM
    optimiser: torch.optim.AdamW
    step: int = 0


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(mode=True)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    folder = options.output / "training"
    if (folder / "stream.npy").is_file():
        material = read_material(folder, options.output)
    else:
        corpus = open_corpus(data_folder(options.data))
        material = prepare(corpus, options.seed)
        write_material(material, folder, options.output)
    training = new_training(new_model(options.seed).to(options.device))
    if (folder / "state.pt").is_file():
        read_state(training, folder / "state.pt", options.seed)
    _tell(f"{len(material.stream)} tokens of text, {parameters(training.model)} parameters, from step {training.step}")
    begun = time.monotonic()
    first = training.step
    for loss in train(
        training,
        material.stream,
        steps=options.tokens // TOKENS_PER_STEP,
        minutes=options.minutes,
        seed=options.seed,
        output=options.output,
        every=options.save_every,
    ):
        speed = (training.step - first) * TOKENS_PER_STEP / (time.monotonic() - begun)
        _tell(f"step {training.step}, loss {loss:.3f}, {speed:.0f} tokens/s")
    save(training.model, options.output)
    figures = {
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "parameters": parameters(training.model),
        "tokens_of_text": len(material.stream),
        "tokens_seen": training.step * TOKENS_PER_STEP,
        "minutes_of_this_run": round((time.monotonic() - begun) / 60, 1),
        "held_out_bytes": {kind: _bytes(documents) for kind, documents in material.held_out.items()},
        "held_out_bits_per_byte": {
            kind: round(bits_per_byte(training.model, material.tokenizer, documents), 3)
            for kind, documents in material.held_out.items()
        },
    }
    text = json.dumps(figures, indent=2)
    (options.output / "figures.json").write_text(text + "\n", encoding="utf-8")
    print(text)


def prepare(corpus: Corpus, seed: int) -> Material:
    """Train the tokenizer and pack the documents."""
    texts = [document.text for document in corpus.train]
    random.Random(seed).shuffle(texts)
    tokenizer = train_tokenizer(texts)
    ids = [token for encoding in tokenizer.encode_batch(texts) for token in (END_OF_TEXT_ID, *encoding.ids)]
    held_out: dict[str, list[str]] = {}
    for document in corpus.held_out:
        held_out.setdefault(document.kind, []).append(document.text)
    return Material(tokenizer, torch.tensor(ids), held_out)


def train_tokenizer(texts: Sequence[str]) -> Tokenizer:
    """Train a byte-level pair encoding: all 256 bytes are entries, so that any text comes back as it was."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer=trainer)
    return tokenizer


def write_material(material: Material, folder: Path, output: Path) -> None:
    """Write text and tokenizer, the stream last: a training that continues needs no data folder."""
    folder.mkdir(parents=True, exist_ok=True)
    PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=material.tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    ).save_pretrained(output)
    (folder / "held_out.json").write_text(json.dumps(material.held_out), encoding="utf-8")
    unfinished = folder / "stream.partial"
    with unfinished.open("wb") as file:
        np.save(file, material.stream.numpy().astype(np.uint16))
    unfinished.replace(folder / "stream.npy")


def read_material(folder: Path, output: Path) -> Material:
    return Material(
        Tokenizer.from_file(str(output / "tokenizer.json")),
        torch.from_numpy(np.load(folder / "stream.npy").astype(np.int64)),
        json.loads((folder / "held_out.json").read_text(encoding="utf-8")),
    )


def new_model(seed: int) -> LlamaForCausalLM:
    """Make an untrained model of 5.1 million parameters."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=256,
            intermediate_size=704,
            num_hidden_layers=5,
            num_attention_heads=4,  # wide heads: half the processor time of eight narrow ones goes into their softmax
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
            bos_token_id=END_OF_TEXT_ID,
            eos_token_id=END_OF_TEXT_ID,
            pad_token_id=None,
        )
    )


def new_training(model: LlamaForCausalLM) -> Training:
    """Begin a training. Weights of norms do not decay."""
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    return Training(model, torch.optim.AdamW(groups, lr=PEAK, betas=(0.9, 0.95), fused=True))


def train(
    training: Training, stream: torch.Tensor, *, steps: int, minutes: float, seed: int, output: Path, every: float
) -> Iterator[float]:
    """Train to the end, yielding the mean loss since the last time, about twice a minute.

    Args:
        training: goes on from its step.
        stream: the packed documents.
        steps: of the whole training, those before this run counted in.
        minutes: of this run.
        seed: decides the order of the text.
        output: where the state, and the model as it is, are written.
        every: minutes between two writes.
    """
    begun = saved = shown = time.monotonic()
    losses: list[torch.Tensor] = []
    falling = False
    while (progress := max(training.step / steps, (time.monotonic() - begun) / (60 * minutes))) < 1:
        if not falling and (progress >= 1 - DECAY or time.monotonic() - saved > 60 * every):
            falling = progress >= 1 - DECAY
            write_state(training, output / "training" / "state.pt", seed)
            save(training.model, output)
            saved = time.monotonic()
        for group in training.optimiser.param_groups:
            group["lr"] = learning_rate(training.step, progress)
        rows = batch(stream, training.step, CONTEXT if falling else SHORT, seed)
        loss = token_losses(training.model, rows.to(training.model.device))
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(training.model.parameters(), 1.0)
        training.optimiser.step()
        training.optimiser.zero_grad(set_to_none=True)
        training.step += 1
        losses.append(loss.detach())
        if time.monotonic() - shown > 30:
            shown = time.monotonic()
            yield torch.stack(losses).mean().item()
            losses.clear()


def learning_rate(step: int, progress: float) -> float:
    """Return the rate: linear warm-up, then constant, then linear to zero; ``progress`` is 0 to 1."""
    return PEAK * min(1.0, (step + 1) / WARM_UP, (1 - progress) / DECAY)


def batch(stream: torch.Tensor, step: int, length: int, seed: int) -> torch.Tensor:
    """Return ``(TOKENS_PER_STEP // length, length + 1)`` tokens, a function of step and seed alone.

    The stream is read in blocks of ``CONTEXT``, in a new order and from a new offset each time round.
    """
    steps = ((len(stream) - 1) // CONTEXT - 1) // BLOCKS_PER_STEP
    around, place = divmod(step, steps)
    drawn = np.random.default_rng([seed, around])
    offset = int(drawn.integers(CONTEXT))
    blocks = drawn.permutation(steps * BLOCKS_PER_STEP)[place * BLOCKS_PER_STEP :][:BLOCKS_PER_STEP]
    starts = [offset + CONTEXT * int(block) + first for block in blocks for first in range(0, CONTEXT, length)]
    chance = random.Random(f"{seed}/{step}")
    rows = [stream[start : start + length + 1] for start in starts]
    return torch.stack([repeated(row, chance) if chance.random() < REPEATED else row for row in rows])


def repeated(row: torch.Tensor, chance: random.Random) -> torch.Tensor:
    """Begin the row again after a quarter to three quarters of it, at its old length."""
    cut = chance.randint(len(row) // 4, 3 * len(row) // 4)
    return torch.cat([row[:cut], row])[: len(row)]


def token_losses(model: LlamaForCausalLM, rows: torch.Tensor, reduction: str = "mean") -> torch.Tensor:
    """Return the nats of each token of ``(n, length + 1)`` after the first."""
    logits = model(input_ids=rows[:, :-1], use_cache=False).logits
    return cross_entropy(logits.flatten(0, 1).float(), rows[:, 1:].flatten(), reduction=reduction)


def bits_per_byte(model: LlamaForCausalLM, tokenizer: Tokenizer, documents: Sequence[str]) -> float:
    """Score documents, each read from its start in pieces of at most ``CONTEXT`` tokens that do not see each other."""
    nats = 0.0
    with torch.inference_mode():
        for document in documents:
            ids = torch.tensor([END_OF_TEXT_ID, *tokenizer.encode(document).ids], device=model.device)
            for start in range(0, len(ids) - 1, CONTEXT):
                nats += token_losses(model, ids[None, start : start + CONTEXT + 1], "sum").item()
    return nats / math.log(2) / _bytes(documents)


def parameters(model: LlamaForCausalLM) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def save(model: LlamaForCausalLM, folder: Path) -> None:
    """Write the standard files of a transformers model, except the tokenizer's."""
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        bos_token_id=END_OF_TEXT_ID, eos_token_id=END_OF_TEXT_ID, pad_token_id=END_OF_TEXT_ID
    )
    model.save_pretrained(folder)


def write_state(training: Training, path: Path, seed: int) -> None:
    """Write the state to disk in one piece or not at all."""
    state: dict[str, Any] = {
        "model": training.model.state_dict(),
        "optimiser": training.optimiser.state_dict(),
        "step": training.step,
        "seed": seed,
    }
    unfinished = path.with_suffix(".partial")
    torch.save(state, unfinished)
    unfinished.replace(path)


def read_state(training: Training, path: Path, seed: int) -> None:
    """Read the state into ``training``.

    Raises:
        SystemExit: that training had another seed.
    """
    state = torch.load(path, map_location="cpu", weights_only=True)
    if state["seed"] != seed:
        raise SystemExit(f"{path} was begun with --seed {state['seed']}, not {seed}: give that, or another --output.")
    training.model.load_state_dict(state["model"])
    training.optimiser.load_state_dict(state["optimiser"])
    training.step = state["step"]


def _bytes(documents: Sequence[str]) -> int:
    return sum(len(document.encode()) for document in documents)


def _tell(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.common.small_model",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, help=f"folder of the collections (default: ${DATA_VARIABLE})")
    parser.add_argument("--output", type=Path, required=True, help="folder of the model and of what it goes on from")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="of the whole training (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=math.inf, help="shorten the training to this wall time")
    parser.add_argument("--save-every", type=float, default=4.0, metavar="MINUTES", help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=1, help="more only on idle processors: they wait for each other")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
