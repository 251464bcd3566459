"""Add ``sift-rag mcp`` to the configuration of the programs that use MCP servers."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sift_rag import defaults
from sift_rag.errors import ConfigurationError
from sift_rag.suggestions import suggestion


class Entry(NamedTuple):
    """A server to be added."""

    collection: str
    arguments: Sequence[str]
    """Arguments after ``sift-rag mcp``."""
    url: str | None = None
    """Address of a running server to use; None to start ``sift-rag mcp``."""

    @property
    def name(self) -> str:
        """Name of the server in a client: its collection, unless that is the default."""
        return "sift-rag" if self.collection == defaults.COLLECTION else f"sift-rag-{self.collection}"

    def server(self, client: Client) -> dict[str, Any]:
        """Return what a client's configuration says about the server."""
        if self.url is None:
            return {**client.extra, "command": _command(), "args": ["mcp", *self.arguments]}
        if client.by_url is None:
            raise ValueError("--url does not work with this client: it starts its servers itself. Leave --url out.")
        return {**client.by_url, "url": self.url}


class Client(NamedTuple):
    """A program that uses MCP servers."""

    file: Callable[[], Path]
    servers: str = "mcpServers"
    """Key of the servers in the file."""
    extra: Mapping[str, str] = {}
    """Keys that it wants of a server besides command and arguments."""
    by_url: Mapping[str, str] | None = None
    """Keys that it wants of a server besides its address; None if it takes none by address."""


def _claude_desktop() -> Path:
    if sys.platform == "darwin":
        folder = Path.home() / "Library" / "Application Support"
    elif sys.platform == "win32":
        folder = Path(os.environ.get("APPDATA", Path.home()))
    else:
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return folder / "Claude" / "claude_desktop_config.json"


CLIENTS: Mapping[str, Client] = {
    "claude": Client(_claude_desktop),
    "claude-code": Client(lambda: Path.cwd() / ".mcp.json", by_url={"type": "http"}),
    "cursor": Client(lambda: Path.home() / ".cursor" / "mcp.json", by_url={}),
    "vscode": Client(lambda: Path.cwd() / ".vscode" / "mcp.json", "servers", {"type": "stdio"}, {"type": "http"}),
}
"""The clients by name. Those of an editor's project are written in the working directory."""


def folders_of(roots: Sequence[Path] | None) -> tuple[Path, ...]:
    """Return the folders that ``--root`` names.

    Raises:
        ValueError: one is no folder.
    """
    folders = tuple(root.expanduser() for root in roots or ())
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"--root {str(folder)!r} is not a folder.")
    return folders


def install(words: Sequence[str], entry: Entry) -> str:
    """Add the server to a client's configuration, and return a line that says where.

    What else is in the file stays; an entry of this name is replaced.

    Args:
        words: ``install`` and the name of a client.
        entry: the server.

    Raises:
        ConfigurationError: the file is not a JSON object; the message holds what to add by hand.
        OSError: it cannot be written.
        ValueError: the words are others, or the client takes no server by its address.
    """
    if words[0] != "install" or len(words) != 2:
        raise ValueError(f"'mcp {' '.join(words)}' is not known: expected `sift-rag mcp install CLIENT`, or no words.")
    if words[1] not in CLIENTS:
        raise ValueError(f"There is no client {words[1]!r}: {', '.join(CLIENTS)}.{suggestion(words[1], CLIENTS)}")
    client = CLIENTS[words[1]]
    file = client.file()
    server = entry.server(client)
    settings = _read(file, {client.servers: {entry.name: server}})
    servers = settings.setdefault(client.servers, {})
    if not isinstance(servers, dict):
        raise _not_an_object(file, {client.servers: {entry.name: server}})
    servers[entry.name] = server
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        unfinished.write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        unfinished.replace(file.resolve())
    finally:
        unfinished.unlink(missing_ok=True)
    return f"Added '{entry.name}' to {file}. Restart the client to use it."


def _read(file: Path, wanted: Mapping[str, Any]) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    try:
        settings = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise _not_an_object(file, wanted) from error
    if not isinstance(settings, dict):
        raise _not_an_object(file, wanted)
    return settings


def _not_an_object(file: Path, wanted: Mapping[str, Any]) -> ConfigurationError:
    return ConfigurationError(f"{file} is not plain JSON and was left as it is. Add by hand: {json.dumps(wanted)}")


def _command() -> str:
    """Return the path of this program: a client's process may have another PATH."""
    beside = Path(sys.executable).with_name("sift-rag")
    return str(beside) if beside.exists() else shutil.which("sift-rag") or "sift-rag"
