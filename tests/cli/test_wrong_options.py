"""Options with values of a wrong kind are refused in our words, whatever library validates them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from typer.testing import Result

Run = Callable[..., Result]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-k", "x"], "Invalid value for '-k' (env var: 'SIFT_RAG_K'): it must be a whole number"),
        (["-k", "0"], "it must be at least 1"),
        (["--token-budget", "1.5"], "it must be a whole number"),
        (["--context", "-1"], "it must be at least 0"),
        (["--wait", "soon"], "it must be a number"),
        (["--set", "noise_variance=x"], "--set noise_variance must be a number, but is 'x'"),
        (["--set", "stop_explained=2"], "stop_explained must be in (0, 1], but got 2.0"),
        (["--set", "stop_variance=-1"], "stop_variance must be >= 0, but got -1.0"),
    ],
)
def test_a_wrong_value_is_told_in_our_words(run: Run, arguments: list[str], told: str) -> None:
    result = run("search", "Who pays?", *arguments)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())
    assert "Input should" not in result.stderr


def test_a_wrong_value_in_the_environment_is_told_in_our_words(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIFT_RAG_K", "many")
    result = run("search", "Who pays?")
    assert (result.exit_code, "it must be a whole number" in result.stderr) == (2, True)
