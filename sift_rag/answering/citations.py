"""Find the passages that an answer cites."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

from sift_rag.answering.prompt import Prompt
from sift_rag.types import Passage

_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_NUMBERS = r"[0-9]{1,6}(?: ?[-\u2013] ?[0-9]{1,6})?"
_LISTED = rf" ?{_NUMBERS}(?: ?[,;] ?{_NUMBERS})* ?"
_BRACKETS = re.compile(rf"(?:\[{_LISTED}\]|\u3010{_LISTED}\u3011)+")
_RANGE = re.compile(r"([0-9]{1,6})(?: ?[-\u2013] ?([0-9]{1,6}))?")
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


def find_citations(text: str, prompt: Prompt) -> tuple[Citation, ...]:
    """Return the passages that an answer cites, each once, in order of first appearance.

    Recognised forms are ``[1]``, ``[1, 3]``, ``[1][2]`` and ``[2-4]``, also in lenticular brackets. Numbers that the
    prompt does not use are ignored, and so is anything in code or that looks like it: ``a[0]``, ``sys.argv[1]``, all
    text between backticks.
    """
    numbered = prompt.numbered
    return tuple(Citation(number, numbered[number]) for number in cited_numbers(text, numbered))


def cited_numbers(text: str, known: Collection[int]) -> tuple[int, ...]:
    """Return the numbers among ``known`` that a text cites, as ``find_citations`` reads them."""
    found: dict[int, None] = {}
    prose = _CODE.sub("`", text)
    for brackets in _citing(prose):
        for first, last in _RANGE.findall(brackets.group()):
            low, high = int(first), int(last or first)
            found.update(dict.fromkeys(sorted(number for number in known if low <= number <= high)))
    return tuple(found)


def without_citations(text: str) -> str:
    """Return a text without its citations; brackets in code stay."""
    kept, place = [], 0
    code = [match.span() for match in _CODE.finditer(text)]
    for brackets in _citing(text):
        if not any(start <= brackets.start() < end for start, end in code):
            kept.append(text[place : brackets.start()])
            place = brackets.end()
    return "".join([*kept, text[place:]])


def _citing(prose: str) -> Iterator[re.Match[str]]:
    """Yield the brackets that are no index."""
    for brackets in _BRACKETS.finditer(prose):
        start = brackets.start()
        before = _BEFORE.search(prose[max(0, start - _LONGEST_WORD) : start])
        if before is None or not _CODE_BEFORE.search(before.group()):
            yield brackets
