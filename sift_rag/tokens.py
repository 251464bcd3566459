"""Count tokens with an embedder's tokenizer."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

CHARACTERS_PER_TOKEN = 16
"""Longest stretch of text that counts as one token. Prose has four or five characters a token, but a tokenizer may make
a single unknown token of any unbroken run of characters, and a passage of a megabyte is of no use to anyone."""


@lru_cache(maxsize=4)
def without_limits(tokenizer: Tokenizer) -> Tokenizer:
    """Return a copy that neither truncates nor pads. Copying takes about 30 ms, so a few copies are kept."""
    copy = type(tokenizer).from_str(tokenizer.to_str())
    copy.no_truncation()
    copy.no_padding()
    return copy


def adds_up(tokenizer: Tokenizer) -> bool:
    """Return True if no token of this tokenizer reaches over white space, as with those of BERT.

    Then a text has as many tokens as its lines have together.
    """
    return type(tokenizer.pre_tokenizer).__name__ in {"BertPreTokenizer", "Whitespace", "WhitespaceSplit"}
