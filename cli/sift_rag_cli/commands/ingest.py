"""``sift-rag ingest``."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from sift_rag_cli import options
from sift_rag_cli.inputs import read_paths, read_share
from sift_rag_cli.output import count_of, one_line, say, write_json
from sift_rag_cli.progress import ProgressState, progress_bar
from sift_rag_cli.stores import qdrant_api_key, server_options_of

if TYPE_CHECKING:
    from sift_rag.corpus.ingest import IngestReport
    from sift_rag.corpus.ingest import Progress as IngestProgress

PROBLEMS_SHOWN = 20


def ingest(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH", help="Files and folders. - reads a list of them from stdin.")
    ],
    include: Annotated[
        list[str] | None,
        typer.Option("--include", metavar="GLOB", envvar="SIFT_RAG_INCLUDE", help="Only files that match. Repeatable."),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", metavar="GLOB", envvar="SIFT_RAG_EXCLUDE", help="No files that match. Repeatable."),
    ] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Remove what is no longer in these folders.")] = False,
    reindex: Annotated[
        bool, typer.Option("--reindex", help="Embed everything anew; the old vectors serve until the new ones do.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, but write nothing.")] = False,
    max_megabytes: Annotated[
        int,
        typer.Option("--max-megabytes", metavar="N", min=1, envvar="SIFT_RAG_MAX_MEGABYTES", help="Skip larger files."),
    ] = 64,
    text_field: Annotated[
        str | None,
        typer.Option(
            "--text-field",
            metavar="NAME",
            envvar="SIFT_RAG_TEXT_FIELD",
            help="The field of JSON lines, or column of CSV, that holds the text. Default: found by its name.",
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard",
            metavar="I/N",
            envvar="SIFT_RAG_SHARD",
            help="Take the I-th of N shares of the files: for several ingests into one server.",
        ),
    ] = None,
    shard_number: options.ShardNumber = None,
    replication_factor: options.ReplicationFactor = None,
    write_consistency_factor: options.WriteConsistencyFactor = None,
    on_disk: options.OnDisk = False,
    float16: options.Float16 = False,
    quantize: options.Quantize = False,
    store: options.Store = None,
    collection: options.Collection = options.DEFAULT_COLLECTION,
    embedder: options.Embedder = None,
    json: options.Json = False,
) -> None:
    """Bring a collection up to date with files and folders.

    What has not changed is left alone. Stopped at any moment and run again, it goes on from there.
    """
    from sift_rag.ingestion import ingest_paths

    share = None if shard is None else read_share(shard)
    server = server_options_of(
        shard_number, replication_factor, write_consistency_factor, on_disk=on_disk, float16=float16, quantize=quantize
    )
    try:
        with _progress() as progress:
            report = ingest_paths(
                read_paths(paths),
                store=store,
                collection=collection,
                embedder=embedder,
                include=include or (),
                exclude=exclude or (),
                prune=prune,
                reindex=reindex,
                dry_run=dry_run,
                max_bytes=max_megabytes * 2**20,
                text_field=text_field,
                share=share,
                api_key=qdrant_api_key(),
                server=server,
                progress=progress,
            )
    except KeyboardInterrupt:
        say("What went in so far stays in; the same command goes on from there.")
        raise
    if json:
        write_json(_report_json(report))
    else:
        _say_report(report, dry_run=dry_run)
    went_in = report.new or report.updated or report.unchanged or report.removed
    if not went_in and (share is None or report.problems):  # a share of few files may be empty
        raise typer.Exit(1)


def _say_report(report: "IngestReport", *, dry_run: bool) -> None:
    for problem in report.problems[:PROBLEMS_SHOWN]:
        say(f"{one_line(problem.source)}: {one_line(problem.reason)}")
    hidden = len(report.problems) - PROBLEMS_SHOWN
    if hidden > 0:
        say(f"... and {hidden} more: --json lists all")
    say(
        f"{count_of(report.passages_added, 'passage')} added, {report.passages_deleted:,} deleted, "
        f"{report.passages_total:,} in collection '{one_line(report.collection)}' ({report.seconds:.1f} s)"
    )
    say(
        ("Would be: " if dry_run else "")
        + f"{report.new:,} new, {report.updated:,} updated, {report.unchanged:,} unchanged, "
        f"{report.removed:,} removed, {report.skipped:,} skipped, {report.failed:,} failed"
    )


def _report_json(report: "IngestReport") -> dict[str, object]:
    return {
        "collection": report.collection,
        "files": {
            "new": report.new,
            "updated": report.updated,
            "unchanged": report.unchanged,
            "removed": report.removed,
            "skipped": report.skipped,
            "failed": report.failed,
        },
        "passages": {
            "added": report.passages_added,
            "deleted": report.passages_deleted,
            "total": report.passages_total,
        },
        "problems": [{"source": problem.source, "reason": problem.reason} for problem in report.problems],
        "seconds": round(report.seconds, 3),
    }


@contextmanager
def _progress() -> "Iterator[Callable[[IngestProgress], None] | None]":
    """Shard of the bytes, files, passages and their rate."""
    with progress_bar("loading the embedder") as advance:

        def tell(progress: "IngestProgress") -> None:
            files = f"{progress.files_done:,}/{progress.files_found:,} files"
            counts = f"{files}, {count_of(progress.passages_done, 'passage')}"
            if advance is not None:
                advance(ProgressState(progress.bytes_done, progress.bytes_found, counts), progress.passages_done)

        yield None if advance is None else tell
