"""Notice text in a language that the embedder does not know. The only module that knows py3langid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING

from sift_rag.corpus.formats import Syntax
from sift_rag.extras import require
from sift_rag.protocols import Embedder
from sift_rag.types import Passage

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

MULTILINGUAL = "intfloat/multilingual-e5-small"
"""An embedder for about a hundred languages."""

_LOOKED_AT = 200
"""Passages whose language is recognised in one run: about a millisecond each."""
_OF_EACH_DOCUMENT = 3
_FEWEST_LETTERS = 40
_SHARE_OF_LETTERS = 0.6
"""Tables, numbers and code have fewer."""
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


class LanguageCheck:
    """Compares the language of new passages with those that an embedder knows, if it says so.

    An embedder says so by an attribute ``languages``: ISO 639-1 codes, or None. It is read only when there are
    passages, since reading it may load the embedder.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._counts: Counter[str] = Counter()

    @cached_property
    def _known(self) -> frozenset[str] | None:
        known: Sequence[str] | None = getattr(self._embedder, "languages", None)
        return frozenset(known) if known else None

    def passing(self, passages: Iterable[Passage], syntax: Syntax) -> Iterator[Passage]:
        """Yield the passages of a document; the language of its first ones is recognised on the way."""
        known = self._known if syntax in _PROSE else None
        left = _OF_EACH_DOCUMENT
        for passage in passages:
            if known and left and self._counts.total() < _LOOKED_AT and (code := _language(passage.text, known)):
                self._counts[code] += 1
                left -= 1
            yield passage

    def notices(self) -> Iterator[str]:
        """Yield a sentence on text in languages that the embedder does not know, unless there is little of it."""
        if not self._counts or self._known is None:
            return
        foreign = Counter({code: count for code, count in self._counts.items() if code not in self._known})
        share = foreign.total() / self._counts.total()
        if share < _NOTICED_SHARE:
            return
        code = max(sorted(foreign), key=lambda code: foreign[code])
        yield (
            f"{share:.0%} of the text is not in a language that the embedder {self._embedder.name} knows (mostly "
            f"{_NAMES.get(code, code)}): questions will find it less well than with a multilingual embedder such as "
            f"{MULTILINGUAL}."
        )


def _language(text: str, known: frozenset[str]) -> str | None:
    """Return the likeliest language of a text; None for too little text, or if it may or may not be a known one.

    Which of the other languages it is need not be sure: Chinese has several close relatives.
    """
    text = text[:1000]
    letters = sum(map(str.isalpha, text))
    if "```" in text or letters < _FEWEST_LETTERS or letters < _SHARE_OF_LETTERS * len(text):
        return None
    ranked = _identifier().rank(text)
    of_known = sum(probability for code, probability in ranked if code in known)
    is_sure = not 1 - _SURE < of_known < _SURE
    return str(ranked[0][0]) if is_sure else None


@cache
def _identifier() -> LanguageIdentifier:
    require("py3langid", "ingest")
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
