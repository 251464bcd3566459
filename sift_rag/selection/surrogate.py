"""The model of how much a passage tells: what a choice minimises, or is measured by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from sift_rag.selection.baselines import select_in_sequence
from sift_rag.selection.centring import centred
from sift_rag.selection.kernels import KernelName
from sift_rag.selection.redundancy import Redundancy, redundancy_by_pick
from sift_rag.selection.result import GreedySelection
from sift_rag.selection.sift import select_sift
from sift_rag.selection.stopping import Stopping


class Choice(NamedTuple):
    """What was chosen, and why the rest was not."""

    selection: GreedySelection
    """With its irreducible variance."""
    redundancy: Redundancy


@dataclass(frozen=True, eq=False, slots=True)
class Surrogate:
    """A Gaussian process, and what of it was read off a pool: the same model can then choose from other passages."""

    kernel: KernelName
    lengthscale: float
    noise_variance: float
    centre: Any = None
    """``(d,)``, where embeddings are seen from; None leaves them as they are."""
    weights: Any = None
    """``(m,)``, the targets' shares; None for 1 each."""

    @property
    def model(self) -> dict[str, Any]:
        """Its parameters as the functions of this package take them."""
        return {
            "kernel": self.kernel,
            "lengthscale": self.lengthscale,
            "noise_variance": self.noise_variance,
            "weights": self.weights,
        }

    def seen(self, rows: Any) -> Any:
        """Embeddings ``(n, d)`` as the kernel is given them; None stays None."""
        return rows if rows is None or self.centre is None else centred(rows, self.centre)

    def choose(
        self,
        targets: Any,
        candidates: Any,
        k: int,
        *,
        order: Any = None,
        with_repeats: bool = False,
        given: Any = None,
        stopping: Stopping | None = None,
        token_counts: Any = None,
    ) -> Choice:
        """SIFT's k of ``candidates``, or those of ``order`` ``(k,)`` measured; arrays as embedded.

        The other arguments are those of ``SelectorSettings.select``.
        """
        targets, candidates, given = self.seen(targets), self.seen(candidates), self.seen(given)
        rules: dict[str, Any] = {"stopping": stopping, "token_counts": token_counts, "irreducible": True}
        if order is None:
            selection = select_sift(
                targets, candidates, k, with_repeats=with_repeats, **self.model, given=given, **rules
            )
        else:
            selection = select_in_sequence(targets, candidates, order, **self.model, given=given, **rules)
            if len(selection) < k and selection.stopped == "k":
                selection = replace(selection, stopped="exhausted")
        return Choice(selection, redundancy_by_pick(targets, candidates, selection.indices, **self.model, given=given))
