"""Splitting a file without a store and without the weights of an embedder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from sift_rag import EmbedderEndpoint, ingest_paths, open_store, open_tokenizer, passages_of
from sift_rag.embedders.token_counting import estimated_tokenizer
from sift_rag.errors import SkippedDocument
from tests.doubles import HashingEmbedder

TEXT = "# Owls\n\n" + "Owls hunt at night, and rest by day in the hollow of an old tree.\n\n" * 60


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "notes" / "owls.md"
    path.parent.mkdir()
    path.write_text(TEXT)
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The folder of a model without its weights."""
    folder = tmp_path / "model"
    folder.mkdir()
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def test_the_passages_are_those_of_an_ingest_under_the_same_ids(page: Path, tmp_path: Path) -> None:
    embedder = HashingEmbedder()
    ingest_paths(page.parent, store=tmp_path / "store", embedder=embedder)
    store = open_store(tmp_path / "store")
    ingested = [candidate.passage for candidate in store.passages("notes/owls.md")]
    store.close()
    assert len(ingested) > 3
    assert list(passages_of(page, "notes/owls.md", tokenization=embedder)) == ingested


def test_the_name_of_a_file_is_its_source_unless_another_is_given(page: Path) -> None:
    assert {passage.source for passage in passages_of(page, tokenization=HashingEmbedder())} == {"owls.md"}
    assert {passage.source for passage in passages_of(page, "x", tokenization=HashingEmbedder())} == {"x"}


def test_a_file_that_is_not_ingested_has_a_reason(page: Path) -> None:
    page.write_text("")
    with pytest.raises(SkippedDocument, match="empty"):
        passages_of(page, tokenization=HashingEmbedder())


@pytest.mark.slow
def test_the_default_tokenizer_counts_and_reads_as_much_as_the_default_embedder(page: Path) -> None:
    from sift_rag import open_embedder

    counting, embedder = open_tokenizer(), open_embedder()
    assert counting.max_tokens == embedder.max_tokens
    assert list(passages_of(page)) == list(passages_of(page, tokenization=embedder))


@pytest.mark.parametrize(
    ("files", "length"),
    [
        ({}, 512),
        ({"sentence_bert_config.json": {"max_seq_length": 128}, "config.json": {"max_position_embeddings": 64}}, 128),
        ({"sentence_bert_config.json": {"max_seq_length": None}, "config.json": {"max_position_embeddings": 64}}, 64),
        ({"config.json": {"max_position_embeddings": 514}, "tokenizer_config.json": {"model_max_length": 510}}, 510),
        ({"tokenizer_config.json": {"model_max_length": 1e30}}, 512),
        ({"tokenizer_config.json": []}, 512),
    ],
)
def test_how_much_a_model_reads_is_what_its_files_say(model: Path, files: dict[str, object], length: int) -> None:
    for name, value in files.items():
        (model / name).write_text(json.dumps(value))
    assert open_tokenizer(str(model)).max_tokens == length
    assert open_tokenizer(str(model / "tokenizer.json")).max_tokens == length


def test_an_endpoint_splits_with_an_estimate(page: Path) -> None:
    embedder = EmbedderEndpoint("http://127.0.0.1:9/v1", "m").open()
    found = list(passages_of(page, tokenization=embedder))
    assert "".join("".join(passage.text.split()) for passage in found).count("Owlshunt") >= 60
    counts = [len(estimated_tokenizer().encode(passage.embedding_text)) for passage in found]
    assert max(counts) <= embedder.max_tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("   ", 0), ("owl", 1), ("internationalisation", 4), ("12345", 2), ("夜行", 2), ("сова", 2), ("a,b", 3)],
)
def test_the_estimate_counts_words_in_parts(text: str, tokens: int) -> None:
    encoding = estimated_tokenizer().encode(text)
    assert len(encoding.ids) == tokens
    assert "".join(text[start:end] for start, end in encoding.offsets) == "".join(text.split())
