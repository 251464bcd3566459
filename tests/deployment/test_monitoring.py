"""The dashboard and the alerts ask for metrics that the server has."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from sift_rag_server.metrics import STAGES, Metrics

ROOT = Path(__file__).parents[2]


def expressions() -> dict[str, str]:
    """Every query, by the name of its panel or alert."""
    dashboard = json.loads((ROOT / "deploy/grafana-dashboard.json").read_text())
    rules = yaml.safe_load((ROOT / "deploy/prometheus-rules.yml").read_text())
    asked = {panel["title"]: " ".join(one["expr"] for one in panel["targets"]) for panel in dashboard["panels"]}
    return asked | {rule["alert"]: rule["expr"] for group in rules["groups"] for rule in group["rules"]}


@pytest.fixture(scope="module")
def samples() -> set[str]:
    """The names of all samples of a server, those with labels too."""
    metrics: Any = Metrics()
    metrics.requests.labels("/v1/search", 200).inc()
    metrics.seconds.labels("/v1/search").observe(0.1)
    return {line.split("{")[0].split(" ")[0] for line in metrics.text().decode().splitlines() if line[0] != "#"}


@pytest.mark.parametrize("name", expressions())
def test_what_is_asked_for_exists(samples: set[str], name: str) -> None:
    asked = set(re.findall(r"sift_rag_\w+", expressions()[name]))
    assert asked
    assert asked <= samples
    assert set(re.findall(r'stage="(\w+)"', expressions()[name])) <= set(STAGES)


def test_the_documented_metrics_are_those_that_exist(samples: set[str]) -> None:
    text = (ROOT / "docs/operations.md").read_text()
    rows = "".join(line for line in text.splitlines() if line.startswith("| `sift_rag_"))
    documented = set(re.findall(r"sift_rag_\w+", rows))
    whole = {re.sub(r"_(bucket|count|sum)$", "", name) for name in samples if not name.endswith("_created")}
    assert documented == whole


def test_panels_do_not_overlap() -> None:
    panels = json.loads((ROOT / "deploy/grafana-dashboard.json").read_text())["panels"]
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)
    assert len({panel["id"] for panel in panels}) == len(panels)
