"""Retrieve the passages that jointly answer a question: embed, search, select. Read this first.

questions ──embedder──▶ targets (m, d) ──store──▶ candidates (n, d), copies merged ──selector──▶ hits, in order
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Self

import numpy as np

from sift_rag import defaults
from sift_rag.errors import DocumentNotFound, NoEvidence
from sift_rag.exact import check_exact, choose_from_all
from sift_rag.filters import Filter
from sift_rag.protocols import Embedder, PassageIndex, Relevance, Searcher, Selector, WordIndex
from sift_rag.retrieval.candidates import adding, all_candidates, distinct_candidates, searcher_of
from sift_rag.retrieval.context import ContextReader
from sift_rag.retrieval.queries import Query, Targets, embed_questions
from sift_rag.retrieval.scored import ScoredTexts, check_reranker
from sift_rag.retrieval.shared_words import SharedWords
from sift_rag.selection import Choice, Features, GaussianProcess, Pool, Sift, Target, Texts
from sift_rag.selection.settings import check_selector
from sift_rag.tokens import without_limits
from sift_rag.types import (
    Candidate,
    Embedding,
    ExactReport,
    Hit,
    JsonValue,
    Passage,
    PassedOver,
    Retrieval,
    Span,
    Timings,
)

if TYPE_CHECKING:
    from types import TracebackType

    from sift_rag.embedders.endpoint import EmbedderEndpoint


MOST_CANDIDATES = 2**31 - 1
"""Number of candidates that a store is asked for at most: more than any has, and an integer to all of them."""


class Retriever:
    """Retrieves from one collection. Holds no state between calls; safe to share between threads if its parts are.

    with open_retriever("store") as retriever:
        for hit in retriever.retrieve("Who may book a flight?"):
            print(hit.rank, hit.passage.source)
    """

    def __init__(
        self,
        embedder: Embedder,
        store: PassageIndex,
        *,
        selector: Selector | None = None,
        candidate_limit: int = defaults.CANDIDATE_LIMIT,
        keep_copies: bool = False,
        relevance: Relevance | None = None,
    ) -> None:
        """Keep the parts.

        Args:
            embedder: the one that the collection was made with.
            store: the collection; closed by ``close``.
            selector: how to choose; by default SIFT with the setting for context windows.
            candidate_limit: number of distinct candidates to select from (for each target), >= 1.
            keep_copies: keep passages that say the same as separate candidates, as a plain vector search does; for
                comparison.
            relevance: a model whose scores replace the kernel between questions and candidates; by default the kernel
                is used.
        """
        if candidate_limit < 1:
            raise ValueError(f"candidate_limit must be >= 1, but got {candidate_limit}.")
        check_reranker(relevance)
        self.embedder = embedder
        self.store = store
        if selector is not None:
            check_selector(selector)
        self.selector: Selector = selector if selector is not None else Sift()
        self.candidate_limit = candidate_limit
        self.keep_copies = keep_copies
        self.relevance = relevance

    @classmethod
    def from_texts(
        cls,
        texts: Sequence[str],
        embedder: Embedder | EmbedderEndpoint | str | None = None,
        *,
        sources: Sequence[str] | None = None,
        metadata: Sequence[Mapping[str, JsonValue]] | None = None,
        selector: Selector | None = None,
        candidate_limit: int = defaults.CANDIDATE_LIMIT,
        keep_copies: bool = False,
        relevance: Relevance | None = None,
    ) -> Retriever:
        """Return a retriever over texts held in memory, each one a passage.

        Args:
            texts: passages, in order.
            embedder: an embedder, an endpoint, or the name or folder of one; the default embedder by default.
            sources: one name for each text, by default ``text-0``, ``text-1``, ...
            metadata: one mapping for each text, to filter by.
            selector: see the class.
            candidate_limit: see the class.
            keep_copies: see the class.
            relevance: see the class.

        Raises:
            ValueError: ``texts`` is one string, not one source or mapping for each text, or a text is empty.
        """
        from sift_rag.embedders.endpoint import EmbedderEndpoint
        from sift_rag.embedders.runtimes import Wanted, load_embedder
        from sift_rag.embedders.sentence_transformer import load_sentence_transformer
        from sift_rag.retrieval.in_memory import memory_store

        if isinstance(embedder, EmbedderEndpoint):
            embedder = embedder.open()
        elif embedder is None or isinstance(embedder, str):
            embedder = load_embedder(embedder or defaults.EMBEDDER, Wanted(), load_sentence_transformer)
        store = memory_store(texts, embedder, sources=sources, metadata=metadata)
        return cls(
            embedder,
            store,
            selector=selector,
            candidate_limit=candidate_limit,
            keep_copies=keep_copies,
            relevance=relevance,
        )

    def retrieve(self, query: Query | str | Sequence[str], k: int | None = None) -> Retrieval:
        """Return the passages that together leave the least uncertainty about the answer.

        Args:
            query: a question, several that are answered together, or a ``Query`` with all that can be asked.
            k: number of passages, in place of the query's.

        Raises:
            ValueError: see ``Query``; or a question of more than ``MAX_PIECES`` times the embedder's length, or a
                choice that cannot be exact.
            NoEvidence: the collection is empty, or holds nothing beyond what is known, or nothing that ``where`` lets
                through, or its candidates would leave more than ``max_variance``.
            DocumentNotFound: a ``known`` is neither a passage nor a document of the collection.
            StoreConflict: ``where`` asks for metadata, and the collection was made before they could be filtered by.
            ModelUnavailable: the reranker does not answer.
            ModelUnsuitable: it does not return one score in [0, 1] per candidate.
        """
        asked = query if isinstance(query, Query) else Query(query, k=defaults.K if k is None else k)  # type: ignore[arg-type]
        asked = asked if k is None else replace(asked, k=k)
        if asked.exact:
            check_exact(self.selector, asked.stopping)
            if self.relevance is not None:
                raise ValueError(
                    "An exact selection considers every passage, but a reranker scores only candidates: "
                    "leave out one of the two."
                )

        started = perf_counter()
        targets = embed_questions(asked.questions, self.embedder, asked.weights)
        known_texts = self._embedded(asked.known_texts)
        embedded = perf_counter()
        known = [*self._known(asked.known), *known_texts]
        nearby = searcher_of(self.store, exactly=asked.exact or asked.exact_search)
        candidates = self._candidates(asked, targets, known, nearby.searcher)
        nearest = len(candidates)
        candidates += self._sharing_words(asked, targets, candidates, known)
        searched = perf_counter()
        scored = None if self.relevance is None else ScoredTexts(self.relevance, asked.questions)
        context = self._context(asked, known)
        candidates, choice, exact = self._choose(
            asked, targets, candidates, known, nearest, scored, context, nearby.searcher
        )
        selected = perf_counter()
        selection, left = choice.selection, choice.selection.irreducible_variance
        retrieval = Retrieval(
            questions=asked.questions,
            hits=context.surrounded(self._hits(asked, targets, candidates, choice, nearest, scored)),
            prior_variance=selection.prior_variance,
            irreducible_variance=math.nan if left is None else left,
            passed_over=_passed_over(candidates, _rows(candidates), choice),
            candidates=len(candidates),
            targets=len(targets.rows),
            stopped=selection.stopped,
            timings_ms=Timings(
                embed=1e3 * (embedded - started),
                search=1e3 * (searched - embedded),
                select=1e3 * (selected - searched),
            ),
            exact=exact,
            exact_search=nearby.exact,
        )
        _check_variance(retrieval, asked.max_variance)
        return retrieval

    def close(self) -> None:
        """Close the store. Closing twice is allowed."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        info = self.store.info
        return f"Retriever({info.name!r}, {info.embedder}, {self.selector.name})"

    def _embedded(self, texts: Sequence[str]) -> list[Candidate]:
        rows = self.embedder.embed_passages(texts)
        return [
            Candidate(Passage(id=f"known {i}", text=text, source="known", span=Span(0, len(text))), math.nan, row)
            for i, (text, row) in enumerate(zip(texts, rows, strict=True))
        ]

    def _candidates(
        self, asked: Query, targets: Targets, known: Sequence[Candidate], searcher: Searcher
    ) -> list[Candidate]:
        gather = all_candidates if self.keep_copies else distinct_candidates
        limit = min(max(self.candidate_limit, asked.k), MOST_CANDIDATES)
        candidates = gather(searcher, targets.rows, limit, known=known, where=asked.where)
        if not candidates:
            raise NoEvidence(self._why_nothing(targets.rows, asked.where))
        return candidates

    def _sharing_words(
        self, asked: Query, targets: Targets, nearest: Sequence[Candidate], known: Sequence[Candidate]
    ) -> list[Candidate]:
        """Return candidates that are not among the nearest, found by their words."""
        if asked.exact or not isinstance(self.store, WordIndex) or self._features is None:
            return []
        fresh: list[Candidate] = []
        for found in self.store.search_words(targets.texts, defaults.WORD_CANDIDATES, where=asked.where):
            fresh += adding(found, [*known, *nearest, *fresh], targets.rows, keep_copies=self.keep_copies)
        return fresh

    @property
    def language(self) -> str:
        """Language that words are stemmed in; the default's if the selector reads no words."""
        return defaults.LANGUAGE if self._features is None else self._features.language

    @property
    def _features(self) -> Features | None:
        """Return the selector's features; None if it does not read words."""
        process = getattr(self.selector, "process", None)
        return process.features if isinstance(process, GaussianProcess) and process.reads_words else None

    def _choose(
        self,
        asked: Query,
        targets: Targets,
        candidates: list[Candidate],
        known: Sequence[Candidate],
        nearest: int,
        scored: ScoredTexts | None,
        context: ContextReader,
        searcher: Searcher,
    ) -> tuple[list[Candidate], Choice, ExactReport | None]:
        if asked.exact:
            return choose_from_all(
                self.store,
                self.selector,
                targets.rows,
                asked.k,
                candidates,
                known=known,
                weights=targets.weights,
                stopping=asked.stopping,
                keep_copies=self.keep_copies,
                where=asked.where,
            )

        def pool() -> Pool:
            texts = _texts(candidates)
            budget = asked.stopping is not None and asked.stopping.tokens is not None
            return Pool(
                targets.rows,
                _rows(candidates),
                known=_rows(known) if known else None,
                weights=targets.weights,
                token_counts=context.sizes([candidate.passage for candidate in candidates]) if budget else None,
                texts=Texts(targets.texts, texts, _texts(known)),
                relevance=None if scored is None else scored.of(texts)[targets.owners],
                reference=nearest,
                extend=extend,
            )

        def extend(target: Target) -> Pool:
            [found] = searcher.search(np.asarray(target.row)[None], defaults.FOLLOW_CANDIDATES, where=asked.where)
            candidates.extend(adding(found, [*known, *candidates], targets.rows, keep_copies=self.keep_copies))
            return pool()

        return candidates, self.selector.select(pool(), asked.k, stopping=asked.stopping), None

    def _hits(
        self,
        asked: Query,
        targets: Targets,
        candidates: Sequence[Candidate],
        choice: Choice,
        nearest: int,
        scored: ScoredTexts | None,
    ) -> tuple[Hit, ...]:
        selection = choice.selection
        followed = choice.followed
        shares = [0.0] * len(selection) if followed is None else followed.shares.tolist()
        features = self._features
        words = None
        if features is not None and not asked.exact:
            words = SharedWords(targets.texts, _texts(candidates[:nearest]), features)
        told = [None] * len(candidates) if scored is None else scored.of(_texts(candidates)).max(axis=0).tolist()
        columns = (selection.indices, selection.posterior_variances, selection.gains, selection.relevance)
        return tuple(
            Hit(
                passage=candidates[index].passage,
                rank=rank,
                similarity=candidates[index].similarity,
                posterior_variance=variance,
                gain=gain,
                relevance=relevance,
                copies=candidates[index].copies,
                shared_words=() if words is None else words.of(candidates[index].passage.embedding_text),
                brought_by="first passage" if share > 0.5 else "question",
                reranker_score=told[index],
            )
            for rank, (index, variance, gain, relevance, share) in enumerate(
                zip(*(column.tolist() for column in columns), shares, strict=True), start=1
            )
        )

    def _why_nothing(self, targets: Embedding, where: Filter | None) -> str:
        """Return why there is no candidate."""
        collection = f"Collection {self.store.info.name!r}"
        if not self.store.count():
            return f"{collection} is empty: ingest something first."
        if where and not self.store.search(targets[:1], 1, where=where)[0]:
            return f"{collection} holds nothing that the filter matches: {self._what_matches(where)}"
        of_these = " that the filter matches" if where else ""
        return f"{collection} holds nothing{of_these} beyond what is known."

    def _what_matches(self, where: Filter) -> str:
        """Return how many documents match a filter that matches no passage, in words."""
        documents = [document.source for document in self.store.documents()]
        matching = sum(map(where.matches_source, documents))
        named = "the filter on sources" if where.excluded else " or ".join(where.sources)
        if not matching:
            example = f"; sources are such as {documents[0]!r}" if documents else ""
            return f"none of {len(documents):,} documents matches {named}{example}."
        asked = ", ".join(where.conditions_in_words())
        of_these = f"of {matching:,} documents that match {named}" if named else f"of {len(documents):,} documents"
        return f"no passage {of_these} has {asked}."

    def _context(self, asked: Query, known: Sequence[Candidate]) -> ContextReader:
        return ContextReader(
            self.store,
            asked.context,
            where=asked.where,
            known={candidate.passage.id for candidate in known},
            budget=None if asked.stopping is None else asked.stopping.tokens,
            tokens=self._token_counts,
        )

    def _token_counts(self, texts: Sequence[str]) -> list[int]:
        """Return the tokens of each text, at least 1."""
        tokenizer = without_limits(self.embedder.tokenizer)
        encodings = tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [max(1, len(encoding.ids)) for encoding in encodings]

    def _known(self, names: Sequence[str]) -> list[Candidate]:
        found = {candidate.passage.id: candidate for candidate in self.store.fetch([i for i in names if _is_id(i)])}
        for name in names:
            if name in found:
                continue
            passages = list(self.store.passages(name))
            if not passages:
                raise DocumentNotFound(
                    f"{name!r} is neither a passage nor a document of collection {self.store.info.name!r}."
                )
            found.update((candidate.passage.id, candidate) for candidate in passages)
        return list(found.values())


def _check_variance(retrieval: Retrieval, most: float | None) -> None:
    """Raise ``NoEvidence`` if the candidates leave more variance than ``most`` for a target."""
    left = retrieval.irreducible_variance / retrieval.targets
    if most is not None and left > most:
        raise NoEvidence(
            f"The collection does not know the answer: all {retrieval.candidates} candidates together would leave a "
            f"variance of {left:.4f} for the question, more than the {most:g} allowed."
        )


def _texts(candidates: Sequence[Candidate]) -> list[str]:
    return [candidate.passage.embedding_text for candidate in candidates]


def _rows(candidates: Sequence[Candidate]) -> Embedding:
    return np.stack([candidate.embedding for candidate in candidates])


def _passed_over(candidates: Sequence[Candidate], rows: Embedding, choice: Choice) -> tuple[PassedOver, ...]:
    """Return the nearest candidates that were not selected, as many as there are hits."""
    chosen, redundancy = choice.selection.indices.tolist(), choice.redundancy
    if not chosen:
        return ()
    left = [index for index in range(len(candidates)) if index not in set(chosen)][: len(chosen)]
    to_chosen = rows[left] @ rows[chosen].T
    return tuple(
        PassedOver(
            passage=candidates[index].passage,
            similarity=candidates[index].similarity,
            closest_rank=int(cosines.argmax()) + 1,
            closest_similarity=float(cosines.max()),
            relevance=float(redundancy.relevance[index]),
            gain=float(redundancy.gains[index]),
            redundant_with=int(redundancy.picks[index]) + 1 or None,
            taken=float(redundancy.taken[index]),
        )
        for index, cosines in zip(left, to_chosen, strict=True)
    )


def _is_id(text: str) -> bool:
    return len(text) == 36 and text.count("-") == 4
