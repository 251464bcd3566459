"""An embedder built from two functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sift_rag.embedders.functions import FunctionEmbedder
from sift_rag.errors import ModelUnsuitable
from sift_rag.retrieval.queries import cut_into_pieces
from tests.doubles import HashingEmbedder

OURS = HashingEmbedder()


def made(**replaced: Any) -> FunctionEmbedder:
    functions: dict[str, Any] = {
        "embed_query": lambda text: (5 * OURS.embed_queries([text])[0]).tolist(),
        "embed_passages": lambda texts: OURS.embed_passages(texts).tolist(),
    }
    return FunctionEmbedder(**(functions | replaced))


def test_it_gives_the_functions_vectors_as_unit_rows() -> None:
    embedder = made(name="theirs")
    texts = ["owls hunt", "bees dance"]
    assert np.allclose(embedder.embed_queries(texts), OURS.embed_queries(texts), atol=1e-6)
    assert np.allclose(embedder.embed_passages(texts), OURS.embed_passages(texts), atol=1e-6)
    assert (embedder.name, embedder.dimension) == ("theirs", 64)
    assert embedder.embed_passages([]).shape == embedder.embed_queries([]).shape == (0, 64)


def test_no_question_is_cut_for_it() -> None:
    text = "owls hunt mice " * 10_000
    assert cut_into_pieces(text, made()) == [text]
    assert len(made().tokenizer.encode("owls, bees").ids) == 3


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (lambda texts: [[1.0, 0.0]], "returned 1 vectors for 2 texts"),
        (lambda texts: [[float("nan"), 0.0]] * 2, "not finite"),
        (lambda texts: [[0.0, 0.0]] * 2, "norm 0"),
        (lambda texts: [[1.0, 0.0], [1.0]], r"\(1,\)"),
        (lambda texts: [None, [1.0]], r"\(\)"),
    ],
)
def test_vectors_that_cannot_be_compared_are_the_embedder_s_fault(vectors: Any, message: str) -> None:
    with pytest.raises(ModelUnsuitable, match=message):
        made(embed_passages=vectors).embed_passages(["a", "b"])


def test_what_a_function_raises_comes_through() -> None:
    def broken(text: str) -> list[float]:
        raise ConnectionError(text)

    with pytest.raises(ConnectionError, match="owls"):
        made(embed_query=broken).embed_queries(["owls"])
