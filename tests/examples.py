"""The number of examples that a property is tested with: all, or a quarter in the fast lane."""

from __future__ import annotations

from hypothesis import settings

FAST = "fast"
"""The profile of the fast lane, which ``tests/conftest.py`` loads."""

_ALL = 100
"""hypothesis' own number, of a test that sets none."""
_FEWEST = 10

settings.register_profile(FAST, settings.default, max_examples=_ALL // 4)


def examples(most: int) -> int:
    """Return what to give ``max_examples``: ``most``, or its share in the profile that is loaded."""
    share = settings.default.max_examples / _ALL
    return most if share >= 1 else max(min(most, _FEWEST), round(most * share))
