"""SIFT: the greedy choice that leaves the least posterior variance.

The step of the paper (arXiv 2410.08020, equation 5; several targets: arXiv 2402.15898, VTL)

    x_{n+1} = argmin_x σ²_{X ∪ {x}}(x*) = argmax_x Σ_i w_i c_i(x)² / (v(x) + λ)

needs only the posterior covariance c_i(x) of every candidate with each target and its posterior variance v(x), which
``conditioning.py`` keeps.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from sift_rag.selection.arrays import check_k, read_problem
from sift_rag.selection.conditioning import start
from sift_rag.selection.greedy import select_greedily, steps
from sift_rag.selection.information import InformationPosterior
from sift_rag.selection.kernels import DEFAULT_LENGTHSCALE, DEFAULT_NOISE_VARIANCE, Kernel
from sift_rag.selection.result import GreedySelection
from sift_rag.selection.stopping import Stopping

Objective: TypeAlias = Literal["variance", "information"]


def select_sift(
    query: Any,
    candidates: Any,
    k: int,
    *,
    kernel: Kernel = "rbf",
    lengthscale: float = DEFAULT_LENGTHSCALE,
    noise_variance: float = DEFAULT_NOISE_VARIANCE,
    with_repeats: bool = False,
    given: Any = None,
    weights: Any = None,
    objective: Objective = "variance",
    stopping: Stopping | None = None,
    token_counts: Any = None,
    irreducible: bool = False,
) -> GreedySelection:
    """Choose k candidates that together tell most about the query, in O(k n (d + k + m)).

    Args:
        query: one target ``(d,)``, or m of them ``(m, d)`` whose posterior variances are summed. numpy or torch.
        candidates: ``(n, d)``, of the same kind. The arithmetic is float32, or float64 where the candidates are and
            where the noise or the lengthscale is too small for float32.
        k: how many, >= 0. Without repeats at most n are chosen.
        kernel: ``rbf`` for a context window (needs unit-norm rows), ``linear`` for the paper's fine-tuning, or a
            function ``(rows (n, d), points (p, d)) -> (n, p)``, given arrays of the caller's kind.
        lengthscale: ℓ of the rbf kernel, > 0.
        noise_variance: λ > 0. Towards infinity the order is that of the squared kernel value with the query (relevance
            alone); towards 0 what is known already is worth nothing.
        with_repeats: whether a candidate may be chosen again, as in the paper (a repeat counts as another step).
        given: ``(g, d)``, what the reader knows already: observed before the first choice.
        weights: ``(m,)``, each target's share of the sum, >= 0; 1 each by default.
        objective: ``variance`` lowers the sum of the targets' variances (VTL); ``information`` the determinant of their
            covariance (ITL), which turns to the most uncertain target first. They agree on one target.
        stopping: rules that end the selection before k; what is kept is a prefix of what it would have been.
        token_counts: ``(n,)``, > 0. With them each step takes the largest gain *per token*.
        irreducible: whether to report what all the candidates together would leave: O(n² (n + d)) more.

    Returns:
        The choice. Ties, to a few units in the last place, go to the lowest index; k = 0 or n = 0 give an empty one.

    Raises:
        ValueError: shapes disagree, a value is not finite, a parameter is out of range, or rbf rows are not unit-norm.
    """
    check_k(k)
    if objective not in {"variance", "information"}:
        raise ValueError(f"Unknown objective {objective!r}: expected 'variance' or 'information'.")
    if objective == "information" and weights is not None:
        raise ValueError("Weights mean nothing for objective='information': scaling a target changes no determinant.")
    problem = read_problem(
        query,
        candidates,
        kernel=kernel,
        lengthscale=lengthscale,
        noise_variance=noise_variance,
        given=given,
        weights=weights,
        double=objective == "information",
    )
    observations = steps(problem, k, with_repeats=with_repeats) + len(problem.points) - problem.size
    informative = objective == "information"
    return select_greedily(
        InformationPosterior(problem, observations) if informative else start(problem, observations, greedily=True),
        problem,
        k,
        with_repeats=with_repeats,
        stopping=stopping,
        token_counts=token_counts,
        irreducible=irreducible,
    )
