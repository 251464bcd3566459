"""Decode the bytes of text files, and normalise text."""

from __future__ import annotations

import codecs
import os
import re

from sift_rag.errors import SkippedDocument, UnreadableDocument

_BYTE_ORDER_MARKS = (  # UTF-32 first: its little-endian mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
_SNIFFED = 8192
"""Number of leading bytes that decide whether a file is text; git looks for a NUL in as many."""

_META_CHARSET = re.compile(
    rb"""<(?:meta[^>]{0,200}charset|\?xml[^>]{0,200}encoding)\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE
)
_SURROGATES = re.compile("[\ud800-\udfff]")
_CONTROLS = bytes(range(7)) + bytes(range(14, 27)) + bytes(range(28, 32))
"""Control characters that no text file holds; tabs, line and page breaks, bells and escape sequences do occur."""


def decode(data: bytes) -> str:
    r"""Decode UTF-8, or UTF-16 or UTF-32 with a byte order mark, with every line end as ``\n``.

    Raises:
        SkippedDocument: the bytes are not text.
        UnreadableDocument: the text is broken or in another encoding.
    """
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8")
    if encoding.startswith("utf-8") and b"\0" in data[:_SNIFFED]:
        raise SkippedDocument("binary")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-8" and _looks_binary(data[:_SNIFFED]):
            raise SkippedDocument("binary") from error
        name = "UTF-8" if encoding.startswith("utf-8") else encoding.upper()
        position = error.start + (len(codecs.BOM_UTF8) if encoding == "utf-8-sig" else 0)
        raise UnreadableDocument(f"invalid {name} at byte {position} (0x{data[position]:02x})") from error
    return universal_newlines(text)


def decode_html(data: bytes) -> str:
    """Decode HTML from the encoding that it declares, if that fits; else as ``decode`` does, and raises."""
    declared = _META_CHARSET.search(data[:2048])
    if declared:
        try:
            return universal_newlines(data.decode(declared[1].decode("ascii")))
        except (LookupError, UnicodeError):
            pass  # declared wrongly: the bytes decide
    return decode(data)


def universal_newlines(text: str) -> str:
    r"""Replace ``\r\n`` and ``\r`` by ``\n``."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def without_surrogates(text: str) -> str:
    """Replace lone surrogates, which cannot be stored, by U+FFFD. They come from JSON escapes and damaged PDFs."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def one_line(text: str) -> str:
    """Replace every run of white space by one space: fit for a title."""
    return " ".join(text.split())


def valid_name(name: str) -> str:
    r"""Return a file name as valid Unicode: undecodable bytes are written as ``\xff``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _looks_binary(sample: bytes) -> bool:
    """Return True if over 2 % are control characters (11 % of random bytes are)."""
    return len(sample) - len(sample.translate(None, _CONTROLS)) > len(sample) / 50
