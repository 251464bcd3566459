"""``sift-rag optimize``."""

import typer

from sift_rag import defaults
from sift_rag_cli import options
from sift_rag_cli.api_keys import store_key
from sift_rag_cli.optimizing import ended_at_once
from sift_rag_cli.output import one_line, say
from sift_rag_cli.waiting import patience


def optimize(
    context: typer.Context,
    store: options.Store = None,
    collection: options.Collection = defaults.COLLECTION,
    wait: options.Wait = None,
) -> None:
    """Rearrange a collection's files for faster search.

    It takes a while. `sift-rag ingest` does it by itself after 20,000 new passages, if they are a tenth of the
    collection; run it after large changes made in another way. A collection of more than 50,000 passages is searched
    by a graph of neighbours afterwards. A Qdrant server does this by itself. Also adds the word index to a collection
    made by an earlier version, in a folder or on a server.

    Examples:
        sift-rag optimize -c code
    """
    from sift_rag.stores.registry import open_database

    database = open_database(store, api_key=store_key(context, store), wait=patience(wait))
    with ended_at_once():
        changed = database.optimize(collection)
    on_server = store is not None and "://" in store
    unchanged = "is on a server, which optimizes it by itself." if on_server else "was already optimized."
    say(f"Collection '{one_line(collection)}' " + ("has been optimized." if changed else unchanged))
