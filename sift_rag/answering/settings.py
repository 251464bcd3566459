"""The settings of an assistant, which do not depend on the question."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from sift_rag import defaults
from sift_rag.errors import ConfigurationError, Remedy

if TYPE_CHECKING:
    from sift_rag.finetuning import FineTuning

Mode: TypeAlias = Literal["context", "finetune", "both"]
"""Put passages into the prompt, fine-tune the model on passages, or do both."""


@dataclass(frozen=True, kw_only=True)
class AnswerSettings:
    """The settings of an assistant.

    Raises:
        ConfigurationError: ``save_adapter`` with full fine-tuning, which has no adapter, or ``push_adapter`` without
            ``save_adapter``.
        ValueError: a number is out of range.
    """

    system: str | None = None
    """Instructions of your own; the rules on passages and citations follow them."""
    max_new_tokens: int = defaults.MAX_NEW_TOKENS
    """Maximum length of an answer, in tokens. The prompt leaves room for it."""
    finetuning: FineTuning | None = None
    """Method, learning rate and so on of fine-tuning; None for the defaults."""
    steps: int = defaults.STEPS
    """Number of training passages to select, repeats included: one optimiser step each."""
    min_gain: float = defaults.MIN_GAIN
    """Share of the prior variance that the training passages must explain; with less, the model is not fine-tuned."""
    check: bool = True
    """Check each sentence of the answer against the passages in the prompt."""
    save_adapter: Path | None = None
    """New or empty folder to which each fine-tuning writes its LoRA adapter; None to save nothing."""
    push_adapter: str | None = None
    """Address of a vLLM server, up to and including ``/v1``, that loads the saved adapter; None to load it nowhere."""

    def __post_init__(self) -> None:
        for name in ("max_new_tokens", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, but is {getattr(self, name)}.")
        if not math.isfinite(self.min_gain):
            raise ValueError(f"min_gain must be a number, but is {self.min_gain}.")
        if self.save_adapter is None:
            if self.push_adapter is not None:
                raise ConfigurationError(
                    "A server loads an adapter from its folder: name the folder to save it in.",
                    remedy=Remedy("push-adapter-folder"),
                )
            return
        object.__setattr__(self, "save_adapter", Path(self.save_adapter))
        if self.finetuning is not None and self.finetuning.method == "full":
            raise ConfigurationError(
                "Full fine-tuning has no adapter to save: use LoRA, or save nothing.",
                remedy=Remedy("save-adapter-full"),
            )

    @property
    def adapter_not_saved(self) -> tuple[str, ...]:
        """The sentence for the user of an adapter that was to be saved, if there is none; empty if none was to be."""
        if self.save_adapter is None:
            return ()
        loaded = "" if self.push_adapter is None else f", and none loaded into {self.push_adapter}"
        return (f"No adapter was saved to {str(self.save_adapter)!r}{loaded}: the model was not fine-tuned.",)

    def check_adapter_folder(self) -> None:
        """Raise ``ConfigurationError`` if an adapter is to be saved and its folder already holds something."""
        folder = self.save_adapter
        if folder is not None and folder.is_dir() and any(folder.iterdir()):
            raise ConfigurationError(
                f"The folder {str(folder)!r} is not empty: give a new or empty folder for the adapter.",
                remedy=Remedy("adapter-folder-not-empty", folder=str(folder)),
            )
