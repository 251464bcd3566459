"""Try several values of SIFT's settings on the same questions: recall, and variance left unexplained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from statistics import fmean
from typing import Literal, NamedTuple, TypeAlias

from sift_rag import defaults
from sift_rag.evaluation.found import check_length
from sift_rag.evaluation.judge import Judge
from sift_rag.evaluation.judged_questions import JudgedQuestion
from sift_rag.evaluation.ranking import recall
from sift_rag.evaluation.remembering import RememberingEmbedder, RememberingRelevance
from sift_rag.protocols import Embedder, PassageIndex, Relevance
from sift_rag.retrieval.options import SearchOptions
from sift_rag.retrieval.queries import Query
from sift_rag.retrieval.retriever import Retriever
from sift_rag.selection import fine_tuning_selector
from sift_rag.selection.settings import SettingValue, selector_settings
from sift_rag.stores.remembering import Searches, remembering
from sift_rag.types import JsonValue, Retrieval

Origin: TypeAlias = Literal["judged", "sentences", "model"]
"""Origin of questions: people, sentences of the collection, or a language model given its passages."""


class Values(NamedTuple):
    """Values of the calibrated settings, by setting name."""

    words: float
    noise_variance: float
    follow: float

    def changes(self, other: Values) -> int:
        """Return the number of settings that differ."""
        return sum(ours != theirs for ours, theirs in zip(self, other, strict=True))


class Uncertainty(NamedTuple):
    """Uncertainty that the collection leaves about a question."""

    variance: float
    """Irreducible variance per target, with the current settings: what ``max_variance`` bounds."""
    gain: float
    """Share of the prior variance that the training passages explain: what ``min_gain`` bounds."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Results of one question for every combination of values."""

    question: JudgedQuestion
    answerable: bool
    """True if the collection has a relevant item for it."""
    found: tuple[float, ...]
    """Recall averaged over k, in [0, 1]; one per combination."""
    variances: tuple[float, ...]
    """Irreducible variance per target; one per combination."""
    gain: float
    """Share of the prior variance that the training passages explain, in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The combinations that a calibration compares, and how.

    Raises:
        ValueError: a k is less than 1, there are none, or the options are not for SIFT under the rbf kernel.
    """

    options: SearchOptions = field(default_factory=SearchOptions)
    """The current search, whose values are the baseline. Its ``max_variance`` is not applied."""
    ks: tuple[int, ...] = defaults.EVALUATED_KS
    """Values of k that recall is averaged over."""
    origin: Origin = "judged"
    """Only judged questions give values of settings; generated ones give thresholds alone."""
    steps: int = defaults.STEPS
    """Number of training passages that predict the gain of fine-tuning, >= 1."""
    min_gain: float = defaults.MIN_GAIN
    """The current threshold of the predicted gain."""

    def __post_init__(self) -> None:
        if not self.ks or min(self.ks) < 1:
            raise ValueError(f"k is {self.ks}: expected at least one number, each at least 1.")
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, but is {self.steps}.")
        if self.options.selector != defaults.SELECTOR:
            raise ValueError(f"The selector is {self.options.selector!r}: only {defaults.SELECTOR} can be calibrated.")
        if self._setting("kernel") != defaults.KERNEL:
            raise ValueError(
                f"The kernel is {self._setting('kernel')}: only {defaults.KERNEL} supports words and follow."
            )

    @property
    def current(self) -> Values:
        """Return the current values."""
        return Values(*(float(self._setting(name)) for name in Values._fields))

    @property
    def combinations(self) -> tuple[Values, ...]:
        """Return every combination of the values, the current ones included."""
        current = self.current
        if self.origin != "judged":
            return (current,)
        tried = (defaults.CALIBRATED_WORDS, defaults.CALIBRATED_NOISE_VARIANCES, defaults.CALIBRATED_FOLLOWS)
        axes = [sorted({*axis, own}) for axis, own in zip(tried, current, strict=True)]
        return tuple(Values(*values) for values in product(*axes))

    def search(self, values: Values) -> SearchOptions:
        """Return the current search with other values."""
        return replace(self.options, settings={**self.options.settings, **values._asdict()}, max_variance=None)

    def _setting(self, name: str) -> SettingValue:
        return self.options.settings.get(name, selector_settings(defaults.SELECTOR)[name].default)


def try_out(
    plan: Plan, judge: Judge, *, embedder: Embedder, store: PassageIndex, relevance: Relevance | None = None
) -> Iterator[Trial]:
    """Yield the results of each of the judge's questions for every combination of values.

    Each question is embedded and scored once, and combinations share identical searches.

    Raises:
        NoEvidence: the collection is empty, or nothing in it passes the filter.
        ValueError: a question is too long; raised before any question.
    """
    for question in judge.questions:
        check_length(question.id, question.questions, embedder)
    return _trials(plan, judge, _Searches(plan, plan.combinations, embedder, store, relevance))


def measure_foreign(
    plan: Plan,
    values: Values,
    questions: Sequence[Sequence[str]],
    *,
    embedder: Embedder,
    store: PassageIndex,
    relevance: Relevance | None = None,
) -> Iterator[Uncertainty]:
    """Yield the uncertainty that the collection leaves about each question, with these values.

    Raises:
        NoEvidence: see ``try_out``.
        ValueError: see ``try_out``.
    """
    for number, texts in enumerate(questions, start=1):
        check_length(f"foreign:{number}", texts, embedder)
    return _uncertainties(questions, _Searches(plan, (values,), embedder, store, relevance))


def _trials(plan: Plan, judge: Judge, searches: _Searches) -> Iterator[Trial]:
    for question in judge.questions:
        retrievals = list(searches.retrieve(question.questions))
        yield Trial(
            question=question,
            answerable=judge.has(question),
            found=tuple(_found(judge, question, retrieval, plan.ks) for retrieval in retrievals),
            variances=tuple(map(_variance, retrievals)),
            gain=searches.gain(question.questions),
        )


def _uncertainties(questions: Sequence[Sequence[str]], searches: _Searches) -> Iterator[Uncertainty]:
    for texts in questions:
        (retrieval,) = searches.retrieve(texts)
        yield Uncertainty(_variance(retrieval), searches.gain(texts))


class _Searches:
    """Searches for one question at a time, with every combination of values and for training passages."""

    def __init__(
        self,
        plan: Plan,
        tried: Sequence[Values],
        embedder: Embedder,
        store: PassageIndex,
        relevance: Relevance | None,
    ) -> None:
        self._plan = plan
        self._options = plan.options
        self._searches = Searches()
        self._store = remembering(store, self._searches)
        own = RememberingEmbedder(embedder)
        scoring = None if relevance is None else RememberingRelevance(relevance)
        self._retrievers = [plan.search(values).retriever(own, self._store, scoring) for values in tried]
        self._training = Retriever(
            own, self._store, selector=fine_tuning_selector(), candidate_limit=defaults.TRAINING_CANDIDATES
        )

    def retrieve(self, texts: Sequence[str]) -> Iterator[Retrieval]:
        """Yield the retrieval of each combination for a new question."""
        self._searches.forget()
        query = replace(self._options.query(tuple(texts)), max_variance=None)
        return (retriever.retrieve(query, max(self._plan.ks)) for retriever in self._retrievers)

    def gain(self, texts: Sequence[str]) -> float:
        """Return the predicted gain of fine-tuning, as an assistant predicts it."""
        options = self._options
        return self._training.retrieve(
            Query(
                tuple(texts),
                self._plan.steps,
                where=options.where or None,
                weights=options.weights,
                exact_search=options.exact_search,
            )
        ).predicted_gain


def _found(judge: Judge, question: JudgedQuestion, retrieval: Retrieval, ks: Sequence[int]) -> float:
    gains = [[one.grade for one in some] for some in judge.found(question, retrieval.hits)]
    return fmean(recall(gains[:k], len(question.relevant)) for k in ks)


def _variance(retrieval: Retrieval) -> float:
    return retrieval.irreducible_variance / retrieval.targets


def values_json(values: Values) -> dict[str, JsonValue]:
    """Return the values by setting."""
    return {**values._asdict()}
