"""The time that an adapter adds to the library's call: 200 documents with vectors reranked, in each framework.

    python -m benchmarks.speed.adapter_overhead [--documents 200] [--runs 30] [--json FILE]

The two sides alternate; what is printed are medians in milliseconds, and the median, minimum and maximum of their
differences, pair by pair. The embedder gives the question's vector and, in LangChain, whose documents hold no vectors,
theirs, from a dictionary: neither side embeds anything.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from sift_rag.embedders.functions import FunctionEmbedder
from sift_rag.retrieval.reranker import Reranker

DIMENSION = 384
K = 10
GOAL_MS = 5.0
QUESTION = "the question"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=200)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args(arguments)
    os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"  # before it is imported

    rng = np.random.default_rng(7)
    topic = rng.normal(size=DIMENSION)
    rows = rng.normal(size=(options.documents, DIMENSION)) + topic
    texts = [f"Text {i}: " + " ".join(f"word{j}" for j in rng.integers(0, 5000, 80)) for i in range(len(rows))]
    vectors = dict(zip(texts, rows, strict=True)) | {QUESTION: rng.normal(size=DIMENSION) + topic}
    embedder = FunctionEmbedder(vectors.__getitem__, lambda asked: [vectors[text] for text in asked])
    held = rows.tolist()

    reranker = Reranker(embedder)

    def with_lists() -> object:
        return reranker.rerank(QUESTION, texts, k=K, embeddings=held)

    def with_embedder() -> object:
        return reranker.rerank(QUESTION, texts, k=K)

    records = []
    for name, adapter, library in (
        ("langchain", langchain(embedder, texts), with_embedder),
        ("llama-index", llama_index(embedder, texts, held), with_lists),
        ("haystack", haystack(texts, held, vectors[QUESTION].tolist()), with_lists),
    ):
        adapter(), library()  # what is loaded at first use
        pairs = [(timed(adapter), timed(library)) for _ in range(options.runs)]
        added = [ours - theirs for ours, theirs in pairs]
        records.append(
            {
                "adapter": name,
                "documents": options.documents,
                "adapter_ms": median(ours for ours, _ in pairs),
                "library_ms": median(theirs for _, theirs in pairs),
                "added_ms": median(added),
                "added_ms_min": min(added),
                "added_ms_max": max(added),
            }
        )
        print(as_line(records[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


def langchain(embedder: FunctionEmbedder, texts: Sequence[str]) -> Callable[[], object]:
    from langchain_core.documents import Document

    from sift_rag_langchain import SiftRerank

    compressor = SiftRerank(embedder=embedder, top_n=K)
    documents = [Document(text, metadata={"number": i}) for i, text in enumerate(texts)]
    return lambda: compressor.compress_documents(documents, QUESTION)


def llama_index(embedder: FunctionEmbedder, texts: Sequence[str], held: list[list[float]]) -> Callable[[], object]:
    from llama_index.core.schema import NodeWithScore, TextNode

    from sift_rag_llama_index import SiftRerank

    postprocessor = SiftRerank(K, embed_model=embedder)
    nodes = [NodeWithScore(node=TextNode(text=text, embedding=row)) for text, row in zip(texts, held, strict=True)]
    return lambda: postprocessor.postprocess_nodes(nodes, query_str=QUESTION)


def haystack(texts: Sequence[str], held: list[list[float]], question: list[float]) -> Callable[[], object]:
    from haystack import Document

    from sift_rag_haystack import SiftRanker

    ranker = SiftRanker(top_k=K)
    documents = [Document(content=text, embedding=row) for text, row in zip(texts, held, strict=True)]
    return lambda: ranker.run(QUESTION, documents, query_embedding=question)


def timed(call: Callable[[], object]) -> float:
    started = perf_counter()
    call()
    return 1e3 * (perf_counter() - started)


def as_line(record: dict[str, Any]) -> str:
    verdict = "within" if record["added_ms"] < GOAL_MS else "BEYOND"
    return (
        f"{record['adapter']:12} {record['adapter_ms']:6.1f} ms, the library's call {record['library_ms']:6.1f} ms: "
        f"{record['added_ms']:+.2f} ms [{record['added_ms_min']:+.2f}, {record['added_ms_max']:+.2f}], "
        f"{verdict} the goal of {GOAL_MS:g} ms"
    )


if __name__ == "__main__":
    main()
