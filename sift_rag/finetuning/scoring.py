"""Bits per byte: what a text costs under a model, in a unit that does not depend on the tokenizer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Any, cast

from sift_rag.errors import ModelUnsuitable
from sift_rag.finetuning.sequences import encode_texts
from sift_rag.protocols import TrainableModel

if TYPE_CHECKING:
    import torch
    from torch.nn import Module

_ROWS_AT_ONCE = 256
"""Positions whose logits are widened to float32 together: with 150,000 tokens in the vocabulary, 150 MB."""


@dataclass(frozen=True)
class TextScore:
    """What one text costs."""

    bits: float
    """Minus log2 of the probability that the model gives the text, all its tokens."""

    bytes: int
    """Of the text in UTF-8."""

    tokens: int
    windows: int
    """How many times the model was run: one, unless text and context are longer than it reads at once."""

    @property
    def bits_per_byte(self) -> float:
        """Lower is better; 8 is what no model at all needs."""
        return self.bits / self.bytes


def bits_per_byte(
    model: TrainableModel, text: str, *, context: str | Sequence[int] = "", stride: int | None = None
) -> float:
    """``score_text(...).bits_per_byte``."""
    return score_text(model, text, context=context, stride=stride).bits_per_byte


def score_text(
    model: TrainableModel, text: str, *, context: str | Sequence[int] = "", stride: int | None = None
) -> TextScore:
    """What a text costs, each token given all before it, every token counted once.

    The text's tokens are the same with any context, so scores with and without one can be compared. Before everything
    stands the tokenizer's begin or, failing that, end token. Where there is neither, the very first token cannot be
    predicted and costs what it does without a model: log2 of the vocabulary's size.

    A text that is longer than the room in the model's window is read in overlapping windows, each ``stride`` tokens
    further, each with the context in front; a token is counted in the first window that holds it.

    Args:
        model: tuned or not.
        text: not empty.
        context: what stands in the prompt before the text, separators included; read and not counted. Or its tokens,
            of a whole chat for example: then they begin the sequence, and no other token stands before them.
        stride: from 1 to the room that the context leaves; by default half of it. What a text costs falls a little
            with it, and the time for long texts grows.

    Raises:
        ModelInUse: the model is fine-tuned for another prompt now.
        ModelUnsuitable: a token costs infinitely much, or no finite number: the weights are broken.
        ValueError: no text; a context that leaves less than half of the window to the text and would need more; a
            stride out of range.
    """
    import torch

    if not text:
        raise ValueError("The text is empty: there are no bytes to score.")
    tokens, before = encode_texts(model.tokenizer, [text, context if isinstance(context, str) else ""])
    prefix = [*start_tokens(model), *before] if isinstance(context, str) else list(context)
    room = model.context_length + 1 - len(prefix)  # the last token of a window is predicted and not read
    half = model.context_length // 2
    if room < min(len(tokens), half):
        own = len(before) if isinstance(context, str) else len(prefix)
        raise ValueError(
            f"The context has {own} tokens and leaves {max(room, 0)} of {model.context_length} to a text of "
            f"{len(tokens)}: shorten it by {min(len(tokens), half) - room} at least."
        )
    stride = max(1, room // 2) if stride is None else stride
    furthest = room if prefix else room - 1
    if not 1 <= stride <= furthest:
        raise ValueError(f"stride is {stride}: from 1 to {furthest} tokens are possible here.")
    nats = 0.0 if prefix else math.log(model.network.config.get_text_config().vocab_size)
    runs = 0
    network = model.network
    with model.reading(), torch.inference_mode(), _answering(network):
        for window, counted in _windows(tokens, room, stride):
            runs += 1
            nats += _cost(model, [*prefix, *window], min(counted, len(prefix) + len(window) - 1))
    if not math.isfinite(nats):
        raise ModelUnsuitable(f"{model.name!r} gives the text {nats} nats, which is no cost: check its weights.")
    return TextScore(nats / math.log(2), len(text.encode("utf-8", "surrogatepass")), len(tokens), runs)


def _windows(tokens: Sequence[int], room: int, stride: int) -> Iterator[tuple[Sequence[int], int]]:
    """Stretches of up to ``room`` tokens, and how many at the end of each are in none before."""
    end = min(room, len(tokens))
    yield tokens[:end], end
    while end < len(tokens):
        seen, end = end, min(end + stride, len(tokens))
        yield tokens[max(0, end - room) : end], end - seen


def _cost(model: TrainableModel, tokens: Sequence[int], counted: int) -> float:
    """Nats of the last ``counted`` tokens."""
    import torch
    from torch.nn import functional

    if not counted:
        return 0.0
    network = model.network
    ids = torch.tensor(tokens, device=network.device)
    fewer: dict[str, Any] = {}
    if "logits_to_keep" in signature(network.forward).parameters:
        fewer["logits_to_keep"] = counted
    logits: torch.Tensor = network(input_ids=ids[None, :-1], use_cache=False, **fewer).logits[0, -counted:]
    targets = ids[-counted:]
    nats = [
        functional.cross_entropy(rows.float(), wanted, reduction="none").double().sum()
        for rows, wanted in zip(torch.split(logits, _ROWS_AT_ONCE), torch.split(targets, _ROWS_AT_ONCE), strict=True)
    ]
    return float(torch.stack(nats).sum())


@contextmanager
def _answering(network: Module) -> Iterator[None]:
    """No dropout within, also for a network that was left in training mode."""
    training = [module for module in network.modules() if module.training]
    try:
        for module in training:
            module.training = False
        yield
    finally:
        for module in training:
            module.training = True


def start_tokens(model: TrainableModel) -> list[int]:
    """What stands before everything: the tokenizer's begin or, failing that, end token; nothing if it has neither."""
    tokenizer = model.tokenizer
    start = cast("int | None", tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id)
    return [] if start is None else [start]
