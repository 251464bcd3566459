"""Files that the contributors' pages name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BASES = (ROOT, ROOT / "sift_rag", ROOT / "sift_rag" / "corpus")
PAGES = ("CONTRIBUTING.md", "SECURITY.md", "docs/architecture.md", "docs/conventions.md", "docs/method.md")


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_exists(page: str) -> None:
    spans = re.findall(r"`([\w./-]+(?:/|\.(?:py|md|toml|txt|cff)))`", (ROOT / page).read_text(encoding="utf-8"))
    named = [span for span in spans if "NAME" not in span and not span.startswith("_") and span != "sift-rag.toml"]
    assert [span for span in named if not any((base / span).exists() for base in BASES)] == []
