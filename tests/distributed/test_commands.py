"""``--ray`` on the command line: what a person sees, and what is left when it is interrupted."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner

from sift_rag.clusters import RayCluster
from sift_rag_cli.app import app
from tests.cli.documents import write_library
from tests.distributed.test_ingest_on_ray import is_alive, until
from tests.embedders.stub_embeddings import StubEmbeddings, stub_embeddings
from tests.qdrant_stub.server import QdrantStub

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings(r"ignore:.*deprecated:DeprecationWarning:ray\."),  # of Ray, by Ray
]

MODEL = Path(__file__).parent.parent / "data" / "stdlib-lm"
# A shell starts what it puts into the background with interrupts ignored, and children inherit that.
HEED = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
COMMAND = (sys.executable, "-c", HEED + "from sift_rag_cli.app import main; main()")


@pytest.fixture
def endpoint() -> Iterator[StubEmbeddings]:
    """Embeds for all workers, so that none has to load a model."""
    with stub_embeddings() as running:
        yield running


@pytest.fixture
def target(qdrant: QdrantStub, endpoint: StubEmbeddings) -> tuple[str, ...]:
    return ("-s", f"{qdrant.url}?grpc_port=9", "--embedder-url", endpoint.url, "-e", "tiny")


def test_an_interrupted_ingest_keeps_what_is_in_leaves_no_process_and_goes_on(
    tmp_path: Path, target: tuple[str, ...], endpoint: StubEmbeddings, cluster: RayCluster
) -> None:
    library = write_library(tmp_path)
    for number in range(30):
        (library / f"note-{number}.md").write_text(f"# Note {number}\n\nNote {number} tells of owl{number}.\n")
    ingest = ("ingest", str(library), *target, "--set", "ray.workers=2", "--ray")
    endpoint.pause = lambda _: 0.3
    with subprocess.Popen(
        (*COMMAND, *ingest, "local"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        until(lambda: len(endpoint.bodies) > 6)
        children = psutil.Process(process.pid).children(recursive=True)
        assert any("EmbeddingWorker" in child.name() for child in children)
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(60)
        stdout, stderr = process.communicate()
    assert (process.returncode, stdout) == (130, "")
    assert stderr.splitlines() == [
        "What has been ingested is kept; run the same command again to continue.",
        "Interrupted.",
    ]
    until(lambda: not any(map(is_alive, children)))
    endpoint.pause = lambda _: 0.0
    again = CliRunner().invoke(app, (*ingest, cluster.address, "--json"))
    assert (again.exit_code, again.stderr) == (0, "")
    report = json.loads(again.stdout)
    assert report["files"] == report["files"] | {"skipped": 2, "failed": 1, "removed": 0}
    status = json.loads(CliRunner().invoke(app, ["status", *target[:2], "--json"]).stdout)
    assert (status["files"]["ingested"], status["files"]["interrupted"]) == (35, 0)
    assert (status["passages"], status["passages_without_records"]) == (report["passages"]["total"], 0)


def test_a_comparison_goes_on_where_another_stopped_and_ends_with_the_same_figures(
    tmp_path: Path, target: tuple[str, ...], cluster: RayCluster
) -> None:
    library = write_library(tmp_path)
    assert CliRunner().invoke(app, ["ingest", str(library), *target]).exit_code == 0
    texts = tmp_path / "texts.jsonl"
    rows = ["Receipts of a flight are handed in.", "A broken laptop goes to room 12.", "Taxis are paid with a reason."]
    texts.write_text("".join(f"{json.dumps({'text': row})}\n" for row in rows))
    journal = tmp_path / "journal"
    command = ["compare", "--texts", str(texts), "-m", str(MODEL), "-k", "1,2", "--journal", str(journal), "--json"]
    here = CliRunner().invoke(app, [*command, *target])
    assert here.exit_code == 0, here.output
    [path] = journal.iterdir()
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))  # all but the first task are lost
    there = CliRunner().invoke(
        app, [*command, *target, "--resume", "--ray", cluster.address, "--set", "ray.workers=2", "--set", "ray.cpus=1"]
    )
    assert there.exit_code == 0, there.output
    assert there.stderr == "1 task already measured; 2 left.\n"
    assert figures(json.loads(there.stdout)) == figures(json.loads(here.stdout))
    merged = CliRunner().invoke(app, ["compare", "--merge", str(journal), "--json"])
    assert figures(json.loads(merged.stdout)) == figures(json.loads(here.stdout))


def figures(comparison: dict[str, Any]) -> list[tuple[object, ...]]:
    names = ("arm", "selector", "k", "percent_of_base", "standard_error", "tokens_per_prompt", "passages_in_context")
    rows = {tuple(row[name] for name in names) for row in comparison["rows"]}
    return [comparison["prompts"], comparison["base_bits_per_byte"], comparison["device"], sorted(rows, key=str)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("ingest", "notes", "--ray", "docs/"), "'docs/' is no address of a Ray cluster"),
        (("ingest", "notes", "--ray", "local", "-s", "folder"), "a cluster needs a store on a server"),
        (("ingest", "notes", "--ray", "--watch"), "--watch does not go together with --ray."),
        (("ingest", "notes", "--dry-run", "--ray"), "A dry run embeds nothing"),
        (("compare", "--merge", "runs", "--ray"), "--merge measures nothing: leave out --ray."),
        (("compare", "--texts", "t", "--journal", "j", "--shard", "1/2", "--ray"), "leave out --shard"),
    ],
)
def test_what_does_not_go_together_is_refused_with_one_line(
    arguments: tuple[str, ...], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
