"""Completion in a shell: the names of collections and sources, and never an error."""

from __future__ import annotations

import os
import pty
import select
import shlex
import shutil
import subprocess
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from sift_rag.stores.embedded.manifest import SCHEMA_VERSION
from sift_rag.stores.registry import open_database
from sift_rag.types import CollectionInfo
from sift_rag_cli.mcp_clients import CLIENTS
from tests.cli.conftest import Run
from tests.cli.test_process import COMMAND, environment
from tests.stores.test_listing import document


def completions(run: Run, *words: str, env: dict[str, str] | None = None) -> list[str]:
    """Return what bash would offer for the last word."""
    line = " ".join(words)
    variables = {"_SIFT_RAG_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    result = run(env={**variables, **(env or {})})
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout.split()


def test_collections_and_sources_are_completed_from_the_store_that_is_meant(run: Run, store: Path) -> None:
    option = ("-s", str(store))
    assert completions(run, "sift-rag", "search", "why", *option, "-c", "doc") == ["documents"]
    assert completions(run, "sift-rag", "search", "why", *option, "-c", "x") == []
    assert completions(run, "sift-rag", "show", *option, "library/lap") == ["library/laptops.md"]
    assert completions(run, "sift-rag", "delete", *option, "library/archive/") == ["library/archive/travel.md"]
    assert completions(run, "sift-rag", "ask", "why", *option, "--known", "library/sick") == ["library/sick-leave.md"]
    assert completions(run, "sift-rag", "show", "library/lap", env={"SIFT_RAG_STORE": str(store)}) == [
        "library/laptops.md"
    ]
    Path("sift-rag.toml").write_text(f"store = {str(store)!r}\n", encoding="utf-8")
    assert completions(run, "sift-rag", "show", "library/lap") == ["library/laptops.md"]


def test_a_name_that_could_steer_the_terminal_is_not_offered(run: Run, store: Path) -> None:
    assert completions(run, "sift-rag", "show", "-s", str(store), "library/notes") == []


@pytest.mark.parametrize("where", ["/no/such/store", "http://127.0.0.1:1", "magic://x"])
def test_a_store_that_cannot_be_read_or_may_not_answer_gives_no_names(run: Run, where: str) -> None:
    assert completions(run, "sift-rag", "show", "-s", where, "library/lap") == []
    assert completions(run, "sift-rag", "search", "why", "-s", where, "-c", "doc") == []


def test_a_broken_configuration_or_collection_gives_no_names(run: Run, tmp_path: Path) -> None:
    broken = tmp_path / "store" / "documents"
    broken.mkdir(parents=True)
    (broken / "manifest.json").write_text("[", encoding="utf-8")
    assert completions(run, "sift-rag", "show", "-s", str(tmp_path / "store"), "library/lap") == []
    Path("sift-rag.toml").write_text("store = [", encoding="utf-8")
    assert completions(run, "sift-rag", "show", "library/lap") == []


def test_mcp_completes_the_word_install_and_then_its_clients(run: Run) -> None:
    assert completions(run, "sift-rag", "mcp", "i") == ["install"]
    assert completions(run, "sift-rag", "mcp", "install", "''") == list(CLIENTS)
    assert completions(run, "sift-rag", "mcp", "install", "claude-") == ["claude-code"]
    assert completions(run, "sift-rag", "mcp", "install", "cursor", "c") == []


SPACED = ["my notes (new).txt", "it's $5 & `more`; *.md", 'a "quoted" name.md', "plain.md"]


@pytest.fixture(scope="module")
def spaced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store whose files have names that a shell reads as several words, or as something else."""
    folder = tmp_path_factory.mktemp("spaced")
    with closing(
        open_database(folder / "store").create(CollectionInfo("documents", "none", 4, SCHEMA_VERSION))
    ) as store:
        store.put_documents([replace(document(0), source=f"two words/{name}") for name in SPACED])
    return folder


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("bash"), reason="There is no bash here.")
@pytest.mark.parametrize("name", SPACED)
@pytest.mark.parametrize("opened", ["", '"', "'"])
def test_bash_completes_a_name_to_one_word_that_is_the_name(spaced: Path, name: str, opened: str) -> None:
    if opened == "'" and "'" in name:
        pytest.skip("Within single quotes bash has no way to write one.")
    typed = opened + (f"two words/{name[0]}" if opened else rf"two\ words/{name[0]}")
    assert inserted_by_bash(spaced, typed) == f"two words/{name}"


def inserted_by_bash(folder: Path, typed: str) -> str:
    """Return the argument of ``sift-rag show`` once bash has completed what was typed."""
    program = folder / "sift-rag"
    complete = f'[ -n "$_SIFT_RAG_COMPLETE" ] && exec {shlex.join(COMMAND)} "$@"'
    program.write_text(f"#!/bin/sh\n{complete}\nprintf '<%s:%s:end>' $# \"$2\"\n", encoding="utf-8")
    program.chmod(0o755)
    ours, theirs = pty.openpty()
    shell = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(
            PATH=f"{folder}:{os.environ['PATH']}", SIFT_RAG_STORE=str(folder / "store"), PS1="ready>", TERM="dumb"
        ),
        start_new_session=True,
    )
    os.close(theirs)

    def read_until(end: str, shown: bytes = b"") -> str:
        while end.encode() not in shown:
            assert select.select([ours], [], [], 20)[0], f"bash does not go on after {shown!r}"
            shown += os.read(ours, 4096)
        return shown.decode()

    try:
        read_until("ready>")
        os.write(
            ours,
            b'bind "set enable-bracketed-paste off"; eval "$(_SIFT_RAG_COMPLETE=source_bash sift-rag)"; echo do""ne\n',
        )
        read_until("done")
        os.write(ours, f"sift-rag show {typed}\t\n".encode())
        return read_until(":end>").rpartition("<2:")[2].partition(":end>")[0]
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)
