"""An MCP server: agents search collections, read documents and, if allowed, keep collections up to date.

Start with ``server.py``, which names the tools. ``library.py`` makes the library calls behind them, through
an ``access.py`` to the collection; ``replies.py`` has their results, ``roots.py`` guards the files of this machine.
"""

from sift_rag_mcp.access import Access, WritingAccess
from sift_rag_mcp.server import create_reading_server, create_server, create_writing_server
from sift_rag_mcp.settings import McpSettings

__all__ = ["Access", "McpSettings", "WritingAccess", "create_reading_server", "create_server", "create_writing_server"]
