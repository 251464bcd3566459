"""The answer as it comes, and the passages that it cites."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from sift_rag.answering.prompt import Prompt, locate
from sift_rag.errors import ModelUnsuitable
from sift_rag.protocols import LanguageModel
from sift_rag.types import Passage

__all__ = ["Citation", "find_citations", "locate", "stream_answer"]

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
"""What brackets index when they follow it without a blank; after any other word or mark they cite."""
_LONGEST_WORD = 64


class Citation(NamedTuple):
    """A passage that an answer refers to, under the number it has in the prompt."""

    number: int
    passage: Passage


def stream_answer(model: LanguageModel, prompt: Prompt, *, max_new_tokens: int = 512) -> Iterator[str]:
    """The answer, piece by piece, without blanks before its first word. Closing the iterator stops the model.

    Raises:
        ModelUnavailable: the endpoint does not answer.
        ModelUnsuitable: the model has nothing to say.
        ValueError: the prompt leaves no room for an answer.
    """
    begun = False
    for piece in model.stream(prompt.messages, max_new_tokens=max_new_tokens):
        text = piece if begun else piece.lstrip()
        if text:
            begun = True
            yield text
    if not begun:
        raise ModelUnsuitable(
            f"The model {model.name!r} gave an empty answer: allow it more than {max_new_tokens} tokens "
            "(it may have used them to think), or choose another."
        )


def find_citations(text: str, prompt: Prompt) -> tuple[Citation, ...]:
    """What an answer cites, each passage once, in the order of first appearance.

    Understood are ``[1]``, ``[1, 3]``, ``[1][2]`` and ``[2-4]``. Numbers that the prompt has not given out are ignored,
    and so is what stands in code or looks like it: ``a[0]``, ``sys.argv[1]``, and all between backticks.
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
