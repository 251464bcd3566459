"""Notice that a model has begun to repeat itself, and stop it before that is shown.

Greedy decoding of small models falls into loops: a sentence, a paragraph or a word over and over, up to the limit on
the answer's length. Text that has been written before is held back until it goes on differently. Lists and tables may
repeat more than prose does, and code whatever it likes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sift_rag.generators import Ending
from sift_rag.protocols import FinishReason

LONGEST_ECHO = 120
"""Characters in a row that may repeat what was written before, word for word."""
LONGEST_ECHO_IN_LISTS = 600
"""The same within a list or a table."""
SHORTEST_SENTENCE = 40
"""Characters from which a sentence that follows itself is a loop."""
OPENING_WORDS = 5
"""Number of first words that make two sentences begin alike."""
ALIKE_OPENINGS = 4
"""Number of sentences in a row that must begin alike to be a loop."""
ALIKE_ITEMS = 5
"""Number of numbered items in a row that must say the same to be a loop."""
SHORTEST_CYCLES = 120
"""Characters that a few characters, repeated, must cover to be a loop."""

_FENCES = ("```", "~~~")
_LIST_LINE = re.compile(r"\s*(?:[-*+\u2022|>#]|\d+[.)])")
_NUMBERED = re.compile(r"\s*\d+[.)]\s+(.*\S)")
_BOUNDARY = re.compile(r"(?<=[.!?])\s+|(?<=[\u3002\uff01\uff1f])|\n+")
"""Places between sentences or lines."""
_SENTENCE_BEGINS = re.compile(r"(?:\A|[.!?\u3002\uff01\uff1f\n])\s*\Z")
_SENTENCE_END = (".", "!", "?", "\u3002", "\uff01", "\uff1f")
_CYCLES = re.compile(r"(.{1,40}?)\1{7,}", re.DOTALL)
_LOOKED_AT = 400
_BLANKS = 8
_LONGEST_LINE = 2000


class WithoutLoops:
    """Iterates over the pieces of an answer up to where it begins to repeat itself."""

    looped: bool
    """True once the answer was stopped."""

    def __init__(self, pieces: Iterator[str]) -> None:
        self.looped = False
        self._pieces: Ending[str, FinishReason] = Ending(pieces, "stop")
        self._text = ""
        self._held = ""  # the end of the text, not shown yet
        self._in_code = False

    @property
    def finish_reason(self) -> FinishReason:
        """The reason of the end, once that is reached."""
        return "repetition" if self.looped else self._pieces.value

    def __iter__(self) -> Iterator[str]:
        for piece in self._pieces:
            ready = "".join(map(self._next, piece))  # so that it does not matter how the text is cut into pieces
            if ready:
                yield ready
            if self.looped:
                return
        if self._held:
            yield self._release(len(self._held))

    def _next(self, character: str) -> str:
        """Read one more character, and return what can be shown."""
        if self.looped:
            return ""
        self._held += character
        self._text += character
        if character in "`~" and self._line().strip() in _FENCES:
            self._in_code = not self._in_code
        if self._in_code:
            return self._release(len(self._held))
        self.looped = self._is_loop()
        return "" if self.looped else self._release(self._ready())

    def _release(self, size: int) -> str:
        ready, self._held = self._held[:size], self._held[size:]
        return ready

    def _ready(self) -> int:
        """Return how many held characters can be shown: all but a last sentence that is an echo so far."""
        if self._is_echo(self._held):
            return 0
        start = max((boundary.end() for boundary in _BOUNDARY.finditer(self._held)), default=0)
        return start if start and self._is_echo(self._held[start:]) else len(self._held)

    def _is_echo(self, end: str) -> bool:
        """Return True if the end of the text begins a sentence, and was written before."""
        start = len(self._text) - len(end)
        begins = _SENTENCE_BEGINS.search(self._text[max(0, start - _BLANKS) : start])
        echo = end.strip()
        return bool(echo) and begins is not None and self._text.find(echo) < start

    def _is_loop(self) -> bool:
        line = self._line()
        in_list = _LIST_LINE.match(line) is not None
        if self._is_echo(self._held):
            if len(self._held.strip()) > (LONGEST_ECHO_IN_LISTS if in_list else LONGEST_ECHO):
                return True
            if not in_list and self._follows_itself():
                return True
        if in_list and self._text.endswith("\n") and _items_repeat(self._text[-_LONGEST_LINE:]):
            return True
        return _cycles(self._text, in_list=in_list) or (not in_list and _openings_repeat(line))

    def _line(self) -> str:
        """Return the last line that is not blank."""
        return self._text[-_LONGEST_LINE:].rstrip("\n").rpartition("\n")[2]

    def _follows_itself(self) -> bool:
        """Return True if the held text is a whole sentence, and the same was the last one shown."""
        held = self._held.strip()
        before = self._text[: len(self._text) - len(self._held)].rstrip()
        return len(held) >= SHORTEST_SENTENCE and held.endswith(_SENTENCE_END) and before.endswith(held)


def _cycles(text: str, *, in_list: bool) -> bool:
    """Return True if the text ends in a few characters over and over; not for rules, blanks, and lines of a list."""
    cycles = _CYCLES.match(text[-_LOOKED_AT:][::-1])
    if cycles is None or len(cycles.group()) < SHORTEST_CYCLES:
        return False
    return any(map(str.isalnum, cycles.group(1))) and not (in_list and "\n" in cycles.group(1))


def _items_repeat(text: str) -> bool:
    """Return True if the last lines are numbered items that say the same, at a sentence's length."""
    lines = [line for line in text.split("\n") if line.strip()][-ALIKE_ITEMS:]
    items = [found[1] for line in lines if (found := _NUMBERED.fullmatch(line.rstrip()))]
    return len(items) == ALIKE_ITEMS and len(set(items)) == 1 and len(items[0]) >= SHORTEST_SENTENCE


def _openings_repeat(paragraph: str) -> bool:
    """Return True if the last sentences of a paragraph begin alike.

    That can come about only at a word that each of them has: the rest is not read for any other.
    """
    *_, last = paragraph.rsplit(None, 1) or [""]
    if paragraph.count(last) < ALIKE_OPENINGS:
        return False
    sentences = [sentence.split() for sentence in _BOUNDARY.split(paragraph) if sentence.strip()]
    openings = [words[:OPENING_WORDS] for words in sentences[-ALIKE_OPENINGS:]]
    return (
        len(openings) == ALIKE_OPENINGS
        and len(openings[0]) == OPENING_WORDS
        and all(words == openings[0] for words in openings)
    )
