"""A model that is small, random and quick to change, and a collection of short passages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

from sift_rag.evaluation import Outcome, Task
from sift_rag.evaluation.outcomes import AnswerScore, Arm, Example, Measurement
from sift_rag.models.local import LocalModel
from sift_rag.stores.memory import MemoryStore
from tests.doubles import HashingEmbedder
from tests.retrieval.test_candidates import filled

LANGUAGE_MODEL = Path(__file__).parents[1] / "data" / "stdlib-lm"

PASSAGES = {
    "owls.md": "Owls hunt at night and sleep by day.",
    "ears.md": "The ears of owls sit at unequal heights, which tells them where a mouse is.",
    "bees.md": "Bees dance to tell where flowers are.",
    "mice.md": "A mouse hears the owls too late, for feathers of owls are soft.",
    "moon.md": "By the light of the moon few mice leave their holes.",
    "rain.md": "Owls hunt badly in rain: wet feathers make a noise.",
}
TEXT = "At night the owls hunt mice, and their ears tell them where a mouse is.\n"


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """Byte-level, 2,048 tokens, one token for begin and end."""
    return AutoTokenizer.from_pretrained(LANGUAGE_MODEL)


def tiny_model(tokenizer: Any, *, window: int = 256) -> LocalModel:
    """Two layers of width 32, weights from seed 0."""
    config = GPT2Config(
        bos_token_id=0, eos_token_id=0, vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=2, n_positions=window
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LocalModel("tiny", GPT2LMHeadModel(config).eval(), tokenizer)


@pytest.fixture
def model(tokenizer: Any) -> LocalModel:
    return tiny_model(tokenizer)


@pytest.fixture
def embedder() -> HashingEmbedder:
    return HashingEmbedder()


@pytest.fixture
def store(embedder: HashingEmbedder) -> MemoryStore:
    return filled(PASSAGES, embedder)


def measured(arm: Arm, selector: str, k: int, bits: float, **fields: Any) -> Measurement:
    """A measurement whose other figures do not matter."""
    usual: dict[str, Any] = {"seconds": 1.0, "tokens": 10, "passages": 0, "predicted": 0.5}
    return Measurement(arm=arm, selector=selector, k=k, bits_per_byte=bits, **(usual | fields))


def outcome(name: str, base: float, *measurements: Measurement, group: str = "one", **fields: Any) -> Outcome:
    """Return an outcome for a text of 20 bytes."""
    usual: dict[str, Any] = {
        "task": Task(name, group, "twenty bytes of text"),
        "left_out": 0,
        "examples": {"sift": (Example("owls.md", "Owls hunt.", 2),)},
    }
    answered = fields.pop("answered", None)
    alone = measured("base", "", 0, base, predicted=None, tokens=0, answered=answered)
    return Outcome(base=alone, measurements=measurements, **(usual | fields))


def answered(answer: str, *, exact: bool = False, f1: float = 0.0, found: bool = False) -> AnswerScore:
    return AnswerScore(exact, f1, found, answer)
