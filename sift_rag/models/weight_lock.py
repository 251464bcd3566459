"""Who uses a model's weights: any number of readers, or one holder that changes them and reads them too.

Nothing waits: what cannot be had now is refused, so that no answer is ever read from the weights of another prompt.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from sift_rag.errors import ModelInUse

if TYPE_CHECKING:
    from collections.abc import Generator

    from torch.nn import Module

_held_here: ContextVar[tuple[object, ...]] = ContextVar("held_here", default=())
"""What this thread or task holds: it alone may read weights that it has changed."""


def occupancy_of(network: Module) -> WeightLock:
    """The one of these weights, whoever asks and through whichever wrapper."""
    with _registry_lock:
        return _registry.setdefault(network, WeightLock())


class Reader:
    """One that reads the weights, a token at a time or for as long as it is within ``lock``."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.revoked = False
        """The weights have changed since: what it would read next belongs to another prompt."""


class WeightLock:
    """See the module; made by ``occupancy_of``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holder: object | None = None
        self._readers: dict[Reader, Generator[int] | None] = {}

    @contextmanager
    def reading(self, name: str) -> Iterator[None]:
        """The weights stay as they are within.

        Raises:
            ModelInUse: they are changed for another prompt now.
        """
        reader = self._enter(name, None)
        try:
            with reader.lock:
                yield
        finally:
            self._readers.pop(reader, None)

    def guard(self, name: str, tokens: Generator[int]) -> Iterator[int]:
        """The tokens, for as long as the weights that they are made with last. Reading begins with the first ``next``.

        Raises:
            ModelInUse: the weights are changed for another prompt, or the change that they were made with has ended.
        """
        reader = self._enter(name, tokens)
        try:
            while True:
                with reader.lock:
                    if reader.revoked:
                        raise ModelInUse(
                            f"The answer was not read to its end while {name!r} had the weights it began with: "
                            "read it within the fine-tuning."
                        )
                    token = next(tokens, None)
                if token is None:
                    return
                yield token
        finally:
            self._readers.pop(reader, None)
            tokens.close()

    @contextmanager
    def changing(self, name: str) -> Iterator[Callable[[], None]]:
        """Nobody else reads or changes the weights within.

        Gives ``end_streams``: stops what was begun within and still reads, after the token in hand; whoever goes on
        reading there gets ``ModelInUse``. Call it before the weights change back.

        Raises:
            ModelInUse: somebody reads them, or changes them, now.
        """
        holder = object()
        with self._lock:
            if self._holder is not None:
                raise ModelInUse(
                    f"{name!r} is being fine-tuned for another prompt: wait for its end, or load the model a second "
                    "time."
                )
            if self._readers:
                raise ModelInUse(
                    f"{name!r} is still writing an answer or scoring a text: read or close that first, then fine-tune."
                )
            self._holder = holder
        _held_here.set((*_held_here.get(), holder))
        try:
            yield self._end_streams
        finally:
            self._end_streams()
            _held_here.set(tuple(held for held in _held_here.get() if held is not holder))
            with self._lock:
                self._holder = None

    def _end_streams(self) -> None:
        for reader, tokens in list(self._readers.items()):
            with reader.lock:
                reader.revoked = True
                if tokens is not None:
                    tokens.close()

    def _enter(self, name: str, tokens: Generator[int] | None) -> Reader:
        with self._lock:
            if self._holder is not None and self._holder not in _held_here.get():
                raise ModelInUse(f"{name!r} is being fine-tuned for another prompt: ask again when that has ended.")
            reader = Reader()
            self._readers[reader] = tokens
            return reader


_registry: WeakKeyDictionary[Module, WeightLock] = WeakKeyDictionary()
_registry_lock = threading.Lock()
