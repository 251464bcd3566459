"""The values that travel through sift-rag. All are frozen: a step makes new ones, it changes none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sift_rag.selection.result import StopReason

Embedding: TypeAlias = NDArray[np.float32]
"""A unit-norm vector ``(d,)``, or rows of them ``(n, d)``."""

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"


class Span(NamedTuple):
    """Where in its document a passage stands."""

    start: int
    """First character, counted from 0 in the document's text."""
    end: int
    """One past the last character."""
    line: int | None = None
    """Line of the first character, from 1; None where lines mean nothing to a reader (PDF, DOCX, HTML, ...)."""
    page: int | None = None
    """Page (PDF) or slide (PPTX), from 1; None elsewhere."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A unit of text that can be chosen: a stretch of one document."""

    id: str
    """UUID, a function of source and content: the same on every machine."""
    text: str
    source: str
    """Name of the document it was cut from, e.g. ``handbook/travel.md``."""
    span: Span
    title: str = ""
    headings: tuple[str, ...] = ()
    """Path of headings above it, outermost first."""
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)
    revision: str = ""
    """Which version of its document it was cut from."""

    @property
    def embedding_text(self) -> str:
        """What the embedder is given: title and headings, then the text."""
        header = " > ".join(dict.fromkeys(part for part in (self.title, *self.headings) if part))
        return f"{header}\n{self.text}" if header else self.text


@dataclass(frozen=True, slots=True)
class Document:
    """The record of one ingested file: what is in the store, or why it is not."""

    source: str
    location: str
    """Absolute path at the last ingest, on the machine that ran it."""
    state: Literal["pending", "ingested", "failed"]
    """``pending``: an ingest began and has not finished; the next one completes it."""
    size: int = 0
    """Bytes."""
    modified_ns: int = 0
    changed_ns: int = 0
    content_hash: str = ""
    """BLAKE2b of the bytes, hexadecimal."""
    revision: str = ""
    """Of the content and of how it was split: passages of another revision are stale."""
    passages: int = 0
    title: str = ""
    ingested_at: str = ""
    """ISO 8601, UTC."""
    reason: str = ""
    """Why it failed; empty otherwise."""


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """What a collection says of itself: checked whenever it is opened."""

    name: str
    embedder: str
    dimension: int
    schema_version: int
    splitter: str = ""
    """How documents are split, as of when it was made; empty where that is not known."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A passage as the store proposes it, with its vector."""

    passage: Passage
    similarity: float
    """Cosine with the question, in [-1, 1]; with several questions, the largest."""
    embedding: Embedding = field(compare=False, repr=False)
    """``(d,)``, unit norm."""
    copies: tuple[Passage, ...] = ()
    """Other passages that say the same, met among the candidates."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A chosen passage."""

    passage: Passage
    rank: int
    """From 1, in the order chosen."""
    similarity: float
    posterior_variance: float
    """Variance of the question's answer after this hit and those before it."""
    gain: float
    """What it told beyond the hits before it: a fall of the posterior variance, >= 0."""
    relevance: float
    """What it would have told had it come first, in the same unit."""
    copies: tuple[Passage, ...] = ()

    @property
    def redundancy(self) -> float:
        """``relevance`` - ``gain``: what of it was known by then. Negative where hits make each other more telling."""
        return self.relevance - self.gain


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A near neighbour that was not chosen, and why."""

    passage: Passage
    similarity: float
    closest_rank: int
    """Rank of the hit that it resembles most."""
    closest_similarity: float
    """Cosine with that hit."""
    relevance: float
    """What it would have told had it come first."""
    gain: float
    """What it would still tell after all hits."""
    redundant_with: int | None
    """Rank of the hit that took most from what it would tell; None where none took anything."""
    taken: float
    """How much that hit took, >= 0."""


class Timings(NamedTuple):
    """Milliseconds of one retrieval, by step."""

    embed: float
    search: float
    select: float


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What one question, or several asked together, retrieved."""

    questions: tuple[str, ...]
    hits: tuple[Hit, ...]
    prior_variance: float
    """Variance before any hit (after what was ``given``); summed over the questions."""
    irreducible_variance: float
    """Variance that would be left after *all* the candidates: what they cannot tell, however many are taken. NaN where
    the selector does not say."""
    passed_over: tuple[PassedOver, ...]
    """The nearest candidates that were not chosen, nearest first."""
    candidates: int
    """How many distinct candidates the irreducible variance is of, and, unless ``looked_at`` says otherwise, the choice
    was made from."""
    targets: int
    """How many vectors stood for the questions: the variances are sums over so many."""
    stopped: StopReason
    """Why there are not more hits."""
    timings_ms: Timings
    certified: bool | None = None
    looked_at: int | None = None
    """How many passages, copies included, an exhaustive choice was made from; None where none was asked for."""
    """Whether the hits are proven to be the greedy optimum of the whole collection; None where that was not asked."""

    def explained(self, variance: float) -> float:
        """Share, in [0, 1], of what all the candidates together can tell that is told once ``variance`` is left."""
        reducible = self.prior_variance - self.irreducible_variance
        return (self.prior_variance - variance) / reducible if reducible > 0 else 0.0
