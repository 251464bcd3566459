"""Bits per byte: the cost of a text under a model, in a unit that does not depend on the tokenizer."""

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
"""Number of positions whose logits are widened to float32 together: 150 MB for a vocabulary of 150,000 tokens."""


@dataclass(frozen=True)
class TextScore:
    """The cost of one text."""

    bits: float
    """Negative log2 of the probability that the model gives to all tokens of the text."""

    bytes: int
    """Length of the text in UTF-8."""

    tokens: int
    windows: int
    """Number of runs of the model: one, unless text and context are longer than it reads at once."""

    @property
    def bits_per_byte(self) -> float:
        """Bits a byte: lower is better, and 8 is the cost without any model."""
        return self.bits / self.bytes


def bits_per_byte(
    model: TrainableModel, text: str, *, context: str | Sequence[int] = "", stride: int | None = None
) -> float:
    """Return ``score_text(...).bits_per_byte``."""
    return score_text(model, text, context=context, stride=stride).bits_per_byte


def score_text(
    model: TrainableModel, text: str, *, context: str | Sequence[int] = "", stride: int | None = None
) -> TextScore:
    """Return the cost of a text: of each token after all before it, every token counted once.

    The text's tokens are the same with any context, so scores with and without one can be compared. The sequence
    begins with the tokenizer's begin token or, failing that, end token. If there is neither, the very first token
    cannot be predicted and costs log2 of the vocabulary's size.

    A text that is longer than the room in the model's window is read in overlapping windows, each ``stride`` tokens
    further and with the context in front. A token is counted in the first window that holds it.

    Args:
        model: tuned or not.
        text: not empty.
        context: text of the prompt before the text, separators included; read, not counted. Or its tokens, of a whole
            chat for example: then they begin the sequence, without a begin token.
        stride: from 1 to the room that the context leaves; by default half of it. With a smaller stride, long texts
            cost a little less and take more time.

    Raises:
        ModelInUse: the model is fine-tuned for another prompt now.
        ModelUnsuitable: the cost is not finite: the weights are broken.
        ValueError: no text, a context that leaves too little of the window to the text, or a stride out of range.
    """
    import torch

    if not text:
        raise ValueError("The text is empty: there are no bytes to score.")
    tokens, before = encode_texts(model.tokenizer, [text, context if isinstance(context, str) else ""])
    prefix = [*start_tokens(model), *before] if isinstance(context, str) else list(context)
    room = model.context_length + 1 - len(prefix)  # the last token of a window is predicted, not read
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
        raise ModelUnsuitable(f"{model.name!r} gives the text a cost of {nats} nats: check its weights.")
    return TextScore(nats / math.log(2), len(text.encode("utf-8", "surrogatepass")), len(tokens), runs)


def _windows(tokens: Sequence[int], room: int, stride: int) -> Iterator[tuple[Sequence[int], int]]:
    """Yield stretches of up to ``room`` tokens, and the number at the end of each that are in none before."""
    end = min(room, len(tokens))
    yield tokens[:end], end
    while end < len(tokens):
        seen, end = end, min(end + stride, len(tokens))
        yield tokens[max(0, end - room) : end], end - seen


def _cost(model: TrainableModel, tokens: Sequence[int], counted: int) -> float:
    """Return the cost in nats of the last ``counted`` tokens."""
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
    """Turn off dropout within the block, also for a network that was left in training mode."""
    training = [module for module in network.modules() if module.training]
    try:
        for module in training:
            module.training = False
        yield
    finally:
        for module in training:
            module.training = True


def start_tokens(model: TrainableModel) -> list[int]:
    """Return the token that begins every sequence: the begin token, else the end token; nothing if there is neither."""
    tokenizer = model.tokenizer
    start = cast("int | None", tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id)
    return [] if start is None else [start]
