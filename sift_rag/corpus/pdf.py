"""The pages of a PDF, as text. The only module that knows PDFium."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from sift_rag.corpus.sections import Section
from sift_rag.corpus.text import one_line, universal_newlines, without_surrogates
from sift_rag.errors import UnreadableDocument

if TYPE_CHECKING:
    import pypdfium2

_pdfium = Lock()
"""PDFium may be entered by one thread at a time."""

_BROKEN_WORD = "\ufffe"
"""What PDFium writes where a hyphen divides a word between lines; it has joined the halves already."""


def read_pdf(data: bytes) -> tuple[str, list[Section]]:
    """The title of its metadata, and its pages that hold text.

    Raises:
        UnreadableDocument: a password is asked for, or the file is broken.
    """
    import pypdfium2

    parts: list[Section] = []
    page = 0
    with _pdfium:
        try:
            with pypdfium2.PdfDocument(data) as pdf:
                title = pdf.get_metadata_value("Title")
                for page in range(1, len(pdf) + 1):
                    text = _page_text(pdf[page - 1])
                    if text.strip():
                        parts.append(Section(text, page=page))
        except pypdfium2.PdfiumError as error:
            if error.err_code == pypdfium2.raw.FPDF_ERR_PASSWORD:
                raise UnreadableDocument("password-protected PDF") from error
            where = f", page {page}" if page else ""
            raise UnreadableDocument(f"broken PDF{where}: {error}") from error
    return one_line(without_surrogates(title)), parts


def _page_text(page: pypdfium2.PdfPage) -> str:
    text_page = page.get_textpage()
    try:
        text = text_page.get_text_range()
    finally:
        text_page.close()
        page.close()
    return universal_newlines(without_surrogates(text.replace(_BROKEN_WORD, "")))
