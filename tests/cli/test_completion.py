"""Completion in a shell: the names of collections and sources, and never an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run


def completions(run: Run, *words: str, env: dict[str, str] | None = None) -> list[str]:
    """Return what bash would offer for the last word."""
    line = " ".join(words)
    variables = {"_SIFT_RAG_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    result = run(env={**variables, **(env or {})})
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout.split()


def test_collections_and_sources_are_completed_from_the_store_that_is_meant(run: Run, store: Path) -> None:
    option = ("-s", str(store))
    assert completions(run, "sift-rag", "search", "why", *option, "-c", "doc") == ["documents"]
    assert completions(run, "sift-rag", "search", "why", *option, "-c", "x") == []
    assert completions(run, "sift-rag", "show", *option, "library/lap") == ["library/laptops.md"]
    assert completions(run, "sift-rag", "delete", *option, "library/archive/") == ["library/archive/travel.md"]
    assert completions(run, "sift-rag", "ask", "why", *option, "--known", "library/sick") == ["library/sick-leave.md"]
    assert completions(run, "sift-rag", "show", "library/lap", env={"SIFT_RAG_STORE": str(store)}) == [
        "library/laptops.md"
    ]
    Path("sift-rag.toml").write_text(f"store = {str(store)!r}\n", encoding="utf-8")
    assert completions(run, "sift-rag", "show", "library/lap") == ["library/laptops.md"]


def test_a_name_that_could_steer_the_terminal_is_not_offered(run: Run, store: Path) -> None:
    assert completions(run, "sift-rag", "show", "-s", str(store), "library/notes") == []


@pytest.mark.parametrize("where", ["/no/such/store", "http://127.0.0.1:1", "magic://x"])
def test_a_store_that_cannot_be_read_or_may_not_answer_gives_no_names(run: Run, where: str) -> None:
    assert completions(run, "sift-rag", "show", "-s", where, "library/lap") == []
    assert completions(run, "sift-rag", "search", "why", "-s", where, "-c", "doc") == []


def test_a_broken_configuration_or_collection_gives_no_names(run: Run, tmp_path: Path) -> None:
    broken = tmp_path / "store" / "documents"
    broken.mkdir(parents=True)
    (broken / "manifest.json").write_text("[", encoding="utf-8")
    assert completions(run, "sift-rag", "show", "-s", str(tmp_path / "store"), "library/lap") == []
    Path("sift-rag.toml").write_text("store = [", encoding="utf-8")
    assert completions(run, "sift-rag", "show", "library/lap") == []
