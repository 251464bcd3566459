"""The small trained model, and networks of other architectures with small random weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel, Phi3Config, Phi3ForCausalLM, Qwen3Config
from transformers import Qwen3ForCausalLM as Qwen3

from sift_rag.models.local import LocalModel, load_local_model
from sift_rag.models.options import ModelOptions

LANGUAGE_MODEL = Path(__file__).parents[1] / "data" / "stdlib-lm"

TEXTS = (
    "def read_records(path):\n    return [line.strip() for line in open(path)]\n",
    "class Circle(Shape):\n    def area(self):\n        return math.pi * self.radius ** 2\n",
    "The iterator raises StopIteration when nothing is left.\n",
)


@pytest.fixture
def model() -> LocalModel:
    """Fresh for every test: what one test leaves behind must not reach another."""
    return load_local_model(str(LANGUAGE_MODEL), options=ModelOptions(device="cpu"))


@pytest.fixture
def exact_model(model: LocalModel) -> LocalModel:
    """The same in float32 on every processor, for comparison with what is computed by hand."""
    model.network.float()
    return model


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(LANGUAGE_MODEL)


def small(architecture: str, tokenizer: Any, **settings: Any) -> LocalModel:
    """``gpt2``, ``phi-3`` or ``qwen3``, two layers of width 32, weights from seed 0, in evaluation mode."""
    ids = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0, "vocab_size": len(tokenizer)}
    common = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2}
    wide = {**common, "intermediate_size": 64, "max_position_embeddings": 64}
    makers: dict[str, Callable[[], Any]] = {
        "gpt2": lambda: GPT2LMHeadModel(GPT2Config(**ids, n_embd=32, n_layer=2, n_head=2, n_positions=64, **settings)),
        "phi-3": lambda: Phi3ForCausalLM(Phi3Config(**ids, **wide, **settings)),
        "qwen3": lambda: Qwen3(Qwen3Config(**ids, **wide, head_dim=16, **settings)),
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LocalModel(architecture, makers[architecture]().eval(), tokenizer)


@pytest.fixture(params=["gpt2", "phi-3", "qwen3"])
def other_model(request: pytest.FixtureRequest, tokenizer: Any) -> LocalModel:
    return small(request.param, tokenizer)
