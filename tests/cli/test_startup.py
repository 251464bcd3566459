"""What a command loads before it does anything: seconds of import are seconds of waiting."""

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
PROBE = f"""
import sys
from sift_rag_cli.app import main
try:
    main()
finally:
    loaded = [name for name in {HEAVY} if name in sys.modules]
    print("LOADED", *loaded, file=sys.stderr)
"""


def probe(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROBE, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(env or {})},
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("search", "--help"),
        ("serve", "--help"),
        ("list",),
        ("status",),
        ("collections",),
        ("search", ""),
    ],
    ids=" ".join,
)
def test_it_loads_no_heavy_library(arguments: tuple[str, ...], elsewhere: Path) -> None:
    result = probe(*arguments)
    assert "defect" not in result.stderr
    assert result.stderr.splitlines()[-1] == "LOADED"


def test_help_loads_not_even_numpy_or_rich(elsewhere: Path) -> None:
    code = PROBE.replace(str(HEAVY), "('numpy', 'rich.console', 'sqlite3')")
    result = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True)
    assert result.stderr.splitlines()[-1] == "LOADED"


def test_completion_offers_the_commands_and_loads_no_heavy_library(elsewhere: Path) -> None:
    asked = {"_SIFT_RAG_COMPLETE": "complete_bash", "COMP_WORDS": "sift-rag sea", "COMP_CWORD": "1"}
    result = probe(env=asked)
    assert result.stdout.split() == ["search"]
    assert result.stderr.splitlines()[-1] == "LOADED"
