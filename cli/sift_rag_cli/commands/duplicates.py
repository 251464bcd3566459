"""``sift-rag duplicates``."""

from contextlib import closing
from typing import Annotated

import typer

from sift_rag import defaults
from sift_rag_cli import options
from sift_rag_cli.api_keys import store_key
from sift_rag_cli.configuration import settings_for
from sift_rag_cli.output import one_line, say, write_json
from sift_rag_cli.progress import loading, progress_bar
from sift_rag_cli.repetition import write_duplicates
from sift_rag_cli.searching import layout_of
from sift_rag_cli.waiting import patience


def duplicates(
    context: typer.Context,
    store: options.Store = None,
    collection: options.Collection = defaults.COLLECTION,
    wait: options.Wait = None,
    k: Annotated[
        int,
        typer.Option("-k", metavar="N", min=1, help="Number of nearest places in which copies are counted."),
    ] = defaults.PLACES,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="Show at most N groups and N files.")] = 10,
    assignments: options.Set = None,
    json: options.Json = False,
) -> None:
    """Show how much of a collection repeats, and where.

    Copies are passages that a search would count once: equal but for case and white space, or nearly equal with the
    same numbers and negations. To see what they would cost nearest neighbour, up to 100 passages of the collection,
    evenly spaced, are asked as questions by their own vectors. No model is loaded.

    Examples:
        sift-rag duplicates
        sift-rag duplicates -c code --limit 3
        sift-rag duplicates --json > duplicates.json
    """
    layout = layout_of(settings_for(context, assignments))
    with loading("the collection"):
        from sift_rag.opening import open_index
        from sift_rag.repetition import find_duplicates

        opened = open_index(store, collection, api_key=store_key(context, store), layout=layout, wait=patience(wait))
    with closing(opened) as index:
        with progress_bar("comparing passages"):
            found = find_duplicates(index, k=k)
        name = index.info.name
    if json:
        write_json({"collection": name, **found.to_dict()})
    elif found.passages:
        write_duplicates(found, limit=limit)
    else:
        say(f"Collection '{one_line(name)}' holds no passages.")
