"""Fine-tune a model for the length of a ``with`` block."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sift_rag.architectures import is_causal_class
from sift_rag.errors import ModelUnsuitable, NothingToLearn
from sift_rag.extras import require
from sift_rag.finetuning.lora import Adapter, allocate_adapter
from sift_rag.finetuning.restore import WeightStore, seeded, unchanged
from sift_rag.finetuning.result import TuningResult, TuningStep
from sift_rag.finetuning.sequences import training_sequences
from sift_rag.finetuning.settings import FineTuning, learning_rate_for
from sift_rag.finetuning.training import is_out_of_memory, train
from sift_rag.protocols import TrainableModel

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def fine_tuned(
    model: TrainableModel,
    passages: Sequence[str],
    *,
    settings: FineTuning | None = None,
    on_step: Callable[[TuningStep], None] | None = None,
) -> AbstractContextManager[TuningResult]:
    """Return ``Tuner(model, settings).tuned(passages, on_step=on_step)``: for one prompt. For many, keep the tuner."""
    return Tuner(model, settings).tuned(passages, on_step=on_step)


class Tuner:
    """Fine-tunes one model, for one prompt after another.

    A tuner allocates its own memory once: the LoRA adapter or, for full fine-tuning, a copy of all weights.
    Between prompts the model is untouched; a tuner that is dropped leaves nothing in it.
    """

    def __init__(self, model: TrainableModel, settings: FineTuning | None = None) -> None:
        """Allocate memory for fine-tuning a model.

        Raises:
            MissingExtra: ``torch``, ``transformers`` or ``peft`` is not installed.
            ModelInUse: the model is being fine-tuned or read.
            ModelUnsuitable: the model cannot be fine-tuned like this: it is not causal, has no weights in memory, is
                quantised, carries an adapter, or leaves no memory.
            ValueError: ``target_modules`` names no layer of the model.
        """
        for package in ("torch", "transformers"):
            require(package, "finetune")
        import torch

        self._model = model
        self._settings = settings = settings or FineTuning()
        _require_tunable(model.network, settings, model.name)
        self._parameters = model.network.num_parameters()
        self._window = min(settings.window or model.context_length, model.context_length)
        self._adapter: Adapter | None = None
        self._weights: WeightStore | None = None
        with model.changing(), torch.inference_mode(mode=False):
            try:
                if settings.method == "lora":
                    self._adapter = allocate_adapter(model.network, settings, name=model.name)
                else:
                    self._weights = WeightStore(model.network)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                raise ModelUnsuitable(
                    f"There is no memory beside {model.name!r} for fine-tuning it ({settings.method}): use LoRA of a "
                    "lower rank, or choose a smaller model."
                ) from error

    @contextmanager
    def tuned(
        self, passages: Sequence[str], *, on_step: Callable[[TuningStep], None] | None = None
    ) -> Iterator[TuningResult]:
        """Train on the passages, one step each. Within the block, the model answers and scores with what it learnt.

        On leaving, however that happens, the model is restored bit for bit. Equal passages give equal weights,
        whatever the tuner did before.

        Args:
            passages: in the order of selection; a passage that appears twice counts twice.
            on_step: called after each step. The model can be scored in it, so that one pass gives the figures for
                every number of passages.

        Raises:
            ModelInUse: the model is being fine-tuned for another prompt, or read.
            ModelUnsuitable: ``end_token`` is True, and the tokenizer has no such token.
            NothingToLearn: no passage has two tokens.
            TrainingFailed: the loss is not finite, or memory ran out.
        """
        model, settings = self._model, self._settings
        sequences = training_sequences(
            model.tokenizer, passages, window=self._window, end_token=settings.end_token, name=model.name
        )
        if not sequences.passages:
            raise NothingToLearn(
                f"There is nothing to fine-tune on: {len(passages)} passages, none of two tokens. Select others, or "
                "ask without fine-tuning."
            )
        with ExitStack() as stack:
            abort_answers = stack.enter_context(model.changing())
            stack.enter_context(unchanged(model.network, self._weights))
            if self._adapter is not None:
                stack.enter_context(self._adapter.attached())
            saver = _Saver(self._adapter)
            stack.callback(saver.close)
            stack.callback(abort_answers)
            _reset_peak(model.network.device)
            with self._training_mode() as parameters:
                done = train(
                    model.network,
                    parameters,
                    sequences.passages,
                    settings,
                    rate_for=partial(learning_rate_for, settings, self._parameters),
                    name=model.name,
                    on_step=on_step,
                )
            yield TuningResult(
                losses=done.losses,
                steps=len(done.losses),
                tokens=done.tokens,
                skipped=sequences.skipped,
                seconds=done.seconds,
                peak_bytes=_peak(model.network.device),
                learning_rate=done.learning_rate,
                stopped=done.stopped,
                measures=done.measures,
                _save=saver,
            )

    @contextmanager
    def _training_mode(self) -> Iterator[list[torch.nn.Parameter]]:
        """Yield the parameters, ready to be trained; afterwards flags and gradients are as for answering."""
        network = self._model.network
        with ExitStack() as stack:
            stack.enter_context(unchanged(network, None))  # restores its flags, for the answers within the block
            stack.enter_context(seeded(network, self._settings.seed))
            for module in network.modules():
                module.training = False
            parameters = list(network.parameters())
            for parameter in parameters:
                parameter.requires_grad = self._adapter is None
                parameter.grad = None
            if self._adapter is None:
                yield parameters
                return
            self._adapter.reset()
            stack.enter_context(self._adapter.dropping())
            for parameter in self._adapter.parameters:
                parameter.requires_grad = True
            yield self._adapter.parameters


class _Saver:
    """A function that saves the adapter, for as long as it holds what was learnt."""

    def __init__(self, adapter: Adapter | None) -> None:
        self._adapter = adapter
        self._open = True

    def __call__(self, folder: Path) -> None:
        if self._adapter is None:
            raise ValueError("Full fine-tuning has no adapter to save: fine-tune with method 'lora'.")
        if not self._open:
            raise ValueError("The fine-tuning has ended, and with it the adapter: save it within the 'with' block.")
        self._adapter.save(folder)

    def close(self) -> None:
        self._open = False


def _require_tunable(network: PreTrainedModel, settings: FineTuning, name: str) -> None:
    if not is_causal_class(cls.__name__ for cls in type(network).__mro__):
        raise ModelUnsuitable(
            f"{name!r} is a {type(network).__name__}, which does not predict the next token: give a causal language "
            "model."
        )
    parameters = list(network.parameters())
    if not parameters or any(parameter.is_meta for parameter in parameters):
        raise ModelUnsuitable(f"{name!r} has no weights in memory: load it, without offloading, before fine-tuning it.")
    quantised = getattr(network, "is_quantized", False) or not all(p.is_floating_point() for p in parameters)
    if quantised and settings.method == "full":
        raise ModelUnsuitable(
            f"{name!r} is quantised, and weights of a few bits cannot take small steps: fine-tune it with method "
            "'lora', or load it unquantised."
        )


def _reset_peak(device: torch.device) -> None:
    import torch

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _peak(device: torch.device) -> int:
    import resource

    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
