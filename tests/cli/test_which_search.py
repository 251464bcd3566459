"""Exact and approximate searches on the command line: who decides, and who says what it was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from sift_rag import defaults
from tests.cli.conftest import Run
from tests.graphs import allow_small_graphs

pytestmark = pytest.mark.slow

QUESTION = "Where do I bring a broken laptop?"


@pytest.fixture(scope="module")
def optimized(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the store whose collection has a graph."""
    from sift_rag.stores.registry import open_database

    folder = tmp_path_factory.mktemp("optimized")
    shutil.copytree(store, folder, dirs_exist_ok=True)
    allow_small_graphs(folder, defaults.COLLECTION)
    assert open_database(folder).optimize(defaults.COLLECTION)
    return folder


@pytest.fixture
def ask(run: Run, optimized: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """``run`` on that store, as if it were large."""
    monkeypatch.setattr(defaults, "EXACT_SEARCH_PASSAGES", 1)
    return lambda *arguments, **keywords: run(*arguments, "--store", str(optimized), **keywords)


def is_exact(ask: Run, *arguments: str, **keywords: object) -> bool:
    result = ask("search", QUESTION, "--json", *arguments, **keywords)
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)["exact_search"]
    assert isinstance(found, bool)
    return found


def test_an_approximate_search_says_so_below_the_hits_and_in_the_status(ask: Run) -> None:
    assert not is_exact(ask)
    assert "approximate search: a few of the nearest may be missing" in ask("search", QUESTION).stderr
    assert "--exact-search compares all" in ask("status").stdout
    assert json.loads(ask("status", "--json").stdout)["exact_search"] is False


def test_each_way_of_setting_it_makes_it_exact(ask: Run) -> None:
    assert is_exact(ask, "--exact-search")
    assert is_exact(ask, "--set", "exact_search=true")
    assert is_exact(ask, env={"SIFT_RAG_EXACT_SEARCH": "true"})
    assert is_exact(ask, "--exact-search", "--set", "exact_search=false")  # the option wins
    assert "approximate" not in ask("search", QUESTION, "--exact-search").stderr
    Path("sift-rag.toml").write_text("[search]\nexact_search = true\n", encoding="utf-8")
    assert is_exact(ask)


def test_selecting_from_the_whole_collection_searches_it_exactly(ask: Run) -> None:
    found = json.loads(ask("search", QUESTION, "--json", "--exact").stdout)
    assert found["exact_search"] is True
    assert found["exact"]["proven"] is True


def test_a_small_collection_is_searched_exactly_and_nothing_is_said(run: Run, store: Path) -> None:
    result = run("search", QUESTION, "--store", str(store))
    assert "approximate" not in result.stderr
    assert "search  " not in run("status", "--store", str(store)).stdout


def test_a_large_collection_without_a_graph_is_told_to_be_optimized(
    run: Run, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(defaults, "EXACT_SEARCH_PASSAGES", 1)
    assert json.loads(run("search", QUESTION, "--json", "--store", str(store)).stdout)["exact_search"] is True
    assert "run `sift-rag optimize`" in run("status", "--store", str(store)).stdout
