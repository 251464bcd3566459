"""The Ray cluster that ``--ray`` and the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sift_rag.clusters import RayCluster
    from sift_rag_cli.settings import Values


def cluster_of(address: str | None, values: Values) -> RayCluster | None:
    """Return the cluster; None if ``--ray`` is not given.

    Raises:
        ValueError: the address is none of a cluster, or a setting is out of range.
    """
    if address is None:
        return None
    from sift_rag.clusters import RayCluster

    return RayCluster(address, **values["ray"])
