"""SIFT: the greedy choice that leaves the least posterior variance.

The step of the paper (arXiv 2410.08020, equation 5; several targets: arXiv 2402.15898, VTL)

    x_{n+1} = argmin_x σ²_{X ∪ {x}}(x*) = argmax_x Σ_i w_i c_i(x)² / (v(x) + λ)

needs only the posterior covariance c_i(x) of every candidate with each target and its posterior variance v(x), which
``conditioning.py`` keeps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

from sift_rag import defaults
from sift_rag.selection.arrays import ArrayLike, check_k
from sift_rag.selection.features import Features
from sift_rag.selection.following import choose_following
from sift_rag.selection.greedy import Accept, Rules, select_greedily, steps
from sift_rag.selection.information import InformationPosterior
from sift_rag.selection.kernels import Kernel, Linear, kernel_named
from sift_rag.selection.pool import Pool, Texts
from sift_rag.selection.process import GaussianProcess, check_process, select
from sift_rag.selection.result import Choice, GreedySelection
from sift_rag.selection.stopping import Stopping
from sift_rag.selection.view import View

Objective: TypeAlias = Literal["variance", "information"]


@dataclass(frozen=True, slots=True)
class Sift:
    """SIFT as a selector: greedy minimisation of the targets' posterior variance."""

    name: ClassVar[str] = "sift"
    process: GaussianProcess = field(default_factory=GaussianProcess)
    """The process whose posterior variance is minimised."""
    with_repeats: bool = False
    """Allow a candidate to be chosen more than once, each time as another training step."""
    follow: float = defaults.FOLLOW
    """Weight of the question together with the first passage as a further target, >= 0; 0 leaves the choice to the
    question alone. Under the rbf kernel, without repeats."""

    def __post_init__(self) -> None:
        check_process(self.process)
        check_follow(self.follow)

    @classmethod
    def for_fine_tuning(cls) -> Sift:
        """Return the selector of training passages: under the linear kernel an embedding stands for a gradient.

        The noise variance is measured: docs/log.md, "What to train on".
        """
        return cls(TRAINING_PROCESS, with_repeats=True)

    def select(self, pool: Pool, k: int, *, stopping: Stopping | None = None) -> Choice:
        """Implement ``Selector.select``."""
        rules = Rules(self.with_repeats, stopping, pool.token_counts)
        return choose_following(self.process, pool, k, rules, self.follow)


TRAINING_PROCESS = GaussianProcess(Linear(), noise_variance=1.0)
"""The Gaussian process that selects and evaluates training passages."""


def select_sift(
    query: ArrayLike,
    candidates: ArrayLike,
    k: int,
    *,
    kernel: str | Kernel = defaults.KERNEL,
    lengthscale: float = defaults.LENGTHSCALE,
    noise_variance: float = defaults.NOISE_VARIANCE,
    centring: float = defaults.CENTRING,
    words: float = defaults.WORDS,
    language: str = defaults.LANGUAGE,
    texts: Texts | None = None,
    relevance: ArrayLike | None = None,
    follow: float = 0.0,
    with_repeats: bool = False,
    known: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    objective: Objective = "variance",
    stopping: Stopping | None = None,
    token_counts: ArrayLike | None = None,
    irreducible: bool = False,
    accept: Accept | None = None,
) -> GreedySelection:
    """Select the k candidates that together tell most about the query, greedily, in O(k n (d + k + m)).

    With ``texts`` and ``follow=defaults.FOLLOW`` it chooses what ``Retriever.retrieve`` would choose among these
    candidates. The paper's selection is ``kernel="linear"``, which takes embeddings as they are; under ``rbf``,
    ``centring=0`` without texts does.

    Args:
        query: one target ``(d,)``, or m of them ``(m, d)`` whose posterior variances are summed. numpy or torch.
        candidates: ``(n, d)``, of the same kind. The arithmetic is float32, or float64 where the candidates are and
            where the noise or the lengthscale is too small for float32.
        k: number of choices, >= 0. Without repeats at most n are made.
        kernel: ``rbf`` for a context window (needs unit-norm rows), ``linear`` for the paper's fine-tuning, or a
            kernel of ``sift_rag.selection.kernels``; a function is given arrays of the caller's kind.
        lengthscale: ℓ of the rbf kernel, > 0.
        noise_variance: λ > 0. Towards infinity the order is that of the squared kernel value with the query (relevance
            alone); towards 0 what is known already is worth nothing.
        centring: share, in [0, 1), of the candidates' mean that is subtracted from every embedding; ``rbf`` only.
        words: weight, in [0, 1), of words in the similarity of two texts; ``rbf`` and ``texts`` only.
        language: language that words are stemmed in; ``none`` leaves them as they are.
        texts: texts of query, candidates and known, whose words then count along with the embeddings.
        relevance: ``(n,)``, or ``(m, n)`` for each target, in [0, 1]: scores by another model, which replace the kernel
            between targets and candidates (see ``with_relevance``). Redundancy and known rows still use the kernel.
            Costs O(n² (n + d)) more.
        follow: weight of the question together with the first passage as a further target, after the first picks (see
            ``choose_following``); ``rbf`` only.
        with_repeats: choose a candidate again where that brings more, as in the paper (a repeat is another step).
        known: ``(g, d)``, what the reader already knows: observed before the first choice.
        weights: ``(m,)``, each target's share of the sum, >= 0; by default balanced under ``rbf`` (see
            ``balanced_weights``), 1 each under other kernels.
        objective: ``variance`` lowers the sum of the targets' variances (VTL); ``information`` the determinant of their
            covariance (ITL), which turns to the most uncertain target first. They agree on one target.
        stopping: rules that end the selection before k; what is kept is a prefix of what it would have been.
        token_counts: ``(n,)``, > 0. With them each step takes the largest gain *per token*.
        irreducible: compute what all the candidates together would leave: O(n² (n + d)) more.
        accept: a check of each pick, which may refuse it and close others: see ``Accept``.

    Returns:
        The choice. Ties, to a few units in the last place, go to the lowest index; k = 0 or n = 0 give an empty one.

    Raises:
        ValueError: shapes disagree, a value is not finite, a parameter is out of range, rbf rows are not unit-norm,
            there is not one text for each row, or a relevance score is outside [0, 1].
        MissingExtra: there are texts, and the package that stems their words is not installed.
    """
    check_follow(follow)
    if objective not in {"variance", "information"}:
        raise ValueError(f"Unknown objective {objective!r}: expected 'variance' or 'information'.")
    informative = objective == "information"
    if informative and weights is not None:
        raise ValueError("Weights mean nothing for objective='information': scaling a target changes no determinant.")
    if informative and follow:
        raise ValueError("A choice with objective='information' cannot follow its first passage: leave out follow.")
    if informative and relevance is not None:
        raise ValueError("A choice with objective='information' cannot use relevance scores: leave out one of the two.")
    process = GaussianProcess(
        kernel_named(kernel, lengthscale), noise_variance, Features(centring, words=words, language=language)
    )
    rules = Rules(with_repeats, stopping, token_counts, accept, irreducible)
    pool = Pool(
        query,
        candidates,
        known=known,
        weights=weights,
        token_counts=token_counts,
        texts=texts,
        relevance=relevance,
    )
    if follow:
        return choose_following(process, pool, k, rules, follow).selection
    return select_with(process, pool, k, rules, informative=informative)


def check_follow(weight: float) -> None:
    """Raise ``ValueError`` for a weight of the further target that is none."""
    if not (math.isfinite(weight) and weight >= 0):
        raise ValueError(f"follow must be a number >= 0, but got {weight}.")


def select_with(
    process: GaussianProcess,
    pool: Pool,
    k: int,
    rules: Rules,
    *,
    view: View | None = None,
    informative: bool = False,
) -> GreedySelection:
    """Return SIFT's choice under a process: ``select_sift`` with its parameters as values."""
    check_k(k)
    problem = process.problem(pool, view=view, double=informative)
    if informative:
        problem = problem._replace(view=problem.view._replace(weights=None))
        observations = steps(problem, k, with_repeats=rules.with_repeats) + len(problem.known)
        return select_greedily(InformationPosterior(problem, observations), problem, k, rules)
    return select(problem, k, rules)
