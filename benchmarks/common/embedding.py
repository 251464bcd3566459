"""Tasks as vectors: everything embedded once and kept on disk, and the pool of every question."""

from __future__ import annotations

import argparse
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from benchmarks.common.datasets import DATA_VARIABLE, RetrievalTask
from sift_rag import defaults
from sift_rag.selection import Pool, Target, Texts
from sift_rag.selection.lexical import bm25
from sift_rag.words import bag_of

POOL = 100

WORDLLAMA = "wordllama"

Role: TypeAlias = Literal["query", "passage"]

CACHE_CHUNK = 2048
"""Texts embedded between two writes to the cache: what an interrupted run does not lose."""


class Asked(NamedTuple):
    """One question and the candidates to choose from."""

    pool: Pool
    """Nearest candidates first. Extending it adds to ``rows`` what it adds to the candidates."""
    rows: list[int]
    """Row of each candidate in the collection."""


class EmbeddedTask(NamedTuple):
    task: RetrievalTask
    passages: np.ndarray
    """``(n, d)``, unit norm."""
    token_counts: np.ndarray
    """``(n,)``: tokens of each passage, >= 1, as the embedder counts them."""
    targets: tuple[np.ndarray, ...]
    """``(m, d)`` for each question."""
    pools: tuple[np.ndarray, ...]
    """Rows of ``passages`` for each question, nearest first."""
    sharing: tuple[np.ndarray, ...] = ()
    """Rows for each question that share words with it and are not in its pool; none if words are not searched for."""

    def asked(self, question: int) -> Asked:
        """Return a question, by its index, with its candidates and one more search to extend them."""
        return _asked(self, question)


def _asked(embedded: EmbeddedTask, question: int) -> Asked:
    targets, nearest = embedded.targets[question], embedded.pools[question]
    rows = [*nearest.tolist(), *(embedded.sharing[question].tolist() if embedded.sharing else ())]

    def pool() -> Pool:
        return Pool(
            targets,
            embedded.passages[rows],
            token_counts=embedded.token_counts[rows],
            texts=Texts(embedded.task.questions[question], [embedded.task.passages[row] for row in rows]),
            reference=len(nearest),
            extend=extend,
        )

    def extend(target: Target) -> Pool:
        found = nearest_rows(np.asarray(target.row)[None], embedded.passages, defaults.FOLLOW_CANDIDATES)
        rows.extend(row for row in found.tolist() if row not in set(rows))
        return pool()

    return Asked(pool(), rows)


def embed_task(
    task: RetrievalTask,
    cache: Path,
    pool: int = POOL,
    *,
    sharing: int = defaults.WORD_CANDIDATES,
    embedder: str = defaults.EMBEDDER,
) -> EmbeddedTask:
    """Embed questions and passages, and build each question's pool.

    Args:
        task: the task to embed.
        cache: folder of the embeddings.
        pool: nearest passages for each target.
        sharing: lexical candidates (BM25) to add per target; 0 for none.
        embedder: value of ``--embedder``.
    """
    passages = embed_cached(task.passages, "passage", cache, embedder)
    rows = embed_cached([target for targets in task.questions for target in targets], "query", cache, embedder)
    ends = np.cumsum([len(targets) for targets in task.questions])
    targets = tuple(np.split(rows, ends[:-1]))
    pools = tuple(nearest_rows(asked, passages, pool) for asked in targets)
    by_words = iter(_best_by_words(task, sharing))
    added: list[np.ndarray] = []
    for texts, near in zip(task.questions, pools, strict=True):
        found = dict.fromkeys(row for _ in texts for row in next(by_words))
        added.append(np.array([row for row in found if row not in set(near.tolist())], dtype=np.int64))
    return EmbeddedTask(task, passages, count_tokens(task.passages), targets, pools, tuple(added))


def _best_by_words(task: RetrievalTask, limit: int) -> list[list[int]]:
    """Return, for each target, up to ``limit`` rows with the highest BM25; repeated words of a question count once."""
    asked = [bag_of(text) for texts in task.questions for text in texts]
    if not limit:
        return [[] for _ in asked]
    once = [bag._replace(counts=np.ones_like(bag.counts)) for bag in asked]
    scores = bm25(once, [bag_of(text) for text in task.passages])
    rankings = (np.argsort(-row, kind="stable")[:limit] for row in scores)
    return [ranking[row[ranking] > 0].tolist() for ranking, row in zip(rankings, scores, strict=True)]


def nearest_rows(targets: np.ndarray, passages: np.ndarray, limit: int, *, without: Sequence[int] = ()) -> np.ndarray:
    """Return the ``limit`` passages nearest to each target, in one list by the largest similarity.

    Args:
        targets: ``(m, d)``.
        passages: ``(n, d)``.
        limit: how many a target.
        without: rows that are left out.
    """
    similarities = targets @ passages.T
    similarities[:, list(without)] = -np.inf
    limit = min(limit, len(passages) - len(set(without)))
    rows = np.unique(np.argpartition(-similarities, limit - 1, axis=1)[:, :limit])
    return rows[np.argsort(-similarities[:, rows].max(axis=0), kind="stable")]


def embed_cached(texts: Sequence[str], role: Role, cache: Path, embedder: str = defaults.EMBEDDER) -> np.ndarray:
    """Embed on one thread, or read from disk: unit-norm float32 ``(n, d)``.

    Args:
        texts: one a row.
        role: queries and passages may have different prompts.
        cache: folder of the embeddings.
        embedder: ``wordllama``, or a name that ``open_embedder`` knows; ``NAME@D`` keeps the first D dimensions.
    """
    name, _, dimension = embedder.partition("@")
    rows = _embed_cached(texts, role, cache, name)
    if not dimension:
        return rows
    rows = rows[:, : int(dimension)]
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def _embed_cached(texts: Sequence[str], role: Role, cache: Path, name: str) -> np.ndarray:
    cache.mkdir(parents=True, exist_ok=True)
    embed: Callable[[Sequence[str]], np.ndarray] | None = None
    chunks = []
    for start in range(0, len(texts), CACHE_CHUNK):
        chunk = list(texts[start : start + CACHE_CHUNK])
        digest = hashlib.blake2b("\0".join([name, role, *chunk]).encode(), digest_size=16)
        path = cache / f"{digest.hexdigest()}.npy"
        if not path.is_file():
            embed = embed or _embedding_function(name, role)
            partial_file = path.with_suffix(f".{os.getpid()}.partial")
            with partial_file.open("wb") as file:
                np.save(file, embed(chunk))
            partial_file.replace(path)
        chunks.append(np.load(path))
    return np.concatenate(chunks)


def count_tokens(texts: Sequence[str]) -> np.ndarray:
    """Count each text's tokens, special ones left out, for the default embedder: ``(n,)``, at least 1 each."""
    from sift_rag.opening import open_embedder
    from sift_rag.tokens import without_limits

    encodings = without_limits(open_embedder().tokenizer).encode_batch(list(texts), add_special_tokens=False)
    return np.array([max(1, len(encoding.ids)) for encoding in encodings])


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--data``, ``--cache`` and ``--json``."""
    from platformdirs import user_cache_path

    cache = user_cache_path("sift-rag", appauthor=False) / "benchmarks"
    parser.add_argument("--data", type=Path, help=f"folder of the collections (default: ${DATA_VARIABLE})")
    parser.add_argument("--cache", type=Path, default=cache, help="where embeddings are kept between runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")


def _embedding_function(name: str, role: Role) -> Callable[[Sequence[str]], np.ndarray]:
    if name == WORDLLAMA:
        return _wordllama()
    import torch

    from sift_rag.opening import open_embedder

    torch.set_num_threads(1)  # the machine may be shared
    embedder = open_embedder(name)
    return embedder.embed_queries if role == "query" else embedder.embed_passages


def _wordllama() -> Callable[[Sequence[str]], np.ndarray]:
    """Return WordLlama's embedding: a table of 256 numbers per token, shipped with the package."""
    import wordllama

    shipped = Path(wordllama.__file__).parent  # the bundled tokenizer is found only if this is the cache
    model = wordllama.WordLlama.load(dim=256, cache_dir=shipped, disable_download=True)
    return lambda texts: np.asarray(model.embed(list(texts), norm=True), dtype=np.float32)
