"""Language models for tests of ``/v1/ask``."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

from sift_rag.protocols import Message


class ScriptedModel:
    """A language model that says its pieces, each when ``go`` is set; ``stopped`` once nobody reads any more."""

    name = "scripted"
    context_length = 4096

    def __init__(self, *pieces: str, error: Exception | None = None) -> None:
        self.pieces = pieces
        self.error = error
        self.go = threading.Event()
        self.go.set()
        self.begun = threading.Event()
        self.stopped = threading.Event()
        self.chats: list[Sequence[Message]] = []

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(len(message.content.split()) for message in messages)

    def stream(self, messages: Sequence[Message], *, max_new_tokens: int) -> Iterator[str]:
        self.chats.append(messages)
        try:
            for piece in self.pieces:
                yield piece
                self.begun.set()
                assert self.go.wait(30)
            if self.error is not None:
                raise self.error
        finally:
            self.stopped.set()


def tiny_model() -> Any:
    """Return a local model of two layers with random weights, which fine-tunes in milliseconds."""
    import torch
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    from sift_rag.models.local import LocalModel
    from tests.models.conftest import LANGUAGE_MODEL

    tokenizer: Any = AutoTokenizer.from_pretrained(LANGUAGE_MODEL)
    config = GPT2Config(
        bos_token_id=0, eos_token_id=0, vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=2, n_positions=1024
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LocalModel("tiny", GPT2LMHeadModel(config).eval(), tokenizer)
