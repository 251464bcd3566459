"""Find the passages that an answer cites."""

from __future__ import annotations

import re
from typing import NamedTuple

from sift_rag.answering.prompt import Prompt
from sift_rag.types import Passage

_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_NUMBERS = r"[0-9]{1,6}(?: ?[-\u2013] ?[0-9]{1,6})?"
_BRACKETS = re.compile(rf"(?:\[ ?{_NUMBERS}(?: ?[,;] ?{_NUMBERS})* ?\])+")
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

    Recognised forms are ``[1]``, ``[1, 3]``, ``[1][2]`` and ``[2-4]``. Numbers that the prompt does not use are
    ignored, and so is anything in code or that looks like it: ``a[0]``, ``sys.argv[1]``, all text between backticks.
    """
    numbered = prompt.numbered
    found: dict[int, Citation] = {}
    prose = _CODE.sub("`", text)
    for brackets in _BRACKETS.finditer(prose):
        start = brackets.start()
        before = _BEFORE.search(prose[max(0, start - _LONGEST_WORD) : start])
        if before is not None and _CODE_BEFORE.search(before.group()):
            continue
        for first, last in _RANGE.findall(brackets.group()):
            low, high = int(first), int(last or first)
            for number in sorted(number for number in numbered if low <= number <= high):
                found.setdefault(number, Citation(number, numbered[number]))
    return tuple(found.values())
