"""``--wait``: wait for another process that has the collection open, and say so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sift_rag_cli.output import one_line, say

if TYPE_CHECKING:
    from sift_rag.stores.waiting import Wait, Waiting


def patience(seconds: float | None) -> Wait:
    """Return how long to wait, in the library's words; None for the usual time."""
    from sift_rag.stores.waiting import Wait

    return Wait(seconds, _announce)


def _announce(waiting: Waiting) -> None:
    say(
        one_line(
            f"Waiting for {waiting.holder}, which has collection {waiting.collection!r} open "
            f"(up to {waiting.seconds:g} s; --wait 0 does not wait)."
        )
    )
