"""Check a model's files and configuration before its weights are loaded."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sift_rag.architectures import is_causal_class, is_causal_type
from sift_rag.errors import ModelUnsuitable

if TYPE_CHECKING:
    from transformers import PretrainedConfig

CONTEXT_LENGTH_IF_UNKNOWN = 2048
"""Context length of models that state none (state-space models, ALiBi): nearly all were trained on at least this."""

_CONTEXT_LENGTH_NAMES = (
    "max_position_embeddings",
    "n_positions",
    "n_ctx",
    "max_seq_len",
    "max_sequence_length",
    "seq_length",
)


def require_causal(config: PretrainedConfig, name: str) -> None:
    """Return if this is the configuration of a causal language model.

    The saved architecture counts, not what could be made of it: transformers would also load an encoder as a causal
    model, with noise in place of the weights that it lacks.

    Raises:
        ModelUnsuitable: it is another kind of model.
    """
    stated = config.architectures or []
    if not (is_causal_class(stated) if stated else is_causal_type(config.model_type)):
        raise ModelUnsuitable(
            f"{name!r} is not a causal language model but {', '.join(stated) or config.model_type}: "
            "choose a model for text generation."
        )


def require_safetensors(folder: Path, name: str) -> None:
    """Return if a folder holds weights as safetensors.

    Raises:
        ModelUnsuitable: it holds no weights, or pickles, which can run code when they are read.
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
        f"There are no weights of {name!r} in {str(folder)!r}: expected *.safetensors. Get the complete model."
    )


def require_complete(loaded: Mapping[str, Collection[object]], name: str) -> None:
    """Return if the weights were complete.

    Args:
        loaded: what transformers reports about loading.
        name: what the error calls the model.

    Raises:
        ModelUnsuitable: tensors are missing, or have another shape than the configuration asks for.
    """
    absent = loaded["missing_keys"] or loaded["mismatched_keys"]
    if absent:
        raise ModelUnsuitable(
            f"The weights of {name!r} lack {len(absent)} of the tensors that its configuration asks for, which would "
            "be filled with noise: get the complete model."
        )


def context_length(config: PretrainedConfig) -> int:
    """Return the number of tokens that prompt and answer may have together, under any of its usual names."""
    text = config.get_text_config()
    lengths = (getattr(text, name, None) for name in _CONTEXT_LENGTH_NAMES)
    return next((length for length in lengths if isinstance(length, int) and length > 0), CONTEXT_LENGTH_IF_UNKNOWN)
