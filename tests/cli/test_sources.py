"""Names of documents and collections that are nearly right."""

from pathlib import Path

import pytest

from sift_rag.retrieval.matching import MatchLevel
from sift_rag.suggestions import endings
from tests.cli.conftest import Run


def test_a_unique_ending_names_a_document_to_show_but_not_to_delete(ask_store: Run) -> None:
    assert ask_store("show", "laptops.md").stdout.startswith("library/laptops.md  ingested")
    refused = ask_store("delete", "laptops.md")
    assert refused.exit_code == 5
    assert "Did you mean 'library/laptops.md'?" in refused.stderr


def test_an_ending_of_several_documents_lists_them(ask_store: Run) -> None:
    refused = ask_store("show", "travel.md")
    assert refused.exit_code == 5
    assert "'library/archive/travel.md', 'library/travel.md'" in refused.stderr


@pytest.mark.parametrize("command", [("show", "labtops.md"), ("search", "why?", "--known", "labtops.md")])
def test_a_misspelt_document_gets_a_suggestion(ask_store: Run, command: tuple[str, ...]) -> None:
    refused = ask_store(*command)
    assert refused.exit_code == 5
    assert "Did you mean 'library/laptops.md'?" in refused.stderr


def test_a_misspelt_collection_gets_a_suggestion(run: Run, store: Path) -> None:
    refused = run("list", "--store", str(store), "-c", "document")
    assert refused.exit_code == 5
    assert "Did you mean 'documents'?" in refused.stderr


def test_an_ending_begins_at_a_part_of_the_path() -> None:
    known = ["a/lease.pdf", "b/release.pdf"]
    assert endings("lease.pdf", known) == ["a/lease.pdf"]
    assert endings("", known) == []


def test_a_match_is_weak_up_to_what_unrelated_questions_reach() -> None:
    level = MatchLevel(typical=0.2, high=0.4)
    assert (level.is_weak(0.4), level.is_weak(0.41)) == (True, False)
    assert (level.strength(0.1), level.strength(1.0)) == (0.0, 1.0)
