"""The settings of a comparison, and the values that it measures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from sift_rag import defaults
from sift_rag.answering.settings import Mode
from sift_rag.evaluation.selectors import COMPARED_SELECTORS
from sift_rag.evaluation.tasks import Task
from sift_rag.finetuning import FineTuning
from sift_rag.selection import GaussianProcess
from sift_rag.selection.sift import TRAINING_PROCESS

Arm: TypeAlias = Literal["base", "window"] | Mode
"""A way to use the model: as it is, in one of the modes of answering, or with passages in a limited context."""

FEWEST = 10
"""Number of tasks below which a comparison states no correlation, and its verdict warns that they are few."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The arms, selectors and sizes to compare.

    Raises:
        ValueError: an unknown or missing arm, selector or k.
    """

    arms: tuple[str, ...] = defaults.COMPARED_ARMS
    """Arms to compare with the model as it is."""
    selectors: tuple[str, ...] = defaults.COMPARED_SELECTORS
    """Names in ``COMPARED_SELECTORS``."""
    ks: tuple[int, ...] = defaults.COMPARED_KS
    """Numbers of passages in the context, and of training steps."""
    candidate_limit: int = defaults.TRAINING_CANDIDATES
    """Distinct nearest candidates of each target to select from (the paper's K)."""
    tuning: FineTuning = field(default_factory=FineTuning)
    """Settings of fine-tuning."""
    training: GaussianProcess = TRAINING_PROCESS
    """Gaussian process that selects and evaluates training passages."""
    window: int | None = None
    """Tokens of a limited context, text included: adds the arm ``window``, which reads as many of the passages of the
    arm ``context`` as fit. None: no such arm. The other arms read as much as the model does."""

    @property
    def shows(self) -> bool:
        """True if an arm puts passages into the context."""
        return self.window is not None or not {"context", "both"}.isdisjoint(self.arms)

    @property
    def tunes(self) -> bool:
        """True if an arm fine-tunes the model."""
        return not {"finetune", "both"}.isdisjoint(self.arms)

    def __post_init__(self) -> None:
        for name, values, allowed in (
            ("arms", self.arms, defaults.MODES),
            ("selectors", self.selectors, tuple(COMPARED_SELECTORS)),
        ):
            wrong = [value for value in values if value not in allowed]
            if wrong or not values:
                raise ValueError(f"{name} is {', '.join(wrong) or 'empty'}: expected some of {', '.join(allowed)}.")
        if not self.ks or min(self.ks) < 1:
            raise ValueError(f"k is {self.ks}: expected at least one number, each at least 1.")
        if self.candidate_limit < 1:
            raise ValueError(f"candidate_limit must be >= 1, but got {self.candidate_limit}.")
        if self.window is not None and self.window < 2:
            raise ValueError(f"window is {self.window}: expected at least 2 tokens, or None for no limited context.")
        if set(self.selectors) == {"repeated-nearest"} and "finetune" not in self.arms:
            raise ValueError(
                f"arms is {', '.join(self.arms)}, but repeated-nearest is only for fine-tuning: expected the arm "
                "finetune or another selector."
            )


@dataclass(frozen=True, slots=True)
class AnswerScore:
    """An answer to a question, scored against the reference."""

    exact_match: bool
    """True if answer and reference are equal once normalised."""
    f1: float
    """F1 score of the words, in [0, 1]."""
    in_passages: bool
    """True if a selected passage contains the reference."""
    answer: str
    """First line of the model's answer."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One arm with one selection, measured on one task."""

    arm: Arm
    """Arm that was measured."""
    selector: str
    """Name of the selector; empty for the base."""
    k: int
    """Number of passages chosen, or of training steps; 0 for the base."""
    bits_per_byte: float
    """Bits that the model needs for the task's text, per byte of it. Lower is better."""
    seconds: float
    """Time to learn and to score, without loading, embedding and searching, which are the same for all."""
    tokens: int
    """Number of tokens put into the context and trained on."""
    passages: int
    """Number of passages in the context: fewer than k if the window is full, 0 without a context."""
    predicted: float | None = None
    """Share of the prior variance that the selection explains; None for the base."""
    answered: AnswerScore | None = None
    """Score of the generated answer; None for a text."""
    learning_seconds: float = 0.0
    """Part of ``seconds`` that fine-tuning took."""
    reading_seconds: float = 0.0
    """Part of ``seconds`` that scoring took: reading the context and predicting the text."""
    learnt_tokens: int = 0
    """Part of ``tokens`` that was trained on; the rest was read."""


class Progress(NamedTuple):
    """A moment of a comparison: a measurement begins or has ended, or a step of a fine-tuning has ended."""

    task: Task
    """Task that is measured."""
    arm: Arm
    """Arm that is measured, or prepared by fine-tuning."""
    selector: str
    """Name of the selector; empty for the base."""
    step: int = 0
    """Number of the step that has ended, from 1; 0 if it is about a measurement."""
    measured: Measurement | None = None
    """The measurement, once it has ended."""


@dataclass(frozen=True, slots=True)
class Example:
    """A selected passage, for people to read."""

    source: str
    """Document of the passage."""
    text: str
    """Text of the passage."""
    times: int
    """Number of times the selection holds the passage."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """All measurements of one task."""

    task: Task
    """Task that was measured."""
    base: Measurement
    """Measurement of the model as it is."""
    measurements: tuple[Measurement, ...]
    """Measurements of every arm, selector and k."""
    left_out: int
    """Number of candidates that were left out as the text itself, or a part of it."""
    examples: dict[str, tuple[Example, ...]]
    """First passages that each selector chose, by its name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """Facts about a run that its report states."""

    model: str
    """Name or folder of the model."""
    context_length: int
    """Tokens that the model reads at once."""
    device: str
    """Device and number format of the weights."""
    embedder: str
    """Name of the embedder."""
    collection: str
    """Name of the collection."""
    passages: int
    """Number of passages in the collection."""
    fine_tuning: str
    """Settings of fine-tuning, in words; empty if no arm fine-tunes."""
    window: int | None
    """``Comparison.window``."""
    version: str
    """Version of sift-rag."""
    date: str
    """Time of the measurements, as people write it."""
    command: str
    """Command line, or another way to repeat the run."""
