"""Connect to a Ray cluster, start one on this machine, and say what its failures mean.

Ray asks its users for usage statistics, prints the output of workers, and logs to the terminal. None of that happens
here: nothing is sent to anybody, and what a worker has to say comes back as a value.
"""

from __future__ import annotations

import logging
import os
import platform
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, NamedTuple, TypeVar

from sift_rag.clusters import LOCAL, RayCluster
from sift_rag.errors import ClusterUnavailable, ConfigurationError, SiftRagError, first_line
from sift_rag.extras import require

OBJECT_STORE = 256 << 20
"""Bytes of shared memory for what is on its way between the processes of a cluster on this machine."""

CONNECT_SECONDS = 10.0
"""Seconds that an address may take to answer."""

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "GRPC_VERBOSITY": "NONE",
}
"""Variables that Ray and its processes read, unless the user has set them."""
_LOGGERS = ("ray", "ray.data")

T = TypeVar("T")


class Share(NamedTuple):
    """The processes that do the work, and what each takes of the cluster."""

    workers: int
    """Number of processes that hold a model."""
    cpus: float
    gpus: float
    readers: int
    """Number of processes that read files, at most."""
    reader_cpus: float


class Failure(NamedTuple):
    """An error of a worker, as a value: raised there, it would come wrapped, and be logged on the way."""

    error: Exception
    host: str


def attempted(work: Callable[[], T]) -> T | Failure:
    """Return what ``work`` returns, or the error that it raises on purpose."""
    try:
        return work()
    except (SiftRagError, ValueError, OSError) as error:
        return Failure(error, platform.node())


def checked(value: T | Failure) -> T:
    """Return what came back from a worker, or raise its error, with the name of its machine if that is another."""
    if isinstance(value, Failure):
        if value.host != platform.node():
            value.error.args = (f"On {value.host}: {value.error}", *value.error.args[1:])
        raise value.error
    return value


@contextmanager
def connected(cluster: RayCluster) -> Iterator[Share]:
    """Connect this process to the cluster for the time of the block; a connection that the caller has is used.

    Raises:
        ClusterUnavailable: nothing answers at the address, or Ray or Python has another version there.
        ConfigurationError: the cluster is too small for the workers that are asked for.
        MissingExtra: Ray is not installed.
    """
    for package in ("ray", "pyarrow"):
        require(package, "ray")
    with _quiet():
        import ray

        is_own = not ray.is_initialized()
        try:
            if is_own:
                _connect(ray, cluster.address)
                _mute(ray)
            with plain_errors():
                yield _share(ray, cluster)
        finally:
            if is_own:
                ray.shutdown()


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn Ray's errors into ours.

    Raises:
        ClusterUnavailable: the connection was lost, or the workers die again and again.
        SiftRagError: a worker failed for a reason of its own.
    """
    from ray import exceptions

    try:
        yield
    except (exceptions.RayError, ConnectionError) as error:
        raise _as_ours(error) from error


def _as_ours(error: Exception) -> SiftRagError:
    from ray import exceptions

    text = str(error)
    if "No module named 'sift_rag" in text:
        return ClusterUnavailable(
            f"A machine of the cluster has no sift-rag: install version {version('sift-rag')} and its extras on all."
        )
    if isinstance(error, exceptions.RayTaskError):
        return SiftRagError(f"A worker failed: {_last_line(text)}.")
    if isinstance(error, exceptions.ActorDiedError | exceptions.WorkerCrashedError | exceptions.OutOfMemoryError):
        return ClusterUnavailable(
            f"A worker died, for want of memory perhaps, and could not be replaced: {first_line(error)}"
        )
    return ClusterUnavailable(f"The Ray cluster failed: {first_line(error)}")


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Discard what is written to stderr within the block: Ray greets there, and no setting prevents it."""
    sink = os.open(os.devnull, os.O_WRONLY)
    kept = os.dup(2)
    os.dup2(sink, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(sink)


def _init(ray: Any, **options: Any) -> None:
    with _without_stderr():
        ray.init(log_to_driver=False, logging_level=logging.CRITICAL, **options)


def _connect(ray: Any, address: str) -> None:
    """Connect to the cluster, or start one."""
    named = os.environ.get("RAY_ADDRESS", "")  # Ray would read it too, and wait for minutes if nothing is there
    if address in {"", "auto"} and named:
        address = RayCluster(named).address
    if address == LOCAL or (not address and not _is_running(ray)):
        processors = max(2, os.cpu_count() or 1)
        _init(ray, address=LOCAL, num_cpus=processors, include_dashboard=False, object_store_memory=OBJECT_STORE)
    elif address:
        _join(ray, address)


def _mute(ray: Any) -> None:
    """Keep Ray's reports of dead workers, which are replaced, off stdout: it prints them among what we print there."""
    if hasattr(ray._private.worker, "_worker_logs_enabled"):  # noqa: SLF001 - there is no public way
        ray._private.worker._worker_logs_enabled = False  # noqa: SLF001


def _is_running(ray: Any) -> bool:
    """Connect to the cluster that this machine is in; return False if it is in none."""
    try:
        _init(ray, address="auto")
    except ConnectionError:
        return False
    return True


def _join(ray: Any, address: str) -> None:
    named = "the Ray cluster" if address == "auto" else f"a Ray cluster at {address}"
    try:
        if address != "auto":
            host, _, port = address.rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
        _init(ray, address=address)
    except RuntimeError as error:
        if "ersion mismatch" not in str(error):
            raise ClusterUnavailable(f"Cannot connect to {named}: {first_line(error)}") from error
        raise ClusterUnavailable(
            f"{named[0].upper()}{named[1:]} runs other versions than this process, Ray {ray.__version__} on Python "
            f"{sys.version_info[0]}.{sys.version_info[1]}.{sys.version_info[2]}: install the same on all machines."
        ) from error
    except (ConnectionError, ValueError, OSError, TimeoutError) as error:
        raise ClusterUnavailable(f"Cannot connect to {named}: {first_line(error)}") from error


def _share(ray: Any, cluster: RayCluster) -> Share:
    """Return how the cluster is divided.

    Raises:
        ConfigurationError: it is too small for the workers that are asked for.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    all_cpus = sum(node["CPU"] for node in nodes)
    all_gpus = sum(node.get("GPU", 0.0) for node in nodes)
    gpus = cluster.gpus if cluster.gpus is not None else float(all_gpus > 0)
    smallest = min((node["CPU"] for node in nodes), default=0.0)
    alone = 1.0 if gpus or cluster.workers is not None else max(1.0, smallest - 1)
    cpus = cluster.cpus if cluster.cpus is not None else alone
    workers = cluster.workers or max(1, int(all_gpus / gpus) if gpus else len(nodes))
    if workers * cpus > all_cpus or workers * gpus > all_gpus:
        takes = f"{workers} workers of {cpus:g} CPUs" + (f" and {gpus:g} GPUs" if gpus else "")
        raise ConfigurationError(f"{takes} do not fit the cluster, which has {all_cpus:g} CPUs and {all_gpus:g} GPUs.")
    left = int(all_cpus - workers * cpus)
    return Share(workers, cpus, gpus, max(1, left), float(left > 0))


@contextmanager
def _quiet() -> Iterator[None]:
    """Let Ray report nothing to its makers or to the terminal within the block."""
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    os.environ.update({name: value for name, value in _ENVIRONMENT.items() if name not in os.environ})
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _last_line(text: str) -> str:
    """Return the last line of a traceback, which names the error."""
    return text.strip().splitlines()[-1].strip().rstrip(".")
