"""The examples run, offline, and say what they promise."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "framework"),
    [
        ("langchain_chain", "langchain_classic"),
        ("llama_index_engine", "llama_index.core"),
        ("haystack_pipeline", "haystack"),
    ],
)
def test_an_example_runs_and_its_passages_differ(
    name: str,
    framework: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip(framework, reason=f"{framework} is not installed: pip install 'sift-rag[dev]'")
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    prompt, asked, _ = capsys.readouterr().out.partition("What must I know")
    assert asked
    assert "/hotels.md" in prompt
    assert sum(f"/{name}.md" in prompt for name in ("booking", "booking-2024")) == 1
    assert "canteen" not in prompt
    assert list(tmp_path.iterdir()) == []
