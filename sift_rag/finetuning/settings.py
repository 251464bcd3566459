"""How to fine-tune: defaults for small and for large models, and the settings of published experiments."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

SMALL_MODEL_PARAMETERS = 50_000_000
"""Up to here a model takes, and needs, larger steps: its weights are larger and its gradients rougher."""

# For small models measured: docs/log.md, "What to train on".
_LEARNING_RATES = {
    ("full", "small"): 5e-4,
    ("full", "large"): 5e-5,  # the paper's, for GPT-2 (124 and 774 million parameters)
    ("lora", "small"): 3e-3,
    ("lora", "large"): 5e-4,  # not measured yet
}


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """One optimiser step a passage, with a fresh Adam for every prompt (arXiv 2410.08020, section 4)."""

    method: Literal["lora", "full"] = "lora"
    """Train a low-rank addition to the weights, or the weights themselves."""

    learning_rate: float | None = None
    """None: by method and size of the model, see ``learning_rate_for``."""

    rank: int = 16
    """Of the addition (LoRA); more learns more and costs more."""

    alpha: int = 32
    """The addition is scaled by ``alpha / rank`` (LoRA)."""

    dropout: float = 0.0
    """Share of its inputs that the addition does not see in a step (LoRA). The model's own dropout is always off."""

    target_modules: str | tuple[str, ...] | None = None
    """Which layers get an addition (LoRA): ``"all-linear"``, which are all but the output, or those whose names end so.
    None: all but the output; of a small model that one too, for there the vocabulary is a large part of what it knows.
    """

    weight_decay: float = 0.0
    """Adam's, as a part of the gradient."""

    seed: int = 0
    """Of the addition's first weights and of dropout; each prompt starts from it."""

    window: int | None = None
    """Tokens that are read at once; a longer passage is split, every token learnt once. None: the model's context."""

    micro_batch: int = 1
    """Windows of one passage that are read at once. Changes memory and speed, not what is learnt."""

    checkpointing: bool = False
    """Compute activations twice instead of keeping them: less memory, a third more time."""

    end_token: bool = False
    """Close each passage with the end of text. For whole documents: after a mere stretch of one it would teach the
    model to stop in mid-sentence. (The paper adds none.)"""

    refresh_every: int = 1
    """A passage chosen several times in a row gets a new gradient every so many of its steps and the last one in
    between (arXiv 2605.30337): cheaper, and no longer the same. 1: a new gradient for every step."""

    seconds: float | None = None
    """Time budget for the steps: the one that exceeds it is the last."""

    def __post_init__(self) -> None:
        if self.method not in {"lora", "full"}:
            raise ValueError(f"method is {self.method!r}: give 'lora' or 'full'.")
        for name in ("rank", "alpha", "micro_batch", "refresh_every"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"{name} is {value}: at least 1 is needed.")
        if self.learning_rate is not None and not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate is {self.learning_rate}: a positive number is needed, 5e-5 for example.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}: a share from 0 to below 1 is needed.")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay is {self.weight_decay}: 0 or a positive number is needed.")
        if self.window is not None and self.window < 2:
            raise ValueError(f"window is {self.window}: at least 2 tokens are needed, one to read and one to predict.")
        if self.seconds is not None and not self.seconds > 0:
            raise ValueError(f"seconds is {self.seconds}: a positive number is needed, or None for no limit.")
        if self.target_modules is not None and not self.target_modules:
            raise ValueError("target_modules is empty: name layers, or give 'all-linear'.")


def learning_rate_for(settings: FineTuning, parameters: int) -> float:
    """The one asked for, or the default for a model of so many parameters."""
    if settings.learning_rate is not None:
        return settings.learning_rate
    return _LEARNING_RATES[settings.method, "small" if is_small(parameters) else "large"]


def is_small(parameters: int) -> bool:
    """Whether a model of so many parameters has the defaults of small ones."""
    return parameters <= SMALL_MODEL_PARAMETERS


@dataclass(frozen=True)
class Preset:
    """A model with the settings that it was, or should be, fine-tuned with."""

    model: str
    """Its name on the hub."""

    settings: FineTuning

    published: bool
    """Whether all settings are those of arXiv 2410.08020; else some or all are ours."""


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "gpt2": Preset("openai-community/gpt2", FineTuning(method="full", learning_rate=5e-5), published=True),
        "gpt2-large": Preset(
            "openai-community/gpt2-large", FineTuning(method="full", learning_rate=5e-5), published=True
        ),
        # Rank and output scaling are the paper's; the scaling is read as alpha, and the learning rate is ours.
        "phi-3": Preset(
            "microsoft/Phi-3-mini-4k-instruct", FineTuning(rank=64, alpha=16, learning_rate=5e-4), published=False
        ),
        "qwen3-0.6b": Preset("Qwen/Qwen3-0.6B-Base", FineTuning(), published=False),
    }
)
"""By short name."""
