"""Libraries that a command loads before it does anything: seconds of import are seconds of waiting."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    "torch",
    "transformers",
    "sentence_transformers",
    "qdrant_edge",
    "markitdown",
    "openai",
    "sklearn",
    "scipy",
    "fastapi",
)
NOT_FOR_HELP = (*HEAVY, "numpy", "rich.console", "sqlite3")
PROBE = f"""
import sys
from typer.testing import CliRunner
from sift_rag_cli.app import app
for line in sys.stdin.read().splitlines():
    forbidden = {NOT_FOR_HELP} if line.endswith("--help") else {HEAVY}
    result = CliRunner().invoke(app, line.split(" "))
    print(line, *(name for name in forbidden if name in sys.modules), "bug" * ("bug in" in result.output), sep=":")
"""
COMMANDS = ("--help", "search --help", "ask --help", "serve --help", "--version", "list", "status", "collections")


@pytest.mark.slow
def test_no_command_loads_a_heavy_library_before_it_needs_it_and_help_not_even_numpy(elsewhere: Path) -> None:
    asked = [*COMMANDS, "search ", "search why? --selector none"]
    result = subprocess.run(
        [sys.executable, "-c", PROBE], input="\n".join(asked), capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines() == [f"{line}:" for line in asked]


@pytest.mark.slow
def test_completion_offers_the_commands(elsewhere: Path) -> None:
    asked = {"_SIFT_RAG_COMPLETE": "complete_bash", "COMP_WORDS": "sift-rag sea", "COMP_CWORD": "1"}
    result = subprocess.run(
        [sys.executable, "-c", "from sift_rag_cli.app import main; main()"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **asked},
    )
    assert result.stdout.split() == ["search"]
