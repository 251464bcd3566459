"""Small collections with graphs of neighbours: the engine makes them of large ones only, unless told otherwise."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from qdrant_edge import Distance, EdgeConfig, EdgeOptimizersConfig, EdgeShard, EdgeVectorParams, HnswIndexConfig

from sift_rag.stores.embedded.engine import shard_dimension
from sift_rag.stores.embedded.manifest import SHARD
from sift_rag.stores.embedded.seal import SEAL

KILOBYTES = 1
"""Size of the vectors from which on the engine makes a graph, and searches by it."""


def allow_small_graphs(root: Path, name: str) -> None:
    """Let ``optimize`` make a graph of a collection of any size, which is closed."""
    folder = root / name / SHARD
    dimension = shard_dimension(folder)
    assert dimension is not None
    small = EdgeConfig(
        vectors=EdgeVectorParams(size=dimension, distance=Distance.Cosine),
        hnsw_config=HnswIndexConfig(m=16, ef_construct=100, full_scan_threshold=KILOBYTES),
        optimizers=EdgeOptimizersConfig(indexing_threshold=KILOBYTES),
    )
    with closing(EdgeShard.load(str(folder), small)):
        (root / name / SEAL).unlink(missing_ok=True)
