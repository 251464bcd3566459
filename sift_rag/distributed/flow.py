"""Messages through stages of workers, by Ray Data: it moves them, holds back who is ahead, and replaces who dies.

A worker is a class whose instances take a table of one message and return such a table, or yield several. A message
that is a ``Failure`` ends the flow with its error.
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from sift_rag.distributed.connection import checked, plain_errors

_BLOCK = 64 << 10
"""Bytes after which Ray Data hands on what a worker has made: less than a large message, so that each goes its way."""


class Stage(NamedTuple):
    """A pool of workers."""

    worker: type[Any]
    arguments: tuple[Any, ...]
    """Arguments that each is made with."""
    least: int
    """Number of workers from the start."""
    most: int
    cpus: float
    """Processors that each takes."""
    gpus: float = 0.0


def flow(messages: Sequence[object], *stages: Stage) -> Generator[Any, None, None]:
    """Yield what the last stage makes of the messages, in any order; each message goes to any worker of its stage.

    What a worker that dies was given is done again by another.

    Raises:
        ClusterUnavailable: the connection was lost.
        SiftRagError: a worker failed; the errors that it raises on purpose are raised as they are.
    """
    with plain_errors(), _settings():
        from ray import data

        rows = [{"value": pickle.dumps(message)} for message in messages]
        made: data.Dataset = data.from_items(rows, override_num_blocks=len(rows))
        for stage in stages:
            made = made.map_batches(
                stage.worker,
                fn_constructor_args=stage.arguments,
                batch_size=1,
                batch_format="pyarrow",
                compute=data.ActorPoolStrategy(min_size=stage.least, max_size=stage.most),
                num_cpus=stage.cpus,
                num_gpus=stage.gpus or None,
            )
        batch: Any
        for batch in made.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            for value in batch.column("value"):
                yield checked(pickle.loads(value.as_py()))  # noqa: S301 - of a process of our own


def table_of(message: object) -> Any:
    """Return a table of one message."""
    import pyarrow as pa

    return pa.table({"value": pa.array([pickle.dumps(message)], pa.large_binary())})


def message_in(table: Any) -> Any:
    """Return the message of a table."""
    [value] = table.column("value")
    return pickle.loads(value.as_py())  # noqa: S301 - of a process of our own


@contextmanager
def _settings() -> Iterator[None]:
    """Set what Ray Data reads from its global context, and keep its log off the terminal, within the block."""
    from ray.data import DataContext

    context = DataContext.get_current()
    shown = [one for one in logging.getLogger("ray.data").handlers if isinstance(one, logging.StreamHandler)]
    levels = [one.level for one in shown]
    for handler in shown:
        handler.setLevel(logging.CRITICAL)
    wanted = {
        "enable_progress_bars": False,
        "enable_operator_progress_bars": False,
        "print_on_execution_start": False,
        "enable_auto_log_stats": False,
        "target_max_block_size": _BLOCK,
        "target_min_block_size": 1,
    }
    before = {name: getattr(context, name) for name in wanted}
    for name, value in wanted.items():
        setattr(context, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(context, name, value)
        for handler, level in zip(shown, levels, strict=True):
            handler.setLevel(level)
