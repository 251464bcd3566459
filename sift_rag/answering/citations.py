"""Find the passages that an answer cites."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

from sift_rag.answering.prompt import Prompt
from sift_rag.types import Passage

_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_NUMBERS = r"[0-9]{1,6}(?: ?[-\u2013] ?[0-9]{1,6})?"
_LISTED = rf" ?(?:[Pp]assages? |\^)?{_NUMBERS}(?: ?[,;] ?{_NUMBERS})* ?"
BRACKET = rf"\[{_LISTED}\]"
"""Pattern of one pair of brackets with numbers, in a text after ``with_plain_brackets``."""
_BRACKET = re.compile(BRACKET)
_BRACKETS = re.compile(rf"(?:{BRACKET})+")
_RANGE = re.compile(r"([0-9]{1,6})(?: ?[-\u2013] ?([0-9]{1,6}))?")
_PLAIN = str.maketrans(
    "\u3010\u3011\uff3b\uff3d\uff0c\u3001\uff1b\uff10\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19",
    "[][],,;0123456789",
)
"""Lenticular and full-width brackets, and what may stand between them."""
_BEFORE = re.compile(r"[^\s\[\]]*\Z")
_CODE_BEFORE = re.compile(
    r"""(?: (?<!\w) [A-Za-z]{1,2}                                   # a, xs
        | \w [.=] \w+ | \w \( \w* \)                               # sys.argv, y=values, f(x)
        | [A-Za-z_] \w* [0-9_] \w* | _ \w+ | [0-9]+ [A-Za-z_] \w*   # x2, row_1
    )\Z""",
    re.VERBOSE,
)
"""Text that makes the brackets right after it an index. After any other word or mark, brackets are a citation."""
_LONGEST_WORD = 64


class Citation(NamedTuple):
    """A passage that an answer refers to, with its number in the prompt."""

    number: int
    passage: Passage


class Mark(NamedTuple):
    """A pair of brackets that cites passages."""

    start: int
    end: int
    numbers: tuple[int, ...]
    """Numbers of the passages, in order."""


def find_citations(text: str, prompt: Prompt) -> tuple[Citation, ...]:
    """Return the passages that an answer cites, each once, in order of first appearance.

    Recognised forms are ``[1]``, ``[1, 3]``, ``[1][2]``, ``[2-4]``, ``[^1]`` and ``[Passage 1]``, also in lenticular
    and full-width brackets. Numbers that the prompt does not use are ignored, and so is anything in code or that looks
    like it: ``a[0]``, ``sys.argv[1]``, all text between backticks.
    """
    numbered = prompt.numbered
    return tuple(Citation(number, numbered[number]) for number in cited_numbers(text, numbered))


def cited_numbers(text: str, known: Collection[int]) -> tuple[int, ...]:
    """Return the numbers among ``known`` that a text cites, as ``find_citations`` reads them."""
    return tuple(dict.fromkeys(number for mark in citation_marks(text, known) for number in mark.numbers))


def citation_marks(text: str, known: Collection[int]) -> Iterator[Mark]:
    """Yield the pairs of brackets that cite a number among ``known``, in order."""
    prose = _prose(text)
    for brackets in _citing(prose):
        for one in _BRACKET.finditer(prose, brackets.start(), brackets.end()):
            found: dict[int, None] = {}
            for first, last in _RANGE.findall(one.group()):
                low, high = int(first), int(last or first)
                found.update(dict.fromkeys(sorted(number for number in known if low <= number <= high)))
            if found:
                yield Mark(one.start(), one.end(), tuple(found))


def without_citations(text: str) -> str:
    """Return a text without its citations; brackets in code stay."""
    kept, place = [], 0
    for brackets in _citing(_prose(text)):
        kept.append(text[place : brackets.start()])
        place = brackets.end()
    return "".join([*kept, text[place:]])


def with_plain_brackets(text: str) -> str:
    """Return a text of the same length with ASCII brackets and digits in place of full-width and lenticular ones."""
    return text.translate(_PLAIN)


def _prose(text: str) -> str:
    """Return a text of the same length in which backticks cover all code, with plain brackets."""
    return _CODE.sub(lambda code: "`" * len(code[0]), with_plain_brackets(text))


def _citing(prose: str) -> Iterator[re.Match[str]]:
    """Yield the brackets that are no index."""
    for brackets in _BRACKETS.finditer(prose):
        start = brackets.start()
        before = _BEFORE.search(prose[max(0, start - _LONGEST_WORD) : start])
        if before is None or not _CODE_BEFORE.search(before.group()):
            yield brackets
