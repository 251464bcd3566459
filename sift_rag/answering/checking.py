"""Check each sentence of an answer against the passages: which one holds it, if any.

sentence ──▶ its best window of each passage (one to three sentences) ──▶ features ──▶ logistic rule ──▶ verdict

A cosine alone cannot see another number, another name or a "not", so the rule also counts what the sentence has and the
passage lacks. It is a rule for marks that a reader follows up, not a proof: how often it is right is in docs/log.md,
"Checking the sentences of an answer". It compares words, so a sentence in another language than its passage is rarely
found.

Cost: one call of the embedder, with at most ``MOST_WINDOWS`` sentences of passages and those of the answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from sift_rag import defaults
from sift_rag.answering.citations import cited_numbers, without_citations
from sift_rag.answering.particulars import Particulars, particulars_of
from sift_rag.answering.sentences import Sentence, claims_of, split_sentences
from sift_rag.protocols import Embedder
from sift_rag.types import JsonValue, Passage
from sift_rag.words import words_of

Verdict: TypeAlias = Literal["supported", "unsupported", "uncited"]

MOST_WINDOWS = 200
"""Sentences of passages that are embedded; of more, those that share most with the answer."""
LONGEST_WINDOW = 3
"""Sentences in a window."""
LONGEST_SENTENCE = 1000
"""Characters of a sentence of a passage that are read: a table without full stops is cut into such pieces."""
SHORT = 4
"""A sentence of fewer words is embedded after the question: "Paris." alone points nowhere."""
ASKED = 0.3
"""Weight of a word that the question uses too: repeating the question proves little."""

FEATURES = (
    "cosine",
    "words in the window",
    "words in the passage",
    "numbers missing from the passage",
    "numbers missing from the window",
    "names missing from the passage",
    "names missing from the window",
    "negation differs",
)
WEIGHTS = (0.34, 2.41, 1.77, -0.30, -5.80, -1.14, -1.70, -5.18)
"""Weight of each feature in the logit; fitted by ``python -m research.sentence_support``."""
BIAS = -1.60
THRESHOLD = 0.5
"""Score from which a sentence counts as supported."""


@dataclass(frozen=True, slots=True)
class CheckedSentence:
    """A sentence of an answer that claims something, and the passages that hold it."""

    text: str
    """``answer[start:end]``, with its citations."""
    start: int
    end: int
    verdict: Verdict
    """``supported`` by a passage that it cites; ``uncited``: it cites none, but ``supporting`` hold it; or
    ``unsupported`` by those that it cites, or if it cites none, by any."""
    cited: tuple[int, ...]
    """Numbers of the passages that it cites, in order."""
    supporting: tuple[int, ...]
    """Numbers of the passages that hold it. If ``unsupported``, those that it should have cited instead."""
    score: float
    """Estimated probability, in [0, 1], that the cited passages hold it; if it cites none, that the best one does."""

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the sentence as JSON values."""
        return {
            "text": self.text,
            "start": self.start,
            "end": self.end,
            "verdict": self.verdict,
            "cited": list(self.cited),
            "supporting": list(self.supporting),
            "score": self.score,
        }


def check_answer(
    text: str,
    numbered: Mapping[int, Passage],
    embedder: Embedder,
    *,
    questions: Sequence[str] = (),
    language: str = defaults.LANGUAGE,
) -> tuple[CheckedSentence, ...]:
    """Return the sentences of an answer that claim something, in order, each with its verdict.

    Questions, headings, code and sentences that only say that the answer is not known are left out.

    Args:
        text: the answer.
        numbered: the passages that it may cite, by number; with none, no sentence is supported.
        embedder: embeds sentences of the answer and of the passages, in one call.
        questions: what was asked. Its words weigh less, and its names need no support.
        language: language that words are stemmed in.

    Raises:
        ValueError: an unknown language.
    """
    evidence = Evidence.of(text, numbered, embedder, questions=questions, language=language)
    return tuple(_verdict(evidence, place, numbered) for place in range(len(evidence.claims)))


def _verdict(evidence: Evidence, place: int, numbered: Mapping[int, Passage]) -> CheckedSentence:
    sentence = evidence.claims[place].sentence
    cited = cited_numbers(sentence.text, numbered)
    scores = {number: score_of(evidence.features(place, [number])) for number in sorted(numbered)}
    holding = sorted((number for number in scores if scores[number] >= THRESHOLD), key=lambda n: (-scores[n], n))
    if cited:
        score = max(scores[number] for number in cited)
        if len(cited) > 1:
            score = max(score, score_of(evidence.features(place, cited)))
        supported = score >= THRESHOLD
        alone = tuple(number for number in cited if number in holding)
        supporting = (alone or cited) if supported else tuple(holding[:1])
        verdict: Verdict = "supported" if supported else "unsupported"
    else:
        score = max(scores.values(), default=0.0)
        supporting = tuple(holding[:1])
        verdict = "uncited" if supporting else "unsupported"
    return CheckedSentence(*sentence, verdict, cited, supporting, round(score, 4))


def score_of(features: np.ndarray) -> float:
    """Return the probability of support by the fixed rule, from features in the order of ``FEATURES``."""
    return float(1 / (1 + np.exp(-(features @ np.array(WEIGHTS) + BIAS))))


class _Claim(NamedTuple):
    sentence: Sentence
    words: dict[str, float]
    """Its words and their weights."""
    particulars: Particulars
    row: np.ndarray


class _Unit(NamedTuple):
    """A sentence of a passage."""

    text: str
    words: frozenset[str]
    particulars: Particulars


class _Window(NamedTuple):
    units: Sequence[_Unit]
    words: frozenset[str]
    """Words of the units, of the title and of the headings."""
    particulars: Particulars
    row: np.ndarray
    """Mean direction of the units."""


class _Read(NamedTuple):
    """A passage, read for checking."""

    words: frozenset[str]
    """All its words, those of title and headings included."""
    particulars: Particulars
    windows: Sequence[_Window]


class Evidence:
    """The claims of an answer, and what the passages have of each."""

    def __init__(self, claims: Sequence[_Claim], passages: Mapping[int, _Read]) -> None:
        """Keep the parts; ``of`` makes them."""
        self.claims = claims
        self._passages = passages

    @classmethod
    def of(
        cls,
        text: str,
        numbered: Mapping[int, Passage],
        embedder: Embedder,
        *,
        questions: Sequence[str] = (),
        language: str = defaults.LANGUAGE,
    ) -> Evidence:
        """Read an answer and its passages. Arguments and errors are those of ``check_answer``."""
        sentences = claims_of(text)
        if not sentences or not numbered:
            return cls([_Claim(sentence, {}, particulars_of(""), np.zeros(0)) for sentence in sentences], {})
        asked = " ".join(questions)
        said = [_plain(sentence.text) for sentence in sentences]
        words = [frozenset(words_of(one, language)) for one in said]
        units = {number: _units(passage, language) for number, passage in numbered.items()}
        weights = _Weights(list(chain.from_iterable(units.values())), frozenset(words_of(asked, language)))
        kept = _most_telling(units, weights, frozenset().union(*words))
        texts = [f"{asked} {one}" if len(bag) < SHORT else one for one, bag in zip(said, words, strict=True)]
        rows = _embedded([*texts, *(unit.text for number in kept for unit in kept[number].values())], embedder)
        given = particulars_of(asked)
        claims = [
            _Claim(sentence, {word: weights[word] for word in bag}, particulars_of(one).without_names(given), row)
            for sentence, one, bag, row in zip(sentences, said, words, rows, strict=False)
        ]
        rest = iter(rows[len(sentences) :])
        read = {
            number: _read(numbered[number], units[number], kept[number], [next(rest) for _ in kept[number]], language)
            for number in kept
        }
        return cls(claims, read)

    def features(self, place: int, numbers: Sequence[int]) -> np.ndarray:
        """Return the features ``(8,)`` of a claim, by its place, and some passages together: see ``FEATURES``."""
        claim = self.claims[place]
        passages = [self._passages[number] for number in numbers]
        best = [window for passage in passages if (window := _best(claim, passage.windows)) is not None]
        in_windows = [window.particulars for window in best]
        in_passages = [passage.particulars for passage in passages]
        own = claim.particulars
        return np.array(
            [
                max((float(claim.row @ window.row) for window in best), default=0.0),
                _share(claim.words, frozenset().union(*(window.words for window in best))),
                _share(claim.words, frozenset().union(*(passage.words for passage in passages))),
                min(own.numbers_missing(in_passages), 2),
                min(own.numbers_missing(in_windows), 2),
                min(own.names_missing(in_passages), 2),
                min(own.names_missing(in_windows), 2),
                float(bool(best) and all(own.negated != _negates(claim, window) for window in best)),
            ]
        )


class _Weights:
    """Weights of words: the inverse document frequency among the sentences of the passages."""

    def __init__(self, units: Sequence[_Unit], asked: frozenset[str]) -> None:
        self._frequency = Counter(chain.from_iterable(unit.words for unit in units))
        self._size = len(units)
        self._asked = asked

    def __getitem__(self, word: str) -> float:
        frequency = self._frequency[word]
        weight = float(np.log1p((self._size - frequency + 0.5) / (frequency + 0.5)))
        return weight * ASKED if word in self._asked else weight


def _plain(text: str) -> str:
    """Return a sentence without citations and emphasis."""
    return " ".join(without_citations(text).replace("**", "").replace("__", "").split())


def _units(passage: Passage, language: str) -> tuple[_Unit, ...]:
    """Return the sentences of a passage, code included."""
    sentences = [sentence.text for sentence in split_sentences(passage.text)] or [passage.text]
    return tuple(
        _Unit(piece, frozenset(words_of(piece, language)), particulars_of(piece))
        for sentence in sentences
        for piece in _pieces(" ".join(sentence.split()))
    )


def _pieces(text: str) -> Iterator[str]:
    for start in range(0, len(text), LONGEST_SENTENCE):
        yield text[start : start + LONGEST_SENTENCE]


def _most_telling(
    units: Mapping[int, Sequence[_Unit]], weights: _Weights, said: frozenset[str]
) -> dict[int, dict[int, _Unit]]:
    """Return the sentences to embed, by passage and place: all, or those that share most with the answer."""
    places = [(number, place) for number in sorted(units) for place in range(len(units[number]))]
    if len(places) > MOST_WINDOWS:
        shared = {
            (number, place): sum(weights[word] for word in sorted(units[number][place].words & said))
            for number, place in places
        }
        places = sorted(sorted(places, key=lambda at: -shared[at])[:MOST_WINDOWS])
    kept: dict[int, dict[int, _Unit]] = {number: {} for number in sorted(units)}
    for number, place in places:
        kept[number][place] = units[number][place]
    return kept


def _embedded(texts: Sequence[str], embedder: Embedder) -> np.ndarray:
    """Embed each different text once."""
    different = list(dict.fromkeys(texts))
    rows = np.asarray(embedder.embed_passages(different), dtype=np.float64)
    places = {text: place for place, text in enumerate(different)}
    return rows[[places[text] for text in texts]]


def _read(
    passage: Passage, units: Sequence[_Unit], kept: Mapping[int, _Unit], rows: Sequence[np.ndarray], language: str
) -> _Read:
    header = " ".join(dict.fromkeys((passage.title, *passage.headings)))
    above, named = frozenset(words_of(header, language)), particulars_of(header)
    words = above.union(*(unit.words for unit in units), words_of(passage.text, language))
    whole = particulars_of(passage.text).joined([named, *(unit.particulars for unit in units)])
    return _Read(words, whole, tuple(_windows(kept, rows, above, named)))


def _windows(
    kept: Mapping[int, _Unit], rows: Sequence[np.ndarray], above: frozenset[str], named: Particulars
) -> Iterator[_Window]:
    """Yield the stretches of one to three adjacent sentences, each with the words of title and headings."""
    at = dict(zip(kept, rows, strict=True))
    for length in range(1, LONGEST_WINDOW + 1):
        for first in kept:
            places = range(first, first + length)
            if not all(place in kept for place in places):
                continue
            total = np.sum([at[place] for place in places], axis=0)
            inside = [kept[place] for place in places]
            yield _Window(
                inside,
                above.union(*(unit.words for unit in inside)),
                inside[0].particulars.joined([named, *(unit.particulars for unit in inside[1:])]),
                total / max(float(np.linalg.norm(total)), 1e-9),
            )


def _best(claim: _Claim, windows: Sequence[_Window]) -> _Window | None:
    """Return the window nearest by words and embedding; of equals the shortest, then the first."""
    return max(
        windows,
        key=lambda window: round(float(claim.row @ window.row) + _share(claim.words, window.words), 6),
        default=None,
    )


def _negates(claim: _Claim, window: _Window) -> bool:
    """Return True if the sentence of the window that shares most words with the claim negates."""
    return max(window.units, key=lambda unit: round(_share(claim.words, unit.words), 6)).particulars.negated


def _share(words: Mapping[str, float], held: frozenset[str]) -> float:
    """Return the share of the words' weight that ``held`` has; 0 if there are no words."""
    total = sum(words.values())
    return sum(weight for word, weight in words.items() if word in held) / total if total else 0.0
