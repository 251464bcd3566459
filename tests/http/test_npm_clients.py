"""Clients from npm, pointed at our server. They need node, and once: make clients."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.http.models import ScriptedModel
from tests.http.serving import Served, serving

FOLDER = Path(__file__).parent / "npm"
QUESTION = "What does the red fox eat?"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def _installed() -> None:
    missing = None if shutil.which("node") else "node is not installed"
    if missing is None and not (FOLDER / "node_modules").is_dir():
        missing = "the packages of npm are not installed: make clients"
    if missing is not None:
        if os.environ.get("SIFT_RAG_TEST_NPM") == "required":
            pytest.fail(missing)
        pytest.skip(missing)


@pytest.fixture(scope="module")
def answering(_installed: None, store: Path) -> Iterator[Served]:
    with serving(store=store, language_model=ScriptedModel("The fox eats ", "mice [1].")) as running:
        yield running


def node(*words: str) -> Any:
    run = subprocess.run(
        ["node", *words],
        cwd=FOLDER,
        env={**os.environ, "AI_SDK_LOG_WARNINGS": "false"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return json.loads(run.stdout)


def test_openais_library(answering: Served) -> None:
    shown = node("openai.mjs", f"{answering.url}/v1", QUESTION)
    assert shown["text"].startswith("The fox eats mice [1].")
    assert shown["streamed"] == shown["text"]
    assert shown["annotations"][0]["type"] == "url_citation"
    assert "sift/documents" in shown["models"]


def test_vercels_ai_sdk(answering: Served) -> None:
    shown = node("ai.mjs", f"{answering.url}/v1", QUESTION)
    assert shown["text"].startswith("The fox eats mice [1].")
    assert shown["streamed"] == shown["text"]


def test_the_inspector_of_mcp(answering: Served) -> None:
    inspect = ("node_modules/.bin/mcp-inspector", "--cli", f"{answering.url}/mcp", "--transport", "http")
    tools = node(*inspect, "--method", "tools/list")["tools"]
    assert {tool["name"] for tool in tools} == {"search", "get", "list", "status", "ask"}
    asked = ("--method", "tools/call", "--tool-name", "search", "--tool-arg", f"questions={json.dumps([QUESTION])}")
    assert "mice" in node(*inspect, *asked)["structuredContent"]["hits"][0]["text"]
