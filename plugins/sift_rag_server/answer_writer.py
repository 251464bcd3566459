"""Write an answer on a thread of its own, and hand its pieces to the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, suppress
from threading import Event, Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sift_rag.answering.stream import AnswerStream


class AnswerWriter:
    """An answer that is written from the construction of this object on.

    One thread enters, reads and leaves the stream: the lock on a fine-tuned model's weights belongs to a thread.
    """

    def __init__(
        self, stream: AnswerStream, held: AbstractContextManager[object], abandon: Callable[[], None], *, streamed: bool
    ) -> None:
        """Start writing. Call it on the event loop.

        Args:
            stream: the prepared answer.
            held: left once the model has stopped.
            abandon: called by ``close``, from when on nobody waits for the model.
            streamed: hand over every piece, not only the end: each takes the event loop's time.
        """
        self._stream = stream
        self._abandon = abandon
        self._streamed = streamed
        self._loop = asyncio.get_running_loop()
        self._arrived: asyncio.Queue[str | Exception | None] = asyncio.Queue()
        self._closed = Event()
        Thread(target=self._write, args=(held,), name="answer", daemon=True).start()

    async def pieces(self) -> AsyncIterator[str]:
        """Iterate over the text as it is written; over nothing, until its end, unless it is streamed.

        Raises:
            ModelError: the model cannot answer, or cannot be fine-tuned.
        """
        while (item := await self._arrived.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item

    def close(self) -> None:
        """Stop the model at its next piece. Nothing happens once the answer is complete."""
        self._closed.set()
        self._abandon()

    def _write(self, held: AbstractContextManager[object]) -> None:
        end: Exception | None = None
        with held:
            try:
                with self._stream as pieces:
                    for piece in pieces:
                        if self._closed.is_set():
                            break
                        if self._streamed:
                            self._send(piece)
            except Exception as error:  # noqa: BLE001 - raised where the pieces are awaited
                end = error
        self._send(end)  # when the model is free again

    def _send(self, item: str | Exception | None) -> None:
        with suppress(RuntimeError):  # the loop is closed: the server has stopped, and nobody waits
            self._loop.call_soon_threadsafe(self._arrived.put_nowait, item)
