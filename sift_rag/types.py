"""The values that all parts of sift-rag exchange, and their one JSON shape. All are frozen: a step makes new ones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias
from uuid import UUID, uuid5

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sift_rag.selection.result import StopReason

Embedding: TypeAlias = NDArray[np.float32]
"""A unit-norm vector ``(d,)``, or rows of them ``(n, d)``."""

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"


_PASSAGES = UUID("8e2ab6a4-3d0f-5a52-9d0b-6f3c1f3f7c55")
"""Namespace of the ids of passages."""


class Span(NamedTuple):
    """The place of a passage in its document."""

    start: int
    """First character, counted from 0 in the document's text."""
    end: int
    """One past the last character."""
    line: int | None = None
    """Line of the first words below its headings, from 1; None where lines mean nothing to a reader (PDF, HTML)."""
    page: int | None = None
    """Page (PDF) or slide (PPTX), from 1; None elsewhere."""


SAYS_THE_SAME = 0.9
"""Cosine from which one passage is said to repeat another. A selection has no such threshold."""

_MUCH = 0.2
"""Share of a passage's information from which a hit that holds it is named as the reason to leave the passage out."""


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
    """Title of its document."""
    headings: tuple[str, ...] = ()
    """Headings above it, outermost first."""
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)
    revision: str = ""
    """The version of its document that it was cut from."""

    @property
    def embedding_text(self) -> str:
        """Return the text that the embedder is given: title and headings, then the passage."""
        header = " > ".join(dict.fromkeys(part for part in (self.title, *self.headings) if part))
        return f"{header}\n{self.text}" if header else self.text

    def place(self) -> dict[str, JsonValue]:
        """Return which passage this is and where it stands, for JSON."""
        return {"id": self.id, "source": self.source, "line": self.span.line, "page": self.span.page}

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the passage as JSON shows it at every entry point."""
        return {
            **self.place(),
            "title": self.title,
            "headings": list(self.headings),
            "text": self.text,
            "metadata": dict(self.metadata),
        }


def passage_id(passage: Passage, copy: int) -> UUID:
    """Return the id of the ``copy``-th passage, from 0, of this source with this embedding text."""
    return uuid5(_PASSAGES, f"{passage.source}\0{copy}\0{passage.embedding_text}")


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
    """Fingerprint of the content and the splitting: passages of another revision are stale."""
    passages: int = 0
    title: str = ""
    ingested_at: str = ""
    """ISO 8601, UTC."""
    reason: str = ""
    """Reason of the failure; empty otherwise."""
    notices: tuple[str, ...] = ()
    """Notices on how it was read, a clause each."""
    pages_without_text: int = 0
    """Number of pages that hold no text, scans for example."""
    language: str = ""
    """Likeliest language of its beginning, an ISO 639 code; empty if unknown: code, tables, few words."""


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """The description that a collection carries: checked whenever it is opened."""

    name: str
    embedder: str
    dimension: int
    schema_version: int
    splitter: str = ""
    """Recipe by which documents were split when it was made; empty if unknown."""
    precision: str = ""
    """Number format in which its vectors were computed when it was made, such as ``float32``; empty if unknown."""


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
    """A selected passage."""

    passage: Passage
    rank: int
    """Place in the order of selection, from 1."""
    similarity: float
    """Cosine with the question, in [-1, 1]; with several questions, the largest."""
    posterior_variance: float
    """Variance of the question's answer after this hit and those before it."""
    gain: float
    """Information beyond the hits before it: the reduction of the posterior variance, >= 0."""
    relevance: float
    """Gain that it would have had as the first hit, in the same unit."""
    copies: tuple[Passage, ...] = ()
    """Other passages that say the same."""
    shared_words: tuple[str, ...] = ()
    """Words of the questions that it holds, as written there, the most telling first; none where words do not count."""
    brought_by: Literal["question", "first passage"] = "question"
    """Target that most of its gain in the selection was for: the questions, or these together with the first hit."""
    reranker_score: float | None = None
    """The reranker's relevance score, in [0, 1]; the largest if there are several questions. None without a
    reranker."""
    before: tuple[Passage, ...] = ()
    """Passages before it in its document, in reading order, if context was asked for. No passage is in the context of
    two hits, none is itself a hit, and text that overlaps is left out here."""
    after: tuple[Passage, ...] = ()
    """Passages after it, likewise."""

    @property
    def best_score(self) -> float:
        """Return the reranker's score, or the similarity without a reranker."""
        return self.similarity if self.reranker_score is None else self.reranker_score

    @property
    def redundancy(self) -> float:
        """Return ``relevance`` - ``gain``: known by then. Negative where hits make each other more informative."""
        return self.relevance - self.gain

    @property
    def in_context(self) -> Passage:
        """Return the passage with the text around it: the same id and place, more text."""
        stretch = (*self.before, self.passage, *self.after)
        if len(stretch) == 1:
            return self.passage
        span = self.passage.span._replace(start=stretch[0].span.start, end=stretch[-1].span.end)
        return replace(self.passage, text=joined_text(stretch), span=span)

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the one JSON shape of a hit."""
        return {
            "rank": self.rank,
            **self.passage.to_dict(),
            "similarity": finite(self.similarity),
            "reranker_score": self.reranker_score,
            "gain": finite(self.gain),
            "relevance": finite(self.relevance),
            "redundancy": finite(self.redundancy),
            "posterior_variance": finite(self.posterior_variance),
            "shared_words": list(self.shared_words),
            "brought_by": self.brought_by,
            "also_in": [copy.place() for copy in self.copies],
            "before": [{**passage.place(), "text": passage.text} for passage in self.before],
            "after": [{**passage.place(), "text": passage.text} for passage in self.after],
        }

    def __repr__(self) -> str:
        line = "" if self.passage.span.line is None else f":{self.passage.span.line}"
        return f"Hit({self.rank}, {self.passage.source}{line}, similarity={self.similarity:.3f})"


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A near neighbour that was not selected, and why."""

    passage: Passage
    similarity: float
    """Cosine with the question, in [-1, 1]."""
    closest_rank: int
    """Rank of the hit that it resembles most."""
    closest_similarity: float
    """Cosine with that hit."""
    relevance: float
    """Gain that it would have had as the first hit."""
    gain: float
    """Gain that it would still have after all hits."""
    redundant_with: int | None
    """Rank of the hit that reduced its gain most; None if no hit reduced it."""
    taken: float
    """Reduction of its gain by that hit, >= 0."""

    @property
    def reason(self) -> str:
        """Return why it was not selected, in words; a hit is named as ``#2``, and only if it says much of the same."""
        if self.closest_similarity >= SAYS_THE_SAME:
            return f"says nearly the same as #{self.closest_rank}"
        if self.redundant_with is not None and self.taken >= _MUCH * self.relevance > 0:
            return f"{how_much(self.taken, self.relevance)} of it is already in #{self.redundant_with}"
        return "adds less than the passages selected"

    def to_dict(self) -> dict[str, JsonValue]:
        """Return its JSON shape."""
        return {
            **self.passage.place(),
            "similarity": finite(self.similarity),
            "closest_rank": self.closest_rank,
            "closest_similarity": finite(self.closest_similarity),
            "relevance": finite(self.relevance),
            "gain": finite(self.gain),
            "redundant_with": self.redundant_with,
            "taken": finite(self.taken),
            "reason": self.reason,
        }


class Timings(NamedTuple):
    """Milliseconds of one retrieval, by step."""

    embed: float
    search: float
    select: float


class ExactReport(NamedTuple):
    """The outcome of a selection from a whole collection."""

    proven: bool
    """True if the hits are proven to be the greedy optimum of the collection."""
    passages: int
    """Number of passages selected from, copies included."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """The passages retrieved for one question, or for several asked together. Iterates over its hits."""

    questions: tuple[str, ...]
    hits: tuple[Hit, ...]
    prior_variance: float
    """Variance before any hit (after what is known); summed over the targets."""
    irreducible_variance: float
    """Variance left after *all* the candidates: what they cannot explain, however many are selected.
    NaN if the selector does not say."""
    passed_over: tuple[PassedOver, ...]
    """The nearest candidates that were not selected, nearest first."""
    candidates: int
    """Number of distinct candidates selected from, unless ``exact``."""
    targets: int
    """Number of vectors that represent the questions: the variances are sums over this many."""
    stopped: StopReason
    """The reason why there are no more hits."""
    timings_ms: Timings
    exact: ExactReport | None = None
    """Report of a selection from the whole collection; None if that was not requested."""
    exact_search: bool = True
    """True if the candidates nearest to the questions are exactly the nearest of the collection; False if they were
    found by a graph of neighbours, which may miss some."""

    @property
    def texts(self) -> list[str]:
        """Return the texts of the hits, in order."""
        return [hit.passage.text for hit in self.hits]

    @property
    def predicted_gain(self) -> float:
        """Return the share, in [0, 1], of the prior variance that the hits explain."""
        return self.predicted_gain_of(len(self.hits))

    def predicted_gain_of(self, count: int) -> float:
        """Return the share, in [0, 1], of the prior variance that the first ``count`` hits explain."""
        first = self.hits[:count]
        return explained_share(self.prior_variance, first[-1].posterior_variance) if first else 0.0

    def explained(self, variance: float) -> float:
        """Return the share, in [0, 1], of what all candidates could explain that is explained at ``variance``."""
        reducible = self.prior_variance - self.irreducible_variance
        return (self.prior_variance - variance) / reducible if reducible > 0 else 0.0

    def added(self) -> list[float]:
        """Return what each hit adds to those before it, as a share of what all candidates together can explain.

        The shares of all candidates would sum to 1. NaN if the selector does not say what they can explain.
        """
        if not math.isfinite(self.irreducible_variance):
            return [math.nan] * len(self.hits)
        told = [0.0, *(self.explained(hit.posterior_variance) for hit in self.hits)]
        return [after - before for before, after in pairwise(told)]

    def to_dict(self, *, explain: bool = False) -> dict[str, JsonValue]:
        """Return the one JSON shape of a retrieval; ``explain`` adds the candidates passed over."""
        result: dict[str, JsonValue] = {
            "questions": list(self.questions),
            "hits": [hit.to_dict() for hit in self.hits],
            "prior_variance": finite(self.prior_variance),
            "irreducible_variance": finite(self.irreducible_variance),
            "candidates": self.candidates,
            "targets": self.targets,
            "stopped": self.stopped,
            "exact": None if self.exact is None else {"proven": self.exact.proven, "passages": self.exact.passages},
            "exact_search": self.exact_search,
            "timings_ms": {step: round(ms, 3) for step, ms in self.timings_ms._asdict().items()},
        }
        if explain:
            result["passed_over"] = [passed.to_dict() for passed in self.passed_over]
        return result

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __len__(self) -> int:
        return len(self.hits)

    def __repr__(self) -> str:
        asked = self.questions[0] if len(self.questions) == 1 else f"{len(self.questions)} questions"
        asked = asked if len(asked) <= 60 else f"{asked[:57]}..."
        return f"Retrieval({asked!r}, {len(self.hits)} hits of {self.candidates} candidates)"


def joined_text(passages: Sequence[Passage]) -> str:
    """Return the text of consecutive passages of a document; an empty line stands for what lies between two."""
    text = passages[0].text
    for left, right in pairwise(passages):
        touches = left.span.end == right.span.start and all(
            len(one.text) == one.span.end - one.span.start for one in (left, right)
        )
        text = f"{text}{right.text}" if touches else f"{text.rstrip()}\n\n{right.text.lstrip(chr(10))}"
    return text


def how_much(part: float, whole: float) -> str:
    """Return a share of a whole in words: from "hardly any" to "nearly all"."""
    share = part / whole if whole > 0 else 0.0
    steps = ((0.05, "hardly any"), (0.2, "a little"), (0.4, "a third"), (0.6, "half"), (0.85, "most"))
    return next((words for limit, words in steps if share < limit), "nearly all")


def explained_share(prior_variance: float, left: float) -> float:
    """Return the share, in [0, 1], of a prior variance that is explained once the variance ``left`` remains."""
    return 1.0 - left / prior_variance if prior_variance > 0 else 0.0


def finite(value: float) -> float | None:
    """Return the number, or None for NaN and infinity, which JSON lacks."""
    return float(value) if math.isfinite(value) else None
