"""The parts of a rerank dialect, and the one form of a request that every dialect is read into."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sift_rag.protocols import Selector
from sift_rag.retrieval.reranker import Reranking
from sift_rag_server.errors import HTTPError
from sift_rag_server.settings import Limits

MAX_PICKS = 50
"""Default upper bound of ``k``. Each further pick costs as much as the first and hardly adds anything; documents beyond
it are ordered by the gain that they would still have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankRequest:
    """A rerank request, whatever the dialect."""

    questions: tuple[str, ...]
    texts: tuple[str, ...]
    top_n: int
    """Number of results to return, at most the number of texts."""
    model: str | None = None
    echo: Sequence[Mapping[str, object]] | None = None
    """Fields to return with the result of each text; None to return none."""
    embeddings: Sequence[Sequence[float] | None] | None = None
    """Vector of each text, or None where the server embeds it."""
    picks: int | None = None
    """Number of texts to select; None if the request does not say."""
    selector: Selector | None = None
    """Selection method; None if the request names none."""
    known_texts: tuple[str, ...] = ()
    """Texts that the reader already knows."""
    weights: tuple[float, ...] | None = None
    """Weight of each question."""
    relevance: Sequence[float] | None = None
    """Relevance score of each text by another model, in [0, 1]; None if the request has none."""

    @property
    def k(self) -> int | None:
        """Number of texts to select; None for every text with a gain."""
        if self.picks is not None:
            return self.picks
        whole = self.top_n == len(self.texts) <= MAX_PICKS
        return None if whole else min(self.top_n, MAX_PICKS)


@dataclass(frozen=True, slots=True)
class ReplyHead:
    """The facts of a reply besides the ranking."""

    request_id: str
    model: str
    """Name that the client asked for, or the reranker's own."""
    tokens: int
    """Number of tokens embedded for this request, cached texts included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One shape of rerank requests and replies. To add one, write a module like ``tei.py`` and list it in ``DIALECTS``.

    Its Pydantic models describe it in the OpenAPI document.
    """

    matches: Callable[[Mapping[str, Any]], bool]
    """Return True if a JSON object is a request of this dialect."""
    read: Callable[[Mapping[str, Any], Limits], RerankRequest]
    """Parse a request; raise HTTPError or ValueError if it is invalid."""
    write: Callable[[RerankRequest, Reranking, ReplyHead], object]
    """Return the reply as a JSON value."""
    error: Callable[[HTTPError, str], dict[str, object]]
    """Return the JSON object for an error, given the request's id."""
    request_model: Any
    reply_model: Any
    error_model: Any
