"""Suggest the known name closest to a misspelt one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

CLOSE = 0.65
"""Least similarity of two names: twice the characters that they share in order, over those of both."""

_PARTS = re.compile(r"([/.])")


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean ...?" if a known name is close, else an empty string.

    What a name has in common with every file of its folder or of its type says nothing, so only the parts in which
    two names differ are compared; failing these, the names of the files without their folders.
    """
    names, name = list(known), str(name)
    close = endings(name, names)[:1] or _closest(name, names) or _closest_file(name, names)
    return f" Did you mean {close[0]!r}?" if close else ""


def endings(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names that end in the parts of a path: ``lease.pdf`` or ``personal/lease.pdf``."""
    return [one for one in known if one == name or (name and one.endswith(f"/{name.lstrip('/')}"))]


def some_of(names: Sequence[str]) -> str:
    """Return the first names, quoted, for a message that says that there are several."""
    return ", ".join(map(repr, names[:_NAMED])) + (", ..." if len(names) > _NAMED else "")


_NAMED = 5


def different_parts(name: str, other: str) -> tuple[str, str]:
    """Return two names without the parts between ``/`` and ``.`` that both begin or end with.

    ``guide/travle.md`` and ``guide/travel.md`` become ``travle`` and ``travel``.
    """
    left, right = _PARTS.split(name), _PARTS.split(other)
    while len(left) > 1 and len(right) > 1 and left[-1] == right[-1]:
        del left[-1], right[-1]
    while len(left) > 1 and len(right) > 1 and left[0] == right[0]:
        del left[0], right[0]
    return "".join(left), "".join(right)


def _closest(name: str, known: Sequence[str]) -> list[str]:
    """Return the known name closest to the given one, the first of several; none if all are far."""
    found: list[str] = []
    best, compared = CLOSE, ""
    matcher = SequenceMatcher(None, "", compared, autojunk=False)
    for one in known if name else ():
        given, other = different_parts(name, one)
        matcher.set_seq1(other)
        if given != compared:
            matcher.set_seq2(compared := given)
        if matcher.real_quick_ratio() >= best and matcher.quick_ratio() >= best:
            ratio = 2 * _shared(given, other) / (len(given) + len(other))  # the matcher's own misses repeated letters
            if ratio > best or (ratio == best and not found):
                found, best = [one], ratio
    return found


def _shared(one: str, other: str) -> int:
    """Return the most characters that two texts share in order, by bits (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for place, letter in enumerate(one):
        places[letter] = places.get(letter, 0) | 1 << place
    every = row = (1 << len(one)) - 1
    for letter in other:
        here = row & places.get(letter, 0)
        row = (row + here | row - here) & every
    return len(one) - row.bit_count()


def _closest_file(name: str, known: Sequence[str]) -> list[str]:
    """Return a known path whose last part is close to that of the name."""
    by_file = {one.rpartition("/")[2]: one for one in reversed(known)}
    return [by_file[file] for file in _closest(name.rpartition("/")[2], list(by_file))]
