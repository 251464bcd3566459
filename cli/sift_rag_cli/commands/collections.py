"""``sift-rag collections``."""

from typing import Annotated

import typer

from sift_rag_cli import options
from sift_rag_cli.api_keys import store_key
from sift_rag_cli.completion import collection_names
from sift_rag_cli.output import one_line, say, write_json, write_table
from sift_rag_cli.waiting import patience


def collections(
    context: typer.Context,
    drop: Annotated[
        str | None,
        typer.Option(
            "--drop",
            metavar="NAME",
            autocompletion=collection_names,
            help="Delete this collection and everything in it.",
        ),
    ] = None,
    store: options.Store = None,
    wait: options.Wait = None,
    json: options.Json = False,
) -> None:
    """List the collections in a store with their embedders.

    Examples:
        sift-rag collections
        sift-rag collections -s http://localhost:6333
        sift-rag collections --drop old
    """
    from sift_rag.stores.registry import open_database

    database = open_database(store, api_key=store_key(context, store), wait=patience(wait))

    if drop is not None:
        database.drop(drop)
        if json:
            write_json({"dropped": drop})
        else:
            say(f"Deleted collection '{one_line(drop)}'.")
        return
    infos = database.collections()
    if json:
        write_json(
            {
                "collections": [
                    {
                        "name": info.name,
                        "embedder": info.embedder,
                        "dimension": info.dimension,
                        "schema_version": info.schema_version,
                    }
                    for info in infos
                ]
            }
        )
        return
    write_table(
        ("collection", "embedder", "dimensions"),
        [(info.name, info.embedder, str(info.dimension)) for info in infos],
        numeric=("dimensions",),
    )
