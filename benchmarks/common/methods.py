"""Ways to choose passages, written as text: a name, and after a colon the parameters that differ from the default.

    nearest, mmr, dpp, ...        the library's baselines. relevance (mmr), quality_scale (dpp), and for each
                                  centring: this share of the pool's mean is taken off the embeddings first; words:
                                  this share of the similarity is that of the words
    sift                          ``Sift`` with any of its settings; and
                                  balanced=0: several targets weigh the same; per_token=1: the largest gain per token
                                  (0.5: per square root of the tokens)
    bm25, convex                  BM25 alone; 0.7 of the cosine and 0.3 of BM25, each scaled to [0, 1] in the pool
    rocchio                       nearest to the mean of question and nearest passage
    rrf, round-robin              several targets: reciprocal rank fusion; each target's next best in turn
    variant                       SIFT changed in a respect that the library does not have: see ``Variant``

Alternatives are written ``a/b``: ``mmr:relevance=0.8/0.9,centring=0/0.5`` stands for four methods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any, Literal, TypeAlias

import numpy as np

from sift_rag import defaults
from sift_rag.evaluation.metrics import SEED
from sift_rag.selection import ArrayPool, Features, GaussianProcess, Pool, Rbf, Sift, selector_from
from sift_rag.selection.lexical import bm25
from sift_rag.words import bag_of

Select: TypeAlias = Callable[[Pool, int], Sequence[int]]
"""A method: it returns the indices of k candidates, in order."""

RANDOM_PAIRS = 20_000
"""Number of pairs of passages on which a collection's spread is measured."""


@dataclass(frozen=True, slots=True)
class Variant:
    """SIFT's greedy choice with something changed.

    By default: ``select_sift`` on embeddings as they are, targets not balanced.
    """

    lengthscale: float = defaults.LENGTHSCALE
    noise_variance: float = defaults.NOISE_VARIANCE
    centre: float = 0.0
    """Share of the *collection's* mean vector that is taken off every embedding before the kernel."""
    whiten: float = 0.0
    """Directions of the collection are divided by their standard deviation to this power (1 whitens)."""
    spread: Literal["", "collection", "pool"] = ""
    """Measure 1 - cos in units of its median over random pairs of the collection, or over the pairs of the pool; the
    lengthscale then stands for a collection in which that median is 1."""
    noise_of_pool: bool = False
    """Noise variance in units of the mean kernel value between two candidates of the pool."""
    query_lengthscale: float = 0.0
    """Another lengthscale between question and passage than between passages; 0 for the same."""
    relevance: float = 0.0
    """Each gain is multiplied by the squared kernel value with the question to this power."""
    one_sided: bool = False
    """A negative posterior covariance with the question counts as none: what is explained away tells nothing."""


def read_method(text: str, passages: np.ndarray) -> Select:
    """Return the method that the text names; this module's docstring gives the syntax.

    Args:
        text: a name, and after a colon its parameters.
        passages: ``(n, d)``, the whole collection.

    Raises:
        SystemExit: no such method or parameter.
    """
    name, _, parameters = text.partition(":")
    try:
        written = dict(part.split("=", 1) for part in parameters.split(",") if part)
        values: dict[str, Any] = {key: _value(value) for key, value in written.items()}
        if name == "sift":
            return _sift(**values)
        if name in defaults.SELECTORS:
            return _baseline(name, **values)
        if name == "variant":
            return _variant(Variant(**values), passages)
        rivals: dict[str, Callable[..., Sequence[int]]] = {
            "rrf": select_fused,
            "round-robin": select_in_turn,
            "bm25": select_by_words,
            "convex": select_by_mixture,
            "rocchio": select_by_feedback,
        }
        return partial(rivals[name], **values)
    except (KeyError, TypeError, ValueError) as error:
        raise SystemExit(f"{text!r} is not a method: {error}. --help says what is.") from error


def alternatives(text: str) -> Iterator[str]:
    """Yield the methods that one text stands for, the last parameter changing fastest."""
    name, colon, parameters = text.partition(":")
    named = [part.partition("=") for part in parameters.split(",") if part]
    for chosen in product(*(values.split("/") for _, _, values in named)):
        yield name + colon + ",".join(f"{key}={value}" for (key, _, _), value in zip(named, chosen, strict=True))


def select_fused(pool: Pool, k: int, *, constant: float = 60.0) -> Sequence[int]:
    """Fuse one ranking per target by reciprocal ranks (Cormack, Clarke and Buettcher, SIGIR 2009)."""
    similarities = pool.targets @ pool.candidates.T
    ranks = np.argsort(np.argsort(-similarities, axis=1, kind="stable"), axis=1) + 1
    return list(np.argsort(-(1.0 / (constant + ranks)).sum(axis=0), kind="stable")[:k])


def select_in_turn(pool: Pool, k: int) -> Sequence[int]:
    """Take the best of the first target, of the second, ..., then the next best of each; none twice."""
    rankings = np.argsort(-(pool.targets @ pool.candidates.T), axis=1, kind="stable")
    return list(dict.fromkeys(rankings.T.ravel().tolist()))[:k]


def select_by_words(pool: Pool, k: int) -> Sequence[int]:
    """Take the largest BM25, summed over the targets; candidates without a word of the question last."""
    return list(np.argsort(-_bm25(pool).sum(axis=0), kind="stable")[:k])


def select_by_mixture(pool: Pool, k: int, *, dense: float = 0.7) -> Sequence[int]:
    """Take the largest ``dense`` · cosine + (1 - ``dense``) · BM25, both scaled to [0, 1] over the candidates."""
    scores = [_scaled((pool.targets @ pool.candidates.T).max(axis=0)), _scaled(_bm25(pool).sum(axis=0))]
    return list(np.argsort(-(dense * scores[0] + (1 - dense) * scores[1]), kind="stable")[:k])


def select_by_feedback(pool: Pool, k: int, *, share: float = 0.5) -> Sequence[int]:
    """Take those nearest to the mean of the question and the passage nearest to it (Rocchio, 1971)."""
    targets, candidates = np.asarray(pool.targets), np.asarray(pool.candidates)
    first = int((targets @ candidates.T).max(axis=0).argmax())
    fed = (1 - share) * targets.mean(axis=0) + share * candidates[first]
    return list(np.argsort(-(candidates @ fed), kind="stable")[:k])


def _bm25(pool: Pool) -> np.ndarray:
    assert pool.texts is not None
    return bm25([bag_of(text) for text in pool.texts.targets], [bag_of(text) for text in pool.texts.candidates])


def _scaled(scores: np.ndarray) -> np.ndarray:
    low, high = float(scores.min()), float(scores.max())
    return (scores - low) / (high - low) if high > low else np.zeros_like(scores)


def _sift(*, balanced: int = 1, per_token: float = 0.0, **settings: Any) -> Select:
    selector = selector_from("sift", settings)

    def select(pool: Pool, k: int) -> Sequence[int]:
        counts = np.asarray(pool.token_counts) ** per_token if per_token else None
        weights = None if balanced else np.ones(len(pool.targets))
        extend = None if per_token else pool.extend  # what a search adds has its own counts
        choice = selector.select(replace(pool, weights=weights, token_counts=counts, extend=extend), k)
        return list(choice.selection.indices.tolist())

    return select


def _baseline(name: str, *, centring: float = 0.0, words: float = 0.0, **parameters: Any) -> Select:
    selector = selector_from(name, parameters)
    assert not isinstance(selector, Sift)
    features = Features(centring, words=words)

    def select(pool: Pool, k: int) -> Sequence[int]:
        seen = GaussianProcess(Rbf(), features=features).problem(pool)
        points = np.asarray(seen.points)
        return list(selector.order(ArrayPool(seen.targets, points, points[:0], None, pool.texts), k))

    return select


def _variant(variant: Variant, passages: np.ndarray) -> Select:
    mean = variant.centre * passages.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(passages.T)) if variant.whiten else (np.ones(1), np.eye(1))
    squeeze = np.maximum(values, 1e-6) ** (-variant.whiten / 2)

    def transform(rows: np.ndarray) -> np.ndarray:
        rows = rows - mean
        if variant.whiten:
            rows = (rows @ vectors) * squeeze
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))

    unit = 1.0
    if variant.spread == "collection":
        pairs = np.random.default_rng(SEED).integers(len(passages), size=(2, RANDOM_PAIRS))
        first, second = transform(passages[pairs[0]]), transform(passages[pairs[1]])
        unit = float(np.median(1 - np.einsum("nd,nd->n", first, second)))

    def select(pool: Pool, k: int) -> Sequence[int]:
        targets, candidates = transform(pool.targets), transform(pool.candidates)
        gram = candidates @ candidates.T
        distance = unit
        if variant.spread == "pool":
            distance = float(np.median(1 - gram[np.triu_indices(len(gram), 1)]))
        return _greedy(variant, targets @ candidates.T, gram, distance, k)

    return select


def _greedy(variant: Variant, to_targets: np.ndarray, gram: np.ndarray, unit: float, k: int) -> list[int]:
    """Choose greedily from cosines ``(m, n)`` and ``(n, n)``: the recurrence of ``select_sift`` on a kernel matrix."""
    scale = 1 / (unit * variant.lengthscale**2)
    to_query = 1 / (unit * variant.query_lengthscale**2) if variant.query_lengthscale else scale
    covariance = np.exp(to_query * (to_targets - 1))
    kernel = np.exp(scale * (gram - 1))
    noise = variant.noise_variance
    if variant.noise_of_pool:
        noise *= (kernel.sum() - np.trace(kernel)) / max(kernel.size - len(kernel), 1)
    weight = (covariance**2).sum(axis=0) ** variant.relevance
    chosen: list[int] = []
    for _ in range(min(k, len(gram))):
        told = np.maximum(covariance, 0.0) if variant.one_sided else covariance
        gains = weight * (told**2).sum(axis=0) / (kernel.diagonal() + noise)
        gains[chosen] = -1.0
        pick = int(gains.argmax())
        column, known = kernel[pick].copy(), covariance[:, pick].copy()
        scale_of_pick = column[pick] + noise
        covariance -= np.outer(known, column) / scale_of_pick
        kernel -= np.outer(column, column) / scale_of_pick
        chosen.append(pick)
    return chosen


def _value(text: str) -> float | int | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
