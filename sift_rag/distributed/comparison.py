"""A comparison on a Ray cluster: each worker holds the models, and measures one task after the other."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from sift_rag.clusters import RayCluster
from sift_rag.distributed.connection import attempted, connected
from sift_rag.distributed.flow import Stage, flow, message_in, table_of

if TYPE_CHECKING:
    from sift_rag.evaluation import Comparison, Outcome, Task
    from sift_rag.evaluation.outcomes import About
    from sift_rag.models.local import LocalModel
    from sift_rag.retrieval.retriever import Retriever


@dataclass(frozen=True)
class Compared:
    """Parts that a worker measures with. The functions are called on the worker, once."""

    comparison: Comparison
    open_retriever: Callable[[], Retriever]
    open_model: Callable[[], LocalModel]
    version: str
    """Version of sift-rag, for the report, like the two below."""
    date: str
    command: str


class Measured(NamedTuple):
    """A task that was measured, and the facts about the worker's part of the comparison."""

    outcome: Outcome
    about: About


def compare_on_cluster(
    tasks: Sequence[Task], compared: Compared, cluster: RayCluster
) -> Generator[Measured, None, None]:
    """Yield the outcome of each task, in the order in which they are done; figures are those of ``compare``.

    A task whose worker dies is measured again, from its beginning.

    Raises:
        ClusterUnavailable: the cluster cannot be reached.
        others: what ``compare`` raises, and what opening its parts does.
    """
    with connected(cluster) as share:
        workers = min(share.workers, len(tasks))
        stage = Stage(ComparingWorker, (compared,), workers, workers, share.cpus, share.gpus)
        with closing(flow(tasks, stage)) as measured:
            yield from measured


class ComparingWorker:
    """Measures tasks. An actor of Ray Data."""

    def __init__(self, compared: Compared) -> None:
        self._compared = compared

    def __call__(self, table: Any) -> Any:
        """Return a table of one outcome, or of one failure."""
        task: Task = message_in(table)
        return table_of(attempted(lambda: self._measured(task)))

    def close(self) -> None:
        """Release the store."""
        if "_retriever" in vars(self):
            self._retriever.store.close()

    def _measured(self, task: Task) -> Measured:
        from sift_rag.evaluation import compare

        retriever, model, comparison = self._retriever, self._model, self._compared.comparison
        [outcome] = compare(
            [task], model=model, embedder=retriever.embedder, store=retriever.store, comparison=comparison
        )
        return Measured(outcome, self._about)

    @cached_property
    def _retriever(self) -> Retriever:
        return self._compared.open_retriever()

    @cached_property
    def _model(self) -> LocalModel:
        return self._compared.open_model()

    @cached_property
    def _about(self) -> About:
        from sift_rag.evaluation.about import about_run

        asked = self._compared
        return about_run(
            asked.comparison,
            self._model,
            self._retriever.store,
            version=asked.version,
            date=asked.date,
            command=asked.command,
        )
