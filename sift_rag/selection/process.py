"""The Gaussian process that a selection minimises, or is evaluated by: the one place that evaluates selections."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from sift_rag import defaults
from sift_rag.selection.arrays import check_k, check_noise_variance
from sift_rag.selection.conditioning import Posterior, start
from sift_rag.selection.features import Features
from sift_rag.selection.greedy import Rules, select_greedily, steps
from sift_rag.selection.kernels import Kernel, Rbf, prepared
from sift_rag.selection.pool import Pool
from sift_rag.selection.problem import Problem, read_problem
from sift_rag.selection.redundancy import RedundancyWatch
from sift_rag.selection.relevance import with_relevance
from sift_rag.selection.result import Choice, GreedySelection
from sift_rag.selection.view import View


@dataclass(frozen=True, slots=True)
class GaussianProcess:
    """A kernel over rows, how embeddings become rows, and the noise of an observation.

    Raises:
        ValueError: a parameter is out of range.
    """

    kernel: Kernel = field(default_factory=Rbf)
    """``Rbf()`` for a context window, ``Linear()`` for fine-tuning as in the paper, or a function."""
    noise_variance: float = defaults.NOISE_VARIANCE
    """Noise variance of one observation, > 0: smaller avoids repetition more, larger is closer to nearest neighbour."""
    features: Features = field(default_factory=Features)
    """Applied under the rbf kernel, and several targets are balanced; other kernels see embeddings as they are."""

    def __post_init__(self) -> None:
        prepared(self.kernel)
        check_noise_variance(self.noise_variance)

    @property
    def reads_words(self) -> bool:
        """Return True if the words of texts count beside their embeddings."""
        return isinstance(self.kernel, Rbf) and self.features.words > 0

    def problem(self, pool: Pool, *, view: View | None = None, double: bool = False) -> Problem:
        """Return the checked arrays of a pool, in float64 if ``double``.

        ``view`` was computed from another pool instead of its own candidates.

        Raises:
            ValueError: see ``select_sift``.
        """
        kernel, noise = prepared(self.kernel), self.noise_variance
        problem = read_problem(pool, kernel, noise, features=self.features, view=view, double=double)
        return with_relevance(problem, pool, balanced=view is None)


def check_process(process: object) -> None:
    """Raise ``TypeError`` unless it is a Gaussian process: a selector's first argument, not a parameter of its own."""
    if not isinstance(process, GaussianProcess):
        raise TypeError(f"process must be a GaussianProcess, but got {process!r}: name the selector's own parameters.")


def choose(problem: Problem, k: int, rules: Rules) -> Choice:
    """Return SIFT's k of the problem's candidates, with its irreducible variance and the redundancy of the rest."""
    check_k(k)
    return _run(problem, _unobserved(problem, k, rules), k, rules)


def select(problem: Problem, k: int, rules: Rules) -> GreedySelection:
    """Return SIFT's k of the problem's candidates: ``choose`` without the totals of a complete selection."""
    return select_greedily(_unobserved(problem, k, rules), problem, k, rules)


def measure(problem: Problem, order: Iterable[int], k: int, rules: Rules) -> Choice:
    """Return the first k rows of ``order`` as a choice: measured as ``choose`` does, ended by the same rules.

    Raises:
        ValueError: a row is not one of the candidates.
    """
    check_k(k)
    rows = [int(row) for row in order]
    if any(not 0 <= row < problem.size for row in rows):
        raise ValueError(f"Indices must be in [0, {problem.size}), but got {rows}.")
    return _run(problem, start(problem, min(k, len(rows)) + len(problem.known)), k, rules, rows)


def _unobserved(problem: Problem, k: int, rules: Rules) -> Posterior:
    if rules.with_repeats and problem.told is not None:
        raise ValueError("A choice with repeats cannot use relevance scores: they do not say what a repeat adds.")
    observations = steps(problem, k, with_repeats=rules.with_repeats) + len(problem.known)
    return start(problem, observations, greedily=True)


def _run(problem: Problem, posterior: Posterior, k: int, rules: Rules, order: list[int] | None = None) -> Choice:
    watch = RedundancyWatch()
    selection = select_greedily(posterior, problem, k, replace(rules, irreducible=True), order=order, watch=watch)
    return Choice(selection, watch.redundancy(selection.indices.tolist(), problem))
