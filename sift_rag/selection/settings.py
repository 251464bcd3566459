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
    to_numpy,
)
from sift_rag.selection.centring import centre_of, centred
from sift_rag.selection.hull import select_hull
from sift_rag.selection.kernels import (
    DEFAULT_LENGTHSCALE,
    DEFAULT_NOISE_VARIANCE,
    KernelName,
    check_kernel,
)
from sift_rag.selection.sift import select_sift
from sift_rag.selection.stopping import Stopping
from sift_rag.selection.surrogate import Choice, Surrogate

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

REPEATING: tuple[SelectorName, ...] = ("sift", "hull")
"""Methods that choose a candidate again where that brings more than another."""

DEFAULT_CENTRING = 0.5
"""Measured: docs/log.md, "The default for a context window"."""


@dataclass(frozen=True, slots=True)
class SelectorSettings:
    """A method, and the surrogate model that it minimises (sift) or is measured by (the others).

    With the rbf kernel embeddings are centred, and several targets balanced; with the linear kernel both are taken as
    they are, as in the paper. The baselines choose by the embeddings as they are: the surrogate only measures them.
    """

    name: SelectorName = "sift"
    kernel: KernelName = "rbf"
    lengthscale: float = DEFAULT_LENGTHSCALE
    noise_variance: float = DEFAULT_NOISE_VARIANCE
    centring: float = DEFAULT_CENTRING
    """Share, in [0, 1), of the candidates' mean that is taken off every embedding before the rbf kernel."""
    with_repeats: bool = False
    """Whether a candidate may be chosen again, as the papers of sift and hull have it for fine-tuning, where a repeat
    is another step. ``nearest`` then repeats the nearest one."""

    def __post_init__(self) -> None:
        if self.name not in SELECTORS:
            raise ValueError(f"Unknown selector {self.name!r}: expected one of {', '.join(SELECTORS)}.")
        check_kernel(self.kernel, self.lengthscale)
        if not self.noise_variance > 0:
            raise ValueError(f"noise_variance must be > 0, but got {self.noise_variance}.")
        if not 0.0 <= self.centring < 1.0:
            raise ValueError(f"centring must be in [0, 1), but got {self.centring}.")
        if self.with_repeats and self.name not in (*REPEATING, "nearest"):
            raise ValueError(
                f"{self.name!r} cannot repeat a candidate: with_repeats is for {', '.join((*REPEATING, 'nearest'))}."
            )

    @classmethod
    def for_fine_tuning(cls, name: SelectorName = "sift") -> SelectorSettings:
        """To choose what to train on: the paper's linear kernel, for which an embedding stands in for a gradient.

        Repeats are steps of their own for methods that know them. The noise variance is measured: docs/log.md, "What to
        train on".
        """
        return cls(name, kernel="linear", noise_variance=1.0, with_repeats=name in REPEATING)

    def select(
        self,
        targets: Any,
        candidates: Any,
        k: int,
        *,
        given: Any = None,
        weights: Any = None,
        stopping: Stopping | None = None,
        token_counts: Any = None,
    ) -> Choice:
        """Choose k of ``candidates`` ``(n, d)`` for ``targets`` ``(m, d)``, knowing ``given`` ``(g, d)``.

        ``weights`` ``(m,)`` are the targets' shares; by default those of ``balanced_weights``. ``stopping`` and
        ``token_counts``: see ``select_sift``; a baseline ends by the same rules, its order unchanged by the counts.
        """
        order = None
        if self.name != "sift":
            model: dict[str, Any] = {
                "kernel": self.kernel,
                "lengthscale": self.lengthscale,
                "noise_variance": self.noise_variance,
            }
            if self.with_repeats and self.name == "hull":
                model["with_repeats"] = True
            order = SELECTORS[self.name](targets, candidates, k, **model, given=given, weights=weights).indices
            if self.with_repeats and self.name == "nearest":
                order = order[:1].repeat(k)
        return self.surrogate(targets, candidates, weights=weights).choose(
            targets,
            candidates,
            k,
            order=order,
            with_repeats=self.with_repeats,
            given=given,
            stopping=stopping,
            token_counts=token_counts,
        )

    def surrogate(self, targets: Any, pool: Any, *, weights: Any = None) -> Surrogate:
        """The model for these targets ``(m, d)``: its centre, and the weights unless given, are read off ``pool``."""
        centre = None
        if self.kernel == "rbf":
            centre = centre_of(pool, self.centring)
            if weights is None and len(targets) > 1:
                weights = balanced_weights(centred(targets, centre), centred(pool, centre), self.lengthscale)
        return Surrogate(self.kernel, self.lengthscale, self.noise_variance, centre, weights)


def balanced_weights(targets: Any, candidates: Any, lengthscale: float) -> np.ndarray:
    """``(m,)`` weights of mean 1 for targets ``(m, d)``: the inverse of each one's largest rbf kernel value.

    Without them a sum of squared covariances is the affair of whichever target happens to have the nearest candidates,
    and the others get their first one late. Measured: docs/log.md, "Several targets".
    """
    if not len(candidates):
        return np.ones(len(targets))
    nearest = (to_numpy(targets) @ to_numpy(candidates).T).max(axis=1).astype(np.float64)
    weights = np.exp((nearest.min() - nearest) / lengthscale**2)
    return np.asarray(weights / weights.mean())
