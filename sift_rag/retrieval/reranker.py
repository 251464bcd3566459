"""Rank the texts of another retriever by what each adds to those before it.

question ──embedder──▶ targets (m, d) ─┐
texts ──copies counted once──▶ (n, d) ─┴─selector──▶ picks, then the rest by what they would still tell, then copies
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from sift_rag import defaults
from sift_rag.near_duplicates import leaders_of_copies
from sift_rag.protocols import Embedder, Relevance, Selector
from sift_rag.retrieval.queries import Query, embed_questions
from sift_rag.retrieval.scored import ScoredTexts, check_reranker
from sift_rag.retrieval.scores import falling_scores
from sift_rag.selection import Choice, Features, GaussianProcess, Pool, Sift, Texts
from sift_rag.selection.features import common_share
from sift_rag.selection.relevance import check_relevance
from sift_rag.selection.settings import check_selector
from sift_rag.types import Embedding
from sift_rag.vectors import as_unit_rows

NOTHING = 1e-12
"""Gains below this fraction of the first gain count as zero (float32 rounding)."""


@dataclass(frozen=True, slots=True)
class RankedText:
    """The place of one text in the ranking, and why."""

    index: int
    """Index among the given texts, from 0."""
    selected: bool
    """True if it was picked; the others come after all picks."""
    similarity: float
    """Cosine with the question, in [-1, 1]; with several questions, the largest. NaN for a blank text."""
    gain: float
    """Information beyond the picks before it, as a reduction of the posterior variance; if it was not picked, the
    gain that it would still have after all picks. 0 for a copy and for a blank text."""
    relevance: float
    """Gain that it would have had as the first pick, in the same unit. 0 for a copy and for a blank text."""
    score: float = math.nan
    """Score in (0, 1], strictly decreasing from one to the next: see ``falling_scores``."""
    posterior_variance: float | None = None
    """Variance of the question's answer after this pick and those before it; None if it was not picked."""
    redundant_with: int | None = None
    """Index of the pick that reduced its gain most, or of the text that it copies; None if there is none."""
    copy_of: int | None = None
    """Index of the text that says the same and was ranked for both; None if it is not a copy."""


@dataclass(frozen=True, slots=True)
class Reranking:
    """All the texts, in order."""

    questions: tuple[str, ...]
    ranked: tuple[RankedText, ...]
    prior_variance: float
    """Variance of the question's answer before any text (after what is known); summed over the targets."""
    irreducible_variance: float
    """Variance that all the texts together leave. NaN if the selector does not say."""


class Reranker:
    """Orders texts: SIFT's picks first, in the order of selection, then the rest by what they would still tell.

    Texts that say the same count once: the copies come last. Holds no state between calls; safe to share between
    threads if the embedder is.
    """

    def __init__(
        self, embedder: Embedder, *, selector: Selector | None = None, relevance: Relevance | None = None
    ) -> None:
        """Keep the parts.

        Args:
            embedder: of the question, and of the texts that come without a vector.
            selector: how to choose; by default SIFT with the setting for context windows, centred by as much as the
                texts have in common (docs/decisions/0008).
            relevance: a model whose scores replace the kernel between question and texts; by default the kernel is
                used.

        Raises:
            TypeError: ``selector`` is no selector, or ``relevance`` scores nothing.
            ValueError: the selector repeats its choices.
        """
        if selector is not None:
            check_selector(selector)
        if getattr(selector, "with_repeats", False):
            raise ValueError("A reranking lists every text once: give a selector without repeats.")
        check_reranker(relevance)
        self.embedder = embedder
        self.selector = selector
        self.relevance = relevance

    def rerank(
        self,
        question: str | Sequence[str],
        texts: Sequence[str],
        *,
        k: int | None = None,
        embeddings: Sequence[ArrayLike | None] | Embedding | None = None,
        question_embeddings: Sequence[ArrayLike] | Embedding | None = None,
        weights: Sequence[float] | None = None,
        known_texts: Sequence[str] = (),
        relevance: ArrayLike | None = None,
    ) -> Reranking:
        """Return every text once, most informative first: O(k n (d + k)) and, once, O(n² (n + d)).

        Args:
            question: one, or several that are answered together.
            texts: in any order; none gives an empty ranking. Blank ones come last.
            k: number of picks, >= 1; by default every text that adds something. The order of the first is the same.
            embeddings: ``(n, d)``, or one ``(d,)`` or None for each text, in the embedder's space; of any norm but 0.
                Texts without one are embedded.
            question_embeddings: ``(m, d)``, one for each question, likewise; then the embedder is not asked for them.
            weights: each question's weight in the total variance, >= 0; by default the selector balances them.
            known_texts: what the reader already knows: the order is by what the texts add.
            relevance: ``(n,)``, or ``(q, n)`` for q questions, in [0, 1]: scores of each text by another model. They
                take precedence over the reranker's own ``relevance``, which is then not called.

        Raises:
            ValueError: ``texts`` is one string, k < 1, what ``Query`` and ``embed_questions`` refuse, not one
                embedding for each text, or one that is not finite, has norm 0 or is of another dimension than the
                question's; or not one relevance score in [0, 1] for each text.
            ModelUnavailable: ``relevance`` does not answer.
            ModelUnsuitable: it does not return one score in [0, 1] per text.
        """
        asked = Query(
            question,  # type: ignore[arg-type]
            k=1 if k is None else k,
            known_texts=tuple(known_texts),
            weights=None if weights is None else tuple(weights),
        )
        if isinstance(texts, str):
            raise ValueError("texts is one string: expected a sequence of strings.")
        if embeddings is not None and len(embeddings) != len(texts):
            raise ValueError(
                f"Expected one embedding (or None) for each of {len(texts)} texts, but got {len(embeddings)}."
            )
        told = None if relevance is None else check_relevance(relevance, len(asked.questions), len(texts), what="texts")
        targets, shares, words, owners = embed_questions(
            asked.questions, self.embedder, asked.weights, vectors=question_embeddings
        )
        spoken = [index for index, text in enumerate(texts) if text.strip()]
        rows = self._rows(
            [texts[index] for index in spoken],
            [None if embeddings is None else embeddings[index] for index in spoken],
            targets,
        )
        similarities = np.full(len(texts), np.nan)
        similarities[spoken] = (rows @ targets.T).max(axis=1)
        pool = _Distinct.of(texts, spoken, rows, similarities)
        if told is not None:
            told = told[:, pool.indices]
        elif self.relevance is not None:
            told = ScoredTexts(self.relevance, asked.questions).of([texts[index] for index in pool.indices])
        choice = self._selector_for(pool.rows).select(
            Pool(
                targets,
                pool.rows,
                known=self.embedder.embed_passages(asked.known_texts) if asked.known_texts else None,
                weights=shares,
                texts=Texts(words, [texts[index] for index in pool.indices], asked.known_texts),
                relevance=None if told is None else told[owners],
            ),
            len(pool.indices) if k is None else min(k, len(pool.indices)),
        )
        picks = list(pool.picks(choice))
        ranked = [
            *(picks if k is not None else _telling_first(picks)),
            *pool.rest(choice),
            *(_silent(index, pool.similarities[index], copy_of=leader) for index, leader in pool.copies),
            *(_silent(index, math.nan) for index, text in enumerate(texts) if not text.strip()),
        ]
        gains = [text.gain for text in ranked]
        scores = falling_scores(gains, pool.unit(ranked[0], told)) if ranked else []
        left = choice.selection.irreducible_variance
        return Reranking(
            questions=asked.questions,
            ranked=tuple(map(_scored, ranked, scores)),
            prior_variance=choice.selection.prior_variance,
            irreducible_variance=math.nan if left is None else left,
        )

    def _rows(self, texts: Sequence[str], vectors: Sequence[ArrayLike | None], targets: Embedding) -> Embedding:
        """``(n, d)`` of unit norm: the vectors that came with the texts, and those of the texts without one."""
        rows = np.empty((len(texts), targets.shape[1]), dtype=np.float32)
        have = [index for index, row in enumerate(vectors) if row is not None]
        lack = [index for index, row in enumerate(vectors) if row is None]
        if have:
            rows[have] = as_unit_rows([vectors[index] for index in have], targets.shape[1], what="The embeddings")
        if lack:
            embedded = self.embedder.embed_passages([texts[index] for index in lack])
            rows[lack] = as_unit_rows(embedded, targets.shape[1], what="The embedder's vectors")
        return rows

    def _selector_for(self, rows: Embedding) -> Selector:
        if self.selector is not None:
            return self.selector
        return Sift(GaussianProcess(features=Features(defaults.CENTRING * common_share(rows))))


@dataclass(frozen=True, slots=True)
class _Distinct:
    """The distinct texts to select from, most similar first."""

    indices: list[int]
    """Their places among the texts that came in."""
    rows: Embedding
    """``(n, d)``."""
    copies: list[tuple[int, int]]
    """Places of the other texts, with that of the one which says the same; by the latter."""
    similarities: list[float]
    """Similarity of every text that came in, by its place."""

    @classmethod
    def of(cls, texts: Sequence[str], spoken: Sequence[int], rows: Embedding, similarities: Embedding) -> _Distinct:
        """Return the pool of the texts at the places ``spoken``; of equally similar ones the first leads."""
        order = np.argsort(-similarities[spoken], kind="stable")
        indices = [spoken[place] for place in order]
        leaders = leaders_of_copies([texts[index] for index in indices], rows[order])
        leading = [place for place, leader in enumerate(leaders) if place == leader]
        following = sorted((leader, place) for place, leader in enumerate(leaders) if place != leader)
        return cls(
            [indices[place] for place in leading],
            rows[order[leading]],
            [(indices[place], indices[leader]) for leader, place in following],
            similarities.tolist(),
        )

    def unit(self, first: RankedText, relevance: Embedding | None) -> float:
        """Return the score of the first text: its largest relevance in ``(q, n)``, else its similarity."""
        if relevance is None or first.index not in self.indices:
            return first.similarity
        return float(relevance[:, self.indices.index(first.index)].max())

    def picks(self, choice: Choice) -> Iterator[RankedText]:
        """Yield the picks, in order."""
        selection = choice.selection
        columns = (selection.indices, selection.gains, selection.relevance, selection.posterior_variances)
        for place, gain, relevance, variance in zip(*(column.tolist() for column in columns), strict=True):
            yield RankedText(
                index=self.indices[place],
                selected=True,
                similarity=self.similarities[self.indices[place]],
                gain=gain,
                relevance=relevance,
                posterior_variance=variance,
            )

    def rest(self, choice: Choice) -> Iterator[RankedText]:
        """Yield the texts that were not picked, by the gain that they would still have."""
        picked, redundancy = choice.selection.indices.tolist(), choice.redundancy
        taken = set(picked)
        gains, relevance, by = redundancy.gains.tolist(), redundancy.relevance.tolist(), redundancy.picks.tolist()
        for place in np.argsort(-redundancy.gains, kind="stable").tolist():
            if place not in taken:
                yield RankedText(
                    index=self.indices[place],
                    selected=False,
                    similarity=self.similarities[self.indices[place]],
                    gain=gains[place],
                    relevance=relevance[place],
                    redundant_with=None if by[place] < 0 else self.indices[picked[by[place]]],
                )


def _scored(text: RankedText, score: float) -> RankedText:
    """Return the text with its score. ``dataclasses.replace`` takes five times as long, which counts for hundreds."""
    return RankedText(
        text.index,
        text.selected,
        text.similarity,
        text.gain,
        text.relevance,
        score,
        text.posterior_variance,
        text.redundant_with,
        text.copy_of,
    )


def _telling_first(picks: Sequence[RankedText]) -> list[RankedText]:
    """Return the picks that gained something; then, as if not picked, those that gained nothing."""
    told = [pick for pick in picks if pick.gain > NOTHING * picks[0].gain]
    silent = [pick for pick in picks if not pick.gain > NOTHING * picks[0].gain]
    return [*told, *(replace(pick, selected=False, posterior_variance=None) for pick in silent)]


def _silent(index: int, similarity: float, *, copy_of: int | None = None) -> RankedText:
    """Return the rank of a text that adds nothing."""
    return RankedText(
        index,
        selected=False,
        similarity=similarity,
        gain=0.0,
        relevance=0.0,
        redundant_with=copy_of,
        copy_of=copy_of,
    )
