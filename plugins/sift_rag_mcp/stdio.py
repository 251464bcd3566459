"""Messages on stdin and stdout, each answered, also those that are none."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TextIO, cast

import anyio
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage

from sift_rag_mcp.messages import refusal


@asynccontextmanager
async def answered_stdio() -> AsyncIterator[tuple[Any, Any]]:
    """Provide the SDK's streams over stdin and stdout; a line that breaks the protocol is answered before they see it.

    While they are open, other code reads nothing from stdin, and what it prints goes to stderr.
    """

    async def well_formed(lines: TextIO) -> AsyncIterator[str]:
        async for line in anyio.wrap_file(lines):
            if not line.strip():
                continue
            refused = refusal(line)
            if refused is None:
                yield line
            else:
                await writing.send(SessionMessage(refused))

    with _own_stdin() as lines:
        async with stdio_server(cast("Any", well_formed(lines))) as (reading, writing):
            yield reading, writing


@contextmanager
def _own_stdin() -> Iterator[TextIO]:
    """Provide the lines of stdin, which is empty for everybody else meanwhile."""
    number = sys.stdin.fileno()
    kept, nothing = os.dup(number), os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, number)
    os.close(nothing)
    try:  # a thread may still wait for a line of it at the end, so it is never closed
        yield os.fdopen(kept, encoding="utf-8", errors="replace", closefd=False)
    finally:
        os.dup2(kept, number)
