"""Read the pages of a PDF as pieces of lines with their places. The only module that knows PDFium."""

from __future__ import annotations

import ctypes
import re
import unicodedata
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise, repeat
from operator import attrgetter
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from sift_rag.corpus.decoding import one_line, without_surrogates
from sift_rag.corpus.markup import with_raised
from sift_rag.errors import UnreadableDocument
from sift_rag.extras import require

if TYPE_CHECKING:
    import numpy as np
    import pypdfium2
    from numpy.typing import NDArray

    Image: TypeAlias = NDArray[np.uint8]

_pdfium = Lock()
"""Lock around PDFium, which only one thread may enter at a time."""

GAP = 0.9
"""Gap between two words, in font sizes, from which they may belong to two columns. Spaces take 0.25 to 0.35; lines that
are stretched to the margin rarely have more than 0.8."""

_FEW_CHARACTERS = 100
"""Characters that a stamp or a scanner's note may have. A page with more is text, whatever images it holds."""

_COVERED = 0.6
"""Share of a page that an image must cover for the page to be a scan."""

_DPI = 200
_MAX_PIXELS = 12_000_000
"""Pixels of a rendered page: A3 at 200 dpi has 7.7 million."""

_FONT_SIZE = 0.85
"""Font size, to the height of the box that OCR draws around a line."""

_PADDING = 0.15
"""Paper, in font sizes, that OCR leaves in the box on each side of a line."""

_MAX_FIELDS = 1000
"""Form fields read on a page."""


class Segment(NamedTuple):
    """Words of one line that no wide gap divides. Lengths in points, as a reader sees the page; y points upwards."""

    text: str
    left: float
    right: float
    baseline: float
    size: float
    """Font size."""
    bold: bool = False
    mono: bool = False
    """True for a font whose characters are all of one width."""
    order: int = 0
    """Place among the segments of the page in the order in which the file draws them."""
    gaps: tuple[tuple[int, float, float], ...] = ()
    """Gaps between two words that are wider than a space: character at which each begins, its left and right end."""


class Piece(NamedTuple):
    """A piece of a line that was read from an image. Pixels; y points downwards."""

    text: str
    left: float
    top: float
    right: float
    bottom: float


class OutlineEntry(NamedTuple):
    """A bookmark of the document's outline."""

    title: str
    level: int
    """Level, 1 for the outermost."""
    page: int
    """Page that it leads to, from 1."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a PDF."""

    number: int
    """Number of the page, from 1."""
    width: float
    height: float
    segments: tuple[Segment, ...]
    turned: tuple[str, ...] = ()
    """Lines that do not run from left to right, such as a note along the margin."""
    fields: tuple[str, ...] = ()
    """Form fields that are filled in: "name: value"."""
    is_scan: bool = False
    """True if the page shows something and holds no text but a stamp's."""
    by_ocr: bool = False
    """True if its text was read from its image."""
    is_broken: bool = False
    """True if it cannot be read; then it holds nothing."""


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages of a PDF, and what the file says of itself."""

    title: str
    outline: tuple[OutlineEntry, ...]
    pages: tuple[Page, ...]


def read_pages(data: bytes, read_image: Callable[[Image], list[Piece]] | None = None) -> Pages:
    """Return the pages of a PDF, about 200 a second.

    Args:
        data: the file's bytes.
        read_image: reads an image of ``(height, width, 3)`` bytes; called for each page that is a scan.

    Raises:
        MissingExtra: ``pypdfium2`` is not installed.
        UnreadableDocument: the file or each of its pages is broken, or it needs a password.
    """
    require("pypdfium2", "pdf")
    import pypdfium2

    pages: list[Page] = []
    with _pdfium:
        try:
            with pypdfium2.PdfDocument(data) as pdf:
                pdf.init_forms()
                title = one_line(_clean(pdf.get_metadata_value("Title")))
                outline = tuple(_outline(pdf))
                pages += (_page_at(pdf, number, read_image) for number in range(1, len(pdf) + 1))
        except pypdfium2.PdfiumError as error:
            raise UnreadableDocument(_REASONS.get(error.err_code, "broken PDF")) from error
    if pages and all(page.is_broken for page in pages):
        raise UnreadableDocument("broken PDF: none of its pages can be read")
    return Pages(title, outline, tuple(pages))


_REASONS = {3: "broken PDF, or none at all", 4: "password-protected PDF", 5: "PDF with an unknown kind of encryption"}
"""Words for PDFium's error codes (FPDF_ERR_FORMAT and so on); a file with any other is broken, too."""


def _page_at(pdf: pypdfium2.PdfDocument, number: int, read_image: Callable[[Image], list[Piece]] | None) -> Page:
    """Return a page; one that cannot be read costs no other."""
    import pypdfium2

    try:
        with _closing(pdf[number - 1]) as page:
            return _page(page, number, read_image)
    except pypdfium2.PdfiumError:
        return Page(number, 0, 0, (), is_broken=True)


@contextmanager
def _closing(page: pypdfium2.PdfPage) -> Iterator[pypdfium2.PdfPage]:
    try:
        yield page
    finally:
        page.close()


def _outline(pdf: pypdfium2.PdfDocument) -> Iterator[OutlineEntry]:
    for bookmark in pdf.get_toc(max_depth=6):
        target = bookmark.get_dest()
        index = target.get_index() if target else None
        title = one_line(_clean(bookmark.get_title()))
        if index is not None and title:
            yield OutlineEntry(title, bookmark.level + 1, index + 1)


def _page(page: pypdfium2.PdfPage, number: int, read_image: Callable[[Image], list[Piece]] | None) -> Page:
    width, height = page.get_size()
    segments, turned = _text(page)
    fields = tuple(dict.fromkeys(_fields(page)))
    is_scan, by_ocr = _is_scan(page, segments, turned), False
    if is_scan and read_image and (found := _read_scan(page, read_image)):
        segments, turned, is_scan, by_ocr = found, [], False, True
    return Page(number, width, height, tuple(segments), tuple(turned), fields, is_scan, by_ocr)


# Text


class _Word(NamedTuple):
    text: str
    first: int
    """Index of its first character on the page."""
    left: float
    bottom: float
    right: float
    top: float
    ends_line: bool
    turned: bool


_WORD = re.compile("[^\\s\ufffe]+")
_HYPHEN = "\ufffe"
"""Mark that PDFium leaves, in place of a line end, where a hyphen ends a line."""

_DROPPED = dict.fromkeys([*range(32), *range(127, 160), 0xAD, 0x200B, 0xFEFF, 0xFFFE, 0xFFFF])
_LIGATURES = {0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl", 0xFB05: "st", 0xFB06: "st"}
_BULLETS = {0xF0A7: "\u25aa", 0xF0A8: "\u25cf", 0xF0B7: "\u2022", 0xF0D8: "\u27a2", 0xF0FC: "\u2713", 0xF06F: "\u25cb",
            0xF076: "\u2022"}  # fmt: skip
"""Signs of the fonts Symbol and Wingdings, by the private characters that programs write them as."""
_CLEANED = _DROPPED | _LIGATURES | _BULLETS


def _clean(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    paired = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return without_surrogates(_ACCENT.sub(_accented, paired.translate(_CLEANED)))


_COMBINING = {
    "\u00a8": "\u0308", "\u00b4": "\u0301", "\u00b8": "\u0327", "\u02c6": "\u0302", "\u02c7": "\u030c",
    "\u02d8": "\u0306", "\u02d9": "\u0307", "\u02da": "\u030a", "\u02dc": "\u0303", "\u02dd": "\u030b",
}  # fmt: skip
_ACCENT = re.compile(f"([{''.join(_COMBINING)}])([A-Za-z\u0131])")
"""Accent that is drawn by itself before its letter, as old fonts of TeX do."""


def _accented(found: re.Match[str]) -> str:
    letter = "i" if found[2] == "\u0131" else found[2]
    composed = unicodedata.normalize("NFC", letter + _COMBINING[found[1]])
    return composed if len(composed) == 1 else found[0]


_LEADERS = re.compile(r"(?:\s?[.·…_]){5,}")
"""Dots that lead the eye from a title to its page, and lines to write on."""


def _text(page: pypdfium2.PdfPage) -> tuple[list[Segment], list[str]]:
    """Return the segments in the order of the file, and the lines of turned text."""
    text_page = page.get_textpage()
    try:
        letters = _Letters(text_page, _turn(page))
        segments: list[Segment] = []
        turned: list[str] = []
        for line in _lines(_words(_characters(text_page), letters)):
            if any(word.turned for word in line):
                turned.append(" ".join(word.text for word in line))
            else:
                segments += _segments(letters, line, len(segments))
    finally:
        text_page.close()
    return segments, turned


def _characters(text_page: pypdfium2.PdfTextPage) -> str:
    """Return the text with one character for each that PDFium counts."""
    from pypdfium2 import raw

    count = text_page.count_chars()
    if not count:
        return ""
    buffer = (ctypes.c_ushort * (2 * count + 2))()
    written = raw.FPDFText_GetText(text_page, 0, count, buffer)
    text = bytes(memoryview(buffer)[: max(0, written - 1)]).decode("utf-16-le", "surrogatepass")
    if len(text) == count:
        return text
    codes = (raw.FPDFText_GetUnicode(text_page, index) for index in range(count))
    return "".join(chr(code) if code < 0x110000 else "\ufffd" for code in codes)


_Box: TypeAlias = tuple[float, float, float, float]
"""Left, bottom, right, top."""

_Turn: TypeAlias = Callable[[_Box], _Box]
"""Turns a box as the page is turned for its reader."""


def _turn(page: pypdfium2.PdfPage) -> _Turn | None:
    """Return how the page is turned; None if it is not."""
    rotation = page.get_rotation()
    left, bottom, right, top = page.get_bbox()
    turns: dict[int, _Turn] = {
        90: lambda box: (box[1] - bottom, right - box[2], box[3] - bottom, right - box[0]),
        180: lambda box: (right - box[2], top - box[3], right - box[0], top - box[1]),
        270: lambda box: (top - box[3], box[0] - left, top - box[1], box[2] - left),
    }
    return turns.get(rotation)


class _Style(NamedTuple):
    size: float
    bold: bool
    mono: bool


_OfLetter = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
"""A function that looks up a letter of a page, by addresses, which need not be converted."""


class _Letters:
    """Looks up letters of a page by their index. A look-up takes nearly a microsecond, so few letters are."""

    def __init__(self, text_page: pypdfium2.PdfTextPage, turn: _Turn | None) -> None:
        from pypdfium2 import raw

        self._raw = raw
        self._page = text_page.raw
        self._turn = turn
        self._box_of = ctypes.cast(raw.FPDFText_GetLooseCharBox, _OfLetter)
        self._matrix = raw.FS_MATRIX()
        self._name, self._flags = ctypes.create_string_buffer(128), ctypes.c_int()
        self._styles: dict[int, _Style] = {}

    def box(self, index: int) -> _Box:
        """Return the box of a letter, as high as its font."""
        return self.boxes([index])[0]

    def boxes(self, indices: Sequence[int]) -> list[_Box]:
        """Return the boxes of letters, as high as their fonts."""
        found = (ctypes.c_float * (4 * len(indices)))()
        address, size = ctypes.addressof(found), 4 * ctypes.sizeof(ctypes.c_float)
        page = ctypes.cast(self._page, ctypes.c_void_p).value
        places = range(address, address + size * len(indices), size)
        deque(map(self._box_of, repeat(page), indices, places), maxlen=0)
        lefts, tops, rights, bottoms = (found[side::4] for side in range(4))
        boxes = list(zip(lefts, bottoms, rights, tops, strict=True))
        return list(map(self._turn, boxes)) if self._turn else boxes

    def baseline(self, word: _Word) -> float:
        x, y = ctypes.c_double(), ctypes.c_double()
        if not self._raw.FPDFText_GetCharOrigin(self._page, word.first, x, y):
            return word.bottom
        return self._turn((x.value, y.value, x.value, y.value))[1] if self._turn else y.value

    def style(self, word: _Word) -> _Style:
        """Return the font of a word, and its size on the page, or what the height of its box suggests."""
        drawn = self._raw.FPDFText_GetTextObject(self._page, word.first)
        address = ctypes.addressof(drawn.contents) if drawn else -1
        style = self._styles.get(address)
        if style is None or not drawn:
            style = self._styles[address] = self._looked_up(word.first)
        height = word.top - word.bottom
        fits = 0.5 * height <= style.size <= 2 * height
        return style if fits else style._replace(size=max(height / 1.2, 1.0))

    def _looked_up(self, index: int) -> _Style:
        raw, page = self._raw, self._page
        size: float = raw.FPDFText_GetFontSize(page, index)
        matrix = self._matrix
        if raw.FPDFText_GetMatrix(page, index, matrix):
            size *= (matrix.c**2 + matrix.d**2) ** 0.5
        buffer, flags = self._name, self._flags
        length = raw.FPDFText_GetFontInfo(page, index, buffer, len(buffer), flags)
        name = buffer.raw[: max(0, min(length, len(buffer)) - 1)].decode("utf-8", "replace")
        bold, mono = _said_by(name)
        return _Style(size, bold or bool(flags.value & _FORCE_BOLD), mono or bool(flags.value & _FIXED_PITCH))


_FIXED_PITCH = 1
_FORCE_BOLD = 1 << 18
_BOLD_NAME = re.compile(r"(?i)bold|black|heavy|semibold|-bd|cmbx|sfbx|medi\b")
_MONO_NAME = re.compile(
    r"(?i)courier|mono|nimbusmon|monaco|consol|typewriter|source ?code|fira ?code|cascadia|cousine|letter ?gothic|"
    r"cmtt|sftt|menlo|(?:^|\+)\w{0,4}tt\d{0,4}$"
)


@lru_cache
def _said_by(name: str) -> tuple[bool, bool]:
    """Return whether the name of a font says that it is bold, and that its letters are of one width."""
    return _BOLD_NAME.search(name) is not None, _MONO_NAME.search(name) is not None


def _words(text: str, letters: _Letters) -> Iterator[_Word]:
    """Yield the words of a page; a raised figure or sign is part of the word before it."""
    before: _Word | None = None
    for word in _plain_words(text, letters):
        if before is None:
            before = word
        elif _MARK.fullmatch(word.text) and _is_raised(word, before):
            raised = before.text + with_raised(before.text, word.text)
            before = before._replace(text=raised, right=word.right, ends_line=word.ends_line)
        else:
            begins = before.text.isdecimal() and _MARK.fullmatch(before.text) and not before.ends_line
            yield before._replace(text=f"[{before.text}]") if begins and _is_higher(before, word) else before
            before = word
    if before is not None:
        yield before


_MARK = re.compile(r"\d{1,3}|[*\u2020\u2021]{1,3}")
_MARK_AT_END = re.compile(r"(?<=\S)(?:[-+\u2212\u2013]?\d{1,3}|[*\u2020\u2021]{1,3}|[nkmxij])$")
_MARK_BEFORE_POINT = re.compile(r"(?<=[^\W\d_])(\d{1,2})[.,;:)]{1,2}$")
_MARK_AT_START = re.compile(r"^\d{1,3}(?=[^\W\d_])")
_SMALLER = 0.87
"""Height of a raised figure, to that of the letters beside it, up to which it is one."""
_HIGHER = 0.12
"""Height by which it is raised at least, in heights of these letters."""
_NEAR = 0.3
"""Distance from the word before it, in heights of these letters, up to which it belongs to that word."""


def _is_raised(mark: _Word, before: _Word) -> bool:
    """Return True if a word is set smaller and higher than the one before it, right behind it."""
    height = before.top - before.bottom
    return (
        not before.ends_line
        and _is_higher(mark, before)
        and -_NEAR * height < mark.left - before.right < _NEAR * height
        and len(before.text) > 1
    )


def _is_higher(mark: _Word, beside: _Word) -> bool:
    """Return True if a word is set smaller and higher than the one beside it."""
    height = beside.top - beside.bottom
    return mark.top - mark.bottom < _SMALLER * height and mark.bottom - beside.bottom > _HIGHER * height


def _is_raised_box(mark: _Box, letter: _Box) -> bool:
    height = letter[3] - letter[1]
    return mark[3] - mark[1] < _SMALLER * height and mark[1] - letter[1] > _HIGHER * height


def _with_marks(word: str, start: int, first: _Box, last: _Box, letters: _Letters) -> str:
    """Return a word in which figures that are raised, at its beginning or its end, are told from its letters.

    Args:
        word: at least two characters.
        start: index of the first one on the page.
        first: box of the first one.
        last: box of the last one.
        letters: the letters of the page.
    """
    if _is_raised_box(last, first):
        found = _MARK_AT_END.search(word) if any(map(str.isalnum, word)) else None
        return word[: found.start()] + with_raised(word[: found.start()], found[0]) if found else word
    if _is_raised_box(first, last):
        found = _MARK_AT_START.match(word)
        return f"[{found[0]}] {word[found.end() :]}" if found else word
    found = _MARK_BEFORE_POINT.search(word)
    if found is None or not _is_raised_box(letters.box(start + found.start(1)), first):
        return word
    return word[: found.start(1)] + with_raised(word[: found.start(1)], found[1]) + word[found.end(1) :]


def _plain_words(text: str, letters: _Letters) -> Iterator[_Word]:
    matches = list(_WORD.finditer(text))
    spans = [match.span() for match in matches]
    ends = [start for start, _ in spans[1:]]
    firsts = letters.boxes([start for start, _ in spans])
    lasts = letters.boxes([end - 1 for _, end in spans])
    for match, following, first, last in zip(matches, [*ends, -1], firsts, lasts, strict=False):
        start, end = match.span()
        left, bottom, right, top = first
        is_turned = False
        word = match[0]
        if end - start > 1:
            if first[1] == last[1] and first[3] == last[3]:  # of one size, on one line, as nearly all words
                if last[0] >= left:
                    right = last[2]
                else:
                    left, right = last[0], max(right, last[2])
                if word[-1] in ".,;:)":
                    word = _with_marks(word, start, first, last, letters)
            else:
                left, bottom = min(left, last[0]), min(bottom, last[1])
                right, top = max(right, last[2]), max(top, last[3])
                word = _with_marks(word, start, first, last, letters)
                is_raised = last[3] - last[1] < _SMALLER * (top - bottom)
                is_turned = not is_raised and abs(last[1] - first[1]) > 0.5 * (top - bottom) + 0.1
        between = text[end:following] if following >= 0 else "\n"
        ends_line = between != " " and ("\n" in between or _HYPHEN in between)
        if not (word.isascii() and word.isprintable()):
            word = _clean(word)
        if ends_line and _HYPHEN in between:
            word += "-"
        if word:
            yield _Word(word, start, left, bottom, right, top, ends_line, is_turned)


def _lines(words: Iterator[_Word]) -> Iterator[list[_Word]]:
    line: list[_Word] = []
    for word in words:
        line.append(word)
        if word.ends_line:
            yield line
            line = []
    if line:
        yield line


def _segments(letters: _Letters, line: list[_Word], order: int) -> Iterator[Segment]:
    """Divide a line at its wide gaps."""
    size = letters.style(max(line, key=_length)).size
    ends = [index for index, pair in enumerate(pairwise(line), 1) if not _adjoin(*pair, size)]
    for number, (first, end) in enumerate(pairwise([0, *ends, len(line)])):
        yield _segment(letters, line[first:end], order + number)


def _length(word: _Word) -> int:
    return len(word.text)


def _adjoin(here: _Word, after: _Word, size: float) -> bool:
    """Return True if no wide gap lies between two words that follow one another."""
    if abs(after.bottom - here.bottom) >= size:
        return False
    gap = after.left - here.right
    if not here.text.isascii() and _RIGHT_TO_LEFT.search(here.text):
        gap = here.left - after.right
    return -size < gap < GAP * size


_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")


def _segment(letters: _Letters, words: list[_Word], order: int) -> Segment:
    longest = max(words, key=_length)  # a bullet or a reference mark may have a size of its own
    first = words[1] if len(words) > 1 and words[0].text in _WRAPPED else words[0]
    sample = {word.first: word for word in (first, longest, words[-1])}.values()
    styles = [letters.style(word) for word in sample]
    text = " ".join([word.text for word in words])
    shown = _LEADERS.sub(" ...", text)
    size = max(style.size for style in styles)
    return Segment(
        text=shown,
        left=min([word.left for word in words]),
        right=max([word.right for word in words]),
        baseline=letters.baseline(longest),
        size=size,
        bold=styles[0].bold and _are(words, letters, styles, _is_bold_or_mono),
        mono=_are(words, letters, styles, _is_mono),
        order=order,
        gaps=tuple(_gaps(words, _WIDE_SPACE * size)) if shown == text else (),
    )


_WRAPPED = frozenset(("\u21aa", "\u02d3\u2192"))
"""Arrows before what is left of a line of code that was too long."""
_MOST = 0.8
"""Share of the letters of a line that are as the line is."""
_is_mono = attrgetter("mono")


def _is_bold_or_mono(style: _Style) -> bool:
    return style.bold or style.mono


def _are(words: Sequence[_Word], letters: _Letters, sample: Sequence[_Style], trait: Callable[[_Style], bool]) -> bool:
    """Return True if the letters of a sample, and most of all, have a trait."""
    if not all(map(trait, sample)):
        return False
    if len(words) <= len(sample):
        return True
    having = sum(len(word.text) for word in words if trait(letters.style(word)))
    return having >= _MOST * sum(len(word.text) for word in words)


def _gaps(words: Sequence[_Word], least: float) -> Iterator[tuple[int, float, float]]:
    place = 0
    for here, after in pairwise(words):
        place += len(here.text) + 1
        if after.left - here.right >= least:
            yield place, here.right, after.left


_WIDE_SPACE = 0.42
"""Gap between two words, in font sizes, from which it may divide two cells of a table."""


# Scans


def _is_scan(page: pypdfium2.PdfPage, segments: list[Segment], turned: list[str]) -> bool:
    characters = sum(len(segment.text) for segment in segments) + sum(map(len, turned))
    if characters > _FEW_CHARACTERS:
        return False
    if not characters:
        return next(iter(page.get_objects(max_depth=2)), None) is not None
    from pypdfium2 import raw

    width, height = page.get_size()
    images = page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=3)
    return any(_area(image.get_bounds()) >= _COVERED * width * height for image in images)


def _area(box: _Box) -> float:
    left, bottom, right, top = box
    return (right - left) * (top - bottom)


def _read_scan(page: pypdfium2.PdfPage, read_image: Callable[[Image], list[Piece]]) -> list[Segment]:
    """Return what is read from the rendered page, in points."""
    width, height = page.get_size()
    scale = min(_DPI / 72, (_MAX_PIXELS / max(1.0, width * height)) ** 0.5)
    bitmap = page.render(scale=scale, rev_byteorder=True, prefer_bgrx=False)
    try:
        pieces = read_image(bitmap.to_numpy()[:, :, :3].copy())
    finally:
        bitmap.close()
    return [_from_image(piece, number, scale, height) for number, piece in enumerate(pieces)]


def _from_image(piece: Piece, number: int, scale: float, height: float) -> Segment:
    size = max(1.0, _FONT_SIZE * (piece.bottom - piece.top) / scale)
    return Segment(
        _clean(piece.text),
        piece.left / scale + _PADDING * size,
        piece.right / scale - _PADDING * size,
        baseline=height - (piece.top + piece.bottom) / 2 / scale - 0.35 * size,
        size=size,
        order=number,
    )


# Form fields


def _fields(page: pypdfium2.PdfPage) -> Iterator[str]:
    """Yield "name: value" for each field that is filled in."""
    if page.formenv is None:
        return
    from pypdfium2 import raw

    for index in range(min(raw.FPDFPage_GetAnnotCount(page), _MAX_FIELDS)):
        annotation = raw.FPDFPage_GetAnnot(page, index)
        try:
            if raw.FPDFAnnot_GetSubtype(annotation) == raw.FPDF_ANNOT_WIDGET:
                yield from _field(page.formenv, annotation)
        finally:
            raw.FPDFPage_CloseAnnot(annotation)


def _field(form: pypdfium2.PdfFormEnv, annotation: Any) -> Iterator[str]:
    from pypdfium2 import raw

    kind = raw.FPDFAnnot_GetFormFieldType(form, annotation)
    if kind in {raw.FPDF_FORMFIELD_CHECKBOX, raw.FPDF_FORMFIELD_RADIOBUTTON}:
        if not raw.FPDFAnnot_IsChecked(form, annotation):
            return
        value = _wide(raw.FPDFAnnot_GetFormFieldExportValue, form, annotation) or "yes"
    elif kind in {raw.FPDF_FORMFIELD_TEXTFIELD, raw.FPDF_FORMFIELD_COMBOBOX, raw.FPDF_FORMFIELD_LISTBOX}:
        if raw.FPDFAnnot_GetFormFieldFlags(form, annotation) & raw.FPDF_FORMFLAG_TEXT_PASSWORD:
            return
        value = _wide(raw.FPDFAnnot_GetFormFieldValue, form, annotation)
    else:
        return
    name = _wide(raw.FPDFAnnot_GetFormFieldAlternateName, form, annotation)
    name = name or _wide(raw.FPDFAnnot_GetFormFieldName, form, annotation)
    if value:
        yield f"{name}: {value}" if name else value


def _wide(function: Callable[..., int], form: pypdfium2.PdfFormEnv, annotation: Any) -> str:
    """Return a string that PDFium writes as UTF-16, on one line."""
    size = function(form, annotation, None, 0)
    if size <= 2:
        return ""
    buffer = (ctypes.c_ushort * (size // 2 + 1))()
    function(form, annotation, buffer, size)
    text = bytes(memoryview(buffer)[: size // 2 - 1]).decode("utf-16-le", "replace")
    return one_line(_clean(re.sub(r"[\r\n\t]+", " ", text)))
