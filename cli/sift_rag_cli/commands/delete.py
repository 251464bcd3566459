"""``sift-rag delete``."""

from contextlib import closing
from typing import Annotated

import typer

from sift_rag.errors import DocumentNotFound
from sift_rag_cli import options
from sift_rag_cli.output import count_of, one_line, say, write_json
from sift_rag_cli.stores import qdrant_api_key


def delete(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A file's name, exactly as `list` gives it.")],
    prefix: Annotated[bool, typer.Option("--prefix", help="Delete every file whose name starts with SOURCE.")] = False,
    store: options.Store = None,
    collection: options.Collection = options.DEFAULT_COLLECTION,
    json: options.Json = False,
) -> None:
    """Delete a file from a collection, with its passages. The file itself stays where it is."""
    from sift_rag.corpus.ingest import remove_documents
    from sift_rag.opening import open_store

    if not source:
        raise ValueError("SOURCE is empty: name a file, or a prefix with --prefix.")
    with closing(open_store(store, collection, api_key=qdrant_api_key())) as opened:
        found = [opened.document(source)] if not prefix else list(opened.documents(source))
        documents = [document for document in found if document is not None]
        if not documents:
            raise DocumentNotFound(
                f"Collection '{collection}' has no file "
                + (f"that starts with '{source}'." if prefix else f"'{source}'.")
                + " `sift-rag list` shows what it has."
            )
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
        f"{count_of(len(documents), 'file')} and {count_of(passages, 'passage')} deleted "
        f"from collection '{one_line(collection)}'"
    )
