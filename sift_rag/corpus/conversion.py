"""Convert HTML, DOCX, PPTX, EPUB and notebooks to Markdown. The only module that knows markitdown.

Its converters are called one by one, on bytes in memory. Its main entry point is not used: it fetches addresses,
guesses formats with a model, and runs installed plugins.
"""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from collections.abc import Callable
from typing import TYPE_CHECKING

from sift_rag.corpus.decoding import decode_html, one_line, universal_newlines, without_surrogates
from sift_rag.corpus.formats import Convertible
from sift_rag.corpus.sections import Extracted, Section, placed
from sift_rag.errors import UnreadableDocument
from sift_rag.extras import require

if TYPE_CHECKING:
    from markitdown import DocumentConverter

_ZIPPED = frozenset({"docx", "pptx", "epub"})
_MAX_UNPACKED = 512 << 20
_MAX_RATIO = 200
"""Office files shrink to a tenth, rarely to a fiftieth; a bomb to a thousandth."""
_RATIO_COUNTS_FROM = 32 << 20

_ENCRYPTED_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""First bytes of an OLE container, which is what a password-protected office file is instead of a zip."""

_IMAGE = re.compile(r"!\[([^\]]{0,1000})\]\([^()\s]{0,1000}(?:\s{1,9}\"[^\"]{0,1000}\")?\)")
_SLIDE = "<!-- Slide number: {} -->"


def convert(data: bytes, container: Convertible, encoding: str | None = None) -> Extracted:
    """Return the text of a file as Markdown: a section for each slide of PPTX, else one.

    Images become their descriptions. Nothing outside ``data`` is read.

    Args:
        data: the file's bytes.
        container: its format.
        encoding: encoding of HTML that is not UTF-8; None: the declared one, or recognised by the bytes.

    Raises:
        MissingExtra: markitdown, or what it needs for this format, is not installed.
        UnreadableDocument: the file is broken, needs a password, or would unpack to far more than its size.
    """
    require("markitdown", "office")
    notices: tuple[str, ...] = ()
    if container in _ZIPPED:
        _check_archive(data)
    elif container == "html":
        decoded = decode_html(data, encoding)
        data, notices = decoded.text.encode(), decoded.notices
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about how a page is written: no concern of ours
            title, text = _run(data, container)
    except Exception as error:  # on a broken file the converters raise whatever their code ran into
        raise UnreadableDocument(f"conversion failed: {_reason(error)}") from error
    text = universal_newlines(without_surrogates(text))
    sections = _slides(text) if container == "pptx" else [Section(text)]
    cleaned = [Section(_IMAGE.sub(r"\1", section.text).strip(), page=section.page) for section in sections]
    with_text = placed(section for section in cleaned if section.text)
    return Extracted(with_text, "markdown", one_line(without_surrogates(title)), notices)


def _run(data: bytes, container: Convertible) -> tuple[str, str]:
    from markitdown import StreamInfo

    converter = _converters()[container]()
    info = StreamInfo(extension=f".{container}", charset="utf-8")
    result = converter.convert(io.BytesIO(data), info)
    return str(result.title or ""), result.markdown


def _converters() -> dict[Convertible, Callable[[], DocumentConverter]]:
    from markitdown import converters

    return {
        "html": converters.HtmlConverter,
        "docx": converters.DocxConverter,
        "pptx": converters.PptxConverter,
        "epub": converters.EpubConverter,
        "ipynb": converters.IpynbConverter,
    }


def _check_archive(data: bytes) -> None:
    """Refuse archives that are broken, encrypted or would unpack to too much.

    The sizes that an archive declares can be trusted as upper bounds: unpacking stops there.
    """
    if data.startswith(_ENCRYPTED_OFFICE):
        raise UnreadableDocument("password-protected, or an old binary office file")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OverflowError, NotImplementedError) as error:
        raise UnreadableDocument(f"broken archive: {_reason(error)}") from error
    if any(member.flag_bits & 1 for member in members):
        raise UnreadableDocument("password-protected")
    unpacked = sum(member.file_size for member in members)
    if unpacked > _MAX_UNPACKED or (unpacked > _RATIO_COUNTS_FROM and unpacked > _MAX_RATIO * len(data)):
        raise UnreadableDocument(f"would unpack to {unpacked >> 20} MB from {len(data) / (1 << 20):.1f} MB")


def _slides(text: str) -> list[Section]:
    """Split at the slide markers, which markitdown numbers from 1."""
    slides: list[Section] = []
    number, rest = 1, text.removeprefix(_SLIDE.format(1))
    while rest:
        slide, _, rest = rest.partition(f"{_SLIDE.format(number + 1)}\n")
        slides.append(Section(slide, page=number))
        number += 1
    return slides


def _reason(error: Exception) -> str:
    message = one_line(str(error))
    return f"{type(error).__name__}: {message[:120]}" if message else type(error).__name__
