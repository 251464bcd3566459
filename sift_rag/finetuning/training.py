"""Run the optimiser steps: one per passage, in order, with a fresh Adam."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from sift_rag.errors import TrainingFailed
from sift_rag.finetuning.checkpointing import can_checkpoint, checkpointed
from sift_rag.finetuning.result import TuningStep
from sift_rag.finetuning.sequences import Windows
from sift_rag.finetuning.settings import FineTuning

if TYPE_CHECKING:
    import torch
    from torch.nn import Parameter
    from transformers import PreTrainedModel

_EPSILON = 1e-8
"""Epsilon of Adam, as in arXiv 2410.08020."""
_SHORTEST = 1e-9
"""Seconds that the steps so far take at least."""


@dataclass(frozen=True)
class Training:
    """The outcome of the steps, with the fields of ``TuningResult``."""

    losses: tuple[float, ...]
    tokens: int
    seconds: float
    stopped: bool
    measures: tuple[str, ...]
    learning_rate: float


def train(
    network: PreTrainedModel,
    parameters: Sequence[Parameter],
    passages: Sequence[Windows],
    settings: FineTuning,
    *,
    rate_for: Callable[[int], float],
    name: str,
    on_step: Callable[[TuningStep], None] | None = None,
) -> Training:
    """Train for one step per passage. Nothing is restored here.

    ``rate_for`` returns the learning rate for a number of steps. Under a time budget, the number is estimated anew
    after each step.

    On a GPU the loop does not wait for it, unless each step is reported (``on_step``) or timed (``seconds``).

    Raises:
        TrainingFailed: a loss or a weight is not finite any more, or a passage does not fit the memory.
    """
    import torch

    losses: list[torch.Tensor] = []
    tokens = 0
    stopped = False
    watched = on_step is not None or settings.seconds is not None or network.device.type == "cpu"
    with ExitStack() as stack, torch.inference_mode(mode=False), torch.enable_grad():
        memory = _Memory(network, settings, stack)
        batches = _on_device(passages, network.device)
        learning_rate = rate_for(len(passages))
        optimiser = _Optimiser(parameters, learning_rate, settings.weight_decay)
        started = perf_counter()
        for index, windows in enumerate(passages):
            if index and windows == passages[index - 1] and _row(passages, index) % settings.refresh_every:
                losses.append(losses[-1])
            else:
                optimiser.forget_gradients()
                losses.append(memory.gradients(batches[windows], optimiser, name=name))
                tokens += _predicted(windows)
            try:
                optimiser.step()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                raise TrainingFailed(_too_large(name)) from error
            if not watched:
                continue
            loss = float(losses[-1])
            _require_finite([loss], len(passages), learning_rate, first=index + 1)
            elapsed = perf_counter() - started
            if on_step is not None:
                on_step(TuningStep(index + 1, len(passages), loss, tokens, elapsed))
                started += perf_counter() - started - elapsed
            if settings.seconds is None or index + 1 == len(passages):
                continue
            if elapsed > settings.seconds:
                stopped = True
                break
            fit = (index + 1) * settings.seconds / max(elapsed, _SHORTEST)
            learning_rate = rate_for(math.ceil(min(len(passages), fit)))
            optimiser.set_rate(learning_rate)
        figures = torch.stack(losses).tolist()  # waits for the last step
        seconds = perf_counter() - started
        _require_finite(figures, len(passages), learning_rate)
        if not all(bool(norm.isfinite()) for norm in torch._foreach_norm(list(parameters))):  # noqa: SLF001
            raise TrainingFailed(
                f"A weight is not finite after step {len(figures)}: lower the learning rate, now {learning_rate}."
            )
    return Training(tuple(figures), tokens, seconds, stopped, tuple(memory.measures), learning_rate)


def is_out_of_memory(error: BaseException) -> bool:
    """Return True for an out-of-memory error of any of torch's devices."""
    import torch

    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError)
        and any(words in str(error) for words in ("out of memory", "can't allocate memory", "not enough memory"))
    )


class _Optimiser:
    """A fresh Adam. Weights in fewer bits, spaced more coarsely than a step, are updated through float32 copies."""

    def __init__(self, parameters: Sequence[Parameter], learning_rate: float, weight_decay: float) -> None:
        import torch

        self._trained = list(parameters)
        self._stepped = [p if p.dtype.itemsize >= 4 else p.detach().float() for p in self._trained]
        self._short = [i for i, p in enumerate(self._trained) if p is not self._stepped[i]]
        fused = all(p.device.type in {"cpu", "cuda"} for p in self._trained)
        self._adam = torch.optim.Adam(
            self._stepped, lr=learning_rate, eps=_EPSILON, weight_decay=weight_decay, fused=fused or None
        )

    def set_rate(self, learning_rate: float) -> None:
        for group in self._adam.param_groups:
            group["lr"] = learning_rate

    def forget_gradients(self) -> None:
        for parameter in self._trained:
            parameter.grad = None

    def step(self) -> None:
        import torch

        for i in self._short:
            gradient = self._trained[i].grad
            self._stepped[i].grad = None if gradient is None else gradient.float()
        self._adam.step()
        if self._short:
            with torch.no_grad():
                torch._foreach_copy_([self._trained[i] for i in self._short], [self._stepped[i] for i in self._short])


class _Memory:
    """Computes gradients in less and less memory when there is too little."""

    def __init__(self, network: PreTrainedModel, settings: FineTuning, stack: ExitStack) -> None:
        self.measures: list[str] = []
        self._network = network
        self._stack = stack
        self._micro_batch = settings.micro_batch
        self._checkpointed = False
        if settings.checkpointing:
            self._checkpoint()

    def gradients(self, windows: Sequence[torch.Tensor], optimiser: _Optimiser, *, name: str) -> torch.Tensor:
        """Add the gradients of the mean loss over all predicted tokens, and return that loss, on the device."""
        while True:
            try:
                return self._accumulate(windows)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                measure = self._economise(len(windows))
                if measure is None:
                    raise TrainingFailed(_too_large(name)) from error
            self.measures.append(measure)  # here nothing refers to the failed attempt's memory any more
            optimiser.forget_gradients()

    def _accumulate(self, windows: Sequence[torch.Tensor]) -> torch.Tensor:
        predicted = sum(len(window) - 1 for window in windows)
        total = None
        for rows in _micro_batches(windows, self._micro_batch):
            loss = _summed_loss(self._network, rows) / predicted
            loss.backward()  # type: ignore[no-untyped-call]
            total = loss.detach() if total is None else total + loss.detach()
        if total is None:
            raise ValueError("A passage without windows: it should have been skipped.")
        return total

    def _economise(self, windows: int) -> str | None:
        """Apply the next memory-saving measure and name it; None if none is left."""
        if not self._checkpointed and can_checkpoint(self._network):
            self._checkpoint()
            return "checkpointing"
        batch = min(self._micro_batch, windows)
        if batch == 1:
            return None
        self._micro_batch = batch // 2
        return f"micro-batches of {self._micro_batch}"

    def _checkpoint(self) -> None:
        self._stack.enter_context(checkpointed(self._network))
        self._checkpointed = True


def _summed_loss(network: PreTrainedModel, rows: torch.Tensor) -> torch.Tensor:
    """Return the loss in nats of all tokens of ``(b, t)`` rows but the first of each."""
    from torch.nn import functional

    logits = network(input_ids=rows, use_cache=False).logits[:, :-1]
    return functional.cross_entropy(logits.flatten(0, 1).float(), rows[:, 1:].flatten(), reduction="sum")


def _micro_batches(windows: Sequence[torch.Tensor], size: int) -> list[torch.Tensor]:
    """Return ``(b, t)`` rows, b up to ``size``: windows of one length together, so that nothing is padded."""
    import torch

    batches: list[list[torch.Tensor]] = []
    for window in windows:
        if batches and len(batches[-1]) < size and len(batches[-1][0]) == len(window):
            batches[-1].append(window)
        else:
            batches.append([window])
    return [torch.stack(batch) for batch in batches]


def _on_device(passages: Sequence[Windows], device: torch.device) -> dict[Windows, list[torch.Tensor]]:
    """Send the windows of each distinct passage to the device, together and before the first step."""
    import torch

    distinct = list(dict.fromkeys(passages))
    flat = torch.tensor([token for windows in distinct for window in windows for token in window]).to(device)
    pieces = iter(torch.split(flat, [len(window) for windows in distinct for window in windows]))
    return {windows: [next(pieces) for _ in windows] for windows in distinct}


def _row(passages: Sequence[Windows], index: int) -> int:
    """Return how many times in a row this passage came immediately before ``index``."""
    start = index
    while start and passages[start - 1] == passages[index]:
        start -= 1
    return index - start


def _predicted(windows: Windows) -> int:
    return sum(len(window) - 1 for window in windows)


def _require_finite(losses: Sequence[float], total: int, learning_rate: float, *, first: int = 1) -> None:
    for number, loss in enumerate(losses, first):
        if not math.isfinite(loss):
            remedy = (
                "the model itself has no finite loss for it: check its weights."
                if number == 1
                else f"lower the learning rate, now {learning_rate}."
            )
            raise TrainingFailed(f"The loss is {loss} at step {number} of {total}: {remedy}")


def _too_large(name: str) -> str:
    return (
        f"Fine-tuning {name!r} does not fit the memory, not even with checkpointing and one window at a time: "
        "set a smaller window, use LoRA, or choose a smaller model."
    )
