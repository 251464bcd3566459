"""The outcome of a fine-tuning, and its steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class TuningStep:
    """One optimiser step, reported as it happens. The model has the weights after the step."""

    number: int
    """Number of the step, from 1."""

    total: int
    """Total number of steps, unless something stops them."""

    loss: float
    """Mean loss in nats a token of the passage, before the step."""

    tokens: int
    """Number of tokens learnt from so far, this step's included."""

    seconds: float
    """Seconds since the first step began, without the time spent in callbacks."""


@dataclass(frozen=True)
class TuningResult:
    """The outcome of fine-tuning for one prompt. ``save_adapter`` works only within the block; the figures stay."""

    losses: tuple[float, ...]
    """Mean loss in nats a token of each step's passage, before the step. A reused gradient repeats its loss."""

    steps: int
    tokens: int
    """Number of tokens predicted, repeats counted; a reused gradient counts none."""

    skipped: int
    """Number of passages with nothing to predict: empty ones and those of one token."""

    seconds: float
    """Duration of the steps, without tokenising, set-up and callbacks."""

    peak_bytes: int
    """Peak memory: on a GPU, allocated there during the fine-tuning; else resident since the process began."""

    learning_rate: float
    """Learning rate of every step; under a time budget, of the last one."""

    stopped: bool
    """True if the time budget ended it before the last passage."""

    measures: tuple[str, ...]
    """Measures taken to fit the memory, in words; empty if none was needed."""

    _save: Callable[[Path], None] = field(repr=False, compare=False)

    def save_adapter(self, folder: str | Path) -> None:
        """Write the adapter in PEFT's format, for any runtime that loads such adapters onto the same model.

        Args:
            folder: a new or an empty folder. It appears complete or not at all.

        Raises:
            AdapterNotSaved: the folder is not empty or read-only, or its disk is full.
            ValueError: full fine-tuning has no adapter, or the fine-tuning has ended.
        """
        self._save(Path(folder))
