"""``sift-rag list``."""

from contextlib import closing
from typing import Annotated

import typer

from sift_rag import defaults
from sift_rag_cli import options
from sift_rag_cli.api_keys import store_key
from sift_rag_cli.output import document_json, human_size, local_time, write_json, write_table


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
    if json:
        write_json({"collection": records.info.name, "documents": [document_json(d) for d in documents]})
        return
    write_table(
        ("source", "state", "passages", "size", "ingested", "notices"),
        [
            (d.source, d.state, str(d.passages), human_size(d.size), local_time(d.ingested_at), "; ".join(d.notices))
            for d in documents
        ],
        numeric=("passages", "size"),
    )
