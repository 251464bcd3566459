"""A Ray cluster of two processors on this machine, small and silent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sift_rag.clusters import RayCluster

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def ray_environment() -> Iterator[None]:
    """Let the workers import the tests, and Ray ask and tell nobody."""
    with pytest.MonkeyPatch.context() as patch:
        paths = [str(ROOT), str(ROOT / "cli"), str(ROOT / "plugins"), *filter(None, [os.environ.get("PYTHONPATH")])]
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        yield


@pytest.fixture(scope="session")
def cluster(ray_environment: None) -> Iterator[RayCluster]:
    """Two workers. One cluster serves all tests: to start one takes seconds."""
    import ray

    from sift_rag.distributed.connection import connected

    with connected(RayCluster("local")):
        yield RayCluster(f"{ray.get_runtime_context().gcs_address}", workers=2, cpus=1)
