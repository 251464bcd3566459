"""Wrap streamed text between words, where a terminal would break them at its edge."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_PIECES = re.compile(r"\n|[^\S\n]+|[^\s]+")
_FENCES = ("```", "~~~")


def wrapped(pieces: Iterable[str], width: int) -> Iterator[str]:
    """Yield the text of the pieces, with line breaks in place of the blanks at which a line would exceed ``width``.

    The word in progress is held back until it ends. Fenced code and words wider than a line are left as they are.
    """
    lines = _Lines(width)
    rest = ""
    for piece in pieces:
        *words, rest = _PIECES.findall(rest + piece) or [""]
        if ready := "".join(map(lines.place, words)):
            yield ready
    if ready := lines.place(rest) + lines.blanks:
        yield ready


class _Lines:
    """Places words on lines."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._column = 0
        self._line = ""
        self._in_code = False
        self.blanks = ""
        """Blanks before the next word, which are dropped if that begins a line."""

    def place(self, word: str) -> str:
        """Return what to write for a word, blanks or a line break."""
        from rich.cells import cell_len

        if word == "\n":
            if self._line.lstrip().startswith(_FENCES):
                self._in_code = not self._in_code
            self._line, self._column = "", 0
            return self._take_blanks() + word
        if not word or word.isspace():
            self.blanks += word
            return ""
        blanks = self._take_blanks()
        self._line += blanks + word
        size = cell_len(blanks + word)
        if not self._in_code and self._column and self._column + size > self._width:
            self._column = cell_len(word)
            return f"\n{word}"
        self._column += size
        return blanks + word

    def _take_blanks(self) -> str:
        blanks, self.blanks = self.blanks, ""
        return blanks
