"""The level of weak matches is measured once for each revision of a collection."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from sift_rag import ingest_paths, open_retriever
from sift_rag.protocols import Embedder
from sift_rag.retrieval import matching
from sift_rag.retrieval.matching import MatchLevel
from sift_rag_cli.match_levels import match_level
from tests.doubles import HashingEmbedder


@pytest.mark.usefixtures("elsewhere")
def test_a_level_is_measured_once_and_again_when_documents_change_or_the_cache_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, store, measured = tmp_path / "files", str(tmp_path / "store"), list[MatchLevel | None]()
    folder.mkdir()
    original = matching.measure_level

    def counted(embedder: Embedder, index: object) -> MatchLevel | None:
        measured.append(original(embedder, cast("matching.PassageIndex", index)))
        return measured[-1]

    def level() -> MatchLevel | None:
        with open_retriever(store, embedder=HashingEmbedder()) as retriever:
            return match_level(retriever, store)

    monkeypatch.setattr(matching, "measure_level", counted)
    for number in range(30):
        (folder / f"{number}.md").write_text(f"Rule number {number} is about boats.", encoding="utf-8")
    ingest_paths([folder], store=store, embedder=HashingEmbedder())
    assert level() == level() == measured[0]
    assert len(measured) == 1
    (folder / "3.md").write_text("A replaced rule, of another length.", encoding="utf-8")
    ingest_paths([folder], store=store, embedder=HashingEmbedder())
    assert level() == measured[-1]
    assert len(measured) == 2
    for file in (tmp_path / "match-levels").iterdir():
        file.write_text("{", encoding="utf-8")
    assert level() == measured[-1]
    assert len(measured) == 3
