"""``sift-rag migrate``."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from sift_rag_cli import options
from sift_rag_cli.output import count_of, one_line, say, write, write_json
from sift_rag_cli.progress import ProgressState, progress_bar
from sift_rag_cli.stores import qdrant_api_key, server_options_of

if TYPE_CHECKING:
    from sift_rag.stores.migration import Migration, MigrationProgress


def migrate(
    origin: Annotated[str, typer.Argument(metavar="FROM", help="The store that has the collection: folder or URL.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="The store that it goes to: folder or URL.")],
    collection: options.Collection = options.DEFAULT_COLLECTION,
    to_collection: Annotated[
        str | None, typer.Option("--to-collection", metavar="NAME", help="Its name there. Default: the same.")
    ] = None,
    shard_number: options.ShardNumber = None,
    replication_factor: options.ReplicationFactor = None,
    write_consistency_factor: options.WriteConsistencyFactor = None,
    on_disk: options.OnDisk = False,
    float16: options.Float16 = False,
    quantize: options.Quantize = False,
    json: options.Json = False,
) -> None:
    """Carry a collection over to another store, and compare them.

    FROM is only read. Stopped at any moment and run again, it goes on from there. Exit code 1 if something differs in
    the end, and a line for each finding.
    """
    from sift_rag.stores.migration import migrate_collection

    server = server_options_of(
        shard_number, replication_factor, write_consistency_factor, on_disk=on_disk, float16=float16, quantize=quantize
    )
    try:
        with _progress() as progress:
            migration = migrate_collection(
                origin,
                target,
                collection,
                target_collection=to_collection,
                api_key=qdrant_api_key(),
                server=server,
                progress=progress,
            )
    except KeyboardInterrupt:
        say("What has arrived stays; the same command goes on from there.")
        raise
    if json:
        write_json({"collection": to_collection or collection, **asdict(migration)})
    else:
        _say(migration, to_collection or collection)
    if migration.differences:
        raise typer.Exit(1)


def _say(migration: "Migration", name: str) -> None:
    for difference in migration.differences:
        write(one_line(difference))
    say(
        f"{count_of(migration.carried, 'file')} carried over, {migration.skipped:,} there before"
        + (f", {migration.repaired:,} mended" if migration.repaired else "")
        + (f", {migration.besides:,} besides" if migration.besides else "")
    )
    exact = (
        "every bit of their vectors the same"
        if migration.deviation == 0
        else f"their vectors equal to within {migration.deviation:.1g}"
    )
    if not migration.differences:
        say(
            f"Collection '{one_line(name)}' has all {count_of(migration.passages, 'passage')}, {exact} "
            f"({migration.fingerprint})"
        )


@contextmanager
def _progress() -> "Iterator[Callable[[MigrationProgress], None] | None]":
    """First the files that are carried over, then those that are compared; passages and their rate."""
    with progress_bar("opening both stores") as advance:

        def tell(progress: "MigrationProgress") -> None:
            done = progress.documents_done + (progress.documents if progress.step == "verify" else 0)
            what = "carried over" if progress.step == "copy" else "compared"
            counts = f"{what}: {progress.documents_done:,}/{progress.documents:,} files"
            stand = ProgressState(
                done, 2 * progress.documents, f"{counts}, {count_of(progress.passages_done, 'passage')}"
            )
            if advance is not None:
                advance(stand, progress.passages_done)

        yield None if advance is None else tell
