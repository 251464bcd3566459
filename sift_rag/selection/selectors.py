"""Other ways to choose k of n, for comparison: each a frozen value that returns an order; one function measures them.

A baseline chooses by the embeddings as they are; the process only measures its choice, so that the rows of a table can
be compared. Similarity with the query is the inner product, or the relevance score if the pool has scores; between
candidates it is always the inner product. Directions are fixed here and tested.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from sift_rag import defaults
from sift_rag.selection.arrays import to_numpy
from sift_rag.selection.conditioning import start
from sift_rag.selection.greedy import Rules, first_largest
from sift_rag.selection.hull import hull_weights, whole_multiplicities
from sift_rag.selection.kernels import Linear, prepared
from sift_rag.selection.lexical import bm25
from sift_rag.selection.pool import ArrayPool, Pool
from sift_rag.selection.problem import read_problem
from sift_rag.selection.process import GaussianProcess, check_process, measure
from sift_rag.selection.relevance import check_relevance
from sift_rag.selection.result import Choice
from sift_rag.selection.stopping import Stopping
from sift_rag.words import bag_of

__all__ = ["Baseline", "Dpp", "FacilityLocation", "Hull", "Hybrid", "Mmr", "Nearest", "Random", "Uncertainty"]

LARGEST_QUALITY_SCALE = 1e30
"""Largest quality scale of a DPP: the logarithms of larger qualities leave float32."""

DPP_JITTER = 1e-4
"""Added to the diagonal: keeps the residual of an exact duplicate at a positive value above float32 rounding."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The part that all baselines share: an order of rows becomes a measured choice."""

    name: ClassVar[str]
    process: GaussianProcess = field(default_factory=GaussianProcess)
    """The Gaussian process that evaluates the selection."""

    def __post_init__(self) -> None:
        check_process(self.process)

    @abstractmethod
    def order(self, pool: ArrayPool, k: int) -> Sequence[int]:
        """Return up to k of the pool's candidates in the order chosen."""

    def select(self, pool: Pool, k: int, *, stopping: Stopping | None = None) -> Choice:
        """Implement ``Selector.select``: the order is unchanged by stopping rules and token counts."""
        problem = self.process.problem(pool)
        candidates = to_numpy(pool.candidates)
        targets, known = (
            np.atleast_2d(to_numpy(some)).astype(candidates.dtype)
            for some in (pool.targets, candidates[:0] if pool.known is None else pool.known)
        )
        weights = None if pool.weights is None else problem.weights
        scores = None
        if pool.relevance is not None:
            scores = check_relevance(pool.relevance, len(targets), len(candidates)).astype(candidates.dtype)
        order = self.order(ArrayPool(targets, candidates, known, weights, pool.texts, scores), k)
        return measure(problem, order, k, Rules(stopping=stopping, token_counts=pool.token_counts))


@dataclass(frozen=True, slots=True)
class Nearest(Baseline):
    """The k candidates of largest inner product with the query (with several targets, the largest over them)."""

    name: ClassVar[str] = "nearest"
    with_repeats: bool = False
    """Allow a candidate to be chosen more than once, each time as another training step."""

    def order(self, pool: ArrayPool, k: int) -> Sequence[int]:
        """Implement ``Baseline.order``."""
        similarity = _similarity(pool)
        first = _in_turn(len(pool.candidates), 1 if self.with_repeats else k, similarity.copy)
        return first * k if self.with_repeats else first


@dataclass(frozen=True, slots=True)
class Mmr(Baseline):
    """Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998).

    Each step takes argmax_x r·s(x*, x) - (1 - r)·max_{y in S} s(x, y), with s the inner product, S what was chosen
    before or is known, and the second term 0 while S is empty.
    """

    name: ClassVar[str] = "mmr"
    relevance: float = defaults.MMR_RELEVANCE
    """Weight r of relevance against redundancy, in [0, 1]: 1 is relevance alone."""

    def __post_init__(self) -> None:
        Baseline.__post_init__(self)
        if not 0.0 <= self.relevance <= 1.0:
            raise ValueError(f"relevance must be in [0, 1], but got {self.relevance}.")

    def order(self, pool: ArrayPool, k: int) -> Sequence[int]:
        """Implement ``Baseline.order``."""
        relevant = self.relevance * _similarity(pool)
        redundancy = (pool.candidates @ pool.known.T).max(axis=1, initial=-np.inf)

        def score() -> np.ndarray:
            seen = np.isfinite(redundancy[:1]).any()
            return relevant - (1.0 - self.relevance) * redundancy if seen else relevant.copy()

        def chosen(row: int) -> None:
            np.maximum(redundancy, pool.candidates @ pool.candidates[row], out=redundancy)

        return _in_turn(len(pool.candidates), k, score, chosen)


@dataclass(frozen=True, slots=True)
class Dpp(Baseline):
    """Greedy MAP of a determinantal point process (Chen, Zhang and Zhou, NeurIPS 2018).

    L_ij = q_i q_j x_i·x_j with quality q_i = exp(``quality_scale`` · s(x*, x_i)). Each step takes the candidate of
    largest residual L_ii: its squared quality times the posterior variance of x_i after the choice so far, for the
    linear kernel with a noise that is only a jitter.
    """

    name: ClassVar[str] = "dpp"
    quality_scale: float = defaults.DPP_QUALITY_SCALE
    """Factor of the similarity in the exponent of a candidate's quality: larger is closer to nearest neighbour."""

    def __post_init__(self) -> None:
        Baseline.__post_init__(self)
        if not abs(self.quality_scale) <= LARGEST_QUALITY_SCALE:
            raise ValueError(
                f"quality_scale must be a number of at most {LARGEST_QUALITY_SCALE:g}, but got {self.quality_scale}."
            )

    def order(self, pool: ArrayPool, k: int) -> Sequence[int]:
        """Implement ``Baseline.order``."""
        problem = read_problem(Pool(pool.targets, pool.candidates, known=pool.known), Linear(), DPP_JITTER)
        residual = start(problem, min(k, len(pool.candidates)) + len(pool.known))
        for row in problem.known:
            residual.observe(row)
        log_quality = 2.0 * self.quality_scale * _similarity(pool)

        def score() -> np.ndarray:
            return np.asarray(log_quality + np.log(residual.noisy_variances))

        return _in_turn(len(pool.candidates), k, score, residual.observe)


@dataclass(frozen=True, slots=True)
class FacilityLocation(Baseline):
    """Facility location: the candidates that best represent the others, each weighted by its relevance.

    Greedy maximisation of f(S) = Σ_x max(s(x*, x), 0) · max_{y in S} max(s(x, y), 0) over the candidates x, S with what
    is known: monotone and submodular. Costs O(n² (d + k)) time and O(n²) memory.
    """

    name: ClassVar[str] = "facility-location"

    def order(self, pool: ArrayPool, k: int) -> Sequence[int]:
        """Implement ``Baseline.order``."""
        relevant = _similarity(pool).clip(0.0)
        similar = (pool.candidates @ pool.candidates.T).clip(0.0)
        covered = (pool.candidates @ pool.known.T).clip(0.0).max(axis=1, initial=0.0)

        def chosen(row: int) -> None:
            np.maximum(covered, similar[row], out=covered)

        return _in_turn(len(pool.candidates), k, lambda: np.asarray((similar - covered).clip(0.0) @ relevant), chosen)


@dataclass(frozen=True, slots=True)
class Uncertainty(Baseline):
    """Uncertainty sampling: the candidate of largest posterior variance of its own, whatever the query is."""

    name: ClassVar[str] = "uncertainty"

    def order(self, pool: ArrayPool, k: int) -> Sequence[int]:
        """Implement ``Baseline.order``."""
        process = self.process
        problem = read_problem(
            Pool(pool.targets, pool.candidates, known=pool.known),
            prepared(process.kernel),
            process.noise_variance,
            double=True,
        )
        posterior = start(problem, min(k, len(pool.candidates)) + len(pool.known))
        for row in problem.known:
            posterior.observe(row)
        return _in_turn(len(pool.candidates), k, lambda: np.array(posterior.noisy_variances), posterior.observe)


@dataclass(frozen=True, slots=True)
class Random(Baseline):
    """A uniformly random order of k candidates; the same for the same seed and n."""

    name: ClassVar[str] = "random"
    seed: int = 0
    """Seed of the order."""

    def __post_init__(self) -> None:
        Baseline.__post_init__(self)
        if self.seed < 0:
            raise ValueError(f"seed must be >= 0, but got {self.seed}.")

    def order(self, pool: ArrayPool, k: int) -> Sequence[int]:
        """Implement ``Baseline.order``."""
        return np.random.default_rng(self.seed).permutation(len(pool.candidates))[:k].tolist()  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Hull(Baseline):
    """The candidates that the query, the weighted mean of its targets, is mixed from: heaviest first.

    After HullFT (arXiv 2605.30337), a rival of SIFT for fine-tuning. With repeats, k choices with the multiplicities of
    ``whole_multiplicities``, copies next to each other. Without, each once, and after those of positive weight the rest
    by similarity with the query. The method has no use for what is known. Costs O(n d) an iteration.
    """

    name: ClassVar[str] = "hull"
    with_repeats: bool = False
    """Allow a candidate to be chosen more than once, each time as another training step."""
    iterations: int = 100
    """Largest number of Frank-Wolfe steps."""
    tolerance: float = 1e-6
    """Duality gap at which the mixture is good enough."""

    def order(self, pool: ArrayPool, k: int) -> Sequence[int]:
        """Implement ``Baseline.order``.

        Raises:
            ValueError: the pool has relevance scores.
        """
        if pool.relevance is not None:
            raise ValueError(
                "The selector 'hull' mixes the query from candidates, so it cannot use relevance scores: choose "
                "another selector."
            )
        points = pool.candidates.astype(np.float64)
        target = np.average(pool.targets, axis=0, weights=pool.weights)
        mixture = hull_weights(target, points, iterations=self.iterations, tolerance=self.tolerance)
        heaviest_first = np.lexsort((np.arange(len(points)), -(points @ target), -mixture))
        if self.with_repeats:
            counts = whole_multiplicities(target, points, mixture, k)
            heaviest_first = np.repeat(heaviest_first, counts[heaviest_first])
        return heaviest_first[:k].tolist()  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Hybrid(Baseline):
    """Reciprocal rank fusion of similarity and BM25 (Cormack, Clarke and Buettcher, SIGIR 2009).

    What is usually called hybrid search: the largest Σ 1 / (``constant`` + rank) over both rankings of every target. A
    candidate without a word of the query has no rank in the second. Without texts it is the first alone.
    """

    name: ClassVar[str] = "hybrid"
    constant: float = defaults.RRF_CONSTANT
    """Rank at which a list has half its say, >= 0."""

    def order(self, pool: ArrayPool, k: int) -> Sequence[int]:
        """Implement ``Baseline.order``."""
        fused = (1.0 / (self.constant + _ranks(_similarities(pool)))).sum(axis=0)
        if pool.texts is not None:
            language = self.process.features.language
            asked, held = (
                [bag_of(text, language) for text in some] for some in (pool.texts.targets, pool.texts.candidates)
            )
            scores = bm25(asked, held)
            fused += np.where(scores > 0, 1.0 / (self.constant + _ranks(scores)), 0.0).sum(axis=0)
        return _in_turn(len(fused), k, fused.copy)


def _in_turn(
    size: int, k: int, score: Callable[[], np.ndarray], chosen: Callable[[int], object] | None = None
) -> list[int]:
    """Return up to k of ``size`` rows, each of largest score ``(n,)`` among those left when its turn comes.

    ``score`` gives an array that may be written to; ``chosen`` is told every choice but the last.
    """
    order: list[int] = []
    wanted = min(k, size)
    while len(order) < wanted:
        scores = score()
        scores[order] = -np.inf
        order.append(first_largest(scores))
        if chosen is not None and len(order) < wanted:
            chosen(order[-1])
    return order


def _similarity(pool: ArrayPool) -> np.ndarray:
    """Return ``(n,)``: the largest similarity over the targets."""
    return np.asarray(_similarities(pool).max(axis=0))


def _similarities(pool: ArrayPool) -> np.ndarray:
    """Return ``(m, n)``: the pool's relevance scores if it has some, else inner products."""
    return np.asarray(pool.targets @ pool.candidates.T) if pool.relevance is None else pool.relevance


def _ranks(scores: np.ndarray) -> np.ndarray:
    """Return ``(m, n)``: the rank of each candidate in each row of scores, from 1; ties by index."""
    return np.asarray(np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1) + 1)
