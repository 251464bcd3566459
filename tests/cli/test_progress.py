import io

import pytest
from rich.console import Console

from sift_rag_cli import progress
from sift_rag_cli.progress import ProgressState, progress_bar


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
