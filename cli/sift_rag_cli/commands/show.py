"""``sift-rag show``."""

from contextlib import closing
from typing import Annotated

import typer

from sift_rag import defaults
from sift_rag_cli import options
from sift_rag_cli.api_keys import store_key
from sift_rag_cli.completion import source_names
from sift_rag_cli.hits import heading_path, locate
from sift_rag_cli.output import count_of, document_json, human_size, local_time, one_line, printable, write, write_json
from sift_rag_cli.progress import loading
from sift_rag_cli.sources import full_source, not_found
from sift_rag_cli.waiting import patience


def show_document(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            autocompletion=source_names,
            help="Name of a file, as `sift-rag list` shows it, or its ending.",
        ),
    ],
    store: options.Store = None,
    collection: options.Collection = defaults.COLLECTION,
    wait: options.Wait = None,
    json: options.Json = False,
) -> None:
    """Show a file's record and its passages.

    Examples:
        sift-rag show handbook/travel.md
    """
    from sift_rag.stores.registry import open_database

    database = open_database(store, api_key=store_key(context, store), wait=patience(wait))
    with closing(database.documents(collection)) as records:
        source = full_source(source, records.documents, collection)
        document = records.document(source)
    if document is None:  # deleted meanwhile
        raise not_found(source, (), collection)
    with loading("the collection"), closing(database.open_index(collection)) as opened:
        passages = [candidate.passage for candidate in opened.passages(source)]
    if json:
        write_json({**document_json(document), "passages": [passage.to_dict() for passage in passages]})
        return
    write(f"{one_line(document.source)}  {document.state}")
    if document.title:
        write(f"title     {one_line(document.title)}")
    write(f"file      {one_line(document.location)} ({human_size(document.size)})")
    write(f"ingested  {local_time(document.ingested_at)}, {count_of(len(passages), 'passage')}")
    if document.reason:
        write(f"reason    {one_line(document.reason)}")
    for notice in document.notices:
        write(f"notice    {one_line(notice)}")
    for passage in passages:
        write(f"\n{passage.id}  {locate(passage)}  {heading_path(passage)}".rstrip())
        write(printable(passage.text.strip("\n")))
