"""Check strings for lone surrogates, which are not valid Unicode text."""

from __future__ import annotations


def is_text(text: str) -> bool:
    """Return False if the string contains a lone surrogate, as an undecodable file name does."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def written(text: str) -> str:
    """Return the text without lone surrogates."""
    return text if is_text(text) else text.encode("utf-8", "ignore").decode("utf-8")
