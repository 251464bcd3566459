"""From a question to the passages that jointly answer it: embed -> search -> select. Read this first.

questions ──embedder──▶ targets (m, d) ──store──▶ candidates (n, d), copies merged ──selector──▶ hits, in order
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from time import perf_counter

import numpy as np

from sift_rag.errors import DocumentNotFound, NoEvidence
from sift_rag.exact.selection import check_exhaustive, choose_from_all
from sift_rag.protocols import Embedder, PassageIndex, Selector
from sift_rag.retrieval.candidates import all_candidates, distinct_candidates
from sift_rag.retrieval.queries import embed_questions, untruncated
from sift_rag.selection import Choice, GreedySelection, SelectorSettings, Stopping
from sift_rag.types import Candidate, Embedding, Filter, Hit, Passage, PassedOver, Retrieval, Span, Timings

DEFAULT_K = 5
DEFAULT_CANDIDATE_LIMIT = 100


class Retriever:
    """Retrieves from one collection. Holds no state between calls; safe to share between threads if its parts are."""

    def __init__(
        self,
        embedder: Embedder,
        store: PassageIndex,
        *,
        selector: Selector | None = None,
        candidate_limit: int = DEFAULT_CANDIDATE_LIMIT,
        keep_copies: bool = False,
    ) -> None:
        """See the class.

        Args:
            embedder: the one that the collection was made with.
            store: the collection.
            selector: how to choose; by default SIFT with the setting for context windows.
            candidate_limit: how many distinct candidates the choice is made from (for each target), >= 1.
            keep_copies: let passages that say the same be candidates each for themselves, as a plain vector search
                does; for comparison.
        """
        if candidate_limit < 1:
            raise ValueError(f"candidate_limit must be >= 1, but got {candidate_limit}.")
        self.embedder = embedder
        self.store = store
        self.selector: Selector = selector if selector is not None else SelectorSettings()
        self.candidate_limit = candidate_limit
        self.keep_copies = keep_copies

    def retrieve(
        self,
        question: str | Sequence[str],
        k: int = DEFAULT_K,
        *,
        given: Sequence[str] = (),
        given_texts: Sequence[str] = (),
        weights: Sequence[float] | None = None,
        stopping: Stopping | None = None,
        exhaustive: bool = False,
        where: Filter | None = None,
    ) -> Retrieval:
        """The k passages that together leave the least doubt about the answer.

        Args:
            question: one, or several that are answered together (sub-questions, a question and its rewordings): each is
                a target of one selection.
            k: how many passages, >= 1. Fewer come back when the collection holds fewer that differ.
            given: what the reader has already: ids of passages, or sources of documents, of this collection. The choice
                adds what they do not say, and they do not come back.
            given_texts: likewise, as texts.
            weights: what share of the doubt each question is, >= 0; by default the selector balances them.
            stopping: rules that may end the choice before k. A budget counts tokens as the embedder does; ``fill`` is
                the better way to spend it.
            exhaustive: choose from the whole collection, not from the nearest candidates: see ``choose_from_all``. For
                the selectors ``sift`` and ``nearest``, without a budget of tokens.
            where: which passages may be chosen; the rest of the collection is as if it were not there. What is
                ``given`` may be of the rest.

        Raises:
            ValueError: k < 1, not one weight for each question, no question, an empty question or one of more than
                ``MAX_PIECES`` times the embedder's length.
            NoEvidence: the collection is empty, or holds nothing beyond what was given, or nothing that ``where`` lets
                through.
            DocumentNotFound: a ``given`` is neither a passage nor a document of the collection.
            StoreConflict: ``where`` asks for metadata, and the collection was made before they could be filtered by.
        """
        if k < 1:
            raise ValueError(f"k must be >= 1, but got {k}.")
        if exhaustive:
            check_exhaustive(self.selector, stopping)

        started = perf_counter()
        questions, targets, shares = embed_questions(question, self.embedder, weights)
        texts = [
            Candidate(Passage(id=f"given {i}", text=text, source="given", span=Span(0, len(text))), math.nan, row)
            for i, (text, row) in enumerate(zip(given_texts, self.embedder.embed_passages(given_texts), strict=True))
        ]
        embedded = perf_counter()
        known = [*self._known(given), *texts]
        gather = all_candidates if self.keep_copies else distinct_candidates
        candidates = gather(self.store, targets, max(self.candidate_limit, k), known=known, where=where)
        if not candidates:
            raise NoEvidence(self._why_nothing(targets, where))
        searched = perf_counter()
        looked_at, certified = None, None
        if exhaustive:
            candidates, choice, looked_at, certified = choose_from_all(
                self.store,
                self.selector,
                targets,
                k,
                candidates,
                known=known,
                weights=shares,
                stopping=stopping,
                keep_copies=self.keep_copies,
                where=where,
            )
        else:
            choice = self.selector.select(
                targets,
                _rows(candidates),
                k,
                given=_rows(known) if known else None,
                weights=shares,
                stopping=stopping,
                token_counts=self._token_counts(candidates) if stopping and stopping.tokens is not None else None,
            )
        selected = perf_counter()
        selection, left = choice.selection, choice.selection.irreducible_variance
        return Retrieval(
            questions=questions,
            hits=_hits(candidates, selection),
            prior_variance=selection.prior_variance,
            irreducible_variance=math.nan if left is None else left,
            passed_over=_passed_over(candidates, _rows(candidates), choice),
            candidates=len(candidates),
            targets=len(targets),
            stopped=selection.stopped,
            timings_ms=Timings(
                embed=1e3 * (embedded - started),
                search=1e3 * (searched - embedded),
                select=1e3 * (selected - searched),
            ),
            certified=certified,
            looked_at=looked_at,
        )

    def _why_nothing(self, targets: Embedding, where: Filter | None) -> str:
        """Why there is no candidate."""
        collection = f"Collection {self.store.info.name!r}"
        if not self.store.count():
            return f"{collection} is empty: ingest something first."
        if where and not self.store.search(targets[:1], 1, where=where)[0]:
            return f"{collection} holds nothing that the filter lets through: {self._what_matches(where)}"
        of_these = " that the filter lets through" if where else ""
        return f"{collection} holds nothing{of_these} beyond what was given."

    def _what_matches(self, where: Filter) -> str:
        """How far a filter that lets nothing through gets."""
        documents = [document.source for document in self.store.documents()]
        matching = sum(map(where.matches_source, documents))
        named = " or ".join(where.sources)
        if not matching:
            example = f"; sources are such as {documents[0]!r}" if documents else ""
            return f"none of {len(documents):,} documents matches {named}{example}."
        asked = ", ".join(f"{key}={' or '.join(values)}" for key, values in where.choices().items())
        of_these = f"of {matching:,} documents that match {named}" if named else f"of {len(documents):,} documents"
        return f"no passage {of_these} has {asked}."

    def _token_counts(self, candidates: Sequence[Candidate]) -> list[int]:
        """Tokens of each candidate's text, at least 1."""
        tokenizer = untruncated(self.embedder.tokenizer)
        encodings = tokenizer.encode_batch(
            [candidate.passage.text for candidate in candidates], add_special_tokens=False
        )
        return [max(1, len(encoding.ids)) for encoding in encodings]

    def _known(self, given: Sequence[str]) -> list[Candidate]:
        found = {candidate.passage.id: candidate for candidate in self.store.fetch([i for i in given if _is_id(i)])}
        for name in given:
            if name in found:
                continue
            passages = list(self.store.passages(name))
            if not passages:
                raise DocumentNotFound(
                    f"{name!r} is neither a passage nor a document of collection {self.store.info.name!r}."
                )
            found.update((candidate.passage.id, candidate) for candidate in passages)
        return list(found.values())


def _rows(candidates: Sequence[Candidate]) -> Embedding:
    return np.stack([candidate.embedding for candidate in candidates])


def _hits(candidates: Sequence[Candidate], selection: GreedySelection) -> tuple[Hit, ...]:
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
        )
        for rank, (index, variance, gain, relevance) in enumerate(
            zip(*(column.tolist() for column in columns), strict=True), start=1
        )
    )


def _passed_over(candidates: Sequence[Candidate], rows: Embedding, choice: Choice) -> tuple[PassedOver, ...]:
    """The nearest candidates that were not chosen, as many as were."""
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
