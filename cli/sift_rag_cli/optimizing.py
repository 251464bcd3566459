"""Optimise a folder after many writes, and let Ctrl-C end it."""

import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from sift_rag.errors import SiftRagError
from sift_rag_cli.output import one_line, say

if TYPE_CHECKING:
    from sift_rag.stores.waiting import Wait


def optimize_if_due(store: str | None, collection: str, wait: "Wait") -> None:
    """Optimise a collection if so much was written to it that opening it is slow; a failure is only told.

    Nothing is done on a server, which optimises by itself.
    """
    from sift_rag.stores.arrangement import is_optimizing_due
    from sift_rag.stores.registry import open_database

    if store is not None and "://" in store:
        return
    database = open_database(store, wait=wait)
    try:
        with closing(database.documents(collection)) as records:
            if not is_optimizing_due(records):
                return
        say("Optimizing the collection for faster search. Ctrl-C leaves that to `sift-rag optimize`.")
        with ended_at_once():
            database.optimize(collection)
    except SiftRagError as error:
        say(f"The collection has not been optimized: {one_line(str(error))}")


@contextmanager
def ended_at_once() -> Iterator[None]:
    """Let Ctrl-C end the process at once: the engine keeps the interpreter, which would hear of it too late.

    Nothing is lost: the next opening removes what is unfinished.
    """
    before = signal.getsignal(signal.SIGINT)
    if before in {None, signal.SIG_IGN}:  # somebody else's, or the command runs in the background
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
