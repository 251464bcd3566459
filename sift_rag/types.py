"""The values that travel through sift-rag. All are frozen: a step makes new ones, it changes none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
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


LABEL_LENGTH = 256
"""Characters that key and value of a label may have together: longer values are content, not labels."""


def labels_of(metadata: Mapping[str, JsonValue]) -> list[tuple[str, str]]:
    """What of the metadata a filter can ask for: (key, value) of each scalar, and of each scalar in a list.

    A number, true and false are as JSON writes them. Left out are null, what is nested deeper, keys that are empty or
    hold a ``=``, and what is longer than ``LABEL_LENGTH``. Each once, in the order of the metadata.
    """
    labels: dict[tuple[str, str], None] = {}
    for key, value in metadata.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, bool | int | float | str) and key and "=" not in key:
                text = item if isinstance(item, str) else json.dumps(item)
                if len(key) + len(text) <= LABEL_LENGTH:
                    labels[key, text] = None
    return list(labels)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which passages may be found: those of these documents that bear these labels. An empty one lets all through."""

    sources: tuple[str, ...] = ()
    """Globs over ``Passage.source``; any of them must match all of it. ``*`` stands for any characters, ``/`` among
    them, ``?`` for one, ``[ab]`` and ``[!ab]`` for one of a set; a glob that ends in ``/`` means all below. Upper and
    lower case differ."""
    labels: tuple[tuple[str, str], ...] = ()
    """(key, value) as ``labels_of`` gives them: for each key any of its values, and that for all keys."""

    def __post_init__(self) -> None:
        """Check it.

        Raises:
            ValueError: a glob or a key is empty, a key holds a ``=``, a label is longer than any can be, or something
                is not Unicode text.
        """
        if not all(self.sources):
            raise ValueError("A filter's glob for sources is empty: expected one such as 'docs/*'.")
        for key, value in self.labels:
            if not key or "=" in key:
                raise ValueError(f"A filter cannot ask for the metadata key {key!r}: expected a name without '='.")
            if len(key) + len(value) > LABEL_LENGTH:
                raise ValueError(
                    f"A filter asks for a {key!r} of {len(value):,} characters: key and value have at most "
                    f"{LABEL_LENGTH} together, for longer metadata cannot be filtered by."
                )
        for text in (*self.sources, *(text for label in self.labels for text in label)):
            if any("\ud800" <= character <= "\udfff" for character in text):
                raise ValueError(f"A filter asks for {text!r}, which is not Unicode text.")

    def __bool__(self) -> bool:
        """Whether it asks for anything."""
        return bool(self.sources or self.labels)

    def choices(self) -> dict[str, list[str]]:
        """For each key of a label, the values that will do."""
        choices: dict[str, list[str]] = {}
        for key, value in dict.fromkeys(self.labels):
            choices.setdefault(key, []).append(value)
        return choices

    def matches_source(self, source: str) -> bool:
        """Whether a document's passages may be found, labels aside."""
        globs = (f"{glob}*" if glob.endswith("/") else glob for glob in self.sources)
        return not self.sources or any(fnmatchcase(source, glob) for glob in globs)

    def matches(self, passage: Passage) -> bool:
        """Whether the passage may be found: what every store's ``where`` means."""
        borne = set(labels_of(passage.metadata)) if self.labels else set()
        return self.matches_source(passage.source) and all(
            any((key, value) in borne for value in values) for key, values in self.choices().items()
        )


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
