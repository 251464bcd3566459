"""Clusters that cannot do the work: one clear error each, and no process left behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import util
from pathlib import Path

import pytest

from sift_rag.clusters import RayCluster
from sift_rag.corpus.options import IngestOptions
from sift_rag.distributed import connection
from sift_rag.distributed.connection import Share, _share, connected
from sift_rag.errors import ClusterUnavailable, ConfigurationError, MissingExtra
from sift_rag.ingestion import ingest_paths, reindex, watch_paths
from tests.doubles import HashingEmbedder

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("address", ["docs/", "ray://head:10001", "head", ":6379", "http://head:6379"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{address!r} is no address of a Ray cluster")):
        RayCluster(address)


@pytest.mark.parametrize("values", [{"workers": 0}, {"cpus": 0}, {"cpus": float("nan")}, {"gpus": -1}])
def test_a_share_out_of_range_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(values))} is"):
        RayCluster(**values)  # type: ignore[arg-type]


def test_a_folder_is_refused_before_ray_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("Owls hunt at night.")
    options = IngestOptions(cluster=RayCluster("local"))
    with pytest.raises(ConfigurationError, match="is a folder, to which one process can write"):
        ingest_paths(tmp_path / "a.md", store=tmp_path / "store", embedder=HashingEmbedder(), options=options)
    assert not (tmp_path / "store").exists()


def test_what_one_process_does_is_refused_on_a_cluster(tmp_path: Path) -> None:
    cluster = RayCluster("local")
    with pytest.raises(ValueError, match="dry run"):
        IngestOptions(cluster=cluster, dry_run=True)
    for work in (reindex, watch_paths):
        with pytest.raises(ValueError, match="cluster"):
            work(tmp_path, store="http://localhost:1", options=IngestOptions(cluster=cluster))


@pytest.mark.parametrize("package", ["ray", "pyarrow"])
def test_a_missing_package_names_the_extra(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from sift_rag import extras

    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == package else util.find_spec(name))
    with pytest.raises(MissingExtra, match=rf"'{package}'.*sift-rag\[ray\]"), connected(RayCluster("local")):
        pass


class Nodes:
    """Stands in for the module ray, which tells what its cluster has."""

    def __init__(self, *resources: dict[str, float]) -> None:
        self._resources = resources

    def nodes(self) -> list[dict[str, object]]:
        return [{"Alive": True, "Resources": one} for one in self._resources]


@pytest.mark.parametrize(
    ("nodes", "cluster", "share"),
    [
        ([{"CPU": 8.0}], RayCluster(), Share(1, 7.0, 0.0, 1, 1.0)),
        ([{"CPU": 2.0}], RayCluster(workers=2), Share(2, 1.0, 0.0, 1, 0.0)),
        ([{"CPU": 8.0}] * 3, RayCluster(), Share(3, 7.0, 0.0, 3, 1.0)),
        ([{"CPU": 16.0, "GPU": 2.0}] * 2 + [{"CPU": 32.0}], RayCluster(), Share(4, 1.0, 1.0, 60, 1.0)),
        ([{"CPU": 16.0, "GPU": 1.0}], RayCluster(gpus=0.5, cpus=4), Share(2, 4.0, 0.5, 8, 1.0)),
    ],
)
def test_a_cluster_is_divided(nodes: list[dict[str, float]], cluster: RayCluster, share: Share) -> None:
    assert _share(Nodes(*nodes), cluster) == share


def test_more_workers_than_fit_would_wait_for_ever_and_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="9 workers of 1 CPUs do not fit the cluster, which has 8 CPUs"):
        _share(Nodes({"CPU": 8.0}), RayCluster(workers=9))
    with pytest.raises(ConfigurationError, match="of 1 CPUs and 1 GPUs do not fit"):
        _share(Nodes({"CPU": 8.0}), RayCluster(gpus=1.0))


@pytest.mark.slow
def test_nothing_at_the_address_is_told(ray_environment: None) -> None:
    code = "from sift_rag.distributed.connection import connected; connected(RayCluster('127.0.0.1:1')).__enter__()"
    assert "ClusterUnavailable: Cannot connect to a Ray cluster at 127.0.0.1:1" in said(code)


@pytest.mark.slow
def test_another_version_is_told(cluster: RayCluster) -> None:
    code = (
        "import ray; ray.__version__ = '1.0.0'\n"
        "from sift_rag.distributed.connection import connected\n"
        f"connected(RayCluster({cluster.address!r})).__enter__()"
    )
    assert re.search(
        "ClusterUnavailable: A Ray cluster at .* runs other versions than this process, Ray 1.0.0", said(code)
    )


def said(code: str) -> str:
    """Return what a process says on stderr before it fails."""
    run = [sys.executable, "-c", f"from sift_rag.clusters import RayCluster\n{code}"]
    ended = subprocess.run(run, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1
    return ended.stderr


def test_a_machine_without_the_library_is_told() -> None:
    exceptions = pytest.importorskip("ray.exceptions", reason="Ray is in the extra ray.")
    error = exceptions.RaySystemError("No module named 'sift_rag'")
    assert isinstance(connection._as_ours(error), ClusterUnavailable)
    assert "A machine of the cluster has no sift-rag" in str(connection._as_ours(error))
