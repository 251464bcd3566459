"""``sift-rag list``."""

import sys
from contextlib import closing
from typing import Annotated

import typer

from sift_rag import defaults
from sift_rag_cli import options
from sift_rag_cli.api_keys import store_key
from sift_rag_cli.output import (
    document_json,
    human_size,
    is_terminal,
    local_time,
    one_line,
    write,
    write_json,
    write_table,
    write_wrapped,
)
from sift_rag_cli.sources import no_prefix


def list_documents(
    context: typer.Context,
    prefix: Annotated[
        str, typer.Argument(metavar="[PREFIX]", help="List only files whose name starts with this.", show_default=False)
    ] = "",
    store: options.Store = None,
    collection: options.Collection = defaults.COLLECTION,
    json: options.Json = False,
) -> None:
    """List the files in a collection.

    Examples:
        sift-rag list
        sift-rag list handbook/ -c work
    """
    from sift_rag.stores.registry import open_database

    with closing(open_database(store, api_key=store_key(context, store)).documents(collection)) as records:
        documents = list(records.documents(prefix))
        if prefix and not documents and not json:
            raise no_prefix(prefix, [document.source for document in records.documents()], collection)
    if json:
        write_json({"collection": records.info.name, "documents": [document_json(d) for d in documents]})
        return
    header = ("source", "state", "passages", "size", "ingested")
    rows = [(d.source, d.state, str(d.passages), human_size(d.size), local_time(d.ingested_at)) for d in documents]
    notices = ["; ".join(d.notices) for d in documents]
    if not is_terminal(sys.stdout):
        write_table((*header, "notices"), [(*row, notice) for row, notice in zip(rows, notices, strict=True)])
        return
    write_table(header, rows, numeric=("passages", "size"), path="source")
    for document, notice in zip(documents, notices, strict=True):
        if notice:
            write()
            write_wrapped(f"{one_line(document.source)}: {one_line(notice)}", "   ")
