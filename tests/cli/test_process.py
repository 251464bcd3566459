"""The command as its own process: signals, pipes, terminals."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread, Timer

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
@pytest.mark.parametrize("command", [("search", "-"), ("chat", "--base-url", "http://127.0.0.1:9/v1", "-m", "none")])
def test_a_question_on_stdin_that_is_not_utf8_is_told_so(elsewhere: Path, store: Path, command: Sequence[str]) -> None:
    result = subprocess.run(
        [*COMMAND, *command, "--store", str(store)],
        input=b"caf\xe9?\n",
        capture_output=True,
        env=environment(PYTHONIOENCODING="utf-8:strict"),
        check=False,
    )
    assert (result.returncode, result.stderr.decode()) == (2, "Error: The question is not valid UTF-8.\n")


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


@contextmanager
def mcp_server(stdin: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``sift-rag mcp`` on some stdin until the block ends."""
    command = [*INTERRUPTIBLE, "mcp", "--store", str(folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=stdin, stdout=pipe, stderr=pipe, env=environment(), bufsize=0) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("at_a_terminal", [True, False])
def test_ctrl_c_ends_an_mcp_server_the_first_time(elsewhere: Path, at_a_terminal: bool) -> None:
    ours, theirs = pty.openpty() if at_a_terminal else os.pipe()[::-1]
    try:
        with mcp_server(theirs, elsewhere) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            os.write(ours, b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
            assert json.loads(process.stdout.readline()) == {"jsonrpc": "2.0", "id": 1, "result": {}}
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
            told = process.stderr.read().decode().splitlines()
        assert [("sift-rag mcp install claude" in line, "Ctrl-C" in line) for line in told] == [
            (True, True) for _ in range(at_a_terminal)
        ]
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.slow
def test_an_mcp_server_answers_every_line_but_notifications(elsewhere: Path) -> None:
    """A client would wait for ever for an answer that does not come."""
    lines = {
        "{": (None, -32700),
        "garbage \xff": (None, -32700),
        "[]": (None, -32600),
        '{"jsonrpc": "2.0"}': (None, -32600),
        '{"jsonrpc": "2.0", "id": 44, "method": 12}': (44, -32600),
        '{"jsonrpc": "2.0", "id": 45, "method": "tools/call", "params": "x"}': (45, -32602),
        '{"jsonrpc": "2.0", "id": "a", "method": "tools/write"}': ("a", -32601),
    }
    silent = ["", '{"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 9}}']
    ping = '{"jsonrpc": "2.0", "id": 46, "method": "ping"}'
    sent = "\n".join([*lines, *silent, ping, ""]).encode("latin-1")
    command = [*COMMAND, "mcp", "--store", str(elsewhere)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment(), **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        patience = Timer(120, process.kill)  # a reply that never comes would be waited for
        patience.start()
        process.stdin.write(sent)
        process.stdin.flush()
        replies = [json.loads(process.stdout.readline()) for _ in (*lines, ping)]
        patience.cancel()
        rest, told = process.communicate(timeout=60)  # the end of its input ends it, and any request that is under way
    refused = [(reply["id"], reply["error"]["code"]) for reply in replies if "error" in reply]
    assert sorted(refused, key=str) == sorted(lines.values(), key=str)
    assert {"jsonrpc": "2.0", "id": 46, "result": {}} in replies
    assert (rest, told, process.returncode) == (b"", b"", 0)
