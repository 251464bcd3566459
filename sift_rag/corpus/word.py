"""Read Word documents. The only module that knows mammoth and markitdown."""

from __future__ import annotations

import io
import re
import warnings
from contextlib import suppress
from typing import BinaryIO
from xml.parsers.expat import ExpatError
from zipfile import BadZipFile, ZipFile

from sift_rag.corpus.archives import check_archive, reason
from sift_rag.corpus.bold_headings import with_bold_headings
from sift_rag.corpus.html_page import to_markdown
from sift_rag.corpus.sections import Extracted, Section
from sift_rag.errors import UnreadableDocument
from sift_rag.extras import require

_STYLES = """
p[style-name='Title'] => h1:fresh
p[style-name='Subtitle'] => p:fresh
p[style-name='TOC Heading'] => !
p[style-name^='toc '] => !
p[style-name='HTML Preformatted'] => pre:separator('\\n')
p[style-name='Source Code'] => pre:separator('\\n')
p[style-name='Code'] => pre:separator('\\n')
"""


def read_word(data: bytes) -> Extracted:
    """Return the document as one section of Markdown, with equations as LaTeX; without its page headers and footers.

    Fields to fill in are read as what stands in them, boxes to tick as ``[x]`` and ``[ ]``, images as their
    descriptions.

    Raises:
        MissingExtra: ``markitdown`` with its readers of office files is not installed.
        UnreadableDocument: the file is broken, needs a password, or would unpack to far more than its size.
    """
    for package in ("markitdown", "mammoth"):
        require(package, "office")
    check_archive(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about how the document is written: no concern of ours
            html = _html(data)
    except Exception as error:  # on a broken file the libraries raise whatever their code ran into
        raise UnreadableDocument(f"conversion failed: {reason(error)}") from error
    markdown = with_bold_headings(to_markdown(_with_notes(html), is_page=False).markdown)
    return Extracted([Section(markdown)] if markdown else [], "markdown")


_NOTE = re.compile(
    r'<li id="((?:foot|end)note-[\w-]{1,40})">(.*?)<a href="#[\w-]{1,60}">\u2191</a>(.*?)</li>', re.DOTALL
)
_CALL = re.compile(r'\s*<sup><a href="#((?:foot|end)note-[\w-]{1,40})" id="[\w-]{1,60}">\[\d{1,5}\]</a></sup>')
_END_OF_BLOCK = re.compile(r"</(?:p|li|tr|h\d)>")


def _with_notes(html: str) -> str:
    """Return the text with each note in brackets where it is called: at the end, it would be below any heading.

    A note that is called nowhere stays at the end.
    """
    notes = {note[1]: _END_OF_BLOCK.sub(" ", f"{note[2]} {note[3]}") for note in _NOTE.finditer(html)}
    called = {call[1] for call in _CALL.finditer(html)} & notes.keys()
    if not called:
        return html

    def shown(call: re.Match[str]) -> str:
        return f" ({_TAG.sub('', notes[call[1]]).strip()})" if call[1] in called else call[0]

    rest = _NOTE.sub(lambda note: "" if note[1] in called else note[0], html)
    return _CALL.sub(shown, rest)


_TAG = re.compile(r"<[^<>]*>")


_UNREAD = (b"oMath", b"dstrike")
"""Elements that mammoth does not read."""
_PARTS = frozenset({"word/document.xml", "word/footnotes.xml", "word/endnotes.xml", "word/styles.xml"})
"""Parts of a document that markitdown prepares."""


def _html(data: bytes) -> str:
    """Return the document as HTML.

    Only a document that mammoth cannot read as it is, one with equations for example, is prepared by markitdown: that
    takes half as long as reading it, and loads the readers of all formats that markitdown knows.
    """
    if not _holds_unread(data):
        with suppress(KeyError, BadZipFile, ExpatError):
            return _read(io.BytesIO(data))
    from markitdown.converter_utils.docx.pre_process import pre_process_docx

    return _read(pre_process_docx(io.BytesIO(data)))


def _holds_unread(data: bytes) -> bool:
    """Return True if the document may have elements that mammoth does not read, or if its parts are hard to read."""
    try:
        with ZipFile(io.BytesIO(data)) as archive:
            parts = [archive.read(name) for name in archive.namelist() if name in _PARTS]
    except BadZipFile:
        return True
    return any(element in part for part in parts for element in _UNREAD)


def _read(data: BinaryIO) -> str:
    import mammoth  # type: ignore[import-untyped]

    def described(image: mammoth.documents.Image) -> list[object]:
        return [mammoth.html.text(image.alt_text)] if image.alt_text else []

    return str(mammoth.convert_to_html(data, style_map=_STYLES, convert_image=described).value)
