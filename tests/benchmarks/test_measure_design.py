from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from scripts.measure_design import (
    ELLIPTIC,
    docstrings,
    functions,
    measure,
    names_any,
    options_in_help,
    parameters,
    posteriors,
    read_sources,
)

ROOT = Path(__file__).parents[2]

SOURCE = '''"""A module."""

from typing import Any

LIMIT = 3
"""Of the rows."""


class Box:
    """What is inside.

    lengthscale
    """

    def put(self, row: list[Any], *, limit: int = LIMIT, **named: int) -> None:
        """Put a row in."""  # a comment after code

    # a comment alone
    def count(self) -> int:
        """See ``put``."""
        return 3
'''


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    (tmp_path / "sift_rag" / "selection").mkdir(parents=True)
    (tmp_path / "sift_rag" / "selection" / "box.py").write_text(SOURCE)
    return tmp_path


def test_fragments_are_told_from_phrases() -> None:
    assert all(ELLIPTIC.match(text) for text in ("What is left.", "``Of`` a cosine.", "For each k."))
    assert not any(ELLIPTIC.match(text) for text in ("Return it.", "The rows.", "Fork it.", "Offsets, in bytes."))


def test_docstrings_of_definitions_and_of_attributes_are_counted_apart(repo: Path) -> None:
    found = [one.value for one in docstrings(list(read_sources(repo, ["sift_rag"])))]
    assert found == ["1 of 4 (25.0%)", "1 of 4 (25.0%)", "1 of 1 (100.0%)", "0 of 1 (0.0%)"]


def test_signatures_are_read_with_variadic_parameters_and_without_self() -> None:
    put, count = functions(ast.parse(SOURCE))
    assert [one.arg for one in parameters(put)] == ["row", "limit", "named"]
    assert names_any(put)
    assert not names_any(count)


def test_lines_of_code_are_neither_blank_nor_comments_nor_docstrings(repo: Path) -> None:
    found = {one.name: one.value for one in measure(repo, sys.executable)}
    assert found["lines of product, not blank (code alone)"] == "14 (6)"
    assert found["files that mention `lengthscale`"] == "1"
    assert found["signatures with `Any` in sift_rag/selection"] == "1 of 2"


def test_what_cannot_be_run_says_why(repo: Path) -> None:
    [found] = posteriors(repo, sys.executable)
    assert found.value.startswith("not measured: ")


@pytest.mark.slow
def test_the_options_and_the_posteriors_of_this_checkout_are_counted() -> None:
    search, ask = options_in_help(ROOT, sys.executable)
    assert 5 < int(search.value) < int(ask.value)
    built = {one.name.rpartition(": ")[2]: one.value for one in posteriors(ROOT, sys.executable)}
    assert {"sift", "nearest", "mmr"} <= set(built)
    assert all(int(value.split()[0]) > 0 for value in built.values())
