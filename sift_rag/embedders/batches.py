"""Texts in batches of one padded length, so that no vector depends on what shares its batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

BATCH_SIZE = 32

PADDING = 16
"""A text is padded to a multiple of this many tokens, and shares a batch only with texts padded to the same length: its
vector does not depend on them then, to the last bit on one machine."""

Role: TypeAlias = Literal["query", "document"]


def by_padded_length(lengths: Sequence[int], limit: int) -> dict[int | None, list[int]]:
    """Return the positions of texts by the length in tokens that they are padded to, longest first.

    Args:
        lengths: tokens of each text; 0 if nothing pads it, and its length is None then.
        limit: longest length.
    """
    groups: dict[int | None, list[int]] = {}
    for position in sorted(range(len(lengths)), key=lambda position: -lengths[position]):
        padded = min(-(-lengths[position] // PADDING) * PADDING, limit)
        groups.setdefault(padded or None, []).append(position)
    return groups
