"""Questions are answered without the libraries that train models, once the embedder is exported."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.cli.documents import write_library
from tests.cli.endpoint import serving

pytestmark = pytest.mark.slow
HEAVY = ("torch", "transformers", "sentence_transformers")
COMMAND = "from sift_rag_cli.app import main; main()"
BAR = f"""
import sys
class Bar:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HEAVY}:
            raise ImportError(f"bug: {{name}} was imported")
sys.meta_path.insert(0, Bar())
"""
SERVING = """
import json, urllib.error, urllib.request
from contextlib import suppress
from threading import Thread
from sift_rag_server.running import RunningServer
from sift_rag_server.settings import ServerSettings

server = RunningServer(ServerSettings(port=0))
serving = Thread(target=server.run)
serving.start()

def reply(path, **body):
    content = json.dumps(body).encode() if body else None
    with urllib.request.urlopen(urllib.request.Request(server.url + path, content), timeout=60) as answer:
        return json.load(answer)

ready = None
while ready is None and serving.is_alive():
    with suppress(urllib.error.HTTPError):
        ready = reply("/ready")
print(reply("/v1/search", query="Who pays for a taxi?", k=1)["hits"][0]["source"])
print(reply("/v1/rerank", query="Who pays?", documents=["The company pays.", "Bees dance."])["results"][0]["index"])
server.stop()
serving.join()
"""

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """``program(code, *arguments)`` in a process that cannot import any of HEAVY, after an ingest that could."""
    pytest.importorskip("onnx", reason="Exports need it: pip install 'sift-rag[onnx]'")
    home = tmp_path_factory.mktemp("home")
    library = write_library(tmp_path_factory.mktemp("library"))
    settings = {f"XDG_{name}_HOME": str(home / name) for name in ("CACHE", "CONFIG", "DATA")}

    def start(
        code: str, *arguments: str, stdin: str | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            cwd=home,
            env={**os.environ, **settings, **variables},
            timeout=120,
        )

    done = start(COMMAND, "ingest", str(library))
    assert done.returncode == 0, done.stderr
    return lambda code, *arguments, **keywords: start(BAR + code, *arguments, **keywords)


@pytest.fixture
def command(program: Command) -> Command:
    """``command("search", "why?")`` in such a process."""
    return lambda *arguments, **keywords: program(COMMAND, *arguments, **keywords)


@pytest.mark.parametrize("asked", ["search", "search --explain --json", "status", "list", "duplicates", "ask"])
def test_a_command_needs_no_torch(command: Command, asked: str) -> None:
    words = asked.split()
    question = ["Who pays for a taxi?"] if words[0] in {"search", "ask"} else []
    done = command(*words, *question)
    assert (done.returncode, done.stderr.count("bug:")) == (0, 0), done.stderr
    assert done.stdout


@pytest.mark.parametrize(("name", "stdin"), [("ask", None), ("chat", "Who pays for a taxi?\n")])
def test_an_answer_of_an_endpoint_needs_no_torch(command: Command, name: str, stdin: str | None) -> None:
    question = ["Who pays for a taxi?"] if name == "ask" else []
    with serving("You do [1].") as endpoint:
        done = command(name, *question, "--base-url", endpoint.url, "--model", "stub", stdin=stdin)
    assert (done.returncode, done.stderr.count("bug:")) == (0, 0), done.stderr
    assert "You do [1]." in done.stdout


def test_the_setting_for_torch_asks_for_torch(command: Command) -> None:
    done = command("search", "Who pays for a taxi?", "--set", "runtime=torch")
    assert done.returncode != 0
    assert "bug: torch was imported" in done.stderr


def test_the_server_searches_and_reranks_without_torch(program: Command) -> None:
    done = program(SERVING)
    assert done.returncode == 0, done.stderr
    source, first = done.stdout.split()
    assert source.startswith("library/")
    assert first == "0"


def test_texts_in_memory_are_searched_without_torch(program: Command) -> None:
    done = program("from sift_rag import Retriever; print(Retriever.from_texts(['A', 'B']).retrieve('A', k=1).texts)")
    assert (done.returncode, done.stdout) == (0, "['A']\n"), done.stderr
