"""``sift-rag optimize``."""

from sift_rag_cli import options
from sift_rag_cli.output import one_line, say


def optimize(
    store: options.Store = None,
    collection: options.Collection = options.DEFAULT_COLLECTION,
) -> None:
    """Rearrange a collection's files for faster search. Worth it after large changes; takes a while."""
    from sift_rag.assembly import optimize_collection

    changed = optimize_collection(store, collection)
    say(f"Collection '{one_line(collection)}' " + ("is optimized." if changed else "needed no optimizing."))
