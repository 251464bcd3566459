"""The page on many machines: its job arrays run, with a loop in place of Slurm, and its options exist."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sift_rag_cli.app import app
from sift_rag_cli.settings import settings_of
from tests.cli.documents import write_library
from tests.embedders.stub_embeddings import stub_embeddings
from tests.qdrant_stub.server import QdrantStub

PAGE = (Path(__file__).parents[2] / "docs" / "distributed.md").read_text(encoding="utf-8")
MODEL = Path(__file__).parent.parent / "data" / "stdlib-lm"


@pytest.fixture
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A working directory with texts, and an endpoint that embeds."""
    (tmp_path / "held-out").mkdir()
    for number in range(9):
        (tmp_path / "held-out" / f"{number}.md").write_text(f"Receipts of flight {number} are handed in.")
    monkeypatch.chdir(tmp_path)
    with stub_embeddings() as endpoint:
        monkeypatch.setenv("SIFT_RAG_EMBEDDER_URL", endpoint.url)
        monkeypatch.setenv("SIFT_RAG_EMBEDDER", "tiny")
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("_here")
def test_the_job_arrays_run_with_a_loop_in_place_of_slurm(tmp_path: Path, qdrant: QdrantStub) -> None:
    library = write_library(tmp_path)
    store = f"{qdrant.url}?grpc_port=9"
    places = {"/shared/docs": str(library), "http://qdrant:6333": store, "MODEL": f"{MODEL} -k 1"}
    arrays = re.findall(r"```\n#SBATCH --array=1-(\d+)\n(.*?)\n```", PAGE)
    assert [shlex.split(line)[1] for _, line in arrays] == ["ingest", "compare"]
    for number, line in arrays:
        for task in range(1, int(number) + 1):
            done = run(line.replace("$SLURM_ARRAY_TASK_ID", str(task)), places)
            assert done.exit_code in {0, 1}, done.output
            assert done.exit_code == 0 or "failed" in done.output, "a shard that holds nothing but the broken file"
    [merge] = re.findall(r"```\n(sift-rag compare --merge .*)\n```", PAGE)
    assert run(merge, places).exit_code == 0
    assert (tmp_path / "page.html").exists()
    status = json.loads(run(f"sift-rag status -s {store} --json", {}).stdout)
    assert (status["files"]["ingested"], status["passages_without_records"]) == (5, 0)


def run(line: str, places: dict[str, str]) -> object:
    for name, place in places.items():
        line = line.replace(name, place)
    return CliRunner().invoke(app, shlex.split(line)[1:])


def test_every_option_and_setting_that_the_page_names_exists() -> None:
    for command, rest in re.findall(r"^sift-rag (\w+)(.*)$", PAGE, re.MULTILINE):
        said = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
        for option in re.findall(r"--[a-z-]+", rest):
            assert option in said, f"{command} {option}"
    named = set(re.findall(r"--set (ray\.\w+)", PAGE))
    for command in ("ingest", "compare"):
        assert named == {name for name in settings_of(command) if name.startswith("ray.")}


def test_the_code_of_the_page_names_what_exists() -> None:
    [code] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    *setup, call = code.strip().splitlines()
    exec(compile("\n".join(setup), "docs/distributed.md", "exec"), {})
    assert call.startswith("ingest_paths(")
