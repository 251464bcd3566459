"""Follow the evidence: after the first picks, add question and first passage together as a further target.

The first passage often names what the question could not: the entity of the second hop, the term of the field. As a
target of the same Gaussian process, it attracts the passages that continue it, without a language model: Rocchio's
relevance feedback as one more target. Measured: docs/log.md, "Words in the kernel, and following the evidence".
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from sift_rag import defaults
from sift_rag.selection.arrays import ArrayLike, joined, to_numpy
from sift_rag.selection.greedy import Rules
from sift_rag.selection.kernels import Rbf
from sift_rag.selection.pool import Pool, Target
from sift_rag.selection.problem import Problem
from sift_rag.selection.process import GaussianProcess, choose, measure, select
from sift_rag.selection.result import Choice, Followed, GreedySelection
from sift_rag.selection.stopping import Stopping
from sift_rag.selection.view import beside, widened
from sift_rag.words import bag_of

TINY = 1e-30

OPPOSITE = 1e-3
"""Norm of the sum of two unit vectors, below which what is halfway between them is rounding."""


def choose_following(process: GaussianProcess, pool: Pool, k: int, rules: Rules, weight: float) -> Choice:
    """Select with SIFT, following the first passage after ``defaults.FOLLOW_AFTER`` picks per target.

    The further target only steers: gains, variances, stopping rules and the irreducible variance are the question's,
    and a selection of k' < k is a prefix. Under kernels other than ``Rbf``, with repeats, or at ``weight`` 0 it is the
    plain selection. Costs one more selection and a call of ``pool.extend``.

    Args:
        process: chooses and measures.
        pool: extended by ``pool.extend``; indices of the new candidates follow those of the pool.
        k: number of picks, >= 0.
        rules: end the choice.
        weight: weight of the further target, >= 0; the targets of the question have 1 on average.
    """
    problem = process.problem(pool)
    follows = weight > 0 and isinstance(process.kernel, Rbf) and not rules.with_repeats
    after = defaults.FOLLOW_AFTER * len(problem.targets)
    if not follows or k <= after:
        return choose(problem, k, rules)
    begun = select(problem, after, rules)
    if begun.stopped != "k":
        return choose(problem, k, rules)
    first = begun.indices.tolist()
    target = _further_target(pool, problem, first[0])
    if target is None:
        return choose(problem, k, rules)
    if pool.extend is not None:
        scored = pool.relevance is not None
        pool = pool.extend(target)
        if scored and pool.relevance is None:
            raise ValueError("The pool has relevance scores, but its extension has none.")
        problem = process.problem(pool, view=problem.view)
    if rules.token_counts is not None:
        rules = replace(rules, token_counts=pool.token_counts)
    steered = select(_with_target(problem, target, weight, process.features.language), k, _steering(rules, first))
    measured = measure(problem, steered.indices.tolist(), k, rules)
    selection = measured.selection
    if len(selection) == len(steered):  # no rule of the question's ended it
        selection = replace(selection, stopped=steered.stopped)
    return measured._replace(selection=selection, followed=_followed(first, selection, steered))


def _further_target(pool: Pool, problem: Problem, first: int) -> Target | None:
    """Return the unit vector halfway between a passage and the question of which it tells most.

    None if they are opposite: by scores from elsewhere such a passage may be the first as well.
    """
    told = problem.covariances()[:, first]
    shares = np.ones(len(told)) if problem.weights is None else problem.weights
    question = int(np.argmax(shares * np.asarray(to_numpy(told), dtype=np.float64) ** 2))
    targets, candidates = _rows(pool.targets), _rows(pool.candidates)
    row = (targets if targets.ndim == 1 else targets[question]) + candidates[first]
    norm = float((row * row).sum()) ** 0.5
    if norm < OPPOSITE:
        return None
    texts = pool.texts
    text = None if texts is None else f"{texts.targets[question]}\n{texts.candidates[first]}"
    return Target(row / norm, text)


def _with_target(problem: Problem, target: Target, weight: float, language: str) -> Problem:
    """Return the problem of the question's targets and the further one, as seen by the question."""
    shares = np.ones(len(problem.targets)) if problem.weights is None else problem.weights
    view = problem.view._replace(weights=np.append(shares, weight))
    row: Any = target.row
    on_arrays = isinstance(problem.targets, np.ndarray)
    row = to_numpy(row).astype(problem.targets.dtype) if on_arrays else row.to(problem.targets)
    further, targets, points = view.seen(row[None]), problem.targets, problem.points
    if problem.words is not None:
        said = problem.words.targets([bag_of(target.text or "", language)])
        own = said.shape[1] - 1
        said = np.insert(said, [own] * len(targets), 0.0, axis=1)  # the columns of the other targets
        further, targets, points = beside(further, said, view.share), widened(targets), widened(points)
    prior = joined(problem.prior, problem.prior[:1] * 0.0 + 1.0)
    return problem._replace(targets=joined(targets, further), points=points, view=view, prior=prior)


def _steering(rules: Rules, first: list[int]) -> Rules:
    """Return the rules that choose after the first picks: of those that end a choice a budget of tokens alone."""
    stopping = rules.stopping
    budget = None if stopping is None else Stopping(tokens=stopping.tokens, fill=stopping.fill)
    return replace(rules, stopping=budget, first=tuple(first))


def _followed(first: list[int], measured: GreedySelection, steered: GreedySelection) -> Followed:
    size = len(measured)
    gains, all_gains = (np.asarray(some.gains.tolist()[:size]) for some in (measured, steered))
    shares = (1.0 - gains / np.maximum(all_gains, TINY)).clip(0.0, 1.0)
    shares[: len(first)] = 0.0
    return Followed(first[0], shares)


def _rows(array: ArrayLike) -> Any:
    return array if hasattr(array, "detach") else np.asarray(array)
