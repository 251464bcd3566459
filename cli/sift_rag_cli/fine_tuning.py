"""Build the fine-tuning settings from the options: a preset, and settings that override it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sift_rag.finetuning import FineTuning
    from sift_rag_cli.settings import Values


def fine_tuning_of(values: Values) -> FineTuning:
    """Return the preset's settings, or the defaults, overridden by the values that were set."""
    from sift_rag.finetuning import PRESETS, FineTuning

    preset = values["finetuning"].get("preset")
    chosen = {name: value for name, value in values["finetuning"].items() if name != "preset"}
    return replace(FineTuning() if preset is None else PRESETS[preset].settings, **chosen)


def model_of(values: Values, model: str | None, base_url: str | None = None) -> str | None:
    """Return the named model, or the preset's; an endpoint has no preset."""
    preset = values["finetuning"].get("preset")
    if model is not None or base_url is not None or preset is None:
        return model
    from sift_rag.finetuning import PRESETS

    return PRESETS[preset].model
