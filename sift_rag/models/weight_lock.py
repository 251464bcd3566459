"""A reader-writer lock for a model's weights: many readers, or one writer, which may read too.

Nothing waits: a claim that cannot be met now is refused, so that no answer is ever read from weights that were
fine-tuned for another prompt.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, cast
from weakref import WeakKeyDictionary

from sift_rag.errors import ModelInUse
from sift_rag.protocols import FinishReason

if TYPE_CHECKING:
    from collections.abc import Generator

    from torch.nn import Module


class WeightLock:
    """The lock of one network; ``weight_lock_of`` returns it. ``name`` is the model's, for messages."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._writer: object | None = None
        self._readers: dict[_Reader, Generator[int, None, FinishReason] | None] = {}

    @contextmanager
    def read(self, name: str) -> Iterator[None]:
        """Keep the weights as they are within the block.

        Raises:
            ModelInUse: another prompt's fine-tuning is changing them.
        """
        reader = self._enter(name, None)
        try:
            with reader.lock:
                yield
        finally:
            self._readers.pop(reader, None)

    def read_tokens(self, name: str, tokens: Generator[int, None, FinishReason]) -> Generator[int, None, FinishReason]:
        """Yield the tokens that the weights generate, as a reader from the first ``next`` to the end.

        Returns what ``tokens`` returns.

        Raises:
            ModelInUse: another prompt's fine-tuning is changing the weights, or the fine-tuning in which this answer
                began has ended.
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
                    try:
                        token = next(tokens)
                    except StopIteration as end:
                        return cast("FinishReason", end.value)
                yield token
        finally:
            self._readers.pop(reader, None)
            tokens.close()

    @contextmanager
    def write(self, name: str) -> Iterator[Callable[[], None]]:
        """Prevent everyone else from reading or changing the weights within the block.

        Yields:
            A function that aborts the unfinished answers which were begun within, after the token in progress. Their
            readers get ``ModelInUse``. Call it before the weights are restored.

        Raises:
            ModelInUse: somebody is reading or changing them.
        """
        writer = object()
        with self._lock:
            if self._writer is not None:
                raise ModelInUse(
                    f"{name!r} is being fine-tuned for another prompt: wait until that ends, or load the model a "
                    "second time."
                )
            if self._readers:
                raise ModelInUse(
                    f"{name!r} is still writing an answer or scoring a text: read or close that first, then fine-tune."
                )
            self._writer = writer
        _writing_here.set((*_writing_here.get(), writer))
        try:
            yield self._abort_answers
        finally:
            try:
                self._abort_answers()
            finally:  # it waits for tokens, and Ctrl-C may end that
                _writing_here.set(tuple(other for other in _writing_here.get() if other is not writer))
                with self._lock:
                    self._writer = None

    def _abort_answers(self) -> None:
        for reader, tokens in list(self._readers.items()):
            with reader.lock:
                reader.revoked = True
                if tokens is not None:
                    tokens.close()

    def _enter(self, name: str, tokens: Generator[int, None, FinishReason] | None) -> _Reader:
        with self._lock:
            if self._writer is not None and self._writer not in _writing_here.get():
                raise ModelInUse(f"{name!r} is being fine-tuned for another prompt: ask again when that has ended.")
            reader = _Reader()
            self._readers[reader] = tokens
            return reader


class _Reader:
    """A reader of the weights, at work while ``lock`` is held."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.revoked = False
        """True once the weights it began with are about to change."""


_writing_here: ContextVar[tuple[object, ...]] = ContextVar("writing_here", default=())
"""Writers of this thread or task, which alone may read the weights that they have changed."""

_locks: WeakKeyDictionary[Module, WeightLock] = WeakKeyDictionary()
_locks_lock = threading.Lock()


def weight_lock_of(network: Module) -> WeightLock:
    """Return the lock of this network, shared by all its wrappers."""
    with _locks_lock:
        return _locks.setdefault(network, WeightLock())
