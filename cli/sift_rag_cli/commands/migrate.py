"""``sift-rag migrate``."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from sift_rag import defaults
from sift_rag_cli import options
from sift_rag_cli.api_keys import server_key
from sift_rag_cli.configuration import settings_for
from sift_rag_cli.optimizing import optimize_if_due
from sift_rag_cli.output import count_of, one_line, say, write, write_json
from sift_rag_cli.progress import ProgressState, progress_bar
from sift_rag_cli.settings import server_options
from sift_rag_cli.waiting import patience

if TYPE_CHECKING:
    from sift_rag.stores.migration import Migration, MigrationProgress


def migrate(
    context: typer.Context,
    origin: Annotated[str, typer.Argument(metavar="FROM", help="The store that has the collection: a folder or URL.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="The store to copy it to: a folder or URL.")],
    collection: options.Collection = defaults.COLLECTION,
    wait: options.Wait = None,
    to_collection: Annotated[
        str | None,
        typer.Option(
            "--to-collection",
            metavar="NAME",
            rich_help_panel=options.COLLECTION,
            help="Name of the collection in the other store. Default: the same.",
        ),
    ] = None,
    assignments: options.Set = None,
    json: options.Json = False,
) -> None:
    """Copy a collection to another store, and compare the two.

    FROM is only read. If the copy is interrupted, run the same command again: it continues where it stopped. If the
    two differ in the end, this prints a line for each difference and exits with code 1.

    Examples:
        sift-rag migrate ~/store http://localhost:6333
        sift-rag migrate ~/store http://localhost:6333 -c code --set quantize=true
    """
    from sift_rag.stores.migration import migrate_collection

    server = server_options(settings_for(context, assignments))
    try:
        with _progress() as progress:
            migration = migrate_collection(
                origin,
                target,
                collection,
                target_collection=to_collection,
                api_key=server_key(),
                server=server,
                wait=patience(wait),
                progress=progress,
            )
    except KeyboardInterrupt:
        say("What has been copied is kept; run the same command again to continue.")
        raise
    if json:
        write_json({"collection": to_collection or collection, **asdict(migration)})
    else:
        _say(migration, to_collection or collection)
    if migration.differences:
        raise typer.Exit(1)
    if migration.carried:
        optimize_if_due(target, to_collection or collection, patience(wait))


def _say(migration: "Migration", name: str) -> None:
    for difference in migration.differences:
        write(one_line(difference))
    say(
        f"{count_of(migration.carried, 'file')} copied, {migration.skipped:,} already there"
        + (f", {migration.repaired:,} repaired" if migration.repaired else "")
        + (f", {migration.besides:,} more in the target" if migration.besides else "")
    )
    exact = (
        "with identical vectors"
        if migration.deviation == 0
        else f"with vectors equal to within {migration.deviation:.1g}"
    )
    if not migration.differences:
        say(
            f"Collection '{one_line(name)}' has all {count_of(migration.passages, 'passage')}, {exact} "
            f"({migration.fingerprint})"
        )


@contextmanager
def _progress() -> "Iterator[Callable[[MigrationProgress], None] | None]":
    """Show the files copied, then the files compared, and the passages with their rate."""
    with progress_bar("opening both stores") as advance:

        def tell(progress: "MigrationProgress") -> None:
            done = progress.documents_done + (progress.documents if progress.step == "verify" else 0)
            what = "copied" if progress.step == "copy" else "compared"
            counts = f"{what}: {progress.documents_done:,}/{progress.documents:,} files"
            state = ProgressState(
                done, 2 * progress.documents, f"{counts}, {count_of(progress.passages_done, 'passage')}"
            )
            if advance is not None:
                advance(state, progress.passages_done)

        yield None if advance is None else tell
