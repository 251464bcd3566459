"""A text gets the same vector, to the last bit, whatever else is embedded with it."""

from __future__ import annotations

import random

import numpy as np
import pytest

from sift_rag.embedders import sentence_transformer
from sift_rag.embedders.sentence_transformer import SentenceTransformerEmbedder, load_sentence_transformer

pytestmark = pytest.mark.slow
WORDS = (
    "the",
    "owl",
    "hunts",
    "mice",
    "at",
    "night",
    "while",
    "bees",
    "sleep",
    "and",
    "nobody",
    "pays",
    "for",
    "taxis",
)


def texts_of_all_lengths() -> list[str]:
    rng = random.Random(7)
    return [" ".join(rng.choice(WORDS) for _ in range(count)) for count in (0, 1, 2, 13, 14, 15, 30, 31, 90, 240, 400)]


@pytest.fixture(scope="module")
def embedder() -> SentenceTransformerEmbedder:
    return load_sentence_transformer(device="cpu")


@pytest.fixture(scope="module")
def alone(embedder: SentenceTransformerEmbedder) -> dict[str, bytes]:
    return {text: embedder.embed_passages([text])[0].tobytes() for text in texts_of_all_lengths()}


@pytest.fixture(scope="module")
def exact() -> SentenceTransformerEmbedder:
    """The same in float32 on every processor, for comparison with what is computed otherwise."""
    return SentenceTransformerEmbedder("exact", load_sentence_transformer(device="cpu").model.float())


@pytest.mark.parametrize("batch_size", [2, 3, 32])
def test_neighbours_order_and_batch_size_change_no_bit_of_a_vector(
    embedder: SentenceTransformerEmbedder,
    alone: dict[str, bytes],
    batch_size: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sentence_transformer, "BATCH_SIZE", batch_size)
    texts = texts_of_all_lengths() * 2
    random.Random(batch_size).shuffle(texts)
    rows = embedder.embed_passages(texts)
    assert [row.tobytes() for row in rows] == [alone[text] for text in texts]
    queries = embedder.embed_queries(texts[:9])
    assert [row.tobytes() for row in queries] == [alone[text] for text in texts[:9]]  # MiniLM has no prompts


def test_padding_changes_a_vector_by_no_more_than_rounding(exact: SentenceTransformerEmbedder) -> None:
    texts = texts_of_all_lengths()
    unpadded = exact.model.encode(texts, batch_size=1, normalize_embeddings=True)
    np.testing.assert_allclose(exact.embed_passages(texts), unpadded, atol=2e-6)


def test_a_text_longer_than_the_model_reads_is_cut_at_its_limit_and_not_at_a_multiple(
    exact: SentenceTransformerEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = exact.model
    monkeypatch.setattr(model, "max_seq_length", 41, raising=True)
    short = SentenceTransformerEmbedder("short", model)
    text = texts_of_all_lengths()[-1]
    assert short.max_tokens == 41
    row = short.embed_passages([text, "owl"])[0]
    np.testing.assert_allclose(row, model.encode(text, normalize_embeddings=True), atol=2e-6)
