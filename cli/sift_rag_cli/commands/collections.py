"""``sift-rag collections``."""

from typing import Annotated

import typer

from sift_rag_cli import options
from sift_rag_cli.output import one_line, say, write_json, write_table
from sift_rag_cli.stores import qdrant_api_key


def collections(
    drop: Annotated[
        str | None, typer.Option("--drop", metavar="NAME", help="Delete this collection with all it holds.")
    ] = None,
    store: options.Store = None,
    json: options.Json = False,
) -> None:
    """List the collections of a store, and the embedder of each."""
    from sift_rag.stores.registry import open_database

    database = open_database(store, api_key=qdrant_api_key())
    if drop is not None:
        database.drop(drop)
        if json:
            write_json({"dropped": drop})
        else:
            say(f"Collection '{one_line(drop)}' is deleted.")
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
