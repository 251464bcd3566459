"""Databases by URL scheme: a store is named by a folder or a URL, and its scheme says which class opens it.

    register_database("lance", LanceDatabase)
    open_database("lance://somewhere")

Nothing is imported before it is needed: listing the collections of a folder loads neither the search engine nor a
server's client.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sift_rag.errors import ConfigurationError, Remedy
from sift_rag.extras import require
from sift_rag.stores.waiting import Wait, Waitable

if TYPE_CHECKING:
    from sift_rag.protocols import Database
    from sift_rag.stores.qdrant.layout import Layout
    from sift_rag.stores.qdrant.options import ServerOptions

FOLDER = ""
"""Scheme of a store that is named by a path."""


class DatabaseFactory(Protocol):
    """A class or function that makes a ``Database`` of a URL, without opening or asking anything yet.

    A setting that it has no use for is None, or raises ``ConfigurationError``.
    """

    def __call__(
        self, url: str, *, api_key: str | None, server: ServerOptions | None, layout: Layout | None
    ) -> Database:
        """Return the database at ``url``; the arguments are those of ``open_database``."""


def register_database(scheme: str, factory: DatabaseFactory) -> None:
    """Let ``factory`` open the stores whose URL starts with ``scheme://``, in place of any earlier one.

    Raises:
        ValueError: it is no scheme of a URL.
    """
    if not (scheme.isascii() and scheme.isalnum() and scheme == scheme.lower()):
        raise ValueError(f"A URL scheme consists of lower-case letters and digits, but is {scheme!r}.")
    _FACTORIES[scheme] = factory


def open_database(
    store: str | Path | None = None,
    *,
    api_key: str | None = None,
    server: ServerOptions | None = None,
    layout: Layout | None = None,
    wait: Wait | float | None = None,
) -> Database:
    """Return the database of a store. Nothing is opened or asked yet.

    Args:
        store: folder or URL; None for the user's data folder.
        api_key: key of a server; ``?key=none`` in the URL withholds it.
        server: options for collections that are created on a server.
        layout: fields of collections that other tools made on a server.
        wait: how long to wait for other processes that have a collection in a folder open, in seconds; by default 10
            to read and 60 to write.

    Raises:
        ConfigurationError: the URL's scheme is not known, the URL is not valid, or there are options for a server and
            the store is a folder.
    """
    url = str(default_store()) if store is None else str(store)
    scheme = url.partition("://")[0] if isinstance(store, str) and "://" in store else FOLDER
    if scheme not in _FACTORIES:
        known = ", ".join(f"{name}://" for name in sorted(filter(None, _FACTORIES)))
        raise ConfigurationError(f"No store is registered for {scheme!r} URLs: expected a folder or one of {known}.")
    database = _FACTORIES[scheme](url, api_key=api_key, server=server, layout=layout)
    return database.waiting(Wait.of(wait)) if isinstance(database, Waitable) else database


def default_store() -> Path:
    """Return the user's data folder for sift-rag."""
    require("platformdirs", "embedded")
    from platformdirs import user_data_path

    return user_data_path("sift-rag", appauthor=False)


def _folder(url: str, *, api_key: str | None, server: ServerOptions | None, layout: Layout | None) -> Database:
    """Open a folder; a key and a layout are for other stores."""
    del api_key, layout
    folder = Path(url).expanduser()
    if server is not None:
        raise ConfigurationError(
            f"Shards, replicas, float16 and similar options need a server, but the store {str(folder)!r} is a folder.",
            remedy=Remedy("server-options-for-a-folder"),
        )
    from sift_rag.stores.embedded.database import FolderDatabase

    return FolderDatabase(folder)


def _qdrant(url: str, *, api_key: str | None, server: ServerOptions | None, layout: Layout | None) -> Database:
    """Connect to a Qdrant server at the first call."""
    from sift_rag.stores.qdrant.address import parse_address

    address = parse_address(url, api_key=api_key)  # a wrong URL is told before the client is loaded
    require("qdrant_client", "qdrant")
    from sift_rag.stores.qdrant.database import QdrantDatabase

    return QdrantDatabase(address, server, layout)


_FACTORIES: dict[str, DatabaseFactory] = {
    FOLDER: _folder,
    **dict.fromkeys(("http", "https", "grpc", "grpcs"), _qdrant),
}
