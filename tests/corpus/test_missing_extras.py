"""If a reader is not installed, its files fail with the pip line, and all others are ingested."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sift_rag.corpus import ingest as pipeline
from sift_rag.corpus import splitting
from sift_rag.corpus.documents import read_document
from sift_rag.corpus.ingest import ingest
from sift_rag.errors import MissingExtra
from sift_rag.extras import require
from sift_rag.stores.memory import MemoryStore
from sift_rag.types import CollectionInfo
from tests.doubles import HashingEmbedder


@pytest.mark.parametrize(
    ("module", "name", "content", "extra"),
    [
        ("pypdfium2", "a.pdf", b"%PDF-1.4 ...", "pdf"),
        ("bs4", "a.html", b"<p>Owls</p>", "office"),
        ("markitdown", "a.docx", b"PK...", "office"),
        ("pptx", "a.pptx", b"PK...", "office"),
        ("odfdo", "a.odt", b"PK...", "office"),
        ("python_calamine", "a.xlsx", b"PK...", "office"),
        ("striprtf", "a.rtf", b"{\\rtf1}", "office"),
        ("pysubs2", "a.srt", b"1\n00:00:01,000 --> 00:00:02,000\nOwls\n", "ingest"),
        ("tree_sitter_go", "a.go", b"package main\n", "code"),
    ],
)
def test_a_file_whose_reader_is_missing_fails_with_the_pip_line(
    module: str, name: str, content: bytes, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(pipeline, "is_converted", lambda _: False)  # in a process of its own it would not be missing
    splitting.grammar.cache_clear()
    (tmp_path / name).write_bytes(content)
    (tmp_path / "owls.txt").write_text("Owls hunt at night.")
    embedder = HashingEmbedder()
    store = MemoryStore(CollectionInfo("notes", embedder.name, embedder.dimension, 1))
    report = ingest([tmp_path], store, embedder)
    assert (report.new, report.failed) == (1, 1)
    [problem] = report.problems
    assert problem.source.endswith(name)
    assert f"pip install 'sift-rag[{extra}]'" in problem.reason


@pytest.mark.parametrize("module", ["yaml", "markdown_it"])
def test_markdown_needs_the_extra_for_ingesting(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / "a.md").write_text("---\ntag: x\n---\n# Owls\n")
    with pytest.raises(MissingExtra, match=r"sift-rag\[ingest\]"):
        read_document(tmp_path / "a.md")


def test_asking_for_an_extra_imports_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow_to_import.py").write_text("raise AssertionError")
    monkeypatch.syspath_prepend(str(tmp_path))
    require("slow_to_import", "pdf")
    assert "slow_to_import" not in sys.modules
    with pytest.raises(MissingExtra, match=r"'nowhere'.*sift-rag\[pdf\]"):
        require("nowhere", "pdf")
