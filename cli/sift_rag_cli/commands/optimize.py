"""``sift-rag optimize``."""

from sift_rag_cli import options
from sift_rag_cli.output import one_line, say
from sift_rag_cli.stores import qdrant_api_key


def optimize(
    store: options.Store = None,
    collection: options.Collection = options.DEFAULT_COLLECTION,
) -> None:
    """Rearrange a collection's files for faster search. Worth it after large changes; takes a while.

    A server does that by itself.
    """
    from sift_rag.stores.registry import open_database

    changed = open_database(store, api_key=qdrant_api_key()).optimize(collection)
    on_server = store is not None and "://" in store
    unchanged = "is on a server, which optimizes by itself." if on_server else "needed no optimizing."
    say(f"Collection '{one_line(collection)}' " + ("is optimized." if changed else unchanged))
