"""The recipes' commands run as they stand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sift_rag_cli.app import app

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")


@pytest.fixture
def _checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIFT_RAG_STORE", str(tmp_path / "store"))


@pytest.mark.slow
@pytest.mark.usefixtures("_checkout")
def test_the_commands_of_the_recipes_run() -> None:
    lines = [line for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
    assert len(lines) >= 8
    for line in lines:
        done = CliRunner().invoke(app, shlex.split(line)[1:])
        assert (line, done.exit_code) == (line, 3 if "date>=" in line else 0), done.output


@pytest.mark.slow
@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
def test_the_code_of_the_recipes_runs(code: str) -> None:
    exec(compile(code, "docs/recipes.md", "exec"), {})


def test_every_option_that_a_recipe_names_exists() -> None:
    for command, rest in re.findall(r"^sift-rag (\w+)(.*)$", PAGE, re.MULTILINE):
        said = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
        for option in re.findall(r"--[a-z-]+", rest.partition("#")[0]):
            assert option in said, f"{command} {option}"
