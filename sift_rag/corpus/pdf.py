"""Extract the pages of a PDF as text. The only module that knows PDFium."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from sift_rag.corpus.decoding import one_line, universal_newlines, without_surrogates
from sift_rag.corpus.sections import Extracted, Section, placed
from sift_rag.errors import UnreadableDocument
from sift_rag.extras import require

if TYPE_CHECKING:
    import pypdfium2

_pdfium = Lock()
"""Lock around PDFium, which only one thread may enter at a time."""

_BROKEN_WORD = "\ufffe"
"""Mark that PDFium leaves where a hyphen divided a word between lines; it has joined the halves already."""


def read_pdf(data: bytes) -> Extracted:
    """Return a section for each page that holds text, and the title from the metadata.

    Raises:
        MissingExtra: ``pypdfium2`` is not installed.
        UnreadableDocument: the file is broken or needs a password.
    """
    require("pypdfium2", "pdf")
    import pypdfium2

    sections: list[Section] = []
    page = 0
    with _pdfium:
        try:
            with pypdfium2.PdfDocument(data) as pdf:
                title = pdf.get_metadata_value("Title")
                for page in range(1, len(pdf) + 1):
                    text = _page_text(pdf[page - 1])
                    if text.strip():
                        sections.append(Section(text, page=page))
        except pypdfium2.PdfiumError as error:
            if error.err_code == pypdfium2.raw.FPDF_ERR_PASSWORD:
                raise UnreadableDocument("password-protected PDF") from error
            at_page = f", page {page}" if page else ""
            raise UnreadableDocument(f"broken PDF{at_page}: {error}") from error
    return Extracted(placed(sections), title=one_line(without_surrogates(title)))


def _page_text(page: pypdfium2.PdfPage) -> str:
    text_page = page.get_textpage()
    try:
        text = text_page.get_text_range()
    finally:
        text_page.close()
        page.close()
    return universal_newlines(without_surrogates(text.replace(_BROKEN_WORD, "")))
