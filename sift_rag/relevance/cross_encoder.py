"""A reranker over sentence-transformers' cross-encoders, by name or folder.

The only module that talks to ``sentence_transformers.CrossEncoder``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from sift_rag.devices import default_device, native_dtype, quiet_transformers
from sift_rag.errors import ModelUnsuitable, first_line
from sift_rag.extras import require
from sift_rag.hub import model_folder, named_folder
from sift_rag.relevance.scores import checked_scores

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

BATCH_SIZE = 32

_SCORING = ("ForSequenceClassification", "ForCausalLM")
"""Suffixes of architectures with a scoring head. To others, sentence-transformers would add one with random weights."""


def load_cross_encoder(name: str, *, device: str | None = None, batch_size: int = BATCH_SIZE) -> CrossEncoderRelevance:
    """Load a cross-encoder in evaluation mode, without remote code and from safetensors only.

    Args:
        name: a name on the hub (``cross-encoder/`` may be left out), or a folder.
        device: ``cpu``, ``cuda``, ``mps``, ...; by default the GPU if there is one.
        batch_size: number of texts per batch, >= 1.

    Raises:
        MissingExtra: ``sentence-transformers`` is not installed.
        ModelUnavailable: no such model, or no way to fetch it.
        ModelUnsuitable: the model does not return a single score for a question and a text.
        ValueError: ``batch_size`` is less than 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be >= 1, but got {batch_size}.")
    for package in ("torch", "sentence_transformers"):
        require(package, "sentence-transformers")
    folder = model_folder(named_folder(name) or (name if "/" in name else f"cross-encoder/{name}"))
    _check_scoring(folder, name)
    device = device or default_device()

    with quiet_transformers():
        from sentence_transformers import CrossEncoder

        try:
            model = CrossEncoder(
                str(folder),
                device=device,
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"dtype": native_dtype(device), "use_safetensors": True},
            )
        except Exception as error:  # files break in many ways, and each library in the stack has its own errors
            raise ModelUnsuitable(f"The reranker {name!r} cannot be loaded: {first_line(error)}") from error
    if model.num_labels != 1:
        raise ModelUnsuitable(
            f"{name!r} is a classifier with {model.num_labels} classes: expected a model with a single score."
        )
    return CrossEncoderRelevance(name, model.eval(), batch_size=batch_size)


class CrossEncoderRelevance:
    """A ``Relevance`` over a loaded model: the sigmoid of its logit. Thread-safe."""

    def __init__(self, name: str, model: CrossEncoder, *, batch_size: int = BATCH_SIZE) -> None:
        self.name = name
        self._model = model
        self._batch_size = batch_size
        self._lock = Lock()  # no thread may read a fast tokenizer while another sets its truncation

    def score(self, question: str, texts: Sequence[str]) -> np.ndarray:
        """Implement ``Relevance.score``. Texts longer than the model's maximum length are truncated.

        Raises:
            ModelUnsuitable: the model returned NaN.
        """
        if not texts:
            return np.zeros(0)
        from torch.nn import Sigmoid

        predict: Any = self._model.predict  # its overloads lack activation_fn
        with self._lock:
            scores = predict(
                [(question, text) for text in texts],
                batch_size=self._batch_size,
                show_progress_bar=False,
                activation_fn=Sigmoid(),  # whatever its configuration says: MS MARCO models return raw logits
                convert_to_numpy=True,
            )
        return checked_scores(scores, len(texts), self.name)

    def __repr__(self) -> str:
        return f"CrossEncoderRelevance({self.name!r})"


def _check_scoring(folder: Path, name: str) -> None:
    """Raise ``ModelUnsuitable`` unless the model's files say that it has a scoring head."""
    about: dict[str, Any] = {}
    for file in ("config.json", "config_sentence_transformers.json"):
        with suppress(OSError, ValueError):
            about |= json.loads((folder / file).read_text(encoding="utf-8"))
    architectures = about.get("architectures") or []
    if about.get("model_type") != "CrossEncoder" and not any(
        str(architecture).endswith(_SCORING) for architecture in architectures
    ):
        made = f" ({', '.join(map(str, architectures))})" if architectures else ""
        raise ModelUnsuitable(f"{name!r} is not a cross-encoder{made}: it was not trained to score texts.")
