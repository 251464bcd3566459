"""Words of a text, as the kernel and lexical search compare them.

A word is a run of letters, digits and underscores, in lower case and stemmed. An identifier counts as a whole and in
its parts (``camelCase``, ``snake_case``, ``torch.nn``, ``E-4506``). Scripts that put no spaces between words are cut
into pairs of characters, as search engines do.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from hashlib import blake2b
from itertools import chain
from threading import Lock
from typing import NamedTuple

import numpy as np

from sift_rag import defaults
from sift_rag.extras import require
from sift_rag.suggestions import suggestion

REMEMBERED_TEXTS = 4096
"""Texts whose words are kept: those of a few collections' worth of candidates, 1 to 2 kB each."""
REMEMBERED_PIECES = 1 << 18
"""Pieces between spaces whose words are kept."""
LONGEST_KEPT = 64
"""Characters of a piece whose words are kept: longer ones are a sentence without spaces, or hardly come again."""
UNSTEMMED = "none"
"""Name of the language that leaves words as they are."""

_MARKS = "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670"
_MARKED_SCRIPTS = (
    "\u0900-\u0963\u0966-\u0dff\u0e01-\u0e3a\u0e40-\u0e4e\u0e50-\u0edf"
    "\u0f18-\u0fbc\u1000-\u1049\u1050-\u109f\u1780-\u17d3"
)
_LETTER = rf"[\w{_MARKS}{_MARKED_SCRIPTS}]"  # \w has no combining marks
_TOKEN = re.compile(rf"\w{_LETTER}*(?:[-.:/]\w{_LETTER}*)*")
_RUN = re.compile(rf"\w{_LETTER}*")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f]+"
)

_PUNCTUATION = ".,;:!?()[]{}\"'`*#<>-"

STOP_WORDS = frozenset(
    (  # noqa: SIM905 - a list would take a line a word
        "a about after all also am an and any are as at be because been before being both but by can could did do does "
        "doing down during each few for from further had has have having he her here hers him his how i if in into is "
        "it its itself just may me might more most must my no nor not now of off on once only or other our ours out "
        "over own same shall she should so some such than that the their theirs them then there these they this those "
        "through to too under until up upon us very was we were what when where which while who whom whose why will "
        "with would yet you your yours s t"
    ).split()
)
"""English words that carry no topic."""


class Bag(NamedTuple):
    """The words of one text, as numbers."""

    ids: np.ndarray
    """``(w,)`` int64, ascending: equal for equal words, in every process."""
    counts: np.ndarray
    """``(w,)`` int64, >= 1."""


def languages() -> tuple[str, ...]:
    """Return the languages that words are stemmed in, and ``none``."""
    require("Stemmer", "words")
    import Stemmer

    return (*Stemmer.algorithms(), UNSTEMMED)


def words_of(text: str, language: str = defaults.LANGUAGE) -> list[str]:
    """Return the words of a text, in order; those of an identifier one after another.

    Raises:
        ValueError: an unknown language.
    """
    forms = _forms(language)
    return [word for piece in text.split() for word in forms.words(piece)]


def identifiers_of(text: str, language: str = defaults.LANGUAGE) -> np.ndarray:
    """Return the identifiers in a text as numbers ``(i,)``: ``E4506``, ``getName``, ``snake_case``, ``torch.nn``.

    A word is one if it also counts in parts: letters and digits, inner capitals, underscores, dots.
    """
    forms = _forms(language)
    found: list[int] = []
    for token in _TOKEN.findall(unicodedata.normalize("NFKC", text)):
        whole = token.casefold()
        if _UNSPACED.search(token) or not any(map(str.isalpha, token)):
            continue
        words = forms.words(token)
        if len(words) > 1 and whole in words:
            found.append(_number(whole))
    return np.array(found, dtype=np.int64)


def surface_forms(text: str, language: str = defaults.LANGUAGE) -> dict[int, str]:
    """Return how each word of a text is written in it, by number; of an identifier the whole and its parts."""
    forms = _forms(language)
    found: dict[int, str] = {}
    for token in _TOKEN.findall(unicodedata.normalize("NFKC", text)):
        runs = _RUN.findall(token)
        parts = [part for run in runs for part in _PART.findall(run)]
        for written in (*parts, *runs, token):
            for number in map(_number, forms.words(written)):
                found.setdefault(number, written)
    return found


@lru_cache(maxsize=REMEMBERED_TEXTS)
def bag_of(text: str, language: str = defaults.LANGUAGE) -> Bag:
    """Return the words of a text as numbers, stop words left out; the same object for the same text.

    Raises:
        ValueError: an unknown language.
    """
    forms = _forms(language)
    numbers = list(chain.from_iterable(map(forms.__getitem__, text.split())))
    return Bag(*np.unique(np.array(numbers, dtype=np.int64), return_counts=True))


class _Forms(dict[str, tuple[int, ...]]):
    """The words of each piece between spaces met so far, as numbers: a dictionary that fills itself.

    Splitting at spaces is ten times faster than a regular expression, which only new pieces need.
    """

    def __init__(self, stem: Callable[[str], str], stop_words: frozenset[str]) -> None:
        super().__init__()
        self._stem = stem
        self._stop_words = stop_words
        self._lock = Lock()  # a stemmer serves one thread at a time

    def __missing__(self, piece: str) -> tuple[int, ...]:
        numbers = tuple(map(_number, self.words(piece)))
        if len(piece) <= LONGEST_KEPT:
            if len(self) >= REMEMBERED_PIECES:
                self.clear()
            self[piece] = numbers
        return numbers

    def words(self, piece: str) -> list[str]:
        """Return the words of a piece, in order. Any thread may ask."""
        with self._lock:
            return self._words(piece)

    def _words(self, piece: str) -> list[str]:
        plain = piece.strip(_PUNCTUATION)
        if plain.isascii() and plain.isalpha() and (plain[1:].islower() or plain.isupper() or len(plain) == 1):
            lower = plain.lower()
            return [] if lower in self._stop_words else [self._stem(lower)]
        if not piece.isascii():
            piece = unicodedata.normalize("NFKC", piece)
        words: list[str] = []
        for token in _TOKEN.findall(piece):
            runs = _RUN.findall(token)
            if len(runs) > 1 and (any(map(str.isdigit, token)) or "-" not in token):
                words.append(token.casefold())
            words += [word for run in runs for word in self._of_run(run)]
        return words

    def _of_run(self, run: str) -> Sequence[str]:
        if _UNSPACED.search(run):
            cut = _UNSPACED.sub(lambda match: f" {match[0]} ", run).split()
            return [
                word for piece in cut for word in (_pairs(piece) if _UNSPACED.match(piece) else self._of_run(piece))
            ]
        lower = run.casefold()
        if run.isalpha() and (run[1:].islower() or run.isupper() or len(run) == 1):
            return () if lower in self._stop_words else (self._stem(lower),)
        if run.isdigit():
            return (lower,)
        parts = [part.casefold() for part in _PART.findall(run) if len(part) > 1]
        return [lower, *(self._stem(part) for part in parts if part not in self._stop_words)]


@cache
def _forms(language: str) -> _Forms:
    if language == UNSTEMMED:
        return _Forms(str, frozenset())
    require("Stemmer", "words")
    import Stemmer

    if language not in Stemmer.algorithms():
        known = languages()
        raise ValueError(
            f"Unknown language {language!r}: expected one of {', '.join(known)}.{suggestion(language, known)}"
        )
    return _Forms(Stemmer.Stemmer(language).stemWord, STOP_WORDS if language == "english" else frozenset())


def _pairs(run: str) -> list[str]:
    return [run[place : place + 2] for place in range(len(run) - 1)] or [run]


def _number(word: str) -> int:
    return int.from_bytes(blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little", signed=True)
