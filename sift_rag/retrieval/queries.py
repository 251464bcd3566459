"""A query: questions and the conditions of selection; and its embedding, one target for each piece of a question."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import NamedTuple

from numpy.typing import ArrayLike

from sift_rag import defaults
from sift_rag.filters import Filter
from sift_rag.protocols import Embedder
from sift_rag.selection import Stopping
from sift_rag.selection.arrays import check_weights
from sift_rag.tokens import CHARACTERS_PER_TOKEN, without_limits
from sift_rag.types import Embedding
from sift_rag.unicode import is_text
from sift_rag.vectors import as_unit_rows

MAX_PIECES = 16
"""Maximum length of a question, in multiples of what the embedder reads: anything longer is not a question."""


@dataclass(frozen=True, slots=True)
class Query:
    """One search: questions that are answered together, and the conditions of selection.

    Raises:
        TypeError: a field is of another type.
        ValueError: no question or an empty one, not one weight for each, or a number out of range.
    """

    questions: tuple[str, ...]
    """One or several questions (sub-questions, rewordings): each a target of one selection. A plain string will do."""
    k: int = defaults.K
    """Number of passages, >= 1. Fewer are returned if the collection holds fewer distinct ones."""
    where: Filter | None = None
    """The passages that may be selected; the rest of the collection is ignored."""
    known: tuple[str, ...] = ()
    """Ids of passages, or sources of documents, that the reader already knows. The selection adds what they do not say,
    and they are not returned. They need not match ``where``."""
    known_texts: tuple[str, ...] = ()
    """Texts that the reader already knows."""
    weights: tuple[float, ...] | None = None
    """Each question's weight in the total variance, >= 0; by default the selector balances them."""
    stopping: Stopping | None = None
    """Rules that may end the selection before k. A budget counts tokens as the embedder does; ``fill`` uses it best."""
    context: int = 0
    """Number of passages to show before and after each hit, >= 0; see ``Hit.before``. They count in a budget of
    tokens, match ``where`` too, and are none of the ``known`` ones."""
    exact: bool = False
    """Select from the whole collection, not only from the nearest candidates, and prove it: see ``sift_rag.exact``.
    For the selectors ``sift`` and ``nearest``, without a budget of tokens. By embeddings alone: words are weighed by
    the candidates in which they occur, so of passages never looked at nothing could be proven."""
    exact_search: bool = False
    """Look for the nearest candidates by comparing the question with every passage. By default, large collections are
    searched by a graph of neighbours, which may miss a few: see ``Retrieval.exact_search``. With ``exact`` it is so
    anyway."""
    max_variance: float | None = None
    """Raise ``NoEvidence`` if all candidates together would leave more variance than this, per target."""

    def __post_init__(self) -> None:
        def put(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        for name in ("questions", "known", "known_texts"):
            put(name, texts_of(name, getattr(self, name)))
        if not self.questions or not all(text.strip() for text in self.questions):
            raise ValueError("The question is empty.")
        if self.weights is not None:
            put("weights", numbers_of("weights", self.weights))
            if len(self.weights) != len(self.questions):
                raise ValueError(
                    f"Expected one weight for each of {len(self.questions)} questions, but got {len(self.weights)}."
                )
            check_weights(self.weights, len(self.questions))
        check_filter(self.where)
        check_whole("k", self.k)
        if self.k < 1:
            raise ValueError(f"k must be >= 1, but got {self.k}.")
        check_context(self.context)
        if self.max_variance is not None and not self.max_variance >= 0:
            raise ValueError(f"max_variance must be >= 0, but got {self.max_variance}.")


def texts_of(name: str, value: object) -> tuple[str, ...]:
    """Return texts as a tuple; one alone will do.

    Raises:
        TypeError: something is no text.
        ValueError: a text is not Unicode.
    """
    texts = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else (value,)
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"{name} must be texts, but got {text!r}.")
        if not is_text(text):
            raise ValueError(f"{name} must be Unicode text, but got {text!r}.")
    return texts


def numbers_of(name: str, value: object) -> tuple[float, ...]:
    """Return numbers as a tuple.

    Raises:
        TypeError: something is no number.
        ValueError: one is too large.
    """
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise TypeError(f"{name} must be a list of numbers, but got {value!r}.")
    numbers = tuple(value)
    for number in numbers:
        if not isinstance(number, Real):
            raise TypeError(f"{name} must be numbers, but got {number!r}.")
    try:
        return tuple(float(number) for number in numbers)
    except OverflowError:  # a whole number has any length
        raise ValueError(f"{name} must be numbers in the range of a float.") from None


def check_whole(name: str, value: object) -> None:
    """Raise ``TypeError`` unless the value is a whole number."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be a whole number, but got {value!r}.")


def check_context(context: object) -> None:
    """Raise an error unless it is a number of passages, >= 0."""
    check_whole("context", context)
    if context < 0:  # type: ignore[operator]
        raise ValueError(f"context must be >= 0, but got {context}.")


def check_filter(where: object) -> None:
    """Raise ``TypeError`` unless it is a filter or None."""
    if where is not None and not isinstance(where, Filter):
        raise TypeError(
            f"where must be a sift_rag.Filter, but got {type(where).__name__}: Filter(('docs/*',)) or "
            'Filter.from_dict({"sources": [...], "metadata": {...}}).'
        )


class Targets(NamedTuple):
    """The questions as vectors: the targets of one selection."""

    rows: Embedding
    """``(m, d)``, one for each piece of a question."""
    weights: list[float] | None
    """``(m,)``: each question's weight, shared among its pieces; None leaves it to the selector."""
    texts: list[str]
    """m texts: the questions, or their pieces."""
    owners: list[int]
    """``(m,)``: index of each target's question."""


def embed_questions(
    questions: Sequence[str],
    embedder: Embedder,
    weights: Sequence[float] | None = None,
    *,
    vectors: Sequence[ArrayLike] | Embedding | None = None,
) -> Targets:
    """Return the targets of questions; ``vectors`` are their embeddings, if the caller has some.

    Raises:
        ValueError: a question of more than ``MAX_PIECES`` times the embedder's length, or not one vector for each; or a
            vector that is not finite or has norm 0.
    """
    if vectors is not None:
        if len(vectors) != len(questions):
            raise ValueError(f"Expected one embedding for each of {len(questions)} questions, but got {len(vectors)}.")
        rows = as_unit_rows(vectors, what="The embeddings of the questions")
        return Targets(rows, None if weights is None else list(weights), list(questions), list(range(len(questions))))
    pieces = [cut_into_pieces(text, embedder) for text in questions]
    texts = [piece for cut in pieces for piece in cut]
    owners = [place for place, cut in enumerate(pieces) for _ in cut]
    rows = embedder.embed_queries(texts)
    if weights is None:
        return Targets(rows, None, texts, owners)
    shares = [weight / len(cut) for weight, cut in zip(weights, pieces, strict=True) for _ in cut]
    return Targets(rows, shares, texts, owners)


def cut_into_pieces(text: str, embedder: Embedder, *, limit: int = MAX_PIECES) -> list[str]:
    """Return the text in pieces of equally many tokens, cut where the embedder would stop reading.

    Raises:
        ValueError: there would be more than ``limit``.
    """
    length = embedder.max_tokens - embedder.tokenizer.num_special_tokens_to_add(False)
    if len(text.encode()) <= length:  # a token is at least a byte
        return [text]
    if len(text) > CHARACTERS_PER_TOKEN * length * limit:  # whatever its tokens
        raise ValueError(f"The question is too long: {len(text):,} characters. Ingest it and ask about it.")
    encoding = without_limits(embedder.tokenizer).encode(text, add_special_tokens=False)
    offsets: list[tuple[int, int]] = list(encoding.offsets)
    if len(offsets) > length * limit:
        raise ValueError(
            f"The question is too long: {len(offsets):,} tokens, but at most {length * limit:,} are taken "
            f"({limit} times what the embedder reads). Shorten it, or ingest it and ask about it."
        )
    if len(offsets) <= length:
        return [text]
    size = math.ceil(len(offsets) / math.ceil(len(offsets) / length))
    return [
        text[offsets[first][0] : offsets[min(first + size, len(offsets)) - 1][1]]
        for first in range(0, len(offsets), size)
    ]
