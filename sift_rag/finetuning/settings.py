"""The settings of a fine-tuning: defaults for small and large models, and those of published experiments."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

SMALL_MODEL_PARAMETERS = 50_000_000
"""Number of parameters up to which a model needs larger steps: its weights are larger and its gradients rougher."""

_STEPS = 50
"""Number of steps (the paper's N) that the rates below are for."""
_FEWEST_STEPS = 5
"""Number of steps below which the rate rises no further: nothing was measured there."""

# Measured: docs/log.md, "What to train on" and "Few steps want a large rate".
_LEARNING_RATES = {
    ("full", "small"): 5e-4,
    ("full", "large"): 5e-5,  # the paper's, for GPT-2 (124 and 774 million parameters)
    ("lora", "small"): 3e-3,
    ("lora", "large"): 6.3e-4,
}


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """Settings of one optimiser step a passage, with a fresh Adam for every prompt (arXiv 2410.08020, section 4)."""

    method: Literal["lora", "full"] = "lora"
    """Method: train a low-rank adapter (lora), or the weights themselves (full)."""

    learning_rate: float | None = None
    """Learning rate; None: ``learning_rate_for`` chooses by method, size of the model, and number of steps."""

    rank: int = 16
    """Rank of the LoRA adapter: a higher rank learns more and costs more."""

    alpha: int = 32
    """Scale of the LoRA adapter, times its rank: what it adds is multiplied by ``alpha / rank``."""

    dropout: float = 0.0
    """Fraction of its inputs that the LoRA adapter drops in a step. The model's own dropout is always off."""

    target_modules: str | tuple[str, ...] | None = None
    """Layers that get a LoRA adapter: ``"all-linear"`` (all but the output), or the ends of their names.
    None: all but the output; in a small model the output too, since the vocabulary is a large part of what it knows.
    """

    weight_decay: float = 0.0
    """Weight decay of Adam, as a part of the gradient."""

    seed: int = 0
    """Seed of the LoRA adapter's first weights and of dropout; each prompt starts from it."""

    window: int | None = None
    """Tokens that are read at once; longer passages are split, every token learnt once. None: the model's context."""

    micro_batch: int = 1
    """Windows of one passage that are read at once. It changes memory and speed, not what is learnt."""

    checkpointing: bool = False
    """True to compute activations twice instead of keeping them: less memory, a third more time."""

    end_token: bool = False
    """True to end each passage with the end-of-text token. For whole documents: after a part of one it would teach the
    model to stop in mid-sentence. (The paper adds none.)"""

    refresh_every: int = 1
    """Steps between new gradients of a passage that was chosen several times in a row; the steps between them reuse the
    last (arXiv 2605.30337). Cheaper, with another result. 1: a new gradient for every step."""

    seconds: float | None = None
    """Time budget of the steps in seconds; the step that exceeds it is the last. The default learning rate is that of
    the number of steps which fit. None: no limit."""

    def __post_init__(self) -> None:
        if self.method not in {"lora", "full"}:
            raise ValueError(f"method is {self.method!r}: expected 'lora' or 'full'.")
        for name in ("rank", "alpha", "micro_batch", "refresh_every"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"{name} is {value}: expected at least 1.")
        if self.learning_rate is not None and not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate is {self.learning_rate}: expected a positive number, such as 5e-5.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}: expected a fraction from 0 to below 1.")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay is {self.weight_decay}: expected 0 or a positive number.")
        if self.window is not None and self.window < 2:
            raise ValueError(f"window is {self.window}: expected at least 2 tokens, one to read and one to predict.")
        if self.seconds is not None and not self.seconds > 0:
            raise ValueError(f"seconds is {self.seconds}: expected a positive number, or None for no limit.")
        if self.target_modules is not None and not self.target_modules:
            raise ValueError("target_modules is empty: expected names of layers, or 'all-linear'.")


def learning_rate_for(settings: FineTuning, parameters: int, steps: int) -> float:
    """Return the learning rate of the settings, or the default for a model of this size and this number of steps.

    Few steps want a large rate: the default falls with the square root of their number.

    Args:
        settings: their ``learning_rate`` is returned if there is one.
        parameters: of the model.
        steps: one a passage, at least 1.
    """
    if settings.learning_rate is not None:
        return settings.learning_rate
    rate = _LEARNING_RATES[settings.method, "small" if is_small(parameters) else "large"]
    return rate * math.sqrt(_STEPS / max(steps, _FEWEST_STEPS))


def is_small(parameters: int) -> bool:
    """Return True if a model of this many parameters gets the defaults for small models."""
    return parameters <= SMALL_MODEL_PARAMETERS


@dataclass(frozen=True)
class Preset:
    """A model with the settings to fine-tune it."""

    model: str
    """Name on the hub."""

    settings: FineTuning

    published: bool
    """True if all settings are those of arXiv 2410.08020; else some or all are ours."""


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
"""Presets by short name."""
