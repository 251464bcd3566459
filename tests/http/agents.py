"""An agent at a server's ``/mcp``, by the SDK's client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from tests.http.serving import Served


def talk(served: Served, work: Callable[[Any], Awaitable[Any]], path: str = "/mcp") -> Any:
    """Return what ``work`` makes of a connected client."""
    from mcp import Client

    async def run() -> Any:
        async with Client(served.url + path) as client:
            return await work(client)

    return anyio.run(run)


def call(served: Served, tool: str, path: str = "/mcp", **arguments: Any) -> Any:
    """Return the result of a tool."""
    return talk(served, lambda client: client.call_tool(tool, arguments), path)
