"""A model's files: whether they are what is needed, and how much context they were made for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sift_rag.errors import ModelUnsuitable

if TYPE_CHECKING:
    from transformers import PretrainedConfig

CONTEXT_LENGTH_IF_UNKNOWN = 2048
"""For models that state none (state-space models, ALiBi): nearly every causal model was trained on at least this."""

_CONTEXT_LENGTH_NAMES = (
    "max_position_embeddings",
    "n_positions",
    "n_ctx",
    "max_seq_len",
    "max_sequence_length",
    "seq_length",
)


def require_causal(config: PretrainedConfig, name: str) -> None:
    """Return for the configuration of a causal language model.

    What was saved counts, not what could be made of it: transformers would also load an encoder as a causal model, and
    fill what it lacks with noise.

    Raises:
        ModelUnsuitable: it is another kind of model.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL

    stated = config.architectures or []
    known = {cls for classes in CAUSAL.values() for cls in ((classes,) if isinstance(classes, str) else classes)}
    if known.isdisjoint(stated) if stated else config.model_type not in CAUSAL:
        raise ModelUnsuitable(
            f"{name!r} is not a causal language model but {', '.join(stated) or config.model_type}: "
            "choose a model for text generation."
        )


def require_safetensors(folder: Path, name: str) -> None:
    """Return for a folder that holds weights as safetensors.

    Raises:
        ModelUnsuitable: it holds none, or pickles, which can run code when they are read.
    """
    if any(folder.glob("*.safetensors")):
        return
    pickled = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern))
    if pickled:
        raise ModelUnsuitable(
            f"The weights of {name!r} are pickled ({pickled[0]}), and a pickle can run code when it is read: choose a "
            "model, or a revision of it, that comes as safetensors."
        )
    raise ModelUnsuitable(
        f"There are no weights of {name!r} in {str(folder)!r}: *.safetensors was expected. Get the complete model."
    )


def context_length(config: PretrainedConfig) -> int:
    """Tokens that prompt and answer may have together, under whichever name the configuration holds them."""
    text = config.get_text_config()
    lengths = (getattr(text, name, None) for name in _CONTEXT_LENGTH_NAMES)
    return next((length for length in lengths if isinstance(length, int) and length > 0), CONTEXT_LENGTH_IF_UNKNOWN)
