"""An MCP server: agents search collections, read documents and, if allowed, keep collections up to date.

Start with ``server.py``, which names the tools. ``library.py`` makes the library calls behind them, ``replies.py``
their results; ``roots.py`` guards the files of this machine.
"""

from sift_rag_mcp.server import create_server
from sift_rag_mcp.settings import McpSettings

__all__ = ["McpSettings", "create_server"]
