"""``sift-rag delete``."""

from contextlib import closing
from typing import Annotated

import typer

from sift_rag import defaults
from sift_rag_cli import options
from sift_rag_cli.api_keys import store_key
from sift_rag_cli.completion import source_names
from sift_rag_cli.output import count_of, one_line, say, write_json
from sift_rag_cli.sources import no_prefix, not_found
from sift_rag_cli.waiting import patience


def delete(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            autocompletion=source_names,
            help="Name of a file, exactly as `sift-rag list` shows it.",
        ),
    ],
    prefix: Annotated[bool, typer.Option("--prefix", help="Delete every file whose name starts with SOURCE.")] = False,
    store: options.Store = None,
    collection: options.Collection = defaults.COLLECTION,
    wait: options.Wait = None,
    json: options.Json = False,
) -> None:
    """Delete a file from a collection. The file itself is not touched.

    Examples:
        sift-rag delete handbook/travel.md
        sift-rag delete handbook/old/ --prefix
    """
    from sift_rag.corpus.writing import remove_documents
    from sift_rag.opening import open_store

    if not source:
        raise ValueError("SOURCE is empty: name a file, or a prefix together with --prefix.")
    with closing(open_store(store, collection, api_key=store_key(context, store), wait=patience(wait))) as opened:
        found = [opened.document(source)] if not prefix else list(opened.documents(source))
        documents = [document for document in found if document is not None]
        if not documents:
            if not prefix:
                raise not_found(source, [one.source for one in opened.documents()], collection)
            raise no_prefix(source, [one.source for one in opened.documents()], collection)
        passages = remove_documents(opened, documents)
    if json:
        write_json(
            {
                "collection": collection,
                "deleted": [document.source for document in documents],
                "passages": passages,
            }
        )
        return
    say(
        f"Deleted {count_of(len(documents), 'file')} and {count_of(passages, 'passage')} "
        f"from collection '{one_line(collection)}'."
    )
