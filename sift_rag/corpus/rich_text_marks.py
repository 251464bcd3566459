"""Mark the structure of RTF and let striprtf decode its text. The only module that knows striprtf.

striprtf turns RTF into plain text and knows neither headings nor lists, and leaves notes out. The source is therefore
rewritten before: what is not to be read is left out, and characters of the private use area stand where a paragraph,
a cell or a note ends, with what is known of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from sift_rag.corpus.decoding import universal_newlines, without_surrogates


class Mark(StrEnum):
    """A character that stands for a piece of structure."""

    PARAGRAPH = "\ue000"
    """End of a paragraph; what it is follows, up to ``END``."""
    ROW = "\ue001"
    """End of a row of a table; its cells follow, up to ``END``."""
    CELL = "\ue002"
    BREAK = "\ue003"
    BOLD = "\ue004"
    NOT_BOLD = "\ue005"
    RAISED = "\ue006"
    NOT_RAISED = "\ue007"
    NOTE = "\ue008"
    NOTE_END = "\ue009"
    LABEL = "\ue00a"
    """Beginning of the number or bullet of a list's item."""
    LABEL_END = "\ue00b"
    END = "\ue00f"


class Paragraph(NamedTuple):
    """A paragraph, or a heading."""

    text: str
    level: int = 0
    """Level of a heading, from 1; 0 for text."""
    label: str = ""
    """Number before a heading."""


class Item(NamedTuple):
    """An item of a list."""

    text: str
    depth: int
    label: str


class Cell(NamedTuple):
    """A cell of a table."""

    text: str
    edge: int
    """Its end, in twentieths of a point from the left."""
    goes_on_above: bool = False
    """True if it is the lower part of the cell above it."""


class Row(NamedTuple):
    """A row of a table."""

    cells: tuple[Cell, ...]


Part: TypeAlias = Paragraph | Item | Row


def decoded(source: str) -> str:
    """Return the text of RTF, with its characters decoded.

    Raises:
        MissingExtra: ``striprtf`` is not installed.
    """
    from striprtf.striprtf import rtf_to_text

    text = str(rtf_to_text(source, encoding="cp1252", errors="replace"))  # type: ignore[no-untyped-call]
    joined = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # RTF writes them as two
    return universal_newlines(without_surrogates(joined)).replace("\0", "").replace("\xad", "")


# Before the text is decoded

_TOKEN = re.compile(
    r"\\([a-zA-Z]{1,32})(-?\d{1,10})?[ ]?|\\('[0-9a-fA-F]{2})|\\([^a-zA-Z])|([{}])|[\r\n]+|[^\\{}\r\n]+"
)
_STYLE_LEVEL = re.compile(r"heading (\d)", re.IGNORECASE)
_CONTENTS = re.compile(r"(?:toc (?:\d|heading)|contents \d)", re.IGNORECASE)
_PARAGRAPH_ENDS = frozenset(("par", "sect", "page"))
_KEPT = frozenset(
    (
        "ansi", "ansicpg", "bullet", "deff", "emdash", "emspace", "endash", "enspace", "f", "ldblquote", "lquote",
        "qmspace", "rdblquote", "rquote", "rtf", "tab", "u", "uc",
    )
)  # fmt: skip
"""Words that matter for the decoding of characters."""
_DEEPEST = 8
_MOST_GROUPS = 1000
_IN_CONTENTS = -1
"""Level of the entries of a table of contents."""


@dataclass(slots=True)
class _Group:
    """The state of a group, which begins as that of the group around it and ends with it."""

    unseen: bool = False
    written: bool = True
    """True if its braces are."""
    destination: str = ""
    style: int = 0
    level: int | None = None
    """Outline level that the paragraph states, from 1."""
    depth: int = 0
    in_table: bool = False
    bold: bool = False
    raised: bool = False
    in_note: bool = False
    hides_result: bool = False
    """True for a field that makes a table of contents."""
    ends_with: str = ""
    """Mark to be written where it ends."""


class _Style:
    """A paragraph style, as it is being read."""

    def __init__(self) -> None:
        self.number = 0
        self.level: int | None = None
        self.name = ""
        self.is_of_characters = False


class _Marker:
    """Rewrites one RTF."""

    def __init__(self, source: str) -> None:
        from striprtf.striprtf import destinations

        self.destinations = destinations
        self.source = source
        self.out: list[str] = []
        self.groups: list[_Group] = []
        self.here = _Group()
        self.shown = (False, False)
        """True for each of the two that the text written last is: bold, and raised."""
        self.levels: dict[int, int] = {}
        self.style: _Style | None = None
        self.instruction = ""
        self.cells: list[str] = []
        """Edges of the cells of the row, with "v" or "h" for one that another goes on in."""
        self.defined: list[str] = []
        self.merged = ""
        self.position = 0

    def marked(self) -> str:
        while found := _TOKEN.match(self.source, self.position):
            self.position = found.end()
            word, number, hexadecimal, sign, brace = found.groups()
            if brace == "{":
                self.opened()
            elif brace:
                self.closed()
            elif word:
                self.word(word, int(number) if number else None, found[0])
            elif sign == "*":
                self.here.unseen = True
            elif not found[0].isspace() or " " in found[0]:
                self.text(found[0], is_text=hexadecimal is not None or sign is None or sign in "{}\\~_-")
            if not self.groups and brace == "}":
                break
        while self.groups:
            self.closed()
        return "".join(self.out)

    def mark(self, *marks: str) -> None:
        for character in "".join(marks):
            is_mark = "\ue000" <= character <= "\ue00f"
            self.out.append(f"{{\\uc0\\u{ord(character)} }}" if is_mark else character)

    def opened(self) -> None:
        if len(self.groups) == _MOST_GROUPS:
            raise ValueError("nested too deeply")
        self.groups.append(self.here)
        self.here = replace(self.here, written=not self.here.unseen, ends_with="", hides_result=False)
        if self.here.written:
            self.out.append("{")
        if self.here.destination == "stylesheet":
            self.style = _Style()

    def closed(self) -> None:
        if self.here.destination == "stylesheet" and self.style is not None:
            self.record(self.style)
            self.style = None
        if self.here.destination == "fldinst" and self.groups:
            self.groups[-1].hides_result = self.instruction.split()[:1] == ["TOC"]
        if self.here.ends_with:
            self.format(bold=False, raised=False)
            self.mark(self.here.ends_with)
        if len(self.groups) == 1:
            self.paragraph_ends()
        if self.here.written and self.groups:
            self.out.append("}")
        self.here = self.groups.pop() if self.groups else self.here

    def record(self, style: _Style) -> None:
        name = style.name.strip().rstrip(";").strip()
        if style.is_of_characters:
            return
        if _CONTENTS.match(name):
            self.levels[style.number] = _IN_CONTENTS
        elif name.lower() == "title":
            self.levels[style.number] = 1
        elif found := _STYLE_LEVEL.match(name):
            self.levels[style.number] = int(found[1])
        elif style.level is not None:
            self.levels[style.number] = style.level

    def text(self, text: str, *, is_text: bool) -> None:
        if self.style is not None and self.here.destination == "stylesheet":
            self.style.name += text
        elif self.here.destination == "fldinst":
            self.instruction += text
        if self.here.unseen and self.here.destination != "fonttbl":
            return
        if is_text and text.strip() and self.here.destination != "fonttbl":
            self.format(bold=self.here.bold, raised=self.here.raised)
        self.out.append(text)

    def format(self, *, bold: bool, raised: bool) -> None:
        """Write where bold and raised text begins and ends; raised text is within bold text."""
        if (bold, raised) == self.shown:
            return
        was_bold, was_raised = self.shown
        marks = [Mark.NOT_RAISED] * was_raised
        if was_bold != bold:
            marks.append(Mark.BOLD if bold else Mark.NOT_BOLD)
        self.mark(*marks, *[Mark.RAISED] * raised)
        self.shown = bold, raised

    def word(self, word: str, number: int | None, written: str) -> None:
        here = self.here
        if word == "bin":
            self.position += max(0, number or 0)
        elif self._destination(word):
            pass
        elif here.destination == "stylesheet":
            self._of_style(word, number)
        elif here.unseen and here.destination != "fonttbl":
            pass
        elif word in _PARAGRAPH_ENDS:
            self._ends(word)
        elif word in {"cell", "nestcell", "line", "row"}:
            self._in_row(word)
        elif word in _KEPT or here.destination == "fonttbl":
            if word in {"u", "bullet", "emdash", "endash", "ldblquote", "lquote", "rdblquote", "rquote"}:
                self.format(bold=here.bold, raised=here.raised)
            self.out.append(f"{written.rstrip(' ')} ")  # what stood between it and the text may be left out
        else:
            self._property(word, number)

    def _destination(self, word: str) -> bool:
        """Take up a word that says what a group is for; return False for any other word."""
        here = self.here
        if word == "footnote":
            here.unseen, here.in_note, here.ends_with, here.destination = False, True, Mark.NOTE_END, word
            self._shown_within()
            self.mark(Mark.NOTE)
        elif word in {"listtext", "pntext"}:
            here.unseen, here.ends_with = False, Mark.LABEL_END
            self._shown_within()
            self.format(bold=False, raised=False)
            self.mark(Mark.LABEL)
        elif word == "shptxt":
            here.unseen, here.destination = False, word
            self._shown_within()
            self.paragraph_ends()
        elif word == "fldrslt":
            here.unseen = here.unseen or (bool(self.groups) and self.groups[-1].hides_result)
        elif word in self.destinations:
            here.unseen, here.destination = True, word
            if word == "fonttbl":
                self._shown_within()
                self.out.append("\\fonttbl")
            elif word == "fldinst":
                self.instruction = ""
        else:
            return False
        return True

    def _shown_within(self) -> None:
        """Write the brace of a group that turns out to be read although the one around it is not."""
        if not self.here.written:
            self.here.written = True
            self.out.append("{")

    def _of_style(self, word: str, number: int | None) -> None:
        if self.style is None:
            return
        if word == "s":
            self.style.number = number or 0
        elif word in {"cs", "ds", "ts"}:
            self.style.is_of_characters = True
        elif word == "outlinelevel":
            self.style.level = min(6, (number or 0) + 1) if (number or 0) < 9 else None

    def _ends(self, word: str) -> None:
        if self.here.in_note:
            self.out.append(" ")
        elif self.here.in_table and word == "par":
            self.mark(Mark.BREAK)
        else:
            self.paragraph_ends()

    def _in_row(self, word: str) -> None:
        if word == "row":
            self.format(bold=False, raised=False)
            self.defined = self.cells or self.defined
            self.mark(Mark.ROW, " ".join(self.defined), Mark.END)
        elif word == "cell":
            self.format(bold=False, raised=False)
            self.mark(Mark.CELL)
        elif word == "line":
            self.mark(Mark.BREAK)
        else:
            self.out.append(" ")

    def _property(self, word: str, number: int | None) -> None:
        """Take up a property of a paragraph, of characters or of a row."""
        here = self.here
        match word:
            case "plain":
                here.bold = here.raised = False
            case "b":
                here.bold = number != 0
            case "super" | "nosupersub":
                here.raised = word == "super" and number != 0
            case "v":
                here.unseen = number != 0  # hidden text
            case "trowd":
                self.cells, self.merged = [], ""
            case "clvmrg" | "clmrg":
                self.merged = "v" if word == "clvmrg" else "h"
            case "cellx":
                self.cells.append(f"{number or 0}{self.merged}")
                self.merged = ""
            case _:
                self._of_paragraph(word, number)

    def _of_paragraph(self, word: str, number: int | None) -> None:
        here = self.here
        match word:
            case "pard":
                here.style, here.level, here.depth, here.in_table = 0, None, 0, False
            case "s":
                here.style = number or 0
            case "outlinelevel":
                here.level = min(6, (number or 0) + 1) if (number or 0) < 9 else 0
            case "ilvl":
                here.depth = min(_DEEPEST, max(0, number or 0))
            case "intbl":
                here.in_table = True
            case _:
                pass

    def paragraph_ends(self) -> None:
        here = self.here
        self.format(bold=False, raised=False)
        level = self.levels.get(here.style, 0) if here.level is None else here.level
        self.mark(Mark.PARAGRAPH, f"{level} {here.depth}", Mark.END)


def marked(source: str) -> str:
    """Return RTF with marks for its structure, without what is not to be read. ``O(len(source))``."""
    return _Marker(source).marked()


# After it was decoded

_STRUCTURE = re.compile(f"[{Mark.PARAGRAPH}{Mark.ROW}]([^{Mark.END}]*){Mark.END}")
_LABEL = re.compile(f"{Mark.LABEL}([^{Mark.LABEL_END}]*){Mark.LABEL_END}")
_OTHER_MARKS = re.compile("[\ue000-\ue00f]")


def parts_of(text: str) -> list[Part]:
    """Return the paragraphs, items of lists and rows of tables that a marked and decoded text holds."""
    return list(_parts(text))


def _parts(text: str) -> Iterator[Part]:
    start = 0
    for found in _STRUCTURE.finditer(text):
        content, start = text[start : found.start()], found.end()
        if found[0][0] == Mark.ROW:
            if cells := _cells(content, found[1].split()):
                yield Row(tuple(cells))
        elif (part := _part(content, *map(int, found[1].split()))) is not None:
            yield part


def _part(content: str, level: int, depth: int) -> Part | None:
    label = _LABEL.search(content)
    words = " ".join(_LABEL.sub("", content).split())
    if level == _IN_CONTENTS or not _OTHER_MARKS.sub("", words).strip():
        return None
    name = _OTHER_MARKS.sub("", label[1]).strip() if label else ""
    if level > 0:
        return Paragraph(words, level, name)
    return Item(words, depth, name) if label else Paragraph(words)


def _cells(content: str, edges: list[str]) -> list[Cell]:
    """Return the cells of a row; more cells than are defined follow one another."""
    texts = content.split(Mark.CELL)[:-1]
    cells: list[Cell] = []
    for number, text in enumerate(texts):
        edge = edges[number] if number < len(edges) else f"{(cells[-1].edge if cells else 0) + 1000}"
        words = " ".join(_LABEL.sub("", text).split())
        place = int(edge.rstrip("hv"))
        if edge.endswith("h") and cells:
            cells[-1] = cells[-1]._replace(edge=place)
        else:
            cells.append(Cell(words, place, edge.endswith("v")))
    return cells
