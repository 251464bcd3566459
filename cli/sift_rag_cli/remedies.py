"""Remedies of errors in the words of the command line. The library gives a key and values."""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter

REMEDIES: Mapping[str, str] = {}
"""A sentence or two for each key, with the remedy's values in braces."""


def message_of(error: BaseException) -> str:
    """Return an error's message, and what to do about it where the library knows a way."""
    remedy = getattr(error, "remedy", None)
    if remedy is None:
        return str(error)
    words = REMEDIES.get(remedy.key)
    if words is None:
        return str(error)
    return f"{error} {_Lenient().vformat(words, (), remedy.values)}"


class _Lenient(Formatter):
    """A formatter that leaves out a value that is missing: an error about an error helps nobody."""

    def get_value(self, key: int | str, args: object, kwargs: Mapping[str, object]) -> object:
        del args
        return kwargs.get(str(key), "...")
