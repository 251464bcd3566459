"""Join words that are divided at the end of a line; the other words of the document tell whether a hyphen stays."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

_WORD = re.compile(r"[^\W\d_]+(?:[-\u2010][^\W\d_]+)*")
_ENDING = re.compile(r"(?:^|(?<=[^\w-]))([^\W_]+(?:-[^\W_]+)*)-$")
_BEGINNING = re.compile(r"[^\W_]+(?:-[^\W_]+)*")

_KEEP_AFTER = frozenset(["all", "co", "cross", "half", "high", "low", "non", "quasi", "self", "well"])
"""First parts that mostly keep their hyphen; "ex" is not among them, since "ex-ample" is more frequent."""

_JOIN_AFTER = frozenset(["any", "every", "more", "never", "over", "some", "there", "under", "where", "with"])
"""Words that words without a hyphen begin with: without, something."""

_SHORT = 3


class Words:
    """The words of a document, which tell whether it writes a word with its hyphen."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._counts: Counter[str] = Counter()
        after_hyphen = False
        for line in lines:
            words = [match[0] for match in _WORD.finditer(line.casefold().replace("\u2010", "-"))]
            ends = ends_in_hyphen(line)
            self._counts.update(words[int(after_hyphen) : len(words) - int(ends)])
            after_hyphen = ends

    def without_line_end(self, line: str, following: str) -> str:
        """Return two lines as one, with or without the hyphen that ends the first, or with a space between them.

        An address that goes on in the second line stays one word.
        """
        if _is_address_going_on(line, following):
            return f"{line}{following}"
        if not ends_in_hyphen(line) or not (beginning := _BEGINNING.match(following)):
            return f"{line} {following}"
        ending = _ENDING.search(line)
        if ending is None or self._keeps_hyphen(ending[1], beginning[0]):
            return f"{line}{following}"
        return f"{line[:-1]}{following}"

    def _keeps_hyphen(self, left: str, right: str) -> bool:
        """Return True if the document shows, or the parts suggest, that the hyphen is the word's own."""
        if right[0].isupper() or left[-1].isdigit() or right[0].isdigit() or (left.isupper() and len(left) > 1):
            return not (left.isupper() and right.isupper())
        left, right = left.casefold(), right.casefold()
        whole, joined = self._counts[f"{left}-{right}"], self._counts[f"{left}{right}"]
        if whole or joined:
            return whole >= joined
        first, last = left.rpartition("-")[::2]
        if first:
            return not self._counts[f"{last}{right}"]
        if len(left) == 1 or left in _KEEP_AFTER or "-" in right:
            return True
        both_are_words = bool(self._counts[left] and self._counts[right])
        return both_are_words and min(len(left), len(right)) > _SHORT and left not in _JOIN_AFTER


def ends_in_hyphen(line: str) -> bool:
    """Return True if a line ends in a hyphen that follows a letter or a digit."""
    return len(line) > 1 and line[-1] == "-" and line[-2].isalnum()


_ADDRESS = re.compile(r"(?:https?:(?=/)|www\.)\S*[/._=?&%#~-]$|(?<!\S)[~/]\S*/$")
"""Address or path up to the end of a line."""
_REST_OF_ADDRESS = re.compile(r"\w*(?:[._/=?&%#~-]\w|_|/(?:\s|$))")


def _is_address_going_on(line: str, following: str) -> bool:
    """Return True if a line ends in the middle of an address or a path.

    After a slash a word of a sentence may follow, so the rest must look like one of an address; after a point, the next
    sentence would begin with a capital.
    """
    found = _ADDRESS.search(line[-200:])
    if found is None or not following or following[0].isspace():
        return False
    match line[-1]:
        case "/":
            return _REST_OF_ADDRESS.match(following) is not None
        case ".":
            return following[0].islower() or following[0].isdigit()
        case _:
            return following[0].isalnum()
