"""Ask for more time for the file being converted, where it has a part that is known to be slow."""

from __future__ import annotations

from collections.abc import Callable

_grants: list[Callable[[float], None]] = []
"""Receiver of requests for time, in a process that converts files under a limit; none in any other."""


def ask_for(seconds: float) -> None:
    """Ask for seconds beyond those that the file being converted may take; nothing happens where there is no limit."""
    for grant in _grants:
        grant(seconds)


def grant_with(grant: Callable[[float], None]) -> None:
    """Set what receives the requests of this process from now on."""
    _grants[:] = [grant]
