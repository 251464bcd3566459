"""``sift-rag doctor``."""

import typer

from sift_rag_cli import options
from sift_rag_cli.output import one_line, say, write, write_json
from sift_rag_cli.stores import qdrant_api_key


def doctor(
    store: options.Store = None,
    collection: options.Collection = options.DEFAULT_COLLECTION,
    json: options.Json = False,
) -> None:
    """Examine a collection for damage.

    Exit code 0 if it is sound; 1 if not, and a line for each finding.
    """
    from sift_rag.stores.registry import open_database

    findings = open_database(store, api_key=qdrant_api_key()).check(collection)
    if json:
        write_json({"collection": collection, "sound": not findings, "findings": findings})
    else:
        for finding in findings:
            write(one_line(finding))
        if not findings:
            say(f"Collection '{one_line(collection)}' is sound.")
    if findings:
        raise typer.Exit(1)
