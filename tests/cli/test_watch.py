"""``sift-rag ingest --watch``: what it refuses, what it prints, and how its process ends."""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import sleep

import pytest

from sift_rag import IngestReport, Outcome, Problem, open_store
from sift_rag.errors import Remedy
from sift_rag.stores.registry import open_database
from sift_rag_cli.watching import say_reports
from tests.cli.conftest import Run
from tests.cli.test_process import COMMAND, INTERRUPTIBLE, environment

LIBRARY = "Taxis are paid with a reason."


def report(*outcomes: Outcome, problems: tuple[Problem, ...] = (), notices: tuple[Problem, ...] = ()) -> IngestReport:
    new = sum(outcome.kind == "new" for outcome in outcomes)
    return IngestReport(
        "documents", new, len(outcomes) - new, 0, 0, 0, len(problems), 3, 2, 9, problems, 0.42, notices, 0, outcomes
    )


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("docs", "--dry-run"), "--dry-run"),
        (("docs", "--reindex"), "--reindex"),
        (("docs", "--shard", "1/2"), "--shard"),
        (("-",), "a list of files on stdin"),
        (("docs", "--dry-run", "--reindex"), "--dry-run and --reindex"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(run: Run, arguments: tuple[str, ...], named: str) -> None:
    result = run("ingest", *arguments, "--watch")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"Error: --watch does not go together with {named}.\n"


def test_a_folder_that_does_not_exist_is_refused(run: Run) -> None:
    result = run("ingest", "nowhere", "--watch")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == ["Error: There is no file or folder 'nowhere' to watch."]


def test_each_change_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    changes = report(
        Outcome("notes/a.md", "updated", 3),
        Outcome("notes/b\x1b.md", "new", 1),
        Outcome("notes/c.md", "moved", 1, "notes/d.md"),
        Outcome("notes/e.md", "removed", 2),
        problems=(Problem("notes/f.pdf", "is broken"),),
        notices=(Problem("notes/a.md", "read as cp1252, by a guess"),),
    )
    say_reports(report(), iter([changes]), ocr="auto", json=False)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[2:] == [
        "Watching for changes. Ctrl-C ends.",
        "notes/a.md: updated, 3 passages",
        "notes/b\\x1b.md: new, 1 passage",
        "notes/c.md: moved from notes/d.md, 1 passage",
        "notes/e.md: removed (0.4 s)",
        "notes/f.pdf: is broken",
        "notes/a.md: read as cp1252, by a guess",
    ]


def test_many_changes_are_summed_up(capsys: pytest.CaptureFixture[str]) -> None:
    changes = report(*(Outcome(f"notes/{number}.md", "new", 1) for number in range(1_234)))
    say_reports(report(), iter([changes]), ocr="auto", json=False)
    assert capsys.readouterr().err.splitlines()[3:] == [
        "3 passages added, 2 deleted, 9 in collection 'documents' (0.4 s)",
        "1,234 new, 0 updated, 0 unchanged, 0 removed, 0 skipped, 0 failed",
    ]


def test_a_notice_on_the_whole_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    def foreign(share: str) -> IngestReport:
        notice = Problem("", f"{share} is German.", Remedy("multilingual-embedder", embedder="many"))
        return report(Outcome("notes/a.md", "updated", 1), notices=(notice,))

    say_reports(report(), iter([foreign("20%"), foreign("30%")]), ocr="auto", json=False)
    lines = [line for line in capsys.readouterr().err.splitlines() if "German" in line]
    assert lines == ["20% is German. To use an embedder for many languages: --embedder many --reindex."]


def test_as_json_each_report_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    changes = report(Outcome("notes/c.md", "moved", 1, "notes/d.md"))
    say_reports(report(), iter([changes]), ocr="auto", json=True)
    captured = capsys.readouterr()
    first, second = map(json.loads, captured.out.splitlines())
    assert captured.err == ""
    assert "changes" not in first
    assert second["changes"] == [{"source": "notes/c.md", "change": "moved", "passages": 1, "moved_from": "notes/d.md"}]


@contextmanager
def watching(notes: Path, command: tuple[str, ...] = INTERRUPTIBLE) -> Iterator["subprocess.Popen[str]"]:
    """A process that watches the folder, and has said so."""
    process = subprocess.Popen(
        [*command, "ingest", str(notes), "--watch", "--prune"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        read_until(process, "Watching for changes. Ctrl-C ends.")
        yield process
    finally:
        process.kill()
        process.communicate()


def read_until(process: "subprocess.Popen[str]", beginning: str) -> str:
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(beginning):
            return line.strip()
    raise AssertionError(f"the process ended without {beginning!r}")


@pytest.fixture
def notes(elsewhere: Path) -> Path:
    folder = elsewhere / "notes"
    folder.mkdir()
    (folder / "taxi.md").write_text(LIBRARY)
    return folder


@pytest.mark.slow
def test_a_process_follows_changes_and_lets_others_search(notes: Path, run: Run) -> None:
    with watching(notes) as process:
        (notes / "bus.md").write_text("Buses are free.")
        read_until(process, "notes/bus.md: new, 1 passage (")
        (notes / "bus.md").write_text("Buses cost two euros.")
        read_until(process, "notes/bus.md: updated, 1 passage (")
        (notes / "bus.md").rename(notes / "coach.md")
        read_until(process, "notes/coach.md: moved from notes/bus.md, 1 passage (")
        assert "two euros" in run("search", "bus").stdout
        (notes / "taxi.md").unlink()
        read_until(process, "notes/taxi.md: removed (")
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate()
    assert (process.returncode, stderr) == (130, "What has been ingested is kept.\nInterrupted.\n")


@pytest.mark.slow
def test_a_request_to_end_is_heeded(notes: Path) -> None:
    with watching(notes, COMMAND) as process:
        process.terminate()
        _, stderr = process.communicate()
    assert (process.returncode, stderr) == (143, "What has been ingested is kept.\n")


@pytest.mark.slow
def test_what_a_killed_watch_has_left_half_done_is_completed(notes: Path, run: Run) -> None:
    with watching(notes) as process:
        for number in range(40):
            (notes / f"{number}.md").write_text("\n\n".join(f"# {part}\n\nBus {number} {part}." for part in range(60)))
        with closing(open_database(None).documents("documents")) as records:
            while not records.totals().pending:
                sleep(0.05)
        process.kill()
        process.wait()
    result = run("ingest", str(notes), "--prune")
    assert result.exit_code == 0, result.stderr
    with closing(open_store()) as opened:
        documents = list(opened.documents())
        assert {document.state for document in documents} == {"ingested"}
        assert len(documents) == 41
        assert opened.count() == sum(document.passages for document in documents)
    assert run("doctor").exit_code == 0
