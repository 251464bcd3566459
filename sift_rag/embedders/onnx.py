"""An embedder over an exported model: a question needs onnxruntime and a tokenizer, and no library that trains.

An export is a folder with the model's graph, its tokenizer, and ``embedder.json``, which says how to use them and holds
the hashes of both. ``onnx_export.py`` writes it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sift_rag.embedders.sentence_transformer import Role
from sift_rag.errors import ModelUnsuitable, first_line
from sift_rag.extras import require
from sift_rag.types import Embedding

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

RECIPE = 1
"""Version of what an export holds. Rises with each change that older exports would not have."""

GRAPH, TOKENIZER, DESCRIPTION = "model.onnx", "tokenizer.json", "embedder.json"

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
"""Inputs that a graph may have."""

PRECISION = "float32 by onnxruntime"

Run: TypeAlias = Callable[[dict[str, NDArray[np.int64]]], Embedding]
"""A graph: arrays ``(1, t)`` by the names of its inputs to a vector ``(1, d)`` of any norm."""


class Session(NamedTuple):
    """A graph that a runtime has loaded; several threads may run it at once."""

    run: Run
    precision: str
    """Number format that it computes in, and what runs it."""


OpenSession: TypeAlias = Callable[[Path, Sequence[str], int], Session]
"""Load a graph, by its file, the names of its inputs, and the number of threads that will run it."""


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """The description of an export in ``embedder.json``."""

    inputs: tuple[str, ...]
    dimension: int
    max_tokens: int
    limits: Mapping[Role, int]
    """Number of tokens that texts are cut at, special tokens included."""
    prompts: Mapping[Role, str]
    """Text before each text; empty for none."""
    cut_at_start: bool
    languages: tuple[str, ...] | None
    hashes: Mapping[str, str]
    """Hashes of the other files, by name."""
    recipe: int = RECIPE

    @classmethod
    def read(cls, folder: Path) -> ExportedModel:
        """Read the description in a folder.

        Raises:
            OSError: there is none.
            ValueError: it is not one of this version.
        """
        content = json.loads((folder / DESCRIPTION).read_bytes())
        try:
            if content["recipe"] != RECIPE:
                raise ValueError(f"{DESCRIPTION} is of the recipe {content['recipe']}: expected {RECIPE}.")
            languages = content["languages"]
            content |= {
                "inputs": tuple(content["inputs"]),
                "languages": None if languages is None else tuple(languages),
            }
            return cls(**content)
        except (TypeError, KeyError) as error:
            raise ValueError(f"{DESCRIPTION} does not describe an export.") from error

    def write(self, folder: Path) -> None:
        """Write the description into a folder."""
        (folder / DESCRIPTION).write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")


class OnnxEmbedder:
    """An ``Embedder`` over a graph. Its vectors are those of the model that was exported, but for rounding.

    Each text is computed alone and without padding, on one thread, several texts at once: so it gets the same vector,
    to the last bit on one machine, whatever else is embedded with it, and no slower than in batches. Safe to share
    between threads.
    """

    def __init__(
        self, name: str, model: ExportedModel, tokenizer: Tokenizer, session: Session, *, threads: int
    ) -> None:
        """Keep the parts.

        Args:
            name: identity of the vector space.
            model: description of the export.
            tokenizer: the export's; its own limits are not used.
            session: its graph.
            threads: number of texts that are computed at once.
        """
        self.name = name
        self.dimension = model.dimension
        self.max_tokens = model.max_tokens
        self.languages = model.languages
        self.precision = session.precision
        self.tokenizer: Tokenizer = tokenizer
        self._model = model
        self._run = session.run
        self._threads = threads
        self._cutters = {role: _cutter(tokenizer, limit, model.cut_at_start) for role, limit in model.limits.items()}

    def embed_queries(self, texts: Sequence[str]) -> Embedding:
        """Implement ``Embedder.embed_queries``, with the model's own query prompt if it has one."""
        return self._embed(texts, "query")

    def embed_passages(self, texts: Sequence[str]) -> Embedding:
        """Implement ``Embedder.embed_passages``, with the model's own document prompt if it has one."""
        return self._embed(texts, "document")

    def _embed(self, texts: Sequence[str], role: Role) -> Embedding:
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        prompt, cutter = self._model.prompts[role], self._cutters[role]
        encodings = cutter.encode_batch([prompt + text for text in texts])
        if min(self._threads, len(texts)) == 1:
            rows = np.concatenate([self._vector(encoding) for encoding in encodings])
        else:
            with ThreadPoolExecutor(self._threads, thread_name_prefix="embed") as pool:
                rows = np.concatenate(list(pool.map(self._vector, encodings)))
        rows = rows[:, : self.dimension]  # some models keep the first numbers only
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        if not np.isfinite(rows).all():
            raise ModelUnsuitable(f"The embedder {self.name!r} returned a vector that is not finite.")
        return np.asarray(rows, dtype=np.float32)

    def _vector(self, encoding: Encoding) -> Embedding:
        """Return the vector ``(1, d)`` of a text, of any norm."""
        columns = {
            "input_ids": encoding.ids,
            "attention_mask": encoding.attention_mask,
            "token_type_ids": encoding.type_ids,
        }
        return self._run({name: np.array([columns[name]], dtype=np.int64) for name in self._model.inputs})


def load_onnx(name: str, folder: Path, *, threads: int | None = None) -> OnnxEmbedder:
    """Load an export with onnxruntime.

    Args:
        name: identity of the vector space.
        folder: the export.
        threads: number of texts that are computed at once; by default the number of processors that this process may
            use.

    Raises:
        MissingExtra: ``onnxruntime`` or ``tokenizers`` is not installed.
        ModelUnsuitable: the files cannot be read.
    """
    require("onnxruntime", "onnx")
    return load_export(name, folder, _session, threads)


def load_export(name: str, folder: Path, open_session: OpenSession, threads: int | None = None) -> OnnxEmbedder:
    """Load an export with any runtime; arguments and errors as in ``load_onnx``."""
    require("tokenizers", "onnx")
    from tokenizers import Tokenizer

    threads = threads or usable_processors()
    try:
        model = ExportedModel.read(folder)
        tokenizer = Tokenizer.from_str((folder / TOKENIZER).read_text(encoding="utf-8"))
        session = open_session(folder / GRAPH, model.inputs, threads)
    except Exception as error:  # tokenizers and the runtimes raise classes of their own
        raise ModelUnsuitable(f"The exported embedder {name!r} cannot be loaded: {first_line(error)}") from error
    return OnnxEmbedder(name, model, tokenizer, session, threads=threads)


def usable_processors() -> int:
    """Return the number of processors that this process may use."""
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _session(graph: Path, inputs: Sequence[str], _threads: int) -> Session:
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else the import alone writes a file for its makers
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors, which are raised besides
    session: Any = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    if sorted(known.name for known in session.get_inputs()) != sorted(inputs):
        raise ValueError(f"the graph does not take {', '.join(inputs)}")

    def run(arrays: dict[str, NDArray[np.int64]]) -> Embedding:
        return np.asarray(session.run(None, arrays)[0], dtype=np.float32)

    return Session(run, PRECISION)


def _cutter(tokenizer: Tokenizer, limit: int, at_start: bool) -> Tokenizer:
    """Return a copy that cuts texts at a limit, and pads nothing."""
    copy = type(tokenizer).from_str(tokenizer.to_str())
    copy.no_padding()
    copy.enable_truncation(limit, strategy="longest_first", direction="left" if at_start else "right")
    return copy
