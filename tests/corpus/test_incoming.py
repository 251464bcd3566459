"""Texts that are not files, under the rules for files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sift_rag.corpus.incoming import incoming_texts
from sift_rag.corpus.ingest import ingest, ingest_documents
from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.report import IngestReport, Progress
from sift_rag.errors import StoreConflict
from sift_rag.stores.memory import MemoryStore
from tests.doubles import HashingEmbedder

TEXTS = ["Owls hunt at night.", "Bees dance to show where flowers grow."]


def take(store: MemoryStore, embedder: HashingEmbedder, texts: list[str], **named: Any) -> IngestReport:
    return ingest_documents(incoming_texts(texts, **named), store, embedder)


def counts(report: IngestReport) -> tuple[int, int, int, int, int]:
    return report.new, report.updated, report.unchanged, report.skipped, report.failed


def test_unchanged_texts_are_not_embedded_again(store: MemoryStore, embedder: HashingEmbedder) -> None:
    assert counts(take(store, embedder, TEXTS)) == (2, 0, 0, 0, 0)
    assert {document.location for document in store.documents()} == {""}
    embedder.embedded.clear()
    assert counts(take(store, embedder, TEXTS[::-1])) == (0, 0, 2, 0, 0)
    assert embedder.embedded == []


def test_the_embedding_text_of_a_short_text_is_the_text(store: MemoryStore, embedder: HashingEmbedder) -> None:
    take(store, embedder, TEXTS, sources=["owls", "bees"], metadata=[{"tag": "x"}, {}])
    [candidate] = store.passages("owls")
    assert candidate.passage.embedding_text == candidate.passage.text == TEXTS[0]
    assert candidate.passage.metadata == {"tag": "x"}


def test_a_changed_text_or_changed_metadata_replace_what_was_under_the_source(
    store: MemoryStore, embedder: HashingEmbedder
) -> None:
    take(store, embedder, TEXTS, sources=["owls", "bees"])
    assert counts(take(store, embedder, ["Owls moult.", TEXTS[1]], sources=["owls", "bees"])) == (0, 1, 1, 0, 0)
    assert [candidate.passage.text for candidate in store.passages("owls")] == ["Owls moult."]
    embedder.embedded.clear()
    changed = take(store, embedder, TEXTS[1:], sources=["bees"], metadata=[{"tag": "x"}])
    assert counts(changed) == (0, 1, 0, 0, 0)
    assert embedder.embedded == []  # the vector is at hand
    assert [candidate.passage.metadata for candidate in store.passages("bees")] == [{"tag": "x"}]


def test_ids_are_a_function_of_source_and_content(store: MemoryStore, embedder: HashingEmbedder) -> None:
    other = MemoryStore(store.info)
    take(store, embedder, TEXTS)
    take(other, embedder, ["Something before.", *TEXTS])
    ids = {candidate.passage.id for document in store.documents() for candidate in store.passages(document.source)}
    assert len(other.fetch(sorted(ids))) == len(ids) == 2


def test_a_long_text_becomes_several_passages_with_the_headings_of_its_suffix(
    store: MemoryStore, embedder: HashingEmbedder
) -> None:
    text = "# Owls\n\n" + "word " * 200 + "\n\n# Bees\n\n" + "wax " * 200
    take(store, embedder, [text], sources=["animals.md"])
    passages = [candidate.passage for candidate in store.passages("animals.md")]
    assert len(passages) > 3
    assert {passage.headings for passage in passages} == {("Owls",), ("Bees",)}


def test_an_empty_text_is_skipped_with_its_reason(store: MemoryStore, embedder: HashingEmbedder) -> None:
    take(store, embedder, TEXTS, sources=["owls", "bees"])
    report = take(store, embedder, [" \n", TEXTS[1]], sources=["owls", "bees"])
    assert counts(report) == (0, 0, 1, 1, 0)
    assert [(problem.source, problem.reason) for problem in report.problems] == [("owls", "empty")]
    assert list(store.passages("owls")) == []


def test_equal_texts_are_one_document_unless_they_have_sources(store: MemoryStore, embedder: HashingEmbedder) -> None:
    assert take(store, embedder, ["Same.", "Same."]).new == 1
    assert take(store, embedder, ["Same.", "Same."], sources=["a", "b"]).new == 2


@pytest.mark.parametrize(
    ("texts", "named", "message"),
    [
        ("one text", {}, "one string"),
        (TEXTS, {"sources": ["a"]}, "2 texts, but 1 sources"),
        (TEXTS, {"metadata": [{}]}, "2 texts, but 1 metadata"),
        (TEXTS, {"sources": ["a", "a"]}, "Two texts are called 'a'"),
        (TEXTS, {"sources": ["a", ""]}, "cannot be the name"),
        (TEXTS, {"sources": ["a", "\ud800"]}, "cannot be the name"),
        (TEXTS, {"metadata": [{}, {"when": object()}]}, "not JSON"),
    ],
)
def test_what_cannot_be_taken_is_refused_before_anything_is_written(
    texts: Any, named: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        incoming_texts(texts, **named)


def test_a_file_and_a_text_of_one_name_are_not_mixed(
    store: MemoryStore, embedder: HashingEmbedder, tmp_path: Path
) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "owls.md").write_text("Owls hunt.")
    ingest([folder], store, embedder)
    with pytest.raises(StoreConflict, match=r"'notes/owls\.md' is taken"):
        take(store, embedder, ["Text."], sources=["notes/owls.md"])
    take(store, embedder, ["Text."], sources=["notes/bees.md"])
    (folder / "bees.md").write_text("Bees dance.")
    with pytest.raises(StoreConflict, match=r"'notes/bees\.md' is taken"):
        ingest([folder], store, embedder)


def test_pruning_a_folder_leaves_texts_alone(store: MemoryStore, embedder: HashingEmbedder, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "owls.md").write_text("Owls hunt.")
    take(store, embedder, ["Text."], sources=["notes/text"])
    assert ingest([tmp_path / "notes"], store, embedder, IngestOptions(prune=True)).removed == 0
    assert store.document("notes/text") is not None


def test_progress_ends_with_everything_done(store: MemoryStore, embedder: HashingEmbedder) -> None:
    seen: list[Progress] = []
    ingest_documents(incoming_texts([*TEXTS, ""]), store, embedder, progress=seen.append)
    assert (seen[-1].files_done, seen[-1].bytes_done) == (seen[-1].files_found, seen[-1].bytes_found)
    assert seen[-1].files_found == 3
