"""The command line in this process, cut off from the settings of whoever runs the tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sift_rag import opening
from sift_rag.models import local
from sift_rag_cli import match_levels
from sift_rag_cli.app import app
from tests.cli.documents import write_library

Run = Callable[..., Result]


@pytest.fixture(scope="session", autouse=True)
def models_loaded_once() -> Iterator[None]:
    """Load each embedder and each language model once, as one process of the command does.

    Sharing them is safe: both hold no state between calls, and fine-tuning restores the weights.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "load_sentence_transformer", cache(opening.load_sentence_transformer))
        patch.setattr(local, "load_local_model", cache(local.load_local_model))
        yield


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, empty user folders, no setting in the environment."""
    return _go_elsewhere(tmp_path, monkeypatch)


@pytest.fixture
def run(elsewhere: Path) -> Run:
    """``run("search", "why?", stdin=..., env=...)``; streams are not a terminal."""

    def invoke(*arguments: str, stdin: str | None = None, env: Mapping[str, str] | None = None) -> Result:
        return CliRunner().invoke(app, arguments, input=stdin, env=env, prog_name="sift-rag")

    return invoke


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_library(tmp_path_factory.mktemp("documents"))


@pytest.fixture(scope="session")
def store(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store that ``library`` becomes; tests only read it."""
    path = tmp_path_factory.mktemp("store")
    result = ingest_elsewhere(library, path, tmp_path_factory.mktemp("elsewhere"))
    assert result.stdout == ""
    assert result.stderr.splitlines()[-1] == "5 new, 0 updated, 0 unchanged, 0 removed, 2 skipped, 1 failed"
    return path


@pytest.fixture
def ask_store(run: Run, store: Path) -> Run:
    """``run`` on that store."""
    return lambda *arguments, **keywords: run(*arguments, "--store", str(store), **keywords)


def ingest_elsewhere(folder: Path, store: Path, home: Path) -> Result:
    """Ingest once for several tests, with ``home`` in place of the user's folders."""
    with pytest.MonkeyPatch.context() as patch:
        _go_elsewhere(home, patch)
        result = CliRunner().invoke(app, ("ingest", str(folder), "--store", str(store)))
    assert result.exit_code == 0, result.stderr
    return result


def _go_elsewhere(folder: Path, patch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("SIFT_RAG_") or name == "OPENAI_API_KEY"]:
        patch.delenv(name)
    patch.setenv("XDG_CONFIG_HOME", str(folder / "configuration"))
    patch.setenv("XDG_DATA_HOME", str(folder / "data"))
    patch.setattr(match_levels, "cache_folder", lambda: folder / "match-levels")  # not the cache of models
    patch.setenv("HF_HUB_OFFLINE", "1")
    here = folder / "here"
    here.mkdir()
    patch.chdir(here)
    return here
