"""The documentation site builds offline, without a warning, and loads nothing from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="the extra 'docs' is not installed: make docs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    environment = {"NO_MKDOCS_2_WARNING": "1", "HF_HUB_OFFLINE": "1", "PATH": ""}
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False)
    assert (built.returncode, built.stdout + built.stderr) == (0, "")
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 30
    loaded = [
        (page.name, match[0])
        for page in pages
        for match in re.finditer(r"<(?:script|img|iframe|link)\b[^>]*", page.read_text(encoding="utf-8"))
        if re.search(r"\b(?:src|href)=.?https?:", match[0])
    ]
    assert loaded == []
