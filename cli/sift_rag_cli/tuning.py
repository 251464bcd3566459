"""Fine-tuning for one question at the command line: what it learns from, how it goes, what it cost."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sift_rag.errors import ConfigurationError
from sift_rag_cli.output import console, count_of, human_size, is_terminal, say, write
from sift_rag_cli.retrievals import heading_path, locate, place_json

if TYPE_CHECKING:
    from sift_rag.finetuning import FineTuning, TuningResult, TuningStep
    from sift_rag.protocols import LanguageModel
    from sift_rag.retrieval.retriever import Retriever
    from sift_rag.selection import Stopping
    from sift_rag.filters import Filter
    from sift_rag.types import Retrieval

TRAINING_CANDIDATES = 200
"""Distinct candidates that the training passages are selected from (the paper's K)."""

SHOWN = 5
"""Passages that are named as learnt from."""


@dataclass(frozen=True)
class Tuning:
    """What the options of fine-tuning say."""

    steps: int
    settings: FineTuning
    min_gain: float
    save_adapter: Path | None

    def select(
        self, retriever: Retriever, questions: Sequence[str], stopping: Stopping, *, where: Filter | None = None
    ) -> Retrieval:
        """What to train on, a passage a step, from what the retriever searches."""
        from sift_rag.retrieval.retriever import Retriever
        from sift_rag.selection import SelectorSettings

        chooser = Retriever(
            retriever.embedder,
            retriever.store,
            selector=SelectorSettings.for_fine_tuning(),
            candidate_limit=TRAINING_CANDIDATES,
        )
        return chooser.retrieve(questions, self.steps, stopping=replace(stopping, tokens=None), where=where)

    @contextmanager
    def applied(self, model: LanguageModel, training: Retrieval) -> Iterator[TuningResult | None]:
        """Within, the model has learnt from the passages; None where they have too little to teach."""
        from sift_rag.opening import open_tuner

        gain = predicted_gain(training)
        if gain < self.min_gain:
            say(
                f"Not fine-tuned: the {count_of(len(training.hits), 'chosen passage')} would explain {gain:.1%} of the "
                f"variance, and --min-gain asks for {self.min_gain:.1%}."
            )
            yield None
            return
        texts = [hit.passage.text for hit in training.hits]
        with open_tuner(model, self.settings).tuned(texts, on_step=_show_step) as result:
            _end_steps()
            say(_summary(result, len(set(texts)), gain))
            if self.save_adapter is not None:
                result.save_adapter(self.save_adapter)
                say(f"Saved the adapter to {self.save_adapter}.")
            yield result


def tuning_for(mode: str, tuning: Tuning, *, runs_here: bool) -> Tuning | None:
    """The tuning that a mode of answering asks for; None without any.

    Raises:
        ConfigurationError: the mode and the other options do not go together.
    """
    if mode != "context":
        if not runs_here:
            raise ConfigurationError(f"--mode {mode} needs a model that runs here: --model NAME or --model FOLDER.")
        if tuning.settings.method == "full" and tuning.save_adapter is not None:
            raise ConfigurationError(
                "--save-adapter goes without --full, and a preset of full fine-tuning: that has no adapter to save."
            )
        if tuning.save_adapter is not None and tuning.save_adapter.is_dir() and any(tuning.save_adapter.iterdir()):
            raise ConfigurationError(f"The folder {str(tuning.save_adapter)!r} is not empty: give a new one.")
        return tuning
    if tuning.save_adapter is not None:
        raise ConfigurationError("--save-adapter needs --mode finetune or both: otherwise there is nothing to save.")
    return None


def settings_for(
    preset: str | None, *, learning_rate: float | None, rank: int | None, full: bool, seconds: float | None = None
) -> FineTuning:
    """The preset's settings, or the usual ones, with what the other options say in their place."""
    from sift_rag.finetuning import PRESETS, FineTuning

    given: dict[str, Any] = {
        "learning_rate": learning_rate,
        "rank": rank,
        "method": "full" if full else None,
        "seconds": seconds,
    }
    usual = FineTuning() if preset is None else PRESETS[preset].settings
    return replace(usual, **{name: value for name, value in given.items() if value is not None})


def model_for(preset: str | None, model: str | None) -> str | None:
    """The one named, or the preset's."""
    if model is not None or preset is None:
        return model
    from sift_rag.finetuning import PRESETS

    return PRESETS[preset].model


def predicted_gain(training: Retrieval) -> float:
    """Shard of the prior variance that the passages explain."""
    if not training.hits or not training.prior_variance > 0:
        return 0.0
    return 1.0 - training.hits[-1].posterior_variance / training.prior_variance


def tuning_json(training: Retrieval, result: TuningResult | None) -> dict[str, object]:
    """What was learnt from, and what it cost; ``steps`` 0 where nothing was."""
    value: dict[str, object] = {
        "predicted_gain": predicted_gain(training),
        "stopped": training.stopped,
        "passages": [place_json(hit.passage) for hit in training.hits],
        "steps": 0 if result is None else result.steps,
    }
    if result is not None:
        value |= {
            "losses": list(result.losses),
            "tokens": result.tokens,
            "seconds": result.seconds,
            "peak_bytes": result.peak_bytes,
            "learning_rate": result.learning_rate,
            "out_of_time": result.stopped,
        }
    return value


def write_training_sources(training: Retrieval) -> None:
    """The passages that were learnt from, those of most steps first."""
    passages = {hit.passage.id: hit.passage for hit in training.hits}
    times = Counter(hit.passage.id for hit in training.hits)
    write("\nLearnt from")
    for identifier, steps in times.most_common(SHOWN):
        write(
            f"{count_of(steps, 'step')}  {locate(passages[identifier])}  {heading_path(passages[identifier])}".rstrip()
        )
    if len(times) > SHOWN:
        write(f"... and {count_of(len(times) - SHOWN, 'more passage')}")


def _summary(result: TuningResult, distinct: int, gain: float) -> str:
    line = (
        f"Fine-tuned: {count_of(result.steps, 'step')} on {count_of(distinct, 'passage')}, {result.tokens:,} tokens, "
        f"{result.seconds:.1f} s, {human_size(result.peak_bytes)}; loss {result.losses[0]:.2f} to "
        f"{result.losses[-1]:.2f}; predicted gain {gain:.0%} of the variance"
    )
    return f"{line}; out of time" if result.stopped else line


def _show_step(step: TuningStep) -> None:
    if is_terminal(sys.stderr):
        console(stderr=True).print(f"  step {step.number} of {step.total}, loss {step.loss:.2f}   ", end="\r")


def _end_steps() -> None:
    if is_terminal(sys.stderr):
        console(stderr=True).print(" " * 40, end="\r")
