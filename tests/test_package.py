"""What ``import sift_rag`` promises."""

from __future__ import annotations

import subprocess
import sys

import sift_rag


def test_the_public_names_are_these() -> None:
    assert sift_rag.__all__ == [
        "GreedySelection",
        "Hit",
        "Passage",
        "Reranker",
        "Retrieval",
        "Retriever",
        "SelectorSettings",
        "SiftRagError",
        "ingest_paths",
        "open_reranker",
        "open_retriever",
        "open_store",
        "select_sift",
        "__version__",
    ]
    assert all(getattr(sift_rag, name) is not None for name in sift_rag.__all__)
    assert not hasattr(sift_rag, "no_such_name")


def test_importing_the_package_and_its_assembly_loads_no_heavy_library() -> None:
    heavy = ["torch", "transformers", "sentence_transformers", "qdrant_edge", "markitdown", "openai"]
    code = f"import sys, sift_rag, sift_rag.opening; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
