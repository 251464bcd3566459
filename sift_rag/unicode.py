"""Unicode text, which a Python string need not be: it may hold half of a surrogate pair."""

from __future__ import annotations


def is_text(text: str) -> bool:
    """Return True if it is Unicode text: half of a surrogate pair (an undecodable file name) is not."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def written(text: str) -> str:
    """Return the text without what ``is_text`` refuses."""
    return text if is_text(text) else text.encode("utf-8", "ignore").decode("utf-8")
