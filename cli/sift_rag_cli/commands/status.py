"""``sift-rag status``."""

from contextlib import closing

import typer

from sift_rag import defaults
from sift_rag_cli import options
from sift_rag_cli.api_keys import store_key
from sift_rag_cli.output import count_of, human_size, local_time, one_line, write, write_json


def status(
    context: typer.Context,
    store: options.Store = None,
    collection: options.Collection = defaults.COLLECTION,
    json: options.Json = False,
) -> None:
    """Show what a collection holds, and which files failed.

    Examples:
        sift-rag status
    """
    from sift_rag.stores.registry import open_database

    database = open_database(store, api_key=store_key(context, store))
    with closing(database.documents(collection)) as records:
        info, documents = records.info, list(records.documents())
    ingested = [document for document in documents if document.state == "ingested"]
    failed = [document for document in documents if document.state == "failed"]
    pending = [document for document in documents if document.state == "pending"]
    passages = sum(document.passages for document in documents)  # a file that failed later keeps what it had
    size = sum(document.size for document in ingested)
    last = max((document.ingested_at for document in ingested), default="")
    if json:
        write_json(
            {
                "collection": info.name,
                "store": database.location,
                "embedder": info.embedder,
                "dimension": info.dimension,
                "schema_version": info.schema_version,
                "files": {"ingested": len(ingested), "failed": len(failed), "interrupted": len(pending)},
                "passages": passages,
                "bytes": size,
                "last_ingested_at": last or None,
                "failed": [{"source": document.source, "reason": document.reason} for document in failed],
                "interrupted": [document.source for document in pending],
            }
        )
        return
    write(f"collection  {one_line(info.name)}")
    write(f"store       {one_line(database.location)}")
    write(f"embedder    {one_line(info.embedder) or 'unknown, made by another tool'}, {info.dimension} dimensions")
    write(f"files       {count_of(len(ingested), 'file')} ({human_size(size)}), {count_of(passages, 'passage')}")
    if last:
        write(f"last in     {local_time(last)}")
    for document in failed:
        write(f"failed      {one_line(document.source)}: {one_line(document.reason)}")
    for document in pending:
        write(f"interrupted {one_line(document.source)}: ingest it again to complete it")
