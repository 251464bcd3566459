"""Choose what computes the vectors of an embedder: torch, or a lighter runtime over an export of the same model.

A question takes an export, which starts in a fraction of the time that torch does. Passages take whatever embedded the
collection before, or else whatever a short measurement finds faster on this machine. The vectors are the same but for
rounding.
"""

from __future__ import annotations

import json
import logging
import os
import platform
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Literal, NamedTuple, TypeAlias

from sift_rag import defaults
from sift_rag.embedders.onnx import PRECISION, OnnxEmbedder, load_onnx
from sift_rag.embedders.onnx_cache import OnnxCache, library_versions
from sift_rag.embedders.openvino import PRECISIONS, load_openvino
from sift_rag.embedders.sentence_transformer import SentenceTransformerEmbedder, resolve
from sift_rag.errors import MissingExtra, ModelUnavailable, ModelUnsuitable, Remedy
from sift_rag.extras import require
from sift_rag.hub import model_folder
from sift_rag.protocols import Embedder
from sift_rag.user_cache import reason_of, replace_text

Purpose: TypeAlias = Literal["questions", "passages"]

LoadTorch: TypeAlias = Callable[[str], Embedder]

LoadExport: TypeAlias = Callable[[str, Path], OnnxEmbedder]

_EXPORTED: Mapping[str, LoadExport] = {"onnx": load_onnx, "openvino": load_openvino}
"""Loaders of an export, by the name of the runtime."""
_NEEDED = ("onnxruntime", "tokenizers", "platformdirs", "filelock")
_CHOICES = "fastest"

_MEASURED_TEXTS = ["The owl hunts mice at night while the bees sleep, and nobody pays for a taxi. " * 6] * 4
"""Passages of about a hundred tokens, as ingest makes them."""
_ROUNDS = 3
"""Number of times that each runtime embeds them; the fastest counts."""
_PATIENCE = 5.0
"""Seconds after which no further round begins: on a busy machine one can take long."""
_ADVANTAGE = 1.25
"""Factor by which torch must be faster to be chosen: it takes some seconds to load, every time."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The purpose of an embedder, and its runtime."""

    runtime: str = defaults.RUNTIME
    """Runtime of the vectors: ``onnx`` or ``openvino``, over an export that starts fast; ``torch``; or ``auto``."""
    purpose: Purpose = "questions"
    precision: str = ""
    """Precision that the collection records; empty for a new one."""
    on_stage: Callable[[str], None] | None = None
    """Called with what takes long when it begins, in words."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for an unknown runtime."""
        if self.runtime not in defaults.RUNTIMES:
            raise ValueError(f"runtime must be one of {', '.join(defaults.RUNTIMES)}, but got {self.runtime!r}.")

    def say(self, stage: str) -> None:
        """Tell what begins now."""
        _logger.info("%s", stage)
        if self.on_stage is not None:
            self.on_stage(stage)


class _Model(NamedTuple):
    """A model and the place of its export."""

    name: str
    identity: str
    folder: Path
    cache: OnnxCache
    key: str


def load_embedder(name: str, wanted: Wanted, load_torch: LoadTorch) -> Embedder:
    """Load an embedder with the runtime that is wanted, exporting it first if that takes an export.

    Args:
        name: name on the hub, or folder.
        wanted: runtime and purpose.
        load_torch: loads the embedder with torch.

    Raises:
        MissingExtra: the runtime, or what an export takes, is not installed.
        ModelUnavailable: no such model, or an export is wanted and the cache cannot be written.
        ModelUnsuitable: the model is not an embedder, or an export is wanted and cannot be made.
    """
    if wanted.runtime == "torch":
        return load_torch(name)
    if wanted.runtime in _EXPORTED:
        return _exported(name, wanted, load_torch)
    if any(find_spec(package) is None for package in _NEEDED):
        return load_torch(name)
    model = _located(name)
    if wanted.purpose == "passages":
        return _for_passages(model, wanted, load_torch)
    return _found(model) or _made(model, load_torch(name), wanted)


def _exported(name: str, wanted: Wanted, load_torch: LoadTorch) -> Embedder:
    """Return the exported embedder; raise the reason if there can be none."""
    for package in _NEEDED:
        require(package, "onnx")
    if wanted.runtime == "openvino":
        require("openvino", "openvino")
    model = _located(name)
    found = model.cache.find(model.key)
    if found is None:
        require("onnx", "onnx")
        found = _export(model, load_torch(name), wanted)
    return _EXPORTED[wanted.runtime](model.identity, found)


def _for_passages(model: _Model, wanted: Wanted, load_torch: LoadTorch) -> Embedder:
    """Return what embedded the collection before, or else what is faster here."""
    choice = _recorded(wanted.precision) or _remembered(model)
    if choice is not None and choice in _EXPORTED:
        found = _found(model, choice)
        if found is not None:
            return found
    with_torch = load_torch(model.name)
    exported = _found(model) or _made(model, with_torch, wanted)  # questions will ask for it
    if exported is with_torch or choice == "torch":
        return with_torch
    embedders = {"torch": with_torch, "onnx": exported}
    if find_spec("openvino") is not None:
        other = _found(model, "openvino")
        embedders |= {} if other is None else {"openvino": other}
    if choice is None:
        choice = _measured(model, embedders, wanted)
    return embedders.get(choice, exported)


def _located(name: str) -> _Model:
    """Return where the files of a model and its export are.

    Raises:
        ModelUnavailable: no such model, or a file of it cannot be read.
    """
    identity, origin = resolve(name)
    folder = model_folder(origin)
    cache = OnnxCache.of_user()
    try:
        return _Model(name, identity, folder, cache, cache.key(folder))
    except OSError as error:
        raise ModelUnavailable(f"The files of the embedder {name!r} cannot be read: {reason_of(error)}.") from error


def _found(model: _Model, runtime: str = "onnx") -> OnnxEmbedder | None:
    """Return the exported embedder if there is one that the runtime can load."""
    folder = model.cache.find(model.key)
    if folder is None:
        return None
    try:
        return _EXPORTED[runtime](model.identity, folder)
    except MissingExtra:  # a collection that was embedded where it is installed
        return None
    except ModelUnsuitable as error:
        _logger.warning("%s The model itself is used.", error)
        return None


def _made(model: _Model, embedder: Embedder, wanted: Wanted) -> Embedder:
    """Return the exported embedder after an export, or the embedder itself if there can be none, and say why."""
    if find_spec("onnx") is None or model.cache.was_refused(model.key):
        return embedder
    try:
        return load_onnx(model.identity, _export(model, embedder, wanted))
    except (ModelUnsuitable, ModelUnavailable) as error:
        _logger.warning("%s Questions load it with torch, which takes some seconds.", error)
        return embedder


def _export(model: _Model, embedder: Embedder, wanted: Wanted) -> Path:
    """Return the folder of the export.

    Raises:
        ModelUnavailable: the cache cannot be written.
        ModelUnsuitable: the model cannot be exported.
    """
    if not isinstance(embedder, SentenceTransformerEmbedder):
        raise ModelUnsuitable(f"The embedder {model.identity} cannot be exported: it is none of sentence-transformers.")
    try:
        return model.cache.export(model.key, embedder, model.folder, wanted.say)
    except ModelUnsuitable as error:
        raise ModelUnsuitable(f"The embedder {model.identity} cannot be exported: {error}.") from error
    except OSError as error:
        raise ModelUnavailable(
            f"The exported embedder cannot be kept in {str(model.cache.root)!r}: {reason_of(error)}.",
            remedy=Remedy("model-cache", folder=str(model.cache.root)),
        ) from error


def _recorded(precision: str) -> str | None:
    """Return the runtime that a collection's precision tells of; None if it records none."""
    if not precision:
        return None
    if precision in PRECISIONS.values():
        return "openvino"
    return "onnx" if precision == PRECISION else "torch"


# Which is faster


def _remembered(model: _Model) -> str | None:
    """Return the runtime that was measured to be the fastest here; None if none was with the same libraries."""
    with suppress(OSError, ValueError):
        circumstances, choice = json.loads((model.cache.root / _CHOICES / model.key).read_bytes())
        if circumstances == _circumstances() and choice in defaults.RUNTIMES:
            return str(choice)
    return None


def _measured(model: _Model, embedders: dict[str, Embedder], wanted: Wanted) -> str:
    """Return the name of the runtime to use, and remember it."""
    wanted.say("measuring what embeds fastest here, once")
    seconds = dict.fromkeys(embedders, float("inf"))
    begun = perf_counter()
    for attempt in range(1 + _ROUNDS):
        if attempt > 1 and perf_counter() - begun > _PATIENCE:
            break
        for name, embedder in embedders.items():
            started = perf_counter()
            embedder.embed_passages(_MEASURED_TEXTS)
            if attempt:  # the first warms up
                seconds[name] = min(seconds[name], perf_counter() - started)
    light = min((name for name in seconds if name != "torch"), key=seconds.__getitem__)
    choice = "torch" if _ADVANTAGE * seconds["torch"] < seconds[light] else light
    with suppress(OSError):
        replace_text(model.cache.root / _CHOICES / model.key, json.dumps([_circumstances(), choice]))
    return choice


def _circumstances() -> list[str]:
    """Return what a measurement depends on, as far as it can be told without loading a library."""
    return [platform.node(), platform.machine(), str(os.cpu_count()), *library_versions()]
