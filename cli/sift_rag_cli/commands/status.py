"""``sift-rag status``."""

from collections import Counter
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
    from collections.abc import Sequence

    from sift_rag.protocols import Database, PassageIndex
    from sift_rag.repetition import Duplicates
    from sift_rag.types import Document

COMPARED = 1_000
"""Number of passages up to which copies are counted: it takes half a second, and holds the folder meanwhile."""


_BY_GRAPH = "approximate: by a graph, which may miss a few passages; --exact-search compares all"
_WITHOUT_GRAPH = "exact, which is slow for so many passages: run `sift-rag optimize`"

_SLOW_TO_OPEN = "slow, after many new passages: run `sift-rag optimize`"


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
    from sift_rag.protocols import GraphStatus, WordStatus
    from sift_rag.stores.arrangement import is_optimizing_due
    from sift_rag.stores.registry import open_database

    database = open_database(store, api_key=store_key(context, store), wait=0)
    with closing(database.documents(collection)) as records:
        info, documents = records.info, list(records.documents())
        by_graph = records.has_graph if isinstance(records, GraphStatus) else False
        due = is_optimizing_due(records)
        words = records.words_indexed if isinstance(records, WordStatus) else None
    ingested = [document for document in documents if document.state == "ingested"]
    failed = [document for document in documents if document.state == "failed"]
    pending = [document for document in documents if document.state == "pending"]
    passages = sum(document.passages for document in documents)  # a file that failed later keeps what it had
    is_large = passages > defaults.EXACT_SEARCH_PASSAGES
    size = sum(document.size for document in ingested)
    last = max((document.ingested_at for document in ingested), default="")
    languages = Counter(document.language for document in ingested if document.language).most_common()
    with loading("the collection"):
        found, unrecorded = _looked_into(database, collection, documents)
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
                "passages_without_records": unrecorded,
                "bytes": size,
                "repeated": None if found is None else found.repeated,
                "words_indexed": words,
                "exact_search": not (is_large and by_graph),
                "last_ingested_at": last or None,
                "failed": [{"source": document.source, "reason": document.reason} for document in failed],
                "interrupted": [document.source for document in pending],
                "notices": sum(bool(document.notices) for document in ingested),
                "pages_without_text": sum(document.pages_without_text for document in ingested),
                "languages": dict(languages),
            }
        )
        return
    write(f"collection  {one_line(info.name)}")
    write(f"store       {one_line(database.location)}")
    space = f"{info.dimension} dimensions" + (f", {one_line(info.precision)}" if info.precision else "")
    write(f"embedder    {one_line(info.embedder) or 'unknown, made by another tool'}, {space}")
    write(f"files       {count_of(len(ingested), 'file')} ({human_size(size)}), {count_of(passages, 'passage')}")
    write(f"copies      {'not counted: see `sift-rag duplicates`' if found is None else first_line(found)}")
    if unrecorded:
        write(f"no record   {count_of(unrecorded, 'passage')} without records: ingest their files to complete them")
    if is_large:
        write(f"search      {_BY_GRAPH if by_graph else _WITHOUT_GRAPH}")
    if due and not (is_large and not by_graph):
        write(f"opening     {_SLOW_TO_OPEN}")
    if words is False:
        write("words       not indexed yet: run `sift-rag optimize`")
    if last:
        write(f"last in     {local_time(last)}")
    if len(languages) > 1:
        write(f"languages   {', '.join(f'{code} {number:,}' for code, number in languages)}")
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


def _looked_into(
    database: "Database", collection: str, documents: "Sequence[Document]"
) -> "tuple[Duplicates | None, int | None]":
    """Return the repetition in a collection, and the number of passages that no record of a document names.

    A folder is opened only if the collection is small, and not while another process has it; repetition is not counted
    on a server. None for what is not known.
    """
    from sift_rag.errors import SiftRagError
    from sift_rag.repetition import find_duplicates

    is_folder = "://" not in database.location
    if is_folder and sum(document.passages for document in documents) > COMPARED:
        return None, None
    try:
        with closing(database.open_index(collection)) as index:
            unrecorded = _without_records(index, documents)
            return find_duplicates(index, probes=0) if is_folder else None, unrecorded
    except SiftRagError:  # in use; or damaged, which is for `sift-rag doctor` to say
        return None, None


def _without_records(index: "PassageIndex", documents: "Sequence[Document]") -> int | None:
    """Return the number of passages that no record names; None for a collection of another tool, without records."""
    if not index.info.embedder:
        return None
    interrupted = [document for document in documents if document.state == "pending"]
    named = sum(document.passages for document in documents if document.state != "pending")
    named += sum(1 for document in interrupted for _ in index.passages(document.source))
    return max(0, index.count() - named)
