"""Suggest the known name closest to a misspelt one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean ...?" if a known name is close, else an empty string."""
    names = list(known)
    close = endings(name, names)[:1] or get_close_matches(str(name), names, n=1) or _close_file(str(name), names)
    return f" Did you mean {close[0]!r}?" if close else ""


def endings(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names that end in the parts of a path: ``lease.pdf`` or ``personal/lease.pdf``."""
    return [one for one in known if one == name or (name and one.endswith(f"/{name.lstrip('/')}"))]


def _close_file(name: str, known: Sequence[str]) -> list[str]:
    """Return a known path whose last part is close to that of the name."""
    by_file = {one.rpartition("/")[2]: one for one in reversed(known)}
    return [by_file[file] for file in get_close_matches(name.rpartition("/")[2], list(by_file), n=1)]
