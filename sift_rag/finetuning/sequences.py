"""Encode passages as the token sequences that a model is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from sift_rag.errors import ModelUnsuitable

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Windows = tuple[tuple[int, ...], ...]
"""Windows of one passage: at least two tokens each, all but the last of full length. Each begins with the last token of
the one before, which is read there and not predicted again."""


@dataclass(frozen=True)
class TrainingSequences:
    """Training sequences, in the order of the passages."""

    passages: tuple[Windows, ...]
    skipped: int
    """Number of passages with nothing to predict: empty ones and those of one token."""


def training_sequences(
    tokenizer: PreTrainedTokenizerBase, passages: Sequence[str], *, window: int, end_token: bool, name: str
) -> TrainingSequences:
    """Return the passages' token ids in windows: every token after a passage's first is predicted exactly once.

    A passage begins with the token that the tokenizer puts before every text by itself, if it does so. Control tokens
    within a passage (a document that says ``<|endoftext|>``) are read as text.

    Args:
        tokenizer: the model's.
        passages: repeats are kept.
        window: tokens that are read at once, at least 2.
        end_token: end each passage with the end-of-text token.
        name: the model's, for errors.

    Raises:
        ModelUnsuitable: ``end_token`` is True, and the tokenizer has no such token.
        TypeError: ``passages`` is one string.
    """
    if isinstance(passages, str):
        raise TypeError("passages is one string: give a list of strings.")
    end = cast("int | None", tokenizer.eos_token_id)
    if end_token and end is None:
        raise ModelUnsuitable(f"The tokenizer of {name!r} has no end token: leave end_token False.")
    front = first_tokens(tokenizer)
    back = [end] if end_token and end is not None else []
    split: dict[str, Windows] = {}
    distinct = list(dict.fromkeys(passages))
    for text, own in zip(distinct, encode_texts(tokenizer, distinct), strict=True):
        split[text] = _windows([*front, *own, *back], window) if len(own) > 1 else ()
    kept = tuple(split[text] for text in passages if split[text])
    return TrainingSequences(kept, len(passages) - len(kept))


def can_teach(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[bool]:
    """Return, for each text, True if it has a token to predict: ``training_sequences`` skips the others."""
    return [len(tokens) > 1 for tokens in encode_texts(tokenizer, texts)]


def encode_texts(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Return the token ids of each text, without special tokens: neither added ones nor any that the text names.

    The tokens that only a chat template writes, and which no flag marks as special, count among these.
    """
    if not texts:
        return []
    encoded = _encoded(tokenizer, texts)
    marks = _marks_of_turns(tokenizer)
    if not marks or marks.isdisjoint(token for tokens in encoded for token in tokens):
        return encoded
    as_text = {mark: _as_text(tokenizer, mark) for mark in marks}
    return [[part for token in tokens for part in as_text.get(token, (token,))] for tokens in encoded]


def _encoded(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    encoded = tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True, verbose=False)
    return cast("list[list[int]]", encoded["input_ids"])


def _marks_of_turns(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Return the added tokens that a chat template writes and ``split_special_tokens`` does not split."""
    templates = str(tokenizer.chat_template or "")  # there may be several, by name
    added = tokenizer.added_tokens_decoder.items()
    return frozenset(number for number, token in added if not token.special and token.content in templates)


def _as_text(tokenizer: PreTrainedTokenizerBase, mark: int) -> list[int]:
    """Return the ids of a token's characters."""
    content = tokenizer.added_tokens_decoder[mark].content
    return [token for tokens in _encoded(tokenizer, [content[:1], content[1:]]) for token in tokens]


def first_tokens(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the begin token if the tokenizer puts it before every text by itself, else nothing."""
    begin = cast("int | None", tokenizer.bos_token_id)
    with_special = cast("list[int]", tokenizer("a")["input_ids"])
    return [begin] if begin is not None and with_special[:1] == [begin] else []


def _windows(tokens: Sequence[int], window: int) -> Windows:
    return tuple(tuple(tokens[start : start + window]) for start in range(0, len(tokens) - 1, window - 1))
