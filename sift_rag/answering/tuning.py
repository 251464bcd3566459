"""Fine-tuning on the selected passages: the gate before it, and the report after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sift_rag.errors import ConfigurationError, Remedy
from sift_rag.protocols import LanguageModel, TrainableModel
from sift_rag.types import JsonValue, Passage, Retrieval

if TYPE_CHECKING:
    from sift_rag.finetuning import TuningResult
    from sift_rag.selection.result import StopReason


@dataclass(frozen=True, kw_only=True)
class TuningReport:
    """The passages that the model was fine-tuned on, and the cost; or the reason why it was not fine-tuned."""

    predicted_gain: float
    """Share of the prior variance that the training passages explain, in [0, 1]; of those trained on, if time ran
    out."""
    stopped: StopReason
    """Reason why the selection of the training passages ended."""
    passages: tuple[Passage, ...]
    """Selected training passages in order, repeats included."""
    steps: int = 0
    """Number of optimiser steps; 0 if the model was not fine-tuned."""
    losses: tuple[float, ...] = ()
    """Mean loss in nats per token of each step's passage, before the step."""
    tokens: int = 0
    """Number of tokens trained on, repeats included."""
    seconds: float = 0.0
    """Time of the steps, without set-up."""
    peak_bytes: int = 0
    """Peak memory of the GPU, or of the process on a CPU."""
    learning_rate: float | None = None
    """Learning rate of every step, under a time budget of the last one; None if the model was not fine-tuned."""
    out_of_time: bool = False
    """True if the time budget ended the steps before the last passage."""
    reason: str | None = None
    """Reason why the model was not fine-tuned, as a sentence; None if it was."""

    @classmethod
    def of(cls, training: Retrieval, result: TuningResult) -> TuningReport:
        """Report a fine-tuning on the passages of ``training``."""
        learnt = result.steps if result.stopped else len(training.hits)
        return cls(
            predicted_gain=training.predicted_gain_of(learnt),
            stopped=training.stopped,
            passages=_passages(training),
            steps=result.steps,
            losses=result.losses,
            tokens=result.tokens,
            seconds=result.seconds,
            peak_bytes=result.peak_bytes,
            learning_rate=result.learning_rate,
            out_of_time=result.stopped,
        )

    @classmethod
    def declined(cls, training: Retrieval, reason: str) -> TuningReport:
        """Report that nothing was learnt from the passages of ``training``."""
        return cls(
            predicted_gain=training.predicted_gain,
            stopped=training.stopped,
            passages=_passages(training),
            reason=reason,
        )

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the report as JSON values, with every name always present."""
        return {
            "predicted_gain": self.predicted_gain,
            "stopped": self.stopped,
            "passages": [passage.place() for passage in self.passages],
            "steps": self.steps,
            "losses": list(self.losses),
            "tokens": self.tokens,
            "seconds": self.seconds,
            "peak_bytes": self.peak_bytes,
            "learning_rate": self.learning_rate,
            "out_of_time": self.out_of_time,
            "reason": self.reason,
        }


def gate(training: Retrieval, min_gain: float) -> TuningReport | None:
    """Return a report that declines the fine-tuning if its predicted gain is below ``min_gain``, else None."""
    gain = training.predicted_gain
    if gain >= min_gain:
        return None
    count = len(training.hits)
    chosen = f"{count} chosen passage{'' if count == 1 else 's'}"
    return TuningReport.declined(
        training,
        f"Not fine-tuned: the {chosen} would explain {gain:.1%} of the variance, and at least {min_gain:.1%} is "
        "required.",
    )


def require_trainable(model: LanguageModel | TrainableModel | None, mode: str = "finetune") -> TrainableModel:
    """Return the model if its weights are in this process.

    Raises:
        ConfigurationError: there is no model, or it is at an endpoint.
    """
    if isinstance(model, TrainableModel):
        return model
    fact = "there is none" if model is None else f"{model.name!r} is at an endpoint, which does not give its weights"
    raise ConfigurationError(
        f"The mode {mode!r} needs a model that runs in this process; {fact}.",
        remedy=Remedy("local-model-required", mode=mode),
    )


def _passages(training: Retrieval) -> tuple[Passage, ...]:
    return tuple(hit.passage for hit in training.hits)
