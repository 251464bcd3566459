"""The command as its own process: signals, pipes, terminals."""

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest

COMMAND = (sys.executable, "-c", "from sift_rag_cli.app import main; main()")
# A shell starts what it puts into the background with interrupts ignored, and children inherit that.
HEED_INTERRUPTS = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
INTERRUPTIBLE = (sys.executable, "-c", HEED_INTERRUPTS + COMMAND[-1])
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-7]|9[0-7])(?:;\d+)*m")


@contextmanager
def terminal() -> Iterator[tuple[int, Callable[[str], str]]]:
    """Yield a terminal for a process, and a function that reads its output until some text, or to the end."""
    ours, theirs = pty.openpty()

    def read_until(text: str) -> str:
        shown = b""
        while not text or text.encode() not in shown:
            try:
                shown += os.read(ours, 4096)
            except OSError:  # every process has closed its end
                break
        return shown.decode()

    try:
        yield theirs, read_until
    finally:
        os.close(ours)


def environment(**settings: str) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR", "COLUMNS"}}
    return {**plain, "TERM": "xterm-256color", "COLUMNS": "80", "HF_HUB_OFFLINE": "1", **settings}


def interrupt(process: subprocess.Popen[bytes]) -> None:
    """Interrupt as a person does: again if nothing happens. A signal just before a blocking read acts after it."""
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)


@pytest.mark.slow
def test_an_interrupted_ingest_ends_with_130_and_says_how_to_go_on(elsewhere: Path) -> None:
    with terminal() as (stderr, read_until):
        process = subprocess.Popen(
            [*INTERRUPTIBLE, "ingest", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=environment(),
        )
        os.close(stderr)
        read_until("loading the embedder")  # the bar stands, and the list of paths is waited for
        Thread(target=interrupt, args=(process,), daemon=True).start()
        shown = read_until("Interrupted.")
        stdout, _ = process.communicate()
    assert (process.returncode, stdout) == (130, b"")
    assert "run the same command again to continue" in shown
    assert "Traceback" not in shown


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_complaint(elsewhere: Path, store: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    result = subprocess.run(
        [*COMMAND, "list", "--store", str(store)], stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert (result.returncode, result.stderr) == (141, b"")


@pytest.mark.slow
def test_a_terminal_gets_a_header_and_whole_lines_within_its_width(elsewhere: Path, store: Path) -> None:
    with terminal() as (stdout, read_until):
        process = subprocess.Popen([*COMMAND, "list", "--store", str(store)], stdout=stdout, env=environment())
        os.close(stdout)
        shown = re.sub(r"\x1b\[[\d;]*m", "", read_until(""))
        assert process.wait() == 0
    header, *rows = shown.splitlines()
    assert header.split() == ["source", "state", "passages", "size", "ingested"]
    assert len(rows) == 6
    assert all(len(row) <= 80 for row in rows)
    assert "\x1b" not in shown


@pytest.mark.slow
def test_a_search_is_coloured_at_a_terminal_unless_no_color_is_set(elsewhere: Path, store: Path) -> None:
    def search(**settings: str) -> str:
        with terminal() as (stdout, read_until):
            process = subprocess.Popen(
                [*COMMAND, "search", "Who repairs a laptop?", "--explain", "--store", str(store)],
                stdout=stdout,
                stderr=subprocess.DEVNULL,
                env=environment(**settings),
            )
            os.close(stdout)
            shown = read_until("")
            assert process.wait() == 0
        return shown

    coloured, plain = search(), search(NO_COLOR="1")
    assert COLOUR.search(coloured)
    assert not COLOUR.search(plain)
    text = re.sub(r"\x1b\[[\d;]*m", "", plain)
    text = re.sub(r"\x1b]8;[^\x1b]*\x1b\\", "", text)  # links
    assert "\x1b" not in text
    assert text.startswith("1  library/laptops.md:3")
    assert re.search(r"^   match 0\.\d\d [█▏▎▍▌▋▊▉░ ]{8}  adds \d+ %\r?$", text, re.MULTILINE)
    assert "still open" in text
    assert all(len(line) <= 80 for line in text.splitlines())


@pytest.mark.slow
def test_what_a_stream_cannot_encode_is_written_out(elsewhere: Path, store: Path) -> None:
    result = subprocess.run(
        [*COMMAND, "show", "\u2603", "--store", str(store)],
        capture_output=True,
        check=False,
        env=environment(PYTHONIOENCODING="latin-1"),
    )
    assert result.returncode == 5
    assert rb"'\u2603'" in result.stderr
