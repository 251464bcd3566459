"""Trains the small language model in this folder on Python's own documentation and standard library.

What it reads lies on every machine that has Python: the language reference (`pydoc_data.topics`), the sources of the
standard library, and their docstrings rendered as reference pages. Every 20th topic and file by sorted name is held
out of both the tokenizer's and the model's training, and the model is measured on them at the end.

    python train.py --output FOLDER

Equal seed, steps, thread count, Python and torch give equal weights, unless `--minutes` ends the run first.
"""

from __future__ import annotations

import argparse
import ast
import json
import logging
import math
import random
import sys
import sysconfig
import time
import tokenize
import warnings
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics
from typing import TYPE_CHECKING

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn.functional import cross_entropy
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM
from transformers.utils import logging as transformers_logging

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger("train")

END_OF_TEXT = "<|endoftext|>"
END_OF_TEXT_ID = 0
VOCABULARY = 2048
CONTEXT = 2048
HELD_OUT_EVERY = 20
TOPIC_REPEATS = 3  # prose is 4 % of the text; three times over it is an eighth of what the model sees
TOKENS_PER_STEP = 2048
REPEATED = 1 / 8  # of the sequences repeat themselves: so few tokens do not teach a model to use its context otherwise
LENGTHS = ((0.35, 256), (0.65, 512), (0.88, 1024), (1.0, CONTEXT))  # up to this share of the run, this length
WARM_UP = 0.02
# Not text to learn from: tests, character tables, the topics again, foreign code, and what names the build machine.
EXCLUDED_FOLDERS = {"test", "tests", "idle_test", "encodings", "pydoc_data", "site-packages", "dist-packages"}
EXCLUDED_PREFIXES = ("_sysconfigdata", "config-")


@dataclass(frozen=True)
class Corpus:
    """Documents, in the order of their sorted names."""

    train: list[str]
    held_out: list[str]


def library_files() -> list[tuple[str, str]]:
    """Name relative to the standard library, and text, sorted by name."""
    root = Path(sysconfig.get_path("stdlib"))
    found = []
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        if EXCLUDED_FOLDERS.intersection(parts) or any(part.startswith(EXCLUDED_PREFIXES) for part in parts):
            continue
        with tokenize.open(path) as file:  # honours the coding line
            text = file.read()
        if text.strip():
            found.append(("/".join(parts), text))
    return found


def reference_page(name: str, source: str) -> str:
    """The docstrings of one module under their signatures, in source order; empty if it has none."""
    module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in old sources
        tree = ast.parse(source)
    entries: list[str] = []

    def visit(node: ast.AST, path: str) -> None:
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            title = f"{path}.{child.name}"
            if text := ast.get_docstring(child):
                signature = "" if isinstance(child, ast.ClassDef) else f"({ast.unparse(child.args)})"
                entries.append(f"{title}{signature}\n\n{indented(text)}")
            visit(child, title)

    if text := ast.get_docstring(tree):
        entries.append(f"{module}\n\n{indented(text)}")
    visit(tree, module)
    return "\n\n".join(entries)


def indented(text: str) -> str:
    """Every line that is not blank moved right by three spaces, as Python's topics have it."""
    return "\n".join(f"   {line}" if line.strip() else "" for line in text.splitlines())


def load_corpus() -> Corpus:
    """Topics, sources and reference pages; a held-out file's reference page is held out with it."""
    train: list[str] = []
    held_out: list[str] = []
    for index, name in enumerate(sorted(topics)):
        if index % HELD_OUT_EVERY == HELD_OUT_EVERY - 1:
            held_out.append(topics[name])
        else:
            train.extend([topics[name]] * TOPIC_REPEATS)
    for index, (name, source) in enumerate(library_files()):
        documents = [source, reference_page(name, source)]
        target = held_out if index % HELD_OUT_EVERY == HELD_OUT_EVERY - 1 else train
        target.extend(document for document in documents if document)
    return Corpus(train, held_out)


def train_tokenizer(documents: list[str]) -> Tokenizer:
    """Byte-level pair encoding: all 256 bytes are entries, so that any text round-trips."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents, trainer=trainer)
    return tokenizer


def new_model(seed: int) -> LlamaForCausalLM:
    """2.2 million untrained parameters."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=192,
            intermediate_size=512,
            num_hidden_layers=4,
            num_attention_heads=3,  # wide heads: half the processor time of six narrow ones goes into their softmax
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
            bos_token_id=END_OF_TEXT_ID,
            eos_token_id=END_OF_TEXT_ID,
            pad_token_id=None,
        )
    )


def blocks(documents: list[list[int]], length: int, shuffle: random.Random) -> Iterator[torch.Tensor]:
    """Endless `(length + 1,)` pieces of the documents packed end to end, in a new order each time round."""
    while True:
        order = shuffle.sample(range(len(documents)), len(documents))
        stream = torch.tensor([token for index in order for token in [END_OF_TEXT_ID, *documents[index]]])
        starts = list(range(shuffle.randrange(length), len(stream) - length - 1, length))
        shuffle.shuffle(starts)
        for start in starts:
            piece = stream[start : start + length + 1]
            yield repeated(piece, shuffle) if shuffle.random() < REPEATED else piece


def repeated(piece: torch.Tensor, shuffle: random.Random) -> torch.Tensor:
    """The piece begun again after a quarter to three quarters of it, at its old length."""
    cut = shuffle.randint(len(piece) // 4, 3 * len(piece) // 4)
    return torch.cat([piece[:cut], piece])[: len(piece)]


def token_losses(model: LlamaForCausalLM, batch: torch.Tensor, reduction: str = "mean") -> torch.Tensor:
    """Nats for each token of `(n, length + 1)` after the first."""
    logits = model(input_ids=batch[:, :-1], use_cache=False).logits
    return cross_entropy(logits.flatten(0, 1).float(), batch[:, 1:].flatten(), reduction=reduction)


def bits_per_byte(model: LlamaForCausalLM, tokenizer: Tokenizer, documents: list[str]) -> float:
    """Each document is read from its start in pieces of at most `CONTEXT` tokens that do not see each other."""
    nats = 0.0
    size = 0
    with torch.inference_mode():
        for document in documents:
            ids = torch.tensor([END_OF_TEXT_ID, *tokenizer.encode(document).ids])
            for start in range(0, len(ids) - 1, CONTEXT):
                nats += token_losses(model, ids[None, start : start + CONTEXT + 1], "sum").item()
            size += len(document.encode())
    return nats / math.log(2) / size


def loss_by_position(model: LlamaForCausalLM, tokenizer: Tokenizer, documents: list[str]) -> dict[str, float]:
    """Mean nats a token in each quarter of a full context, over the documents long enough to fill one."""
    encoded = (torch.tensor([END_OF_TEXT_ID, *tokenizer.encode(document).ids]) for document in documents)
    with torch.inference_mode():
        losses = [token_losses(model, ids[None, : CONTEXT + 1], "none") for ids in encoded if len(ids) > CONTEXT]
    quarters = torch.stack(losses).mean(0).view(4, -1).mean(1).tolist()
    return {f"{CONTEXT // 4 * i}-{CONTEXT // 4 * (i + 1)}": round(loss, 3) for i, loss in enumerate(quarters)}


def save(model: LlamaForCausalLM, tokenizer: Tokenizer, folder: Path) -> None:
    """The standard files of a transformers model, weights in bfloat16; the model itself stays as it is."""
    stored = LlamaForCausalLM(model.config)
    stored.load_state_dict(model.state_dict())
    stored.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        bos_token_id=END_OF_TEXT_ID, eos_token_id=END_OF_TEXT_ID, pad_token_id=END_OF_TEXT_ID
    )
    stored.bfloat16().save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": END_OF_TEXT,
        "eos_token": END_OF_TEXT,
        "pad_token": END_OF_TEXT,
        "model_max_length": CONTEXT,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def learning_rate(progress: float, peak: float) -> float:
    """Linear warm-up, then half a cosine down to zero; `progress` from 0 to 1."""
    if progress < WARM_UP:
        return peak * (progress + 0.001) / WARM_UP
    return peak * 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))


def train(
    model: LlamaForCausalLM,
    documents: list[list[int]],
    *,
    steps: int,
    minutes: float,
    peak: float,
    seed: int,
) -> Iterator[tuple[int, float]]:
    """Yields the step and its loss. `minutes` shortens the whole schedule, it does not cut it off."""
    shuffle = random.Random(seed)
    streams = {length: blocks(documents, length, shuffle) for _, length in LENGTHS}
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    optimiser = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}],
        betas=(0.9, 0.95),
        fused=True,
    )
    start = time.monotonic()
    step = 0
    while (progress := max(step / steps, (time.monotonic() - start) / (60 * minutes))) < 1:
        length = next(length for share, length in LENGTHS if progress < share)
        batch = torch.stack([next(streams[length]) for _ in range(TOKENS_PER_STEP // length)])
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(progress, peak)
        loss = token_losses(model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        step += 1
        yield step, loss.item()


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0] if __doc__ else None)
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parent, help="folder that the model is written to"
    )
    parser.add_argument("--steps", type=int, default=4800, help=f"steps of {TOKENS_PER_STEP} tokens")
    parser.add_argument("--minutes", type=float, default=math.inf, help="shorten the schedule to this wall time")
    parser.add_argument(
        "--start", type=Path, help="folder of an earlier run's model to go on from, its tokenizer with it"
    )
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="more only on idle processors: they wait for each other")
    parser.add_argument("--save-every", type=float, default=4.0, metavar="MINUTES", help="write what there is so far")
    return parser.parse_args()


def main() -> int:
    """Trains, writes the model, and prints its figures as one JSON object."""
    arguments = options()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    torch.set_num_threads(arguments.threads)
    torch.use_deterministic_algorithms(mode=True)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]

    corpus = load_corpus()
    if arguments.start:
        tokenizer = Tokenizer.from_file(str(arguments.start / "tokenizer.json"))
        model = LlamaForCausalLM.from_pretrained(arguments.start, dtype=torch.float32)
    else:
        tokenizer = train_tokenizer(corpus.train)
        model = new_model(arguments.seed)
    documents = [encoding.ids for encoding in tokenizer.encode_batch(corpus.train)]
    train_bytes = sum(len(document.encode()) for document in corpus.train)
    train_tokens = sum(map(len, documents))
    parameters = sum(p.numel() for p in model.parameters())
    log.info("%d bytes in %d tokens, %d parameters", train_bytes, train_tokens, parameters)

    start = saved = shown = time.monotonic()
    mean = math.log(VOCABULARY)
    step = 0
    for step, loss in train(
        model,
        documents,
        steps=arguments.steps,
        minutes=arguments.minutes,
        peak=arguments.learning_rate,
        seed=arguments.seed,
    ):
        mean += (loss - mean) * max(0.02, 1 / step)
        now = time.monotonic()
        if now - shown > 15:
            shown = now
            log.info("step %d, loss %.3f, %.0f tokens/s", step, mean, step * TOKENS_PER_STEP / (now - start))
        if now - saved > 60 * arguments.save_every:
            saved = now
            save(model, tokenizer, arguments.output)

    seconds = time.monotonic() - start
    save(model, tokenizer, arguments.output)
    stored = LlamaForCausalLM.from_pretrained(arguments.output, dtype=torch.float32)
    figures = {
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "parameters": parameters,
        "steps": step,
        "tokens_seen": step * TOKENS_PER_STEP,
        "minutes": round(seconds / 60, 1),
        "train_bytes": train_bytes,
        "train_tokens": train_tokens,
        "held_out_bytes": sum(len(document.encode()) for document in corpus.held_out),
        "held_out_bits_per_byte": round(bits_per_byte(stored, tokenizer, corpus.held_out), 3),
        "held_out_nats_by_position": loss_by_position(stored, tokenizer, corpus.held_out),
    }
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
