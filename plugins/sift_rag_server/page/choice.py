"""The passages that nearest neighbour takes and those that SIFT takes, side by side and measured alike.

``POST /page/choice`` takes the body of ``/v1/search`` and replies ``{"collection", "questions", "candidates",
"targets", "nearest": SIDE, "sift": SIDE, "passed_over": [...], "known": [...], "timings_ms"}``, with SIDE =
``{"hits": [...], "told", "repeats"}``. A hit has the fields of a passage and

- ``similarity`` with the question;
- ``repeats``: ``{"rank", "kind", "similarity"}`` of the earlier hit of its side that says the same (``copy``) or nearly
  the same (``near``), or the same as what the reader knows (``known``, rank 0); null if none does;
- ``adds``: its share of what all candidates together could tell, ``told``: that of the hits up to it. Null if the
  candidates tell nothing;
- ``words``: the words of the question in it, as it writes them; ``new_words``: those that no earlier hit has;
- ``follows``: true if it came in because it continues the first hit;
- ``also_in``: other places that have the same text (SIFT's hits alone: it counts copies once).

Both sides are measured by one ruler: the Gaussian process with its default noise, over SIFT's candidates, to which a
copy of a passage adds nothing. So moving a control changes the choice, and not how it is measured.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from sift_rag import defaults
from sift_rag.near_duplicates import leaders_of_copies
from sift_rag.retrieval.candidates import all_candidates, searcher_of
from sift_rag.retrieval.queries import embed_questions
from sift_rag.retrieval.retriever import Retriever
from sift_rag.selection import Choice, GaussianProcess, Pool, Sift, Stopping, Target
from sift_rag.selection.conditioning import start
from sift_rag.selection.greedy import Rules, select_greedily
from sift_rag.selection.selectors import Baseline
from sift_rag.types import SAYS_THE_SAME, Candidate, finite
from sift_rag.words import bag_of, surface_forms
from sift_rag_server.collection_bodies import Parsed, SearchFields
from sift_rag_server.embeddings import QueuedEmbedder
from sift_rag_server.handlers import Operation, RequestContext, handle
from sift_rag_server.page.problems import ProblemCache, Recent, RememberingProcess
from sift_rag_server.validation import read_object

if TYPE_CHECKING:
    from sift_rag.protocols import Selector
    from sift_rag.types import Embedding, JsonValue, Passage, PassedOver, Retrieval
    from sift_rag_server.page.searches import SearchCache
    from sift_rag_server.service import Service

LONGEST_TEXT = 4000
"""Number of characters of a passage that are sent; the page reads the rest in the document."""


def choice_routes(service: Service, searches: SearchCache) -> APIRouter:
    """Return the route of the two selections."""
    router = APIRouter(include_in_schema=False)
    kept = Kept(searches, ProblemCache(), Recent())

    async def work(content: bytes, context: RequestContext) -> Response:
        service.check_ready()
        return JSONResponse(await service.in_worker(_choices, service, kept, content, context))

    choosing = Operation(service=service, work=work, seconds=service.settings.limits.seconds)

    @router.post("/page/choice")
    async def choice(request: Request) -> Response:
        return await handle(request, choosing)

    return router


class Kept(NamedTuple):
    """The caches that last from one request to the next."""

    searches: SearchCache
    problems: ProblemCache
    rulers: Recent[Ruler]


def _choices(service: Service, kept: Kept, content: bytes, context: RequestContext) -> dict[str, JsonValue]:
    """Make both selections. Waits for the embedder: call it on a worker thread."""
    parsed = Parsed(read_object(content), SearchFields, service.settings.limits)
    collection = parsed.fields.collection or service.settings.collection
    query = parsed.query
    with service.collection(collection) as borrowed:
        store = kept.searches.over(collection, borrowed)
        embedder = QueuedEmbedder(service.collection_queue(borrowed), waiting=context.waiting)
        watched = Watched(_remembering(parsed.options.make_selector(), kept.problems))
        retriever = Retriever(
            embedder,
            store,
            selector=watched,
            candidate_limit=parsed.options.candidate_limit,
            relevance=service.settings.relevance,
        )
        retrieval = retriever.retrieve(query)
        targets = embed_questions(query.questions, embedder, query.weights)
        searcher, _ = searcher_of(store, exactly=query.exact or query.exact_search)
        nearest = all_candidates(searcher, targets.rows, retriever.candidate_limit, where=query.where)[: query.k]
        known = store.fetch([name for name in query.known if len(name) == 36])
        chosen = watched.chosen()
    words = Words(query.questions, retriever.language)
    key = watched.fingerprint()
    ruler = Ruler(watched) if key is None else kept.rulers.get(key, lambda: Ruler(watched))
    left = Side(nearest, known, words)
    right = Side(chosen_candidates(retrieval, chosen), known, words)
    return {
        "collection": collection,
        "questions": list(query.questions),
        "candidates": retrieval.candidates,
        "targets": retrieval.targets,
        "stopped": retrieval.stopped,
        "nearest": ruler.side(left),
        "sift": _with_reasons(ruler.side(right), retrieval),
        "passed_over": [_passed(passed, words) for passed in retrieval.passed_over],
        "known": [candidate.passage.place() for candidate in known],
        "timings_ms": {step: round(ms, 3) for step, ms in retrieval.timings_ms._asdict().items()},
    }


def _remembering(selector: Selector, problems: ProblemCache) -> Selector:
    if isinstance(selector, Sift | Baseline):
        return replace(selector, process=RememberingProcess.of(selector.process, problems))
    return selector


@dataclass(eq=False)
class Watched:
    """A selector that keeps what it was given and what it chose, for one selection."""

    selector: Selector
    pools: list[Pool] = field(default_factory=list)
    """The pool, and the pools that it was extended to."""
    choice: Choice | None = None

    @property
    def name(self) -> str:
        """Return the selector's."""
        return self.selector.name

    @property
    def process(self) -> GaussianProcess:
        """Return the selector's: it says if words count."""
        process = getattr(self.selector, "process", None)
        return process if isinstance(process, GaussianProcess) else GaussianProcess()

    def select(self, pool: Pool, k: int, *, stopping: Stopping | None = None) -> Choice:
        """Implement ``Selector.select``."""
        self.pools = [self._watching(pool)]
        self.choice = self.selector.select(self.pools[0], k, stopping=stopping)
        return self.choice

    def _watching(self, pool: Pool) -> Pool:
        extend = pool.extend
        if extend is None:
            return pool

        def extended(target: Target) -> Pool:
            self.pools.append(extend(target))
            return self.pools[-1]

        return replace(pool, extend=extended)

    def fingerprint(self) -> Hashable | None:
        """Return a key, equal for selections that one ruler measures; None if they cannot be told apart."""
        process = self.process
        if not (isinstance(process, RememberingProcess) and all(map(process.keeps, self.pools))):
            return None
        first, last = map(process.fingerprint, (self.pools[0], self.pools[-1]))
        return first, last, repr(process.kernel), process.features

    def chosen(self) -> Embedding:
        """Return the embeddings ``(k, d)`` of the passages chosen, in order."""
        assert self.choice is not None  # noqa: S101 - `select` was called
        return np.asarray(self.pools[-1].candidates)[self.choice.selection.indices.tolist()]


class Ruler:
    """Measures an order of passages over the candidates of a selection, whichever method made it."""

    def __init__(self, watched: Watched) -> None:
        first, last = watched.pools[0], watched.pools[-1]
        process = replace(watched.process, noise_variance=defaults.NOISE_VARIANCE)
        problem = process.problem(first)
        self._problem = problem if last is first else process.problem(last, view=problem.view)
        self._least: float | None = None
        texts = last.texts.candidates if last.texts is not None else []
        rows = np.asarray(last.candidates)
        self._row_of = {(text, row.tobytes()): place for place, (text, row) in enumerate(zip(texts, rows, strict=True))}
        self._sides: Recent[dict[str, Any]] = Recent()

    def side(self, side: Side) -> dict[str, Any]:
        """Return a side as JSON values, which must not be changed: it is kept for when it is measured again."""
        return self._sides.get(side.key, lambda: side.to_dict(self))

    def shares(self, candidates: Sequence[Candidate]) -> list[float]:
        """Return the share of what all candidates could tell that is told after each; what is none tells nothing."""
        rows = [self._row_of.get(_key(candidate)) for candidate in candidates]
        order = list(dict.fromkeys(row for row in rows if row is not None))
        problem, rules = self._problem, Rules(irreducible=self._least is None)
        posterior = start(problem, len(order) + len(problem.known))
        selection = select_greedily(posterior, problem, len(order), rules, order=order)
        prior = selection.prior_variance
        if selection.irreducible_variance is not None:
            self._least = selection.irreducible_variance  # of all candidates: the same for every order
        least = prior if self._least is None else self._least
        told = {row: prior - left for row, left in zip(order, selection.posterior_variances.tolist(), strict=False)}
        shares, most = [], 0.0
        for row in rows:
            most = max(most, told.get(row, 0.0) if row is not None else 0.0)
            shares.append(most / (prior - least) if prior > least else float("nan"))
        return shares


class Words:
    """The words of questions, as texts write them."""

    def __init__(self, questions: Sequence[str], language: str) -> None:
        self._language = language
        self._asked = np.unique(np.concatenate([bag_of(question, language).ids for question in questions]))

    def of(self, text: str) -> dict[int, str]:
        """Return the words of the questions that a text holds, by number, as it writes them."""
        held = np.intersect1d(bag_of(text, self._language).ids, self._asked)
        if not len(held):
            return {}
        written = _written(text[:LONGEST_TEXT], self._language)
        return {number: written[number] for number in held.tolist() if number in written}


@lru_cache(maxsize=1024)
def _written(text: str, language: str) -> dict[int, str]:
    return surface_forms(text, language)


@dataclass(frozen=True)
class Side:
    """The passages that one method takes, in order."""

    candidates: Sequence[Candidate]
    known: Sequence[Candidate]
    words: Words

    @property
    def key(self) -> Hashable:
        """A key, equal for sides of the same passages at the same places."""
        return tuple(
            tuple((passage.id, passage.revision, passage.span) for passage in (candidate.passage, *candidate.copies))
            for candidate in (*self.known, *self.candidates)
        )

    def to_dict(self, ruler: Ruler) -> dict[str, Any]:
        """Return the side as JSON values."""
        repeats, told = self._repeats(), ruler.shares(self.candidates)
        hits, before, seen = [], 0.0, set[int]()
        for place, candidate in enumerate(self.candidates):
            passage, share = candidate.passage, told[place]
            words = self.words.of(passage.embedding_text)
            repeat = repeats[place]
            hits.append(
                {
                    "rank": place + 1,
                    **_shown(passage),
                    "similarity": finite(candidate.similarity),
                    "repeats": repeat,
                    "told": finite(share),
                    "adds": finite(share - before),
                    "words": sorted(set(words.values())),
                    "new_words": [word for number, word in words.items() if number not in seen],
                    "also_in": [copy.place() for copy in candidate.copies],
                }
            )
            seen |= set(words)
            before = share
        return {
            "hits": hits,
            "told": finite(told[-1]) if told else None,
            "repeats": sum(repeat is not None for repeat in repeats),
        }

    def _repeats(self) -> list[dict[str, Any] | None]:
        """Return for each passage the earlier one, or the known one, that says the same."""
        everything = [*self.known, *self.candidates]
        if not everything:
            return []
        rows = np.array([candidate.embedding for candidate in everything], dtype=np.float32)
        leaders = leaders_of_copies([candidate.passage.text for candidate in everything], rows)
        cosines = rows @ rows.T
        first = len(self.known)
        return [_repeat(place, first, leaders[place], cosines[place, :place]) for place in range(first, len(rows))]


def _repeat(place: int, first: int, leader: int, cosines: np.ndarray) -> dict[str, Any] | None:
    kind = "copy"
    if leader == place:
        leader = int(cosines.argmax()) if len(cosines) else place
        if leader == place or cosines[leader] < SAYS_THE_SAME:
            return None
        kind = "near"
    rank = leader - first + 1
    if rank < 1:
        return {"rank": 0, "kind": "known", "similarity": float(cosines[leader])}
    return {"rank": rank, "kind": kind, "similarity": float(cosines[leader])}


def chosen_candidates(retrieval: Retrieval, rows: Embedding) -> list[Candidate]:
    """Return the hits of a retrieval as candidates with their embeddings ``(k, d)``."""
    return [
        Candidate(hit.passage, hit.similarity, row, hit.copies) for hit, row in zip(retrieval.hits, rows, strict=True)
    ]


def _key(candidate: Candidate) -> tuple[str, bytes]:
    return candidate.passage.embedding_text, np.asarray(candidate.embedding).tobytes()


def _shown(passage: Passage) -> dict[str, Any]:
    """Return a passage as the page shows it: its text cut, and whether it was."""
    shown = passage.to_dict()
    return {**shown, "text": passage.text[:LONGEST_TEXT], "cut": len(passage.text) > LONGEST_TEXT}


def _with_reasons(side: dict[str, Any], retrieval: Retrieval) -> dict[str, Any]:
    hits = [
        {**shown, "follows": hit.brought_by == "first passage", "reranker_score": hit.reranker_score}
        for shown, hit in zip(side["hits"], retrieval.hits, strict=True)
    ]
    return {**side, "hits": hits}


def _passed(passed: PassedOver, words: Words) -> dict[str, Any]:
    return {
        **passed.to_dict(),
        **_shown(passed.passage),
        "words": sorted(set(words.of(passed.passage.embedding_text).values())),
    }
