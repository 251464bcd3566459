"""A question, or any text, as pieces that an embedder reads whole: each becomes a target of the selection."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from numpy.typing import ArrayLike

from sift_rag.protocols import Embedder
from sift_rag.types import Embedding
from sift_rag.vectors import as_unit_rows

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MAX_PIECES = 16
"""What is longer than so many times the embedder's length is no question."""

CHARACTERS_A_TOKEN = 16
"""A tokenizer may make one unknown token of any unbroken run: so many characters count for a token at least."""


class Targets(NamedTuple):
    """What one selection answers."""

    questions: tuple[str, ...]
    rows: Embedding
    """``(m, d)``, one for each piece of a question."""
    weights: list[float] | None
    """``(m,)``: each question's weight, shared among its pieces; None leaves it to the selector."""


def embed_questions(
    question: str | Sequence[str],
    embedder: Embedder,
    weights: Sequence[float] | None = None,
    *,
    given: Sequence[ArrayLike] | Embedding | None = None,
) -> Targets:
    """One question, or several that are answered together, as targets; ``given`` are their vectors, if they have some.

    Raises:
        ValueError: no question, an empty one, one of more than ``MAX_PIECES`` times the embedder's length, or not one
            weight, or vector, for each; or a vector that is not finite or has norm 0.
    """
    questions = (question,) if isinstance(question, str) else tuple(question)
    if not questions or not all(text.strip() for text in questions):
        raise ValueError("The question is empty.")
    if weights is not None and len(weights) != len(questions):
        raise ValueError(f"Expected one weight for each of {len(questions)} questions, but got {len(weights)}.")
    if given is not None:
        if len(given) != len(questions):
            raise ValueError(f"Expected one embedding for each of {len(questions)} questions, but got {len(given)}.")
        rows = as_unit_rows(given, what="The embeddings of the questions")
        return Targets(questions, rows, None if weights is None else list(weights))
    pieces = [cut_into_pieces(text, embedder) for text in questions]
    rows = embedder.embed_queries([piece for cut in pieces for piece in cut])
    if weights is None:
        return Targets(questions, rows, None)
    shares = [weight / len(cut) for weight, cut in zip(weights, pieces, strict=True) for _ in cut]
    return Targets(questions, rows, shares)


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
