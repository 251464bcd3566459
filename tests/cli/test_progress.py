import io
from time import sleep

import pytest
from rich.console import Console

from sift_rag_cli import progress
from sift_rag_cli.progress import ProgressState, loading, progress_bar


def test_the_rate_leaves_out_the_time_before_the_first_count(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    shown = Console(file=io.StringIO(), force_terminal=True, width=100, get_time=lambda: now)
    monkeypatch.setattr(progress, "is_terminal", lambda _: True)
    monkeypatch.setattr(progress, "console", lambda **_: shown)
    with progress_bar("loading the embedder") as advance:
        assert advance is not None
        now = 30.0  # the embedder is loaded
        advance(ProgressState(0, 100, "0/2 files"), 0)
        now = 32.0
        advance(ProgressState(50, 100, "1/2 files"), 20)
    assert isinstance(shown.file, io.StringIO)
    assert "1/2 files 10/s" in shown.file.getvalue()


def test_the_time_left_does_not_jump_when_less_is_left_than_was_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    shown = Console(file=io.StringIO(), force_terminal=True, width=100, get_time=lambda: now)
    monkeypatch.setattr(progress, "is_terminal", lambda _: True)
    monkeypatch.setattr(progress, "console", lambda **_: shown)
    with progress_bar("loading the embedder") as advance:
        assert advance is not None
        advance(ProgressState(0, 0, "counting files: 250", is_preparing=True), 0)
        now = 60.0
        advance(ProgressState(0, 1_000, "0/9 files"), 0)
        now = 70.0
        advance(ProgressState(100, 1_000, "1/9 files"), 20)  # 10 bytes a second
        now = 80.0
        advance(ProgressState(200, 400, "8/9 files"), 40)  # and 600 were those of unchanged files
    assert isinstance(shown.file, io.StringIO)
    text = shown.file.getvalue()
    assert "8/9 files 2/s" in text
    assert "0:00:20 left" in text


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a terminal on stderr shows of a line that is not waited for."""
    terminal = Console(file=io.StringIO(), force_terminal=True, width=80)
    monkeypatch.setattr(progress, "is_terminal", lambda _: True)
    monkeypatch.setattr(progress, "console", lambda **_: terminal)
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.0)
    assert isinstance(terminal.file, io.StringIO)
    return terminal.file


def wait_for(text: str, file: io.StringIO) -> None:
    while text not in file.getvalue():
        sleep(0.01)


def test_what_is_loaded_is_shown_and_then_gone(shown: io.StringIO) -> None:
    with loading("model", None, "collection"):
        wait_for("loading model and collection ...", shown)
    assert shown.getvalue().endswith("\x1b[1A\x1b[2K") or shown.getvalue().endswith("\x1b[2K")
    assert "\x1b[?25h" in shown.getvalue(), "the cursor is back"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_line_does_not_survive_what_ends_the_loading(shown: io.StringIO, error: type[BaseException]) -> None:
    def fail() -> None:
        with loading("model"):
            wait_for("loading model", shown)
            raise error

    with pytest.raises(error):
        fail()
    left = shown.getvalue()
    sleep(0.3)
    assert shown.getvalue() == left
    assert "\x1b[?25h" in left


def test_nothing_is_shown_of_what_takes_a_moment(shown: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "QUIET_SECONDS", 60.0)
    with loading("model"):
        pass
    assert shown.getvalue() == ""


def test_nothing_is_shown_in_a_pipe(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.0)
    with loading("model"):
        sleep(0.05)
    assert capsys.readouterr() == ("", "")
