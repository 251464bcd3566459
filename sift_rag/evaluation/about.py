"""The facts about a run of a comparison, for its report."""

from __future__ import annotations

from sift_rag.evaluation.outcomes import About, Comparison
from sift_rag.models.local import LocalModel
from sift_rag.protocols import PassageIndex


def about_run(
    comparison: Comparison, model: LocalModel, store: PassageIndex, *, version: str, date: str, command: str
) -> About:
    """Return the facts about a run.

    Args:
        comparison: its settings.
        model: as it is loaded.
        store: the collection.
        version: version of sift-rag.
        date: time of the run, as people write it.
        command: how to repeat it.
    """
    return About(
        model=model.name,
        context_length=model.context_length,
        device=_device(model),
        embedder=store.info.embedder,
        collection=store.info.name,
        passages=store.count(),
        fine_tuning=_tuning(comparison) if comparison.tunes else "",
        window=comparison.window,
        version=version,
        date=date,
        command=command,
    )


def _device(model: LocalModel) -> str:
    import torch

    device, number = model.network.device, str(model.network.dtype).removeprefix("torch.")
    name = f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)
    return f"{name}, {number}"


def _tuning(comparison: Comparison) -> str:
    tuning = comparison.tuning
    method = f"LoRA of rank {tuning.rank}" if tuning.method == "lora" else "all weights"
    rate = "the default rate" if tuning.learning_rate is None else f"rate {tuning.learning_rate:g}"
    return f"{method}, {rate}, one step per passage; the model is restored after each task"
