"""Generators that return something besides what they yield."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Returned = TypeVar("Returned")


class Ending(Generic[Item, Returned]):
    """Iterates over a generator and keeps what it returns.

    pieces = Ending(model.stream(messages, max_new_tokens=200), otherwise="stop")
    text = "".join(pieces)
    pieces.value  # "length"
    """

    value: Returned
    """Value that the generator returned; ``otherwise`` before its end, and for iterators that return nothing."""

    def __init__(self, items: Iterator[Item], otherwise: Returned) -> None:
        self._items = items
        self.value = otherwise

    def __iter__(self) -> Iterator[Item]:
        items: Any = self._items  # an iterator returns None
        returned = yield from items
        if returned is not None:
            self.value = returned
