"""``--wait``: commands that wait for another process."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from sift_rag.stores.embedded.manifest import SCHEMA_VERSION
from sift_rag.stores.embedded.store import create_collection, open_collection
from sift_rag.types import CollectionInfo

LONG = 60.0


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a store with the closed, empty collection 'documents'."""
    create_collection(tmp_path, CollectionInfo("documents", "an embedder", 8, SCHEMA_VERSION)).close()
    return tmp_path


def command(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sift_rag_cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_a_wait_is_announced_in_one_line_and_ends_with_the_holder_and_exit_code_4(store: Path) -> None:
    with closing(open_collection(store, "documents")):
        with command("optimize", "-s", str(store), "--wait", "0.5") as waiting:
            _, said = waiting.communicate(timeout=LONG)
        assert waiting.returncode == 4
        first, *error = said.splitlines()
        assert first.startswith("Waiting for process ")
        assert first.endswith(", which has collection 'documents' open (up to 0.5 s; --wait 0 does not wait).")
        assert "is in use by process" in " ".join(error)
        assert "To wait longer: --wait SECONDS." in " ".join(error)
        with command("optimize", "-s", str(store), "--wait", "0") as refused:
            _, said = refused.communicate(timeout=LONG)
        assert refused.returncode == 4
        assert "Waiting" not in said


@pytest.mark.slow
def test_a_command_goes_on_when_the_other_process_has_ended(store: Path) -> None:
    holder = open_collection(store, "documents")
    with command("optimize", "-s", str(store)) as waiting:
        assert waiting.stderr is not None
        assert waiting.stderr.readline().startswith("Waiting for process ")
        holder.close()
        waiting.communicate(timeout=LONG)
    assert waiting.returncode == 0


@pytest.mark.slow
def test_listing_and_status_wait_for_nobody(store: Path) -> None:
    with closing(open_collection(store, "documents")):
        for words in (["list"], ["status"], ["collections"]):
            with command(*words, "-s", str(store)) as child:
                _, said = child.communicate(timeout=LONG)
            assert (child.returncode, "Waiting" in said) == (0, False)


def test_a_negative_time_is_refused(store: Path) -> None:
    with command("optimize", "-s", str(store), "--wait", "-1") as child:
        _, said = child.communicate(timeout=LONG)
    assert child.returncode == 2
    assert "--wait" in said
