"""What runs in the processes of a cluster, and in drivers that are killed."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from sift_rag.clusters import RayCluster
from sift_rag.corpus.options import IngestOptions
from sift_rag.ingestion import ingest_paths
from sift_rag.types import Embedding
from tests.doubles import HashingEmbedder


class Recording(HashingEmbedder):
    """Writes down what it embeds, and in which process; slow enough for that process to be killed meanwhile."""

    def __init__(self, log: str, pause: float = 0.0) -> None:
        super().__init__()
        self._log, self._pause = log, pause

    def embed_passages(self, texts: Sequence[str]) -> Embedding:
        for text in texts:
            time.sleep(self._pause)
            with Path(self._log).open("a") as file:
                file.write(f"{json.dumps([os.getpid(), text])}\n")
        return self.embed_queries(texts)


class Differing(HashingEmbedder):
    """An embedder of one name that gives other vectors in each process, as other weights would."""

    def _vector(self, text: str) -> Embedding:
        return super()._vector(f"{text} {' '.join(f'{os.getpid()}{word}' for word in range(50))}")


def recorded(log: Path) -> list[tuple[int, str]]:
    """Return the process and the text of everything that was embedded."""
    if not log.exists():
        return []
    return [tuple(json.loads(line)) for line in log.read_text().splitlines()]


def drive(notes: str, store: str, log: str, pause: str) -> None:
    """Ingest on a cluster of this process's own."""
    cluster = RayCluster("local", workers=2)
    embedder = Recording(log, float(pause))
    ingest_paths(notes, store=store, embedder=embedder, options=IngestOptions(cluster=cluster))


if __name__ == "__main__":
    drive(*sys.argv[1:])
