"""Reading PDFs and Word documents: one version of sift-rag against another, by time and processor time.

    git worktree add BEFORE COMMIT
    OMP_NUM_THREADS=1 python -m benchmarks.speed.reading_files BEFORE [AFTER] [--rounds 3] [--only pdf,docx]

Each checkout converts and splits the same folder in turn: ``sift-rag ingest --dry-run``, which embeds nothing, or with
``--embed`` the whole ingest. The text is that of Python's language reference; pages are full, with headings, lists and
tables. Ratios are AFTER over BEFORE, pair by pair, of the time and of the processor time of all processes.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from pydoc_data.topics import topics
from statistics import median
from time import perf_counter
from typing import NamedTuple

from benchmarks.speed.two_checkouts import COMMAND, environment
from tests.corpus.archives_in_code import docx
from tests.corpus.pdf_pages import At, Drawn, pdf

LINES = 54
"""Lines of a page."""
WIDTH = 88
"""Characters of a line."""


class Taken(NamedTuple):
    """Time and processor time of one ingest, in seconds."""

    time: float
    processor: float


def words() -> Iterator[str]:
    """Yield the words of the language reference, again and again."""
    return cycle(" ".join(topics[name] for name in sorted(topics)).replace("*", "").split())


def page(source: Iterator[str], number: int) -> list[Drawn]:
    """Return a full page: a heading, paragraphs, and a table of four columns."""
    drawn: list[Drawn] = [At(72, 740, f"{number}.1 Section {number}", 12, "Helvetica-Bold")]
    for row in range(1, LINES):
        y = 740 - 12.5 * row
        if row > LINES - 10:
            drawn += [At(72 + 120 * column, y, next(source)[:18], 10) for column in range(4)]
        else:
            text = ""
            while len(text) < WIDTH:
                text += f"{next(source)} "
            drawn.append(At(72, y, text[:WIDTH].encode("cp1252", "ignore").decode("cp1252"), 10))
    return drawn


def document(source: Iterator[str], paragraphs: int) -> bytes:
    """Return a Word document: headings, paragraphs of eighty words, and a table for every ten of them."""
    run = '<w:p>{}<w:r><w:t xml:space="preserve">{}</w:t></w:r></w:p>'
    heading = '<w:pPr><w:pStyle w:val="Heading1"/></w:pPr>'
    body = []
    for number in range(paragraphs):
        if number % 10 == 0:
            body.append(run.format(heading, f"Section {number}"))
            cells = "".join(f"<w:tc>{run.format('', plain(next(source)))}</w:tc>" for _ in range(4))
            body.append(f"<w:tbl>{f'<w:tr>{cells}</w:tr>' * 8}</w:tbl>")
        body.append(run.format("", plain(" ".join(islice(source, 80)))))
    return docx("".join(body))


def plain(text: str) -> str:
    """Return a text that is fit for XML."""
    return "".join(character for character in text if character.isprintable() and character not in "<>&")


def write(folder: Path, kind: str, files: int) -> None:
    """Write the files of a kind."""
    source = words()
    for number in range(files):
        pages = [page(source, number) for number in range(1, 16)] if kind == "pdf" else []
        data = pdf(pages) if pages else document(source, 150)
        (folder / f"{number:03}.{kind}").write_bytes(data)


def ingest(repo: Path, folder: Path, store: Path, *options: str) -> Taken:
    """Let a checkout ingest a folder; return what that took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = perf_counter()
    subprocess.run(
        [sys.executable, "-P", "-c", COMMAND, "ingest", str(folder), "--store", str(store), *options],
        env=environment(repo),
        check=True,
        capture_output=True,
    )
    time = perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Taken(time, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="the checkout to compare with")
    parser.add_argument("after", type=Path, nargs="?", default=Path(__file__).resolve().parents[2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--files", type=int, default=20, help="of each kind")
    parser.add_argument("--embed", action="store_true", help="embed and store the passages, too")
    parser.add_argument("--only", default="pdf,docx", help="kinds of files, separated by commas")
    options = parser.parse_args()
    before, after = options.before.resolve(), options.after.resolve()
    print("| files | after | before | ratio of time | after, processor | before, processor | ratio |")
    print("|---|---|---|---|---|---|---|")
    for kind in options.only.split(","):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / kind
            folder.mkdir()
            write(folder, kind, options.files)
            turns = [
                ingest(
                    repo, folder, Path(scratch) / f"store-{number}-{side}", *([] if options.embed else ["--dry-run"])
                )
                for number in range(options.rounds)
                for side, repo in (("after", after), ("before", before))
            ]
        pairs = list(zip(turns[::2], turns[1::2], strict=True))
        ours, theirs = ([pair[side] for pair in pairs] for side in (0, 1))
        times = [one.time / other.time for one, other in pairs]
        processor = [one.processor / other.processor for one, other in pairs]
        cells = [f"{options.files} {kind}"]
        for ratios, field in ((times, 0), (processor, 1)):
            cells += [f"{median(turn[field] for turn in side):.1f} s" for side in (ours, theirs)]
            cells.append(f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
