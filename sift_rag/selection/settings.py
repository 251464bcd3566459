"""A selection method with its parameters bound: a value that a retriever can hold and a report can show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from sift_rag.selection.baselines import (
    SelectFunction,
    select_dpp,
    select_facility_location,
    select_mmr,
    select_nearest,
    select_random,
    select_uncertain,
)
from sift_rag.selection.hull import select_hull
from sift_rag.selection.kernels import DEFAULT_LENGTHSCALE, KernelName, check_kernel
from sift_rag.selection.posterior import posterior_variance
from sift_rag.selection.result import GreedySelection
from sift_rag.selection.sift import select_sift

SelectorName: TypeAlias = Literal["sift", "nearest", "mmr", "dpp", "facility-location", "hull", "uncertainty", "random"]

SELECTORS: Mapping[str, SelectFunction] = {
    "sift": select_sift,
    "nearest": select_nearest,
    "mmr": select_mmr,
    "dpp": select_dpp,
    "facility-location": select_facility_location,
    "hull": select_hull,
    "uncertainty": select_uncertain,
    "random": select_random,
}
"""Every method by name."""


@dataclass(frozen=True, slots=True)
class SelectorSettings:
    """A method and the surrogate model that it minimises (sift) or is measured by (the others)."""

    name: SelectorName = "sift"
    kernel: KernelName = "rbf"
    lengthscale: float = DEFAULT_LENGTHSCALE
    noise_variance: float = 1.0

    def __post_init__(self) -> None:
        if self.name not in SELECTORS:
            raise ValueError(f"Unknown selector {self.name!r}: expected one of {', '.join(SELECTORS)}.")
        check_kernel(self.kernel, self.lengthscale)
        if not self.noise_variance > 0:
            raise ValueError(f"noise_variance must be > 0, but got {self.noise_variance}.")

    def select(self, targets: Any, candidates: Any, k: int, *, given: Any = None) -> GreedySelection:
        """Choose k of ``candidates`` ``(n, d)`` for ``targets`` ``(m, d)``, knowing ``given`` ``(g, d)``."""
        return SELECTORS[self.name](
            targets,
            candidates,
            k,
            kernel=self.kernel,
            lengthscale=self.lengthscale,
            noise_variance=self.noise_variance,
            given=given,
        )

    def irreducible_variance(self, targets: Any, candidates: Any, *, given: Any = None) -> float:
        """σ² after all of ``candidates`` ``(n, d)``, each observed once: O(n² (n + d))."""
        rows = np.asarray(candidates)
        return posterior_variance(
            targets,
            rows if given is None else np.concatenate([rows, given]),
            kernel=self.kernel,
            lengthscale=self.lengthscale,
            noise_variance=self.noise_variance,
        )
