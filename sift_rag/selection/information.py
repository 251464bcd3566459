"""ITL: the point that tells most about several targets at once, by information instead of a sum of variances.

ITL (arXiv 2402.15898) takes the point whose noisy observation y(x) tells most about the targets' values f(A):

    I(f(A); y(x) | D) = H(y(x) | D) - H(y(x) | D, f(A)) = ½ log (v_D(x) + λ) / (v_{D,A}(x) + λ)

Both variances follow the one recurrence of ``conditioning.py``, the second in a process that was told the targets
first. A step lowers the log determinant of the targets' posterior covariance by twice its gain.
"""

from __future__ import annotations

import numpy as np

from sift_rag.selection.arrays import Array, joined
from sift_rag.selection.conditioning import start
from sift_rag.selection.problem import Problem

TARGET_JITTER = 1e-6
"""Noise variance of the targets' own values, relative to their largest prior variance. They are noise-free in the
definition, but two equal targets would then leave a singular matrix."""


class InformationPosterior:
    """A ``Posterior`` whose gains are nats. Needs float64."""

    in_nats = True

    def __init__(self, problem: Problem, observations: int) -> None:
        targets = len(problem.targets)
        with_targets = problem._replace(
            points=joined(problem.points, problem.targets),
            diagonal=joined(problem.diagonal, problem.prior),
            largest=max(problem.largest, float(problem.prior.max())),
        )
        self._posterior = start(problem, observations)
        self._informed = start(with_targets, observations + targets)
        self.prior_variance = self._posterior.prior_variance
        self.noisy_variances = self._posterior.noisy_variances
        self.divisors = self._informed.noisy_variances
        jitter = TARGET_JITTER * (float(problem.prior.max()) or 1.0)
        for row in range(len(problem.points), len(problem.points) + targets):
            self._informed.observe(row, jitter)

    def gains(self) -> Array:
        """Return the gains in nats."""
        ratios = self._posterior.noisy_variances / self._informed.noisy_variances
        return 0.5 * np.log(ratios).clip(0.0) if isinstance(ratios, np.ndarray) else 0.5 * ratios.log().clip(0.0)

    def observe(self, row: int, noise_variance: float | None = None) -> float:
        """Observe in both processes; return the fall of the variance."""
        self._informed.observe(row, noise_variance)
        return self._posterior.observe(row, noise_variance)
