"""Numbers, names and negations of a text: what a similarity of texts cannot see."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

_NUMBER = re.compile(
    r"(?<![A-Za-z_])\d+(?:[.,\u00a0\u202f'\u2019]\d+)*(?:\s?(?:thousand|million|billion|trillion|Tausend|Millionen|Milliarden)\b)?",
    re.IGNORECASE,
)
_POWERS = {"thousand": 3, "tausend": 3, "million": 6, "millionen": 6, "billion": 9, "milliarden": 9, "trillion": 12}
_GROUPED = re.compile(r"\d{1,3}(?:[,.\u00a0\u202f'\u2019]\d{3})+\Z")
_CARDINALS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_ORDINALS = (
    "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth",
)  # fmt: skip
_WORDS = {word: str(number) for words in (_CARDINALS, _ORDINALS) for number, word in enumerate(words, start=2)}

_NEGATION = re.compile(
    r"\b(?:not?|never|none|neither|nor|without|cannot|nobody|nothing|nowhere|lacks?|unable|fail(?:s|ed)?\sto"
    r"|nicht|keine?[nmrs]?|nie|niemals|ohne|weder|ne|n['\u2019]|jamais|aucune?|sans|nunca|ning[uú]n[ao]?|sin|sem|não|non|senza"
    r"|niet|geen|не|нет|ни|без)\b|n['\u2019]t\b|[不没沒無无未]|ない|ません|ず[。、]",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"[^\W_][\w.\-/:]*[^\W_]|[^\W_]")
_IDENTIFIER = re.compile(r"[^\W\d_].*[\d_]|\d.*[^\W\d_]|[a-z].*[A-Z]|\w\.\w")
_AFTER_STOP = re.compile(r"(?:\A|[.!?:]\s|\n)[\s\"'\u201c\u2018\u00ab(*\[_-]*\Z")
_PLAIN = frozenset(
    (  # noqa: SIM905 - a list would take a line a word
        "the a an it he she they we you i this that these those there here its his her their our your in on at by for "
        "from with to of as if when while where who whom whose which what how why and or but so also however thus "
        "then therefore after before since during until yes no not according both each every all some most many few "
        "is are was were be has have had do does did can could will would may might must one first finally overall"
    ).split()
)


@dataclass(frozen=True, slots=True)
class Particulars:
    """Numbers, names and identifiers of a text, and if it negates."""

    numbers: frozenset[str]
    """Numbers as digits: ``1,000`` is ``1000``, ``two`` is ``2``."""
    names: frozenset[str]
    """Names and identifiers, case folded."""
    tokens: frozenset[str]
    """All words, case folded, in which a name of another text may be found."""
    negated: bool

    def joined(self, others: Sequence[Particulars]) -> Particulars:
        """Return those of several texts together."""
        every = (self, *others)
        return Particulars(
            frozenset().union(*(one.numbers for one in every)),
            frozenset().union(*(one.names for one in every)),
            frozenset().union(*(one.tokens for one in every)),
            any(one.negated for one in every),
        )

    def without_names(self, given: Particulars) -> Particulars:
        """Return these without the names that the words of another text hold."""
        return replace(self, names=self.names - _found(self.names, [given]))

    def numbers_missing(self, others: Sequence[Particulars]) -> int:
        """Return how many numbers none of the others has."""
        return len(self.numbers.difference(*(one.numbers for one in others)))

    def names_missing(self, others: Sequence[Particulars]) -> int:
        """Return how many names the words of none of the others hold."""
        return len(self.names - _found(self.names, others))


def particulars_of(text: str) -> Particulars:
    """Return the numbers, names, words and negation of a text."""
    text = unicodedata.normalize("NFKC", text)
    tokens = [(match[0], match.start()) for match in _TOKEN.finditer(text)]
    folded = frozenset(form for token, _ in tokens for form in _forms(token))
    names = frozenset(token.casefold() for token, start in tokens if _is_name(text, token, start))
    return Particulars(frozenset(_numbers(text)), names, folded, _NEGATION.search(text) is not None)


def _found(names: frozenset[str], others: Sequence[Particulars]) -> frozenset[str]:
    """Return the names that the words of some of the others hold."""
    return frozenset(name for name in names for one in others if name in one.tokens or _base(name) in one.tokens)


def _forms(token: str) -> Iterator[str]:
    yield _base(token)
    yield token.casefold()
    for part in re.split(r"[-./:]", token):
        yield _base(part)


def _base(token: str) -> str:
    """Return a word without the ending of the possessive or the plural."""
    folded = token.casefold()
    return folded[:-1] if len(folded) > 3 and folded.endswith("s") and not folded.endswith("ss") else folded


def _is_name(text: str, token: str, start: int) -> bool:
    """Return True for an identifier, or a capital that no beginning of a sentence explains."""
    if token.isdigit() or not any(map(str.isalpha, token)):
        return False
    if _IDENTIFIER.search(token):
        return True
    if not token[0].isupper() or token.casefold() in _PLAIN:
        return False
    return len(token) > 1 and _AFTER_STOP.search(text, max(0, start - 12), start) is None


def _numbers(text: str) -> Iterator[str]:
    for match in _NUMBER.finditer(text):
        yield _digits(match[0])
    for word in re.findall(r"[a-z]+", text.casefold()):
        if word in _WORDS:
            yield _WORDS[word]


def _digits(written: str) -> str:
    """Return a number as plain digits, with a point if it has decimals."""
    number, _, power = written.partition(" ") if " " in written else (written, "", "")
    number = re.sub(r"[^\d.,\u00a0\u202f'\u2019]", "", number)
    plain = re.sub(r"\D", "", number) if _GROUPED.match(number) else number.replace(",", ".")
    places = _POWERS.get(power.casefold(), 0)
    if places:
        whole, _, decimals = plain.partition(".")
        plain = whole + decimals.ljust(places, "0")
    return plain.lstrip("0") or "0"
