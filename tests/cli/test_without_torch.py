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
BARRED = f"""
import sys
class Bar:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HEAVY}:
            raise ImportError(f"bug: {{name}} was imported")
sys.meta_path.insert(0, Bar())
{COMMAND}
"""

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """``command("search", "why?")`` in a process that cannot import any of HEAVY, after an ingest that could."""
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
    return lambda *arguments, **keywords: start(BARRED, *arguments, **keywords)


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
