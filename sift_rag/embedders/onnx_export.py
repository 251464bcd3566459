"""Export a sentence-transformers model to a graph that onnxruntime reads.

The modules are traced as they are, so a graph does what they do. A model is exported if it consists of modules that are
known to need no more than tokens: a transformer, pooling, dense layers, normalisation.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sift_rag.embedders.onnx import GRAPH, INPUTS, TOKENIZER, ExportedModel, load_onnx
from sift_rag.embedders.sentence_transformer import Role, SentenceTransformerEmbedder, load_model
from sift_rag.errors import ModelUnsuitable, first_line
from sift_rag.extras import require
from sift_rag.user_cache import is_disk_error, require_room

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from sentence_transformers import SentenceTransformer

OPSET = 17
"""Version of the operators: the newest that tracing writes."""

POOLING = {"mean", "cls", "max"}
"""Ways of pooling that are exported."""

LEAST_COSINE = 1 - 1e-3
"""Smallest cosine of a vector of the export with that of the model itself."""

PROBES = (
    "",
    "owl",
    "Who may book a flight, and who pays for it?",
    "  Two spaces, a\ttab,\n\na blank line. Straße, naïve, 日本語, 🦉, <s> [MASK] </s> x² = 4 ",
    "Receipts are due within 30 days of the journey; taxis are paid for only at night. " * 3,
    "The index of all words follows, and no model reads it to its end: " + "owl bees taxi moon " * 2000,
)
"""Texts whose vectors must agree: empty, of a token, of several scripts, longer than the model reads."""

_KNOWN = ("Transformer", "Pooling", "Dense", "Normalize")
_ROLES: tuple[Role, ...] = ("query", "document")


def export_onnx(
    embedder: SentenceTransformerEmbedder, source: Path, target: Path, digest: Callable[[Path], str]
) -> None:
    """Write an export of the model in ``source`` into the empty folder ``target``.

    Args:
        embedder: the model, loaded; the vectors of the export must agree with its own.
        source: folder that it was loaded from. It is loaded once more, in float32.
        target: folder to fill.
        digest: returns the hash of a file.

    Raises:
        MissingExtra: ``onnx`` is not installed.
        ModelUnsuitable: the model cannot be exported, or the vectors do not agree.
        OSError: the disk is full or cannot be written.
    """
    for package in ("onnx", "onnxruntime"):
        require(package, "onnx")
    import torch

    try:
        require_room(target, 4 * sum(weight.numel() for weight in embedder.model.parameters()))
        model = load_model(embedder.name, source, "cpu", torch.float32)
        _require_known(model)
        inputs = _write_graph(model, target / GRAPH)
        (target / TOKENIZER).write_text(model.tokenizer.backend_tokenizer.to_str(), encoding="utf-8")
        described = ExportedModel(
            inputs=inputs,
            dimension=embedder.dimension,
            max_tokens=embedder.max_tokens,
            limits={role: embedder.limit(role) for role in _ROLES},
            prompts={role: embedder.prompt(role) or "" for role in _ROLES},
            cut_at_start=model.tokenizer.truncation_side == "left",
            languages=embedder.languages,
            hashes={name: digest(target / name) for name in (GRAPH, TOKENIZER)},
        )
        described.write(target)
    except ModelUnsuitable:
        raise
    except Exception as error:  # torch and onnx raise many classes
        if is_disk_error(error):
            raise
        raise ModelUnsuitable(f"{type(error).__name__}: {first_line(error)}") from error
    _require_agreement(embedder, target)


def _require_known(model: SentenceTransformer) -> None:
    """Return if the model consists of modules that read tokens and nothing else."""
    modules: Sequence[Any] = list(model)
    names = [type(module).__name__ for module in modules]
    if names[:2] != ["Transformer", "Pooling"] or any(
        name not in _KNOWN or not type(module).__module__.startswith("sentence_transformers.")
        for name, module in zip(names, modules, strict=True)
    ):
        raise ModelUnsuitable(f"it consists of {', '.join(names)}")
    transformer, pooling = modules[:2]
    if pooling.pooling_mode not in POOLING:
        raise ModelUnsuitable(f"it pools by {pooling.pooling_mode}")
    if not pooling.include_prompt:
        raise ModelUnsuitable("it leaves its prompt out when it pools")
    if getattr(transformer, "query_expansion", None) is not None or "text" not in transformer.modality_config:
        raise ModelUnsuitable("it does not read plain text")
    if "message" in transformer.modality_config:
        raise ModelUnsuitable("it reads text as messages of a chat")


def _write_graph(model: SentenceTransformer, file: Path) -> tuple[str, ...]:
    """Trace the model into a file; return the names of its inputs."""
    import torch

    example = model.preprocess(["two texts of which", "one is longer than the other"])
    inputs = tuple(name for name, value in example.items() if isinstance(value, torch.Tensor))
    if not {"input_ids", "attention_mask"} <= set(inputs) <= set(INPUTS):
        raise ModelUnsuitable(f"its tokenizer gives {', '.join(inputs)}")
    axes = {name: {0: "texts", 1: "tokens"} for name in inputs}
    with torch.inference_mode(), _quiet():
        torch.onnx.export(
            _traced(model, inputs),
            tuple(example[name] for name in inputs),
            str(file),
            dynamo=False,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=["vectors"],
            dynamic_axes={**axes, "vectors": {0: "texts"}},
        )
    return inputs


def _traced(model: SentenceTransformer, inputs: Sequence[str]) -> torch.nn.Module:
    """Return a module that takes the inputs one by one and returns the vectors."""
    from torch import Tensor, nn

    class Traced(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *arrays: Tensor) -> Tensor:
            features: dict[str, Any] = dict(zip(inputs, arrays, strict=True))
            for module in self.model:
                features = module(features)
            vectors: Tensor = features["sentence_embedding"]
            return vectors

    return Traced().eval()


def _require_agreement(embedder: SentenceTransformerEmbedder, folder: Path) -> None:
    """Return if the export gives the vectors of the model for every probe, in each role."""
    exported = load_onnx(embedder.name, folder)
    for role in _ROLES[: 1 if _roles_are_alike(embedder) else 2]:
        ours, theirs = (
            part.embed_queries(PROBES) if role == "query" else part.embed_passages(PROBES)
            for part in (exported, embedder)
        )
        least = float(np.einsum("nd,nd->n", ours, theirs).min())
        if least < LEAST_COSINE:
            raise ModelUnsuitable(f"the vectors of the export differ from its own: a cosine is {least:.4f}")


def _roles_are_alike(embedder: SentenceTransformerEmbedder) -> bool:
    return all(part("query") == part("document") for part in (embedder.prompt, embedder.limit))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what tracing warns of: the probes show whether the graph is right."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
