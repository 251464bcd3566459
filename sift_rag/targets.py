"""A question, or any text, as pieces that an embedder reads whole: each becomes a target of the selection."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sift_rag.protocols import Embedder

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MAX_PIECES = 16
"""What is longer than so many times the embedder's length is no question."""

CHARACTERS_A_TOKEN = 16
"""A tokenizer may make one unknown token of any unbroken run: so many characters count for a token at least."""


def cut_into_pieces(text: str, embedder: Embedder, *, limit: int = MAX_PIECES) -> list[str]:
    """The text, cut into pieces of equally many tokens where the embedder would stop reading.

    Raises:
        ValueError: there would be more than ``limit``.
    """
    length = embedder.max_tokens - embedder.tokenizer.num_special_tokens_to_add(False)
    if len(text.encode()) <= length:  # a token is at least a byte
        return [text]
    if len(text) > CHARACTERS_A_TOKEN * length * limit:  # whatever its tokens
        raise ValueError(f"The question is too long: {len(text):,} characters. Ingest it and ask about it.")
    encoding = untruncated(embedder.tokenizer).encode(text, add_special_tokens=False)
    offsets: list[tuple[int, int]] = list(encoding.offsets)
    if len(offsets) > length * limit:
        raise ValueError(
            f"The question is too long: {len(offsets):,} tokens, and at most {length * limit:,} are taken "
            f"({limit} times what the embedder reads). Shorten it, or ingest it and ask about it."
        )
    if len(offsets) <= length:
        return [text]
    size = math.ceil(len(offsets) / math.ceil(len(offsets) / length))
    return [
        text[offsets[first][0] : offsets[min(first + size, len(offsets)) - 1][1]]
        for first in range(0, len(offsets), size)
    ]


def untruncated(tokenizer: Tokenizer) -> Tokenizer:
    """A copy that neither cuts nor pads."""
    copy = type(tokenizer).from_str(tokenizer.to_str())
    copy.no_truncation()
    copy.no_padding()
    return copy
