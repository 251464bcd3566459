"""Bounds on the gain of embeddings not yet seen: they prove that a greedy step is the best in a collection.

Searching a collection with a direction u gives its nearest rows and a *cap* τ: u·x <= τ for every row x that was not
found. From caps follow bounds on the gain

    Σ_i w_i c_i(x)² / (v(x) + λ)

of everything unseen, where c_i(x) is the posterior covariance with target i and v(x) the posterior variance after the
observations X. A pick that gains more is the best of the collection. All rows are of unit norm, all arithmetic float64.

**From covariances to the gain.** Say |c_i| <= C_i. By Cauchy-Schwarz in the posterior process c_i² <= σ_i² v, where
σ_i² is the target's posterior variance, so v >= c_i²/σ_i². The gain of one target is then at most c²/(c²/σ² + λ), and
at most c²/(v_0 + λ) for any other lower bound v_0 of v. Both grow with c²:

    gain <= Σ_i w_i min( σ_i² C_i² / (C_i² + λ σ_i²), C_i² / (v_0 + λ) )

**Linear kernel** (arXiv 2402.15898 gives the process; the step is elementary). c_i(x) = q_i·x with the deflated query
q_i = x*_i - Σ_j a_ij x_j, a = k(X*, X) (k(X, X) + λI)⁻¹. Searches with q_i and with -q_i, for the objective does not
know signs, give C_i = |q_i| max(τ+, τ-).

**Rbf kernel** (our own). k(x, y) = κ(x·y) with κ(s) = exp((s - 1)/ℓ²), positive and rising, so a cap on the cosine with
a target or with an observation caps their kernel value: k(x*_i, x) <= p_i and k(x_j, x) <= r_j. In
c_i(x) = k(x*_i, x) - Σ_j a_ij k(x_j, x) every kernel value is between 0 and its cap, so

    C_i = max( p_i + Σ_j max(-a_ij, 0) r_j,  Σ_j max(a_ij, 0) r_j )
    v(x) = 1 - k(x, X) A k(X, x) >= 1 - Σ_jl r_j max(A_jl, 0) r_l,    A = (k(X, X) + λI)⁻¹

**Rbf kernel, centred** (our own). The kernel sees y(x) = (x - c)/|x - c|, the store does not. Let u be the unit vector
of a target or an observation as the kernel sees it; the store is searched with w = u + γc for some γ >= 0, and what is
unseen has w·x <= T. With ρ = |x - c| and R = 1 + |c|², x·c = (R - ρ²)/2, so that

    u·y(x) = (w·x - γ x·c - u·c)/ρ <= A/ρ + γρ/2,    A = T - u·c - γR/2

which is convex in ρ where A >= 0 and rises with ρ where A <= 0: on an interval it is largest at an end. The interval is
[1 - |c|, 1 + |c|], or narrower by the caps of searches with c and -c. γ = 0 is a search with u itself; the bound is
tightest where γ is about the cap that it gives, for then both ends give the same.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sift_rag.selection.arrays import squared_norms
from sift_rag.selection.kernels import PreparedKernel, Rbf

CAP_MARGIN = 1e-5
"""Added to every cap: more than the error of a store's float32 cosine."""

GAIN_MARGIN = 1e-5
"""Share by which a gain must exceed a bound, so that no rounding certifies anything."""


class Conditioned(NamedTuple):
    """The process after its observations, by definition."""

    coefficients: np.ndarray
    """a ``(m, t)``: the weight of each observation in each target's mean."""
    inverse: np.ndarray
    """A ``(t, t)``."""
    variances: np.ndarray
    """σ² ``(m,)``, not weighted."""


class Bound(NamedTuple):
    """A bound on the gain of anything unseen."""

    gain: float
    shares: np.ndarray
    """``(m + t,)``, or ``(m,)`` for the linear kernel: the part due to the cap of each target, then of each
    observation. Only their order means anything: where to search on."""


def condition(targets: np.ndarray, points: np.ndarray, kernel: PreparedKernel, noise_variance: float) -> Conditioned:
    """Return the process for targets ``(m, d)`` after observing ``points`` ``(t, d)``: O(t² (t + d))."""
    cross = np.asarray(kernel.matrix(targets, points))
    inverse = np.linalg.inv(np.asarray(kernel.matrix(points, points)) + noise_variance * np.eye(len(points)))
    coefficients = cross @ inverse
    prior = np.asarray(kernel.diagonal(targets, squared_norms(targets)))
    return Conditioned(coefficients, inverse, np.maximum(prior - (coefficients * cross).sum(axis=1), 0.0))


def gain_of(
    state: Conditioned,
    to_targets: np.ndarray,
    to_points: np.ndarray,
    prior: float,
    noise_variance: float,
    weights: np.ndarray,
) -> float:
    """Return the gain of a point, from its kernel values ``(m,)``, ``(t,)`` and with itself."""
    covariances = to_targets - state.coefficients @ to_points
    variance = max(prior - float(to_points @ state.inverse @ to_points), 0.0)
    return float(weights @ covariances**2) / (variance + noise_variance)


def proves(gain: float, bound: float) -> bool:
    """Return True if nothing unseen can gain as much, rounding included."""
    return gain > bound * (1.0 + GAIN_MARGIN)


def linear_bound(state: Conditioned, largest: np.ndarray, noise_variance: float, weights: np.ndarray) -> Bound:
    """Return the bound from C ``(m,)``: caps on |q_i·x|, the covariances with the deflated queries."""
    gains = _largest_gains(largest, state.variances, 0.0, noise_variance, weights)
    return Bound(float(gains.sum()), gains)


def rbf_bound(
    state: Conditioned,
    cap_on_targets: np.ndarray,
    cap_on_points: np.ndarray,
    kernel: Rbf,
    noise_variance: float,
    weights: np.ndarray,
) -> Bound:
    """Return the bound from caps on the kernel's cosines with targets ``(m,)`` and with observations ``(t,)``."""
    of_targets, of_points = (np.asarray(kernel.of_products(caps)) for caps in (cap_on_targets, cap_on_points))
    taken = np.maximum(state.coefficients, 0.0) * of_points
    added = np.maximum(-state.coefficients, 0.0) * of_points
    above, below = of_targets + added.sum(axis=1), taken.sum(axis=1)
    explained = of_points * (np.maximum(state.inverse, 0.0) @ of_points)
    least_variance = max(1.0 - float(explained.sum()), 0.0)
    largest = np.maximum(above, below)
    gains = _largest_gains(largest, state.variances, least_variance, noise_variance, weights)
    upwards = (above >= below)[:, None]
    parts = np.where(upwards, np.column_stack([np.diag(of_targets), added]), np.pad(taken, ((0, 0), (len(taken), 0))))
    shares = 2.0 * gains @ (parts / np.maximum(largest, np.finfo(np.float64).tiny)[:, None])
    shares[len(taken) :] += gains.sum() * explained / (1.0 + noise_variance)
    return Bound(float(gains.sum()), shares)


def cap_on_cosine(
    cap: float, direction_on_centre: float, pull: float, squared_centre: float, distances: tuple[float, float]
) -> float:
    """Return the cap on u·y(x) from one on w·x, w = u + γc: see this module's docstring.

    Args:
        cap: T.
        direction_on_centre: u·c.
        pull: γ.
        squared_centre: |c|².
        distances: bounds of |x - c|.
    """
    rest = cap - direction_on_centre - pull * (1.0 + squared_centre) / 2.0
    return min(1.0, max(rest / distance + pull * distance / 2.0 for distance in distances))


def _largest_gains(
    covariances: np.ndarray, variances: np.ndarray, least_variance: float, noise_variance: float, weights: np.ndarray
) -> np.ndarray:
    squared = covariances**2
    implied = np.divide(squared, variances, out=np.full_like(squared, np.inf), where=variances > 0.0)
    gains = np.zeros_like(squared)
    np.divide(squared, np.maximum(implied, least_variance) + noise_variance, out=gains, where=variances > 0.0)
    return np.asarray(weights * gains)
