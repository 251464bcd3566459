"""``sift-rag doctor``."""

import typer

from sift_rag import defaults
from sift_rag_cli import options
from sift_rag_cli.api_keys import store_key
from sift_rag_cli.output import one_line, say, write, write_json
from sift_rag_cli.waiting import patience


def doctor(
    context: typer.Context,
    store: options.Store = None,
    collection: options.Collection = defaults.COLLECTION,
    wait: options.Wait = None,
    json: options.Json = False,
) -> None:
    """Check a collection for damage.

    Exits with code 0 if it is intact. Otherwise prints a line for each finding and exits with code 1.

    Examples:
        sift-rag doctor
        sift-rag doctor -c code
    """
    from sift_rag.stores.registry import open_database

    findings = open_database(store, api_key=store_key(context, store), wait=patience(wait)).check(collection)
    if json:
        write_json({"collection": collection, "sound": not findings, "findings": findings})
    else:
        for finding in findings:
            write(one_line(finding))
        if not findings:
            say(f"Collection '{one_line(collection)}' is intact.")
    if findings:
        raise typer.Exit(1)
