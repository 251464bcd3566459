"""Read Word documents. The only module that knows mammoth and markitdown."""

from __future__ import annotations

import io
import warnings

from sift_rag.corpus.archives import check_archive, reason
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
    markdown = to_markdown(html, is_page=False).markdown
    return Extracted([Section(markdown)] if markdown else [], "markdown")


def _html(data: bytes) -> str:
    import mammoth  # type: ignore[import-untyped]
    from markitdown.converter_utils.docx.pre_process import pre_process_docx

    def described(image: mammoth.documents.Image) -> list[object]:
        return [mammoth.html.text(image.alt_text)] if image.alt_text else []

    prepared = pre_process_docx(io.BytesIO(data))
    return str(mammoth.convert_to_html(prepared, style_map=_STYLES, convert_image=described).value)
