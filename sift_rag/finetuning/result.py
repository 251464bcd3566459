"""What a fine-tuning did and what it cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class TuningStep:
    """One optimiser step, told as it happens. The model has the weights of after the step."""

    number: int
    """From 1."""

    total: int
    """Steps that will have been made if nothing stops them."""

    loss: float
    """Mean nats a token of the passage, before the step."""

    tokens: int
    """Tokens learnt from, this step's included."""

    seconds: float
    """Since the first step began, without the time that was spent in callbacks."""


@dataclass(frozen=True)
class TuningResult:
    """Of one prompt. ``save_adapter`` works within the context only; the figures stay."""

    losses: tuple[float, ...]
    """Mean nats a token of each step's passage, before its step. A step that reuses a gradient repeats its loss."""

    steps: int
    tokens: int
    """Predicted, repeats counted; a reused gradient counts none."""

    skipped: int
    """Passages with nothing to predict: empty ones and those of one token."""

    seconds: float
    """Of the steps: without tokenising, setting up and callbacks."""

    peak_bytes: int
    """On a GPU, the most that was allocated there; else the most that the process has had resident in its life."""

    learning_rate: float
    stopped: bool
    """Whether the time budget ended it before the last passage."""

    measures: tuple[str, ...]
    """What was done to fit the memory, in words; empty where nothing was needed."""

    _save: Callable[[Path], None] = field(repr=False, compare=False)

    def save_adapter(self, folder: str | Path) -> None:
        """Write what was learnt as a PEFT adapter, which any runtime for those loads onto the same model.

        Args:
            folder: a new one, or an empty one. It appears complete or not at all.

        Raises:
            AdapterNotSaved: the folder holds something, is read-only, or its disk is full.
            ValueError: full fine-tuning, which has no adapter; or the fine-tuning has ended.
        """
        self._save(Path(folder))
