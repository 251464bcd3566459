"""Wrap streamed text between words, where a terminal would break them at its edge."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_PIECES = re.compile(r"\n|[^\S\n]+|[^\s]+")
_FENCES = ("```", "~~~")


def wrapped(pieces: Iterable[str], width: int) -> Iterator[str]:
    """Yield the text of the pieces, with line breaks in place of the blanks at which a line would exceed ``width``.

    The word in progress is held back until it ends, or until its place is certain: a text without blanks, as in
    Chinese, is one long word. Fenced code and words wider than a line are left as they are.
    """
    lines = _Lines(width)
    rest = ""
    for piece in pieces:
        *words, rest = _PIECES.findall(rest + piece) or [""]
        ready = "".join(map(lines.place, words))
        if lines.is_certain(rest):
            ready, rest = ready + lines.place(rest), ""
        if ready:
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
        self._within = False
        self.blanks = ""
        """Blanks before the next word, which are dropped if that begins a line."""

    def place(self, word: str) -> str:
        """Return what to write for a word, blanks or a line break."""
        from rich.cells import cell_len

        if word == "\n":
            if self._line.lstrip().startswith(_FENCES):
                self._in_code = not self._in_code
            self._line, self._column, self._within = "", 0, False
            return self._take_blanks() + word
        if not word:
            return ""
        if word.isspace():
            self.blanks += word
            self._within = False
            return ""
        blanks = self._take_blanks()
        self._line += blanks + word
        size = cell_len(blanks + word)
        breaks = self._may_break and self._column + size > self._width
        self._within = True
        if breaks:
            self._column = cell_len(word)
            return f"\n{word}"
        self._column += size
        return blanks + word

    def is_certain(self, beginning: str) -> bool:
        """Return True if a word that begins like this has its place already, however it goes on."""
        from rich.cells import cell_len

        if not beginning.strip():
            return False
        return not self._may_break or self._column + cell_len(self.blanks + beginning) > self._width

    @property
    def _may_break(self) -> bool:
        return bool(self._column) and not self._in_code and not self._within

    def _take_blanks(self) -> str:
        blanks, self.blanks = self.blanks, ""
        return blanks
