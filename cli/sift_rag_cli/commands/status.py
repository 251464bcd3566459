"""``sift-rag status``."""

from contextlib import closing
from typing import TYPE_CHECKING

import typer

from sift_rag import defaults
from sift_rag_cli import options
from sift_rag_cli.api_keys import store_key
from sift_rag_cli.output import count_of, human_size, local_time, one_line, write, write_json
from sift_rag_cli.progress import loading
from sift_rag_cli.repetition import first_line

if TYPE_CHECKING:
    from sift_rag.protocols import Database
    from sift_rag.repetition import Duplicates

COMPARED = 1_000
"""Number of passages up to which copies are counted: it takes half a second, and holds the folder meanwhile."""


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
    from sift_rag.protocols import WordStatus
    from sift_rag.stores.registry import open_database

    database = open_database(store, api_key=store_key(context, store), wait=0)
    with closing(database.documents(collection)) as records:
        info, documents = records.info, list(records.documents())
        words = records.words_indexed if isinstance(records, WordStatus) else None
    ingested = [document for document in documents if document.state == "ingested"]
    failed = [document for document in documents if document.state == "failed"]
    pending = [document for document in documents if document.state == "pending"]
    passages = sum(document.passages for document in documents)  # a file that failed later keeps what it had
    size = sum(document.size for document in ingested)
    last = max((document.ingested_at for document in ingested), default="")
    with loading("the collection"):
        found = _duplicates(database, collection, passages)
    if json:
        write_json(
            {
                "collection": info.name,
                "store": database.location,
                "embedder": info.embedder,
                "precision": info.precision or None,
                "dimension": info.dimension,
                "schema_version": info.schema_version,
                "files": {"ingested": len(ingested), "failed": len(failed), "interrupted": len(pending)},
                "passages": passages,
                "bytes": size,
                "repeated": None if found is None else found.repeated,
                "words_indexed": words,
                "last_ingested_at": last or None,
                "failed": [{"source": document.source, "reason": document.reason} for document in failed],
                "interrupted": [document.source for document in pending],
                "notices": sum(bool(document.notices) for document in ingested),
                "pages_without_text": sum(document.pages_without_text for document in ingested),
            }
        )
        return
    write(f"collection  {one_line(info.name)}")
    write(f"store       {one_line(database.location)}")
    space = f"{info.dimension} dimensions" + (f", {one_line(info.precision)}" if info.precision else "")
    write(f"embedder    {one_line(info.embedder) or 'unknown, made by another tool'}, {space}")
    write(f"files       {count_of(len(ingested), 'file')} ({human_size(size)}), {count_of(passages, 'passage')}")
    write(f"copies      {'not counted: see `sift-rag duplicates`' if found is None else first_line(found)}")
    if words is False:
        write("words       not indexed yet: run `sift-rag optimize`")
    if last:
        write(f"last in     {local_time(last)}")
    scans = sum(document.pages_without_text for document in ingested)
    if scans:
        files = count_of(sum(document.pages_without_text > 0 for document in ingested), "file")
        write(f"no text     {count_of(scans, 'page')} in {files}, probably scans")
    noted = sum(bool(document.notices) for document in ingested)
    if noted:
        write(f"notices     {count_of(noted, 'file')}: `sift-rag list` marks them, `sift-rag show` tells")
    for document in failed:
        write(f"failed      {one_line(document.source)}: {one_line(document.reason)}")
    for document in pending:
        write(f"interrupted {one_line(document.source)}: ingest it again to complete it")


def _duplicates(database: "Database", collection: str, passages: int) -> "Duplicates | None":
    """Return the repetition in a small collection in a folder; None for others, and while another process has it."""
    from sift_rag.errors import SiftRagError
    from sift_rag.repetition import find_duplicates

    if passages > COMPARED or "://" in database.location:
        return None
    try:
        with closing(database.open_index(collection)) as index:
            return find_duplicates(index, probes=0)
    except SiftRagError:  # in use; or damaged, which is for `sift-rag doctor` to say
        return None
