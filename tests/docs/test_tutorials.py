"""The tutorials run as they stand, and print what they say."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
BLOCK = re.compile(r"```python\n(.*?)```(?:\n+```text\n(.*?)```)?", re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_prints_what_it_says(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stdlib-lm").symlink_to(ROOT / "tests" / "data" / "stdlib-lm")
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    assert len(blocks) >= 4
    names: dict[str, Any] = {"__name__": "tutorial"}
    for code, said in blocks:
        assert run(code, page, names) == said.rstrip()


def run(code: str, page: Path, names: dict[str, Any]) -> str:
    """Return what a block of code prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, page.name, "exec"), names)
    return "\n".join(line.rstrip() for line in printed.getvalue().splitlines()).rstrip()


def fill(page: Path) -> None:
    """Write into a page what its blocks print: run from the repository, in a folder with ``stdlib-lm``."""
    text = page.read_text(encoding="utf-8")
    names: dict[str, Any] = {"__name__": "tutorial"}

    def filled(match: re.Match[str]) -> str:
        printed = run(match[1], page, names)
        return f"```python\n{match[1]}```" + (f"\n\n```text\n{printed}\n```" if printed else "")

    page.write_text(BLOCK.sub(filled, text), encoding="utf-8")


if __name__ == "__main__":  # to regenerate: python tests/docs/test_tutorials.py
    with contextlib.chdir(ROOT / "tests" / "data"):
        for tutorial in TUTORIALS if len(sys.argv) < 2 else [Path(name).resolve() for name in sys.argv[1:]]:
            fill(tutorial)
