"""The adapters' README: its code runs and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sift_rag import ingest_paths

README = Path(__file__).parents[2] / "plugins" / "README.md"
TEXT = README.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    (folder / "handbook").mkdir()
    for name, text in {"flights.md": "Anyone may book a flight.", "hotels.md": "Hotels are paid up to 120."}.items():
        (folder / "handbook" / name).write_text(text)
    ingest_paths([folder / "handbook"], store=folder / "store", collection="handbook")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL))
def test_the_snippets_run(code: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    exec(compile(code, "plugins/README.md", "exec"), {})


def test_every_file_that_it_links_to_exists() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (README.parent / target).exists(), target
