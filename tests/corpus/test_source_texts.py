"""Documents in memory: written once, replaced by id, kept beside files, with vectors as they came."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from sift_rag import (
    IngestOptions,
    SourceText,
    StoreConflict,
    delete_documents,
    ingest_documents,
    ingest_paths,
    open_retriever,
    open_store,
    reindex,
)
from tests.doubles import HashingEmbedder

OWLS = SourceText("owls", "owls hunt mice at night", {"year": 2024, "about": {"tags": ["birds", None]}}, "Night birds")
BEES = SourceText("bees", "bees dance to show where flowers grow")


def vector_of(text: str, factor: float = 1.0) -> list[float]:
    row: list[float] = (factor * HashingEmbedder().embed_queries([text])[0]).tolist()
    return row


def test_a_document_replaces_the_one_of_its_id_and_an_unchanged_one_is_not_embedded(tmp_path: Path) -> None:
    embedder = HashingEmbedder()
    first = ingest_documents([OWLS, BEES], store=tmp_path, embedder=embedder)
    assert (first.new, first.passages_total) == (2, 2)
    embedder.embedded.clear()
    changed = SourceText("bees", "bees sleep in winter")
    second = ingest_documents([OWLS, changed], store=tmp_path, embedder=embedder)
    assert (second.unchanged, second.updated, second.passages_total) == (1, 1, 2)
    assert embedder.embedded == ["bees sleep in winter"]
    with open_retriever(tmp_path, embedder=embedder) as retriever:
        hit = retriever.retrieve("owls hunt", 1).hits[0]
    assert (hit.passage.source, hit.passage.title, hit.passage.metadata) == ("owls", "Night birds", OWLS.metadata)


@pytest.mark.parametrize(
    "other",
    [
        SourceText("owls", "owls hunt", {"year": 2024}),
        SourceText("owls", "owls hunt", title="Owls"),
        SourceText("owls", "owls hunt", vector=vector_of("something else")),
    ],
)
def test_whatever_differs_is_a_change(tmp_path: Path, other: SourceText) -> None:
    embedder = HashingEmbedder()
    ingest_documents([SourceText("owls", "owls hunt")], store=tmp_path, embedder=embedder)
    assert ingest_documents([other], store=tmp_path, embedder=embedder).updated == 1
    assert ingest_documents([other], store=tmp_path, embedder=embedder).unchanged == 1


def test_a_vector_is_used_as_it_came_whatever_the_store_holds_for_the_text(tmp_path: Path) -> None:
    embedder = HashingEmbedder()
    long = "word " * 500
    ingest_documents([BEES], store=tmp_path, embedder=embedder)
    embedder.embedded.clear()
    given = [SourceText("a", BEES.text, vector=vector_of("rain", 3)), SourceText("b", long, vector=vector_of("snow"))]
    ingest_documents([*given, OWLS], store=tmp_path, embedder=embedder)
    assert len(embedder.embedded) == 1
    with closing(open_store(tmp_path)) as store:
        for source, text, word in (("a", BEES.text, "rain"), ("b", long, "snow")):
            (held,) = store.passages(source)
            assert held.passage.text == text
            np.testing.assert_allclose(held.embedding, vector_of(word), atol=1e-6)


@pytest.mark.parametrize("vector", [[1.0, 2.0], [0.0] * 64, [float("nan")] * 64])
def test_an_impossible_vector_is_refused_before_anything_is_written(tmp_path: Path, vector: list[float]) -> None:
    with pytest.raises(ValueError, match="vector"):
        ingest_documents([OWLS, SourceText("x", "x", vector=vector)], store=tmp_path, embedder=HashingEmbedder())
    assert not list(tmp_path.rglob("*owls*"))


def test_files_and_documents_live_side_by_side_and_neither_takes_the_other_s_name(tmp_path: Path) -> None:
    embedder, store, notes = HashingEmbedder(), tmp_path / "store", tmp_path / "notes"
    notes.mkdir()
    (notes / "a.md").write_text("rain falls in spring")
    (notes / "b.md").write_text("snow falls in winter")
    ingest_documents([OWLS], store=store, embedder=embedder)
    ingest_paths(notes, store=store, embedder=embedder)
    with pytest.raises(StoreConflict):
        ingest_documents([SourceText("notes/a.md", "taken")], store=store, embedder=embedder)
    (notes / "b.md").unlink()
    assert ingest_paths(notes, store=store, embedder=embedder, options=IngestOptions(prune=True)).removed == 1
    with closing(open_store(store)) as opened:
        assert [record.source for record in opened.documents()] == ["notes/a.md", "owls"]


def test_a_reindex_keeps_documents_and_embeds_them_anew(tmp_path: Path) -> None:
    embedder = HashingEmbedder()
    ingest_documents([OWLS, SourceText("b", BEES.text, vector=vector_of("rain"))], store=tmp_path, embedder=embedder)
    other = HashingEmbedder("other", dimension=32)
    assert not reindex(store=tmp_path, embedder=other).problems
    with closing(open_store(tmp_path)) as opened:
        assert [record.source for record in opened.documents()] == ["b", "owls"]
        (owls,) = opened.passages("owls")
        assert (owls.passage.metadata, owls.embedding.shape) == (OWLS.metadata, (32,))


def test_documents_are_deleted_by_id_and_unknown_ids_ignored(tmp_path: Path) -> None:
    ingest_documents([OWLS, BEES], store=tmp_path, embedder=HashingEmbedder())
    assert delete_documents(["owls", "owls", "unknown"], store=tmp_path) == 1
    with closing(open_store(tmp_path)) as opened:
        assert opened.count() == 1
        assert opened.document("owls") is None
