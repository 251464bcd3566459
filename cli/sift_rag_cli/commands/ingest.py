"""``sift-rag ingest``."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from sift_rag import defaults
from sift_rag_cli import options
from sift_rag_cli.api_keys import store_key
from sift_rag_cli.configuration import settings_for
from sift_rag_cli.inputs import read_paths, read_shard
from sift_rag_cli.output import count_of, one_line, say, write_json
from sift_rag_cli.progress import ProgressState, progress_bar
from sift_rag_cli.settings import server_options

if TYPE_CHECKING:
    from sift_rag.corpus.report import IngestReport
    from sift_rag.corpus.report import Progress as IngestProgress

FILES = "Files"
UPDATE = "Update"
PROBLEMS_SHOWN = 20


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
    text_field: Annotated[
        str | None,
        typer.Option(
            "--text-field",
            metavar="NAME",
            envvar="SIFT_RAG_TEXT_FIELD",
            rich_help_panel=FILES,
            help="The JSON lines field or CSV column that holds the text. Default: recognised by its name.",
        ),
    ] = None,
    header: Annotated[
        bool | None,
        typer.Option(
            "--header/--no-header",
            envvar="SIFT_RAG_HEADER",
            rich_help_panel=FILES,
            help="The first row of CSV names the columns, or does not. Default: recognised by its cells.",
        ),
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option(
            "--encoding",
            metavar="NAME",
            envvar="SIFT_RAG_ENCODING",
            rich_help_panel=FILES,
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
            rich_help_panel=FILES,
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
            rich_help_panel=FILES,
            help="Give up on a file whose conversion takes longer.",
        ),
    ] = defaults.FILE_TIMEOUT,
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
    store: options.Store = None,
    collection: options.Collection = defaults.COLLECTION,
    embedder: options.Embedder = None,
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
        sift-rag ingest docs/ -s http://localhost:6333 --set on_disk=true
    """
    from sift_rag.corpus.options import IngestOptions
    from sift_rag.ingestion import ingest_paths
    from sift_rag.ingestion import reindex as reindex_paths

    part = None if shard is None else read_shard(shard)
    server = server_options(settings_for(context, assignments))
    try:
        with _progress() as progress:
            work = reindex_paths if reindex else ingest_paths
            report = work(
                read_paths(paths),
                store=store,
                collection=collection,
                embedder=embedder,
                options=IngestOptions(
                    include=include or (),
                    exclude=exclude or (),
                    max_bytes=max_megabytes * 2**20,
                    text_field=text_field,
                    header=header,
                    encoding=encoding,
                    ocr="off" if ocr == "off" else "auto",
                    file_timeout=file_timeout,
                    follow_links=follow_links,
                    prune=prune,
                    dry_run=dry_run,
                    shard=part,
                ),
                api_key=store_key(context, store),
                server=server,
                progress=progress,
            )
    except KeyboardInterrupt:
        say("What has been ingested is kept; run the same command again to continue.")
        raise
    if json:
        write_json(_report_json(report))
    else:
        _say_report(report, dry_run=dry_run, ocr=ocr)
    went_in = report.new or report.updated or report.unchanged or report.removed
    if not went_in and (part is None or report.problems):  # a shard of few files may be empty
        raise typer.Exit(1)


def _say_report(report: "IngestReport", *, dry_run: bool, ocr: str) -> None:
    of_files = [notice for notice in report.notices if notice.source]
    told = [*report.problems, *of_files]
    for problem in told[:PROBLEMS_SHOWN]:
        say(f"{one_line(problem.source)}: {one_line(problem.reason)}")
    if len(told) > PROBLEMS_SHOWN:
        say(f"... and {len(told) - PROBLEMS_SHOWN} more; --json lists all")
    for notice in report.notices:
        if not notice.source:
            say(one_line(notice.reason))
    if report.pages_without_text:
        say(f"{count_of(report.pages_without_text, 'page')} without text, probably scans{_ocr_remedy(ocr)}")
    say(
        f"{count_of(report.passages_added, 'passage')} added, {report.passages_deleted:,} deleted, "
        f"{report.passages_total:,} in collection '{one_line(report.collection)}' ({report.seconds:.1f} s)"
    )
    say(
        ("Would be: " if dry_run else "")
        + f"{report.new:,} new, {report.updated:,} updated, {report.unchanged:,} unchanged, "
        f"{report.removed:,} removed, {report.skipped:,} skipped, {report.failed:,} failed"
    )


def _ocr_remedy(ocr: str) -> str:
    """Return what to do about scans."""
    if find_spec("rapidocr") is None:
        return ": pip install 'sift-rag[ocr]' and ingest again to read them"
    return ": --ocr auto reads them" if ocr == "off" else ""


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
        "notices": [{"source": notice.source, "notice": notice.reason} for notice in report.notices],
        "pages_without_text": report.pages_without_text,
        "seconds": round(report.seconds, 3),
    }


@contextmanager
def _progress() -> "Iterator[Callable[[IngestProgress], None] | None]":
    """Show the share of the bytes, the files, and the passages with their rate."""
    with progress_bar("loading the embedder") as advance:

        def tell(progress: "IngestProgress") -> None:
            files = f"{progress.files_done:,}/{progress.files_found:,} files"
            counts = f"{files}, {count_of(progress.passages_done, 'passage')}"
            if advance is not None:
                advance(ProgressState(progress.bytes_done, progress.bytes_found, counts), progress.passages_done)

        yield None if advance is None else tell
