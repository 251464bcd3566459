"""``sift-rag ingest``."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, TypedDict

import typer

from sift_rag import defaults
from sift_rag_cli import options
from sift_rag_cli.api_keys import store_key
from sift_rag_cli.clusters import cluster_of
from sift_rag_cli.configuration import settings_for
from sift_rag_cli.embedding import embedder_of
from sift_rag_cli.ingest_reports import report_json, say_report
from sift_rag_cli.inputs import read_paths, read_shard
from sift_rag_cli.optimizing import optimize_if_due
from sift_rag_cli.output import count_of, say, write_json
from sift_rag_cli.progress import ProgressState, progress_bar
from sift_rag_cli.searching import runtime_of
from sift_rag_cli.settings import server_options
from sift_rag_cli.waiting import patience
from sift_rag_cli.watching import ended_by_signal, refuse_watch, say_reports

if TYPE_CHECKING:
    from sift_rag.corpus.options import IngestOptions
    from sift_rag.corpus.report import Progress as IngestProgress
    from sift_rag.embedders.endpoint import EmbedderEndpoint
    from sift_rag.stores.qdrant.options import ServerOptions
    from sift_rag.stores.waiting import Wait

FILES = "Files"
READING = "Reading"
UPDATE = "Update"


class _Target(TypedDict):
    """Arguments of every way to ingest, besides the paths."""

    store: str | None
    collection: str
    embedder: "str | EmbedderEndpoint | None"
    options: "IngestOptions"
    api_key: str | None
    server: "ServerOptions | None"
    wait: "Wait"
    runtime: str


def ingest(
    context: typer.Context,
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Files and folders; - reads a list of them from stdin.")
    ],
    include: Annotated[
        list[str] | None,
        typer.Option(
            "--include",
            metavar="GLOB",
            envvar="SIFT_RAG_INCLUDE",
            rich_help_panel=FILES,
            help="Ingest only files that match. Repeatable.",
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            "--exclude",
            metavar="GLOB",
            envvar="SIFT_RAG_EXCLUDE",
            rich_help_panel=FILES,
            help="Leave out files that match. Repeatable.",
        ),
    ] = None,
    max_megabytes: Annotated[
        int,
        typer.Option(
            "--max-megabytes",
            metavar="N",
            min=1,
            envvar="SIFT_RAG_MAX_MEGABYTES",
            rich_help_panel=FILES,
            help="Skip files larger than this.",
        ),
    ] = defaults.MAX_BYTES // 2**20,
    follow_links: Annotated[
        bool,
        typer.Option(
            "--follow-links",
            envvar="SIFT_RAG_FOLLOW_LINKS",
            rich_help_panel=FILES,
            help="Follow links that lead out of a folder.",
        ),
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard",
            metavar="I/N",
            envvar="SIFT_RAG_SHARD",
            rich_help_panel=FILES,
            help="Ingest only the I-th of N parts of the files, so that several processes can fill one server.",
        ),
    ] = None,
    text_field: Annotated[
        str | None,
        typer.Option(
            "--text-field",
            metavar="NAME",
            envvar="SIFT_RAG_TEXT_FIELD",
            rich_help_panel=READING,
            help="The JSON lines field or CSV column that holds the text. Default: recognised by its name.",
        ),
    ] = None,
    header: Annotated[
        bool | None,
        typer.Option(
            "--header/--no-header",
            envvar="SIFT_RAG_HEADER",
            rich_help_panel=READING,
            help="The first row of CSV names the columns, or does not. Default: recognised by its cells.",
        ),
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option(
            "--encoding",
            metavar="NAME",
            envvar="SIFT_RAG_ENCODING",
            rich_help_panel=READING,
            help="Encoding of text files, such as cp1252. Default: UTF-8, or recognised where that does not fit.",
        ),
    ] = None,
    ocr: Annotated[
        str,
        typer.Option(
            "--ocr",
            metavar="auto|off",
            envvar="SIFT_RAG_OCR",
            callback=options.one_of("ocr"),
            rich_help_panel=READING,
            help="Read scanned pages by optical character recognition, if it is installed.",
        ),
    ] = defaults.OCR,
    file_timeout: Annotated[
        float,
        typer.Option(
            "--file-timeout",
            metavar="SECONDS",
            min=0.1,
            envvar="SIFT_RAG_FILE_TIMEOUT",
            rich_help_panel=READING,
            help="Give up on a file whose conversion takes longer; each page read by OCR adds half of it.",
        ),
    ] = defaults.FILE_TIMEOUT,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            metavar="N",
            min=1,
            envvar="SIFT_RAG_INGEST_WORKERS",
            rich_help_panel=READING,
            help="Number of processes that read and split files ahead of the embedder. Default: one for each "
            "processor, up to 4.",
        ),
    ] = None,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune",
            rich_help_panel=UPDATE,
            help="Remove files from the collection that are no longer in these folders.",
        ),
    ] = False,
    reindex: Annotated[
        bool,
        typer.Option(
            "--reindex",
            rich_help_panel=UPDATE,
            help="Embed everything again. The old vectors stay in use until the new ones are complete.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", rich_help_panel=UPDATE, help="Report what would happen, but write nothing.")
    ] = False,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            rich_help_panel=UPDATE,
            help="Keep running, and ingest files as they change. With --prune, remove those that are deleted.",
        ),
    ] = False,
    store: options.Store = None,
    collection: options.Collection = defaults.COLLECTION,
    wait: options.Wait = None,
    embedder: options.Embedder = None,
    embedder_url: options.EmbedderUrl = None,
    ray: options.Ray = None,
    assignments: options.Set = None,
    json: options.Json = False,
) -> None:
    """Bring a collection up to date with files and folders.

    Unchanged files are left alone. If ingestion is interrupted, run the same command again: it continues where it
    stopped.

    Examples:
        sift-rag ingest handbook/ notes.pdf
        sift-rag ingest src/ -c code --include '*.py' --prune
        git ls-files | sift-rag ingest -
        sift-rag ingest notes/ --watch --prune
        sift-rag ingest docs/ -s http://localhost:6333 --set on_disk=true
        sift-rag ingest /shared/docs -s http://qdrant:6333 --ray auto
    """
    from sift_rag.corpus.options import IngestOptions
    from sift_rag.ingestion import ingest_paths, watch_paths
    from sift_rag.ingestion import reindex as reindex_paths

    if watch:
        refuse_watch(paths, dry_run=dry_run, reindex=reindex, shard=shard is not None, ray=ray is not None)
    part = None if shard is None else read_shard(shard)
    values = settings_for(context, assignments)
    wanted = IngestOptions(
        include=include or (),
        exclude=exclude or (),
        max_bytes=max_megabytes * 2**20,
        text_field=text_field,
        header=header,
        encoding=encoding,
        ocr="off" if ocr == "off" else "auto",
        file_timeout=file_timeout,
        workers=workers,
        follow_links=follow_links,
        prune=prune,
        dry_run=dry_run,
        shard=part,
        cluster=cluster_of(ray, values),
    )
    target: _Target = {
        "store": store,
        "collection": collection,
        "embedder": embedder_of(context, values, embedder, embedder_url),
        "options": wanted,
        "api_key": store_key(context, store),
        "wait": patience(wait),
        "server": server_options(values),
        "runtime": runtime_of(values),
    }
    if watch:
        with ended_by_signal():
            with _progress() as progress:
                reports = watch_paths(read_paths(paths), **target, progress=progress)
                first = next(reports)
            say_reports(first, reports, ocr=ocr, json=json)
        return
    try:
        with _progress("loading the embedder" if ray is None else "starting the workers") as progress:
            work = reindex_paths if reindex else ingest_paths
            report = work(read_paths(paths), **target, progress=progress)
    except KeyboardInterrupt:
        say("What has been ingested is kept; run the same command again to continue.")
        raise
    if json:
        write_json(report_json(report))
    else:
        say_report(report, dry_run=dry_run, ocr=ocr)
    if report.passages_added and not dry_run:
        optimize_if_due(store, collection, target["wait"])
    went_in = report.new or report.updated or report.unchanged or report.removed
    if not went_in and (part is None or report.problems):  # a shard of few files may be empty
        raise typer.Exit(1)


@contextmanager
def _progress(loading: str = "loading the embedder") -> "Iterator[Callable[[IngestProgress], None] | None]":
    """Show the share of the bytes, the files, and the passages with their rate; before them, the words ``loading``."""
    with progress_bar(loading) as advance:

        def tell(progress: "IngestProgress") -> None:
            if advance is not None:
                advance(_state_of(progress, loading), progress.passages_done)

        yield None if advance is None else tell


def _state_of(progress: "IngestProgress", loading: str) -> ProgressState:
    files = f"{progress.files_done:,}/{progress.files_found:,} files"
    match progress.phase:
        case "counting":
            return ProgressState(0, 0, f"counting files: {progress.files_found:,}", is_preparing=True)
        case "loading":
            counts = f"{files}, {loading}"
            return ProgressState(progress.bytes_done, progress.bytes_found, counts, is_preparing=True)
        case "ingesting":
            counts = f"{files}, {count_of(progress.passages_done, 'passage')}"
            return ProgressState(progress.bytes_done, progress.bytes_found, counts)
