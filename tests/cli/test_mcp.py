"""``sift-rag mcp``: a real process over stdin and stdout, and the configuration of clients."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from typer.testing import CliRunner

from sift_rag import ingest_paths
from sift_rag_cli.app import app
from sift_rag_cli.mcp_clients import CLIENTS
from tests.doubles import HashingEmbedder
from tests.http.serving import serving

README = (Path(__file__).parents[2] / "plugins" / "README.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, in which this process works."""
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["mcp", *arguments])


FILES = {
    "claude": ".config/Claude/claude_desktop_config.json",
    "claude-code": ".mcp.json",
    "cursor": ".cursor/mcp.json",
    "vscode": ".vscode/mcp.json",
}


def test_every_client_has_a_file() -> None:
    assert FILES.keys() == CLIENTS.keys()


@pytest.mark.parametrize("client", FILES)
def test_the_server_is_added(home: Path, client: str) -> None:
    result = run("install", client, "--store", "library", "-c", "handbook", "--root", ".", "--read-only")
    assert result.exit_code == 0, result.output
    file = home / FILES[client]
    assert str(file) in result.output
    [entry] = json.loads(file.read_text())["servers" if client == "vscode" else "mcpServers"].values()
    assert entry["command"].endswith("sift-rag")
    assert entry["args"] == [
        *("mcp", "--store", str(home / "library"), "--collection", "handbook"),
        *("--root", str(home), "--read-only"),
    ]


def test_a_collection_that_is_not_there_is_added_with_a_warning(home: Path) -> None:
    ingest_paths([_leave(home)], store=home / "store", collection="documents", embedder=HashingEmbedder())
    result = run("install", "claude", "--store", "store", "-c", "documnets")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "there is no collection 'documnets' yet. Did you mean 'documents'?" in result.stderr
    assert entry(home / FILES["claude"])["args"][-2:] == ["--collection", "documnets"]
    assert "Warning" not in run("install", "claude", "--store", "store").stderr


def test_a_store_that_cannot_be_reached_is_added_without_a_warning(home: Path) -> None:
    result = run("install", "claude", "--store", "http://127.0.0.1:9")
    assert result.exit_code == 0
    assert "Warning" not in result.stderr


def test_what_else_is_in_the_file_stays(home: Path) -> None:
    file = home / ".cursor" / "mcp.json"
    file.parent.mkdir()
    file.write_text('{"theme": "dark", "mcpServers": {"other": {"command": "x"}, "sift-rag": {"command": "old"}}}')
    assert run("install", "cursor").exit_code == 0
    written = json.loads(file.read_text())
    assert written["theme"] == "dark"
    assert written["mcpServers"]["other"] == {"command": "x"}
    assert written["mcpServers"]["sift-rag"]["args"] == ["mcp"]
    assert [path.name for path in file.parent.iterdir()] == ["mcp.json"]


@pytest.mark.parametrize(
    ("client", "expected"), [("claude-code", {"type": "http"}), ("cursor", {}), ("vscode", {"type": "http"})]
)
def test_a_running_server_is_added_by_its_address(home: Path, client: str, expected: dict[str, str]) -> None:
    url = "http://localhost:8600/mcp"
    assert run("install", client, "--url", url).exit_code == 0
    [entry] = json.loads((home / FILES[client]).read_text())["servers" if client == "vscode" else "mcpServers"].values()
    assert entry == {**expected, "url": url}


@pytest.mark.parametrize("text", ["{", "[]", '{"mcpServers": []}', "// comments\n{}"])
def test_a_file_that_is_not_plain_json_is_left_alone(home: Path, text: str) -> None:
    file = home / ".mcp.json"
    file.write_text(text)
    result = run("install", "claude-code")
    assert result.exit_code == 2
    assert '"mcpServers"' in result.output
    assert file.read_text() == text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["install"], "sift-rag mcp install CLIENT"),
        (["remove", "claude"], "sift-rag mcp install CLIENT"),
        (["install", "cursr"], "Did you mean 'cursor'?"),
        (["--root", "nowhere"], "is not a folder"),
        (["install", "claude", "--url", "http://localhost:8600/mcp"], "Leave --url out"),
        (["install", "cursor", "--url", "http://localhost:8600/mcp", "--read-only"], "no choice of --read-only"),
        (["--url", "http://localhost:8600/mcp"], "install CLIENT"),
    ],
)
def test_other_words_are_refused(words: list[str], message: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


@pytest.mark.slow
def test_a_client_ingests_and_searches_over_stdin(tmp_path: Path) -> None:
    """With the real embedder. Nothing but the protocol may be on stdout."""
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "leave.md").write_text("# Leave\n\nEverybody has thirty days of leave.\n", encoding="utf-8")
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "sift_rag_cli", "mcp", "--store", str(tmp_path / "store"), "--root", str(folder)],
        env={"HF_HUB_OFFLINE": "1", "HOME": str(tmp_path)},
    )

    async def talk() -> list[Any]:
        async with Client(server) as client:
            return [
                await client.call_tool("ingest", {"paths": ["."]}),
                await client.call_tool("search", {"questions": ["How many days off?"]}),
            ]

    ingested, found = anyio.run(talk)
    assert ingested.structured_content["new"] == 1
    assert found.structured_content["hits"][0]["location"] == "documents/leave.md:3"


def entry(file: Path) -> Any:
    """Return the only server of a client's configuration."""
    written = json.loads(file.read_text())
    [server] = written.get("servers", written.get("mcpServers")).values()
    return server


@pytest.mark.parametrize("line", re.findall(r"^    (sift-rag mcp install [^#\n]*)", README, re.MULTILINE))
def test_the_recipes_that_connect_a_client_work_as_they_stand(home: Path, line: str) -> None:
    words = shlex.split(line)[1:]
    assert CliRunner().invoke(app, words).exit_code == 0
    written = entry(home / FILES[words[2]])
    assert written.get("args", ["mcp"])[0] == "mcp"
    assert ("url" in written) == ("--url" in words)


@pytest.mark.slow
def test_what_was_installed_starts_and_answers(home: Path) -> None:
    """What the client would start, from another folder and with next to no environment."""
    ingest_paths([_leave(home)], store=home / "store", embedder="sentence-transformers/all-MiniLM-L6-v2")
    assert run("install", "vscode", "--store", "store").exit_code == 0
    written = entry(home / FILES["vscode"])
    server = StdioServerParameters(
        command=written["command"],
        args=written["args"],
        cwd="/",
        env={"HF_HUB_OFFLINE": "1", "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
    )

    async def talk() -> Any:
        async with Client(server) as connected:
            return await connected.call_tool("search", {"questions": ["How many days off?"]})

    assert anyio.run(talk).structured_content["hits"][0]["location"] == "documents/leave.md:3"


@pytest.mark.parametrize("client", sorted(FILES.keys() - {"claude"}))
def test_a_running_server_that_was_installed_answers(home: Path, client: str) -> None:
    ingest_paths([_leave(home)], store=home / "store", embedder=HashingEmbedder())
    with serving(store=home / "store") as running:
        assert run("install", client, "--url", f"{running.url}/mcp").exit_code == 0

        async def talk() -> Any:
            async with Client(entry(home / FILES[client])["url"]) as connected:
                return await connected.call_tool("search", {"questions": ["How many days off?"]})

        assert anyio.run(talk).structured_content["hits"][0]["location"] == "documents/leave.md:3"


def test_a_server_takes_the_same_roots(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Any] = []
    monkeypatch.setattr(
        "sift_rag_cli.commands.serve.serve_until_stopped", lambda settings, log_json: served.append(settings)
    )
    assert CliRunner().invoke(app, ["serve", "--allow-ingest", "--root", "."]).exit_code == 0
    assert served[0].roots == (Path(),)
    assert served[0].may_ingest
    refusals = {"add --allow-ingest": ["--root", "."], "is not a folder": ["--allow-ingest", "--root", "nowhere"]}
    for message, words in refusals.items():
        refused = CliRunner().invoke(app, ["serve", *words])
        assert refused.exit_code == 2
        assert message in " ".join(refused.output.split())


def _leave(home: Path) -> Path:
    folder = home / "documents"
    folder.mkdir()
    (folder / "leave.md").write_text("# Leave\n\nEverybody has thirty days of leave.\n", encoding="utf-8")
    return folder
