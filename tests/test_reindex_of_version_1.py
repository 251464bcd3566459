"""A collection of schema version 1 becomes one that can be filtered by metadata, by a reindex."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from sift_rag.errors import StoreConflict
from sift_rag.filters import Filter
from sift_rag.ingestion import ingest_paths, reindex
from sift_rag.opening import open_retriever
from sift_rag.retrieval.queries import Query
from sift_rag.stores.embedded.folders import building_name
from sift_rag.stores.registry import open_database
from tests.doubles import HashingEmbedder

WHERE = Filter(labels=(("tag", "x"),))


def _age(folder: Path) -> None:
    """Make the collection look as an earlier version left it, which kept no labels."""
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"schema_version": 1}))


def test_reindexing_makes_a_version_1_collection_filterable_also_after_an_interrupted_one(tmp_path: Path) -> None:
    embedder, store, docs = HashingEmbedder(), tmp_path / "store", tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("---\ntag: x\n---\nOwls hunt mice at night.\n")
    (docs / "b.md").write_text("---\ntag: y\n---\nBees dance in spring.\n")
    for collection in ("documents", "half"):
        ingest_paths([docs], store=store, collection=collection, embedder=embedder)
        _age(store / collection)
    with (
        closing(open_retriever(store, embedder=embedder).store) as opened,
        pytest.raises(StoreConflict, match=r"cannot be filtered by metadata \(tag\)") as refused,
    ):
        opened.search(embedder.embed_queries(["owls"]), 5, where=WHERE)
    assert refused.value.remedy is not None
    assert refused.value.remedy.key == "reindex-to-filter"
    (store / "half").rename(store / building_name("documents"))  # what an older one, killed while reindexing, left

    reindex([docs], store=store, embedder=embedder)

    assert [(info.name, info.schema_version) for info in open_database(store).collections()] == [("documents", 2)]
    retriever = open_retriever(store, embedder=embedder)
    with closing(retriever.store):
        assert [hit.passage.source for hit in retriever.retrieve(Query("owls", where=WHERE)).hits] == ["docs/a.md"]
