"""Compare searches on judged questions: run them, judge their hits, and summarise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from sift_rag import defaults
from sift_rag.errors import NoEvidence
from sift_rag.evaluation.judge import Judge, Unmatched
from sift_rag.evaluation.judged_questions import JudgedQuestion
from sift_rag.evaluation.metrics import Interval, bootstrap
from sift_rag.evaluation.outcomes import FEWEST
from sift_rag.evaluation.ranking import Gains, ndcg, recall, reciprocal_rank
from sift_rag.evaluation.remembering import RememberingEmbedder, RememberingRelevance
from sift_rag.protocols import Embedder, PassageIndex, Relevance
from sift_rag.retrieval.options import SearchOptions
from sift_rag.retrieval.queries import cut_into_pieces
from sift_rag.retrieval.retriever import Retriever
from sift_rag.selection.settings import SettingValue, selector_settings
from sift_rag.suggestions import suggestion
from sift_rag.types import Hit, JsonValue

BASELINE = "nearest"
"""Search that the others are compared with."""

SHOWN = 3
"""Number of hits to keep for a question with no relevant hit."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Judged hits of one search for one question."""

    hits: tuple[Hit, ...]
    gains: tuple[tuple[int, ...], ...]
    """Grades of the relevant items that each hit is the first to find."""

    def cut(self, k: int) -> Gains:
        """Return the gains of the first k hits."""
        return self.gains[:k]


@dataclass(frozen=True, slots=True)
class Judged:
    """One question with its ranking by every search."""

    question: JudgedQuestion
    rankings: Mapping[str, Ranking]
    """Ranking of each search, by its name."""


@dataclass(frozen=True, slots=True)
class Score:
    """A metric's mean over the questions."""

    mean: float
    """In [0, 1]."""
    difference: Interval | None
    """Paired difference from the baseline with its 95 % bootstrap interval; None for the baseline itself."""

    def to_dict(self) -> dict[str, JsonValue]:
        """Return its JSON shape."""
        return {"mean": self.mean, "difference": None if self.difference is None else {**self.difference._asdict()}}


@dataclass(frozen=True, slots=True)
class FoundRow:
    """One search at one k."""

    selector: str
    """Name of the search."""
    k: int
    """Cut-off rank of the metrics."""
    recall: Score
    """Share of the relevant items that the hits find."""
    ndcg: Score
    """nDCG@10 of the k hits."""
    reciprocal_rank: Score
    """1 / rank of the first relevant hit."""

    def to_dict(self) -> dict[str, JsonValue]:
        """Return its JSON shape."""
        return {
            "selector": self.selector,
            "k": self.k,
            "recall": self.recall.to_dict(),
            "ndcg_10": self.ndcg.to_dict(),
            "mrr": self.reciprocal_rank.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class Failure:
    """A question for which the best search finds nothing."""

    question: JudgedQuestion
    hits: tuple[Hit, ...]
    """Its first hits."""

    def to_dict(self) -> dict[str, JsonValue]:
        """Return its JSON shape."""
        hits: list[JsonValue] = [{**hit.passage.place(), "text": hit.passage.text} for hit in self.hits]
        return {**self.question.to_dict(), "hits": hits}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of an evaluation."""

    questions: int
    """Number of questions measured."""
    left: int
    """Number of questions left out because the run was interrupted."""
    rows: tuple[FoundRow, ...]
    """Rows by k, then in the order of the searches."""
    best: str
    """Search with the highest recall averaged over k; the first in case of a tie."""
    verdict: str
    """Sentence that says whether a search beats the baseline."""
    failures: tuple[Failure, ...]
    """Questions for which the best search finds nothing at the largest k."""
    unmatched: tuple[Unmatched, ...]
    """Relevant items that are not in the collection; they count as not found."""

    def to_dict(self) -> dict[str, JsonValue]:
        """Return its JSON shape."""
        return {
            "questions": self.questions,
            "left": self.left,
            "rows": [row.to_dict() for row in self.rows],
            "best": self.best,
            "verdict": self.verdict,
            "failures": [failure.to_dict() for failure in self.failures],
            "unmatched": [one.to_dict() for one in self.unmatched],
        }


def searches_with(
    selectors: Sequence[str] = defaults.EVALUATED_SELECTORS,
    options: SearchOptions | None = None,
    settings: Mapping[str, SettingValue] | None = None,
) -> dict[str, SearchOptions]:
    """Return one search per selector, the baseline included.

    Args:
        selectors: their names.
        options: all other options.
        settings: settings by name; each selector uses those that it has.

    Raises:
        ValueError: there is no such selector, no selector has one of the settings, or one is out of range.
    """
    names = list(dict.fromkeys((*selectors, BASELINE)))
    known = {name: selector_settings(name) for name in names}
    for key in settings or {}:
        if not any(key in own for own in known.values()):
            every = tuple(dict.fromkeys(key for own in known.values() for key in own))
            raise ValueError(f"No selector of {', '.join(names)} has a setting {key!r}.{suggestion(key, every)}")
    return {
        name: replace(
            options or SearchOptions(),
            selector=name,
            settings={key: value for key, value in (settings or {}).items() if key in known[name]},
        )
        for name in names
    }


def judge_searches(
    judge: Judge,
    *,
    embedder: Embedder,
    store: PassageIndex,
    searches: Mapping[str, SearchOptions],
    ks: Sequence[int] = defaults.EVALUATED_KS,
    relevance: Relevance | None = None,
) -> Iterator[Judged]:
    """Yield each of the judge's questions with its ranking by every search; each is embedded and scored only once.

    A search runs once, at the largest k: its results for a smaller k are a prefix.

    Raises:
        NoEvidence: the collection is empty, or nothing in it passes the filter.
        ValueError: there is no baseline among the searches, a k is less than 1, or a question is too long; raised
            before any question.
    """
    if BASELINE not in searches:
        raise ValueError(f"searches is {', '.join(searches) or 'empty'}: expected {BASELINE} among them.")
    if not ks or min(ks) < 1:
        raise ValueError(f"k is {tuple(ks)}: expected at least one number, each at least 1.")
    for question in judge.questions:
        check_length(question.id, question.questions, embedder)
    scoring = None if relevance is None else RememberingRelevance(relevance)
    remembering = RememberingEmbedder(embedder)
    retrievers = {name: options.retriever(remembering, store, scoring) for name, options in searches.items()}
    return _judged(judge, retrievers, searches, max(ks))


def check_length(name: str, texts: Sequence[str], embedder: Embedder) -> None:
    """Raise ``ValueError`` if one of the texts of a question is too long to be asked."""
    for text in texts:
        try:
            cut_into_pieces(text, embedder)
        except ValueError as error:
            raise ValueError(f"Question {name!r} cannot be asked. {error}") from error


def _judged(
    judge: Judge, retrievers: Mapping[str, Retriever], searches: Mapping[str, SearchOptions], k: int
) -> Iterator[Judged]:
    for question in judge.questions:
        rankings = {}
        for name, options in searches.items():
            try:
                hits = retrievers[name].retrieve(options.query(question.questions), k).hits
            except NoEvidence:
                if options.max_variance is None:
                    raise
                hits = ()  # it refuses to answer
            found = judge.found(question, hits)
            rankings[name] = Ranking(hits, tuple(tuple(one.grade for one in some) for some in found))
        yield Judged(question, rankings)


def evaluate(
    questions: Sequence[JudgedQuestion],
    *,
    embedder: Embedder,
    store: PassageIndex,
    searches: Mapping[str, SearchOptions] | None = None,
    ks: Sequence[int] = defaults.EVALUATED_KS,
    relevance: Relevance | None = None,
) -> Evaluation:
    """Evaluate searches on judged questions.

    Args:
        questions: what to search for; at least one.
        embedder: the one that the collection was made with.
        store: the collection.
        searches: options by name, ``nearest`` among them; by default those of ``searches_with``.
        ks: numbers of hits.
        relevance: a reranker that scores the candidates of every search.

    Raises:
        NoEvidence: see ``judge_searches``.
        ValueError: see ``judge_searches``; or there is no question.
    """
    judge = Judge(questions, store)
    searches = searches_with() if searches is None else searches
    results = judge_searches(judge, embedder=embedder, store=store, searches=searches, ks=ks, relevance=relevance)
    return sum_up(list(results), judge, ks)


def sum_up(judged: Sequence[Judged], judge: Judge, ks: Sequence[int]) -> Evaluation:
    """Return the result for the questions judged, possibly only some of the judge's.

    Raises:
        ValueError: nothing was judged.
    """
    if not judged:
        raise ValueError("There are no questions to sum up: expected at least one.")
    ks = sorted(set(ks))
    names = list(judged[0].rankings)
    rows = [_row(judged, name, k) for k in ks for name in names]
    best = max(names, key=lambda name: fmean(row.recall.mean for row in rows if row.selector == name))
    measured = {one.question.id for one in judged}
    return Evaluation(
        questions=len(judged),
        left=len(judge.questions) - len(judged),
        rows=tuple(rows),
        best=best,
        verdict=_verdict(rows, best, ks[0], len(judged)),
        failures=tuple(
            Failure(one.question, one.rankings[best].hits[:SHOWN])
            for one in judged
            if not any(one.rankings[best].cut(ks[-1]))
        ),
        unmatched=tuple(one for one in judge.unmatched if one.question in measured),
    )


def _row(judged: Sequence[Judged], name: str, k: int) -> FoundRow:
    figures, usual = ([_figures(one, which, k) for one in judged] for which in (name, BASELINE))

    def score(metric: int) -> Score:
        values = [one[metric] for one in figures]
        pairs = zip(values, (one[metric] for one in usual), strict=True)
        return Score(fmean(values), None if name == BASELINE else bootstrap([ours - theirs for ours, theirs in pairs]))

    return FoundRow(name, k, score(0), score(1), score(2))


def _figures(one: Judged, name: str, k: int) -> tuple[float, float, float]:
    gains, grades = one.rankings[name].cut(k), [relevant.grade for relevant in one.question.relevant]
    return recall(gains, len(grades)), ndcg(gains, grades), reciprocal_rank(gains)


def _verdict(rows: Sequence[FoundRow], best: str, k: int, count: int) -> str:
    """Compare the best search with the baseline, or, if it is the baseline, with the best of the others."""
    at_k = {row.selector: row for row in rows if row.k == k}
    others = [name for name in at_k if name != BASELINE]
    if not others:
        return f"{BASELINE} finds {100 * at_k[BASELINE].recall.mean:.1f} % at k = {k}, {questions_in_words(count)}."
    compared = best if best != BASELINE else max(others, key=lambda name: at_k[name].recall.mean)
    gap = at_k[compared].recall.difference or Interval(0.0, 0.0, 0.0)
    low, high = 100 * gap.low, 100 * gap.high
    ahead, behind = (compared, BASELINE) if gap.mean >= 0 else (BASELINE, compared)
    if gap.mean < 0:
        low, high = -high, -low
    amount = f"{abs(100 * gap.mean):.1f} points more than {behind}" if gap.mean else f"as much as {behind}"
    facts = f"{ahead} finds {amount} at k = {k} {interval_in_words(low, high)}, {questions_in_words(count)}"
    if count < FEWEST:
        return f"Too few questions to show a difference: {facts}."
    return f"{facts}." if gap.excludes_zero else f"No significant difference: {facts}."


def interval_in_words(low: float, high: float) -> str:
    """Return an interval to one decimal, without a sign on 0."""
    return f"[{low:z.1f}, {high:z.1f}]"


def points_in_words(interval: Interval) -> str:
    """Return an improvement in points with its interval, without a sign on 0."""
    return f"{100 * interval.mean:+z.1f} {interval_in_words(100 * interval.low, 100 * interval.high)}"


def questions_in_words(count: int) -> str:
    """Return a number of questions with its noun."""
    return f"{count:,} question{'' if count == 1 else 's'}"
