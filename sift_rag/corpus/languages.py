"""The languages of documents, and text in one that the embedder does not know. Alone knows py3langid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, cached_property
from itertools import islice
from typing import TYPE_CHECKING

from sift_rag.corpus.formats import Syntax
from sift_rag.corpus.report import Problem
from sift_rag.errors import Remedy
from sift_rag.extras import require
from sift_rag.protocols import Embedder
from sift_rag.types import Passage

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

MULTILINGUAL = "intfloat/multilingual-e5-small"
"""An embedder for about a hundred languages."""

_LOOKED_AT = 200
"""Passages at most whose language is recognised in one run: about a millisecond each."""
_LETTERS_READ = 1_000
_OF_EACH_DOCUMENT = 3
_FEWEST_LETTERS = 40
_SHARE_OF_LETTERS = 0.6
"""Tables, numbers and code have fewer."""
_LIKELY = 0.6
"""Probability from which a language is that of a document: close relatives share what is left."""
_STRETCH = 300
"""Number of characters that are prose, or not."""
_STRETCHES, _STRETCHES_SEEN = 10, 100
"""Number of stretches of prose that tell a document's language, and of stretches among which they are looked for."""
_NO_LANGUAGE = "zxx"
_SURE = 0.9
"""Probability from which a text counts as one in a language that the embedder knows, or in none of them."""
_NOTICED_SHARE = 0.2

_PROSE: frozenset[Syntax] = frozenset({"plain", "markdown", "rst", "latex"})
_NAMES = {
    "ar": "Arabic",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "fa": "Persian",
    "fi": "Finnish",
    "fr": "French",
    "he": "Hebrew",
    "hi": "Hindi",
    "hu": "Hungarian",
    "id": "Indonesian",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "nl": "Dutch",
    "no": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sv": "Swedish",
    "th": "Thai",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "vi": "Vietnamese",
    "zh": "Chinese",
}


def language_of(texts: Iterable[str], syntax: Syntax) -> str:
    """Return the likeliest language of a document's beginning, an ISO 639 code; "" if no prose tells one.

    Costs less than a millisecond, and half a second the first time.

    Args:
        texts: its text in pieces, of which only the first are looked at.
        syntax: what the text is written in.
    """
    if syntax not in _PROSE:
        return ""
    stretches = (text[start : start + _STRETCH] for text in texts for start in range(0, len(text), _STRETCH))
    prose = list(islice(filter(_is_prose, islice(stretches, _STRETCHES_SEEN)), _STRETCHES))
    if not prose:
        return ""
    code, probability = _identifier().rank("\n".join(prose))[0]
    return str(code) if probability >= _LIKELY and code != _NO_LANGUAGE else ""


class LanguageCheck:
    """Compares the language of new passages with those that an embedder knows, if it says so.

    An embedder says so by an attribute ``languages``: ISO 639-1 codes, or None. It is read only when there are
    passages, since reading it may load the embedder. A bounded sample, even over all documents, is kept and looked at.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._sample: list[str] = []
        self._seen, self._step = 0, 1

    @cached_property
    def _known(self) -> frozenset[str]:
        known: Sequence[str] | None = getattr(self._embedder, "languages", None)
        return frozenset(known or ())

    def passing(self, passages: Iterable[Passage], syntax: Syntax) -> Iterator[Passage]:
        """Yield the passages of a document; some of the first ones are kept to have their language recognised."""
        left = _OF_EACH_DOCUMENT if syntax in _PROSE and self._known else 0
        for passage in passages:
            if left and _is_prose(text := passage.text[:_LETTERS_READ]):
                left -= 1
                self._keep(text)
            yield passage

    def notices(self) -> Iterator[Problem]:
        """Yield a sentence on text in languages that the embedder does not know, unless there is little of it."""
        languages = [code for text in self._sample if (code := _language(text, self._known))]
        foreign = Counter(code for code in languages if code not in self._known)
        share = foreign.total() / len(languages) if languages else 0.0
        if share < _NOTICED_SHARE:
            return
        code = max(sorted(foreign), key=lambda code: foreign[code])
        yield Problem(
            "",
            f"{share:.0%} of the text is in a language that the embedder {self._embedder.name} was not made for, "
            f"mostly {_NAMES.get(code, code)}: questions will find less of it.",
            Remedy("multilingual-embedder", embedder=MULTILINGUAL),
        )

    def _keep(self, text: str) -> None:
        """Keep each text as long as they are few; of many, every second, every fourth and so on."""
        if self._seen % self._step == 0:
            if len(self._sample) == _LOOKED_AT:
                self._sample = self._sample[::2]
                self._step *= 2
            if self._seen % self._step == 0:
                self._sample.append(text)
        self._seen += 1


def _is_prose(text: str) -> bool:
    """Return False for code, tables, numbers, and for too little text."""
    letters = sum(map(str.isalpha, text))
    return "```" not in text and letters >= _FEWEST_LETTERS and letters >= _SHARE_OF_LETTERS * len(text)


def _language(text: str, known: frozenset[str]) -> str | None:
    """Return the likeliest language of a text; None if it may or may not be a known one, or is none at all.

    Which of the other languages it is need not be sure: Chinese has several close relatives.
    """
    ranked = _identifier().rank(text)
    of_known = sum(probability for code, probability in ranked if code in known)
    is_sure = not 1 - _SURE < of_known < _SURE
    return str(ranked[0][0]) if is_sure and ranked[0][0] != _NO_LANGUAGE else None


@cache
def _identifier() -> LanguageIdentifier:
    require("py3langid", "ingest")
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
