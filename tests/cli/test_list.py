"""``sift-rag list``: a beginning that no file has, and lines that fit a terminal."""

from __future__ import annotations

import json
import os
import re
import subprocess
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from sift_rag.stores.embedded.manifest import SCHEMA_VERSION
from sift_rag.stores.registry import open_database
from sift_rag.types import CollectionInfo
from sift_rag_cli.output import broken_path
from tests.cli.conftest import Run
from tests.cli.test_process import COMMAND, environment, terminal
from tests.stores.test_listing import document

SOURCES = [
    "handbook/2024/business-trips/hotels-and-other-places-to-stay.md",
    "handbook/2024/business-trips/flights.md",
    "notes.md",
]
NOTICE = "the pages 3 to 17 hold no text but pictures: read them with --ocr, which takes a second or two for each page"


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    with closing(open_database(folder).create(CollectionInfo("documents", "none", 4, SCHEMA_VERSION))) as store:
        store.put_documents([replace(document(0), source=source, notices=(NOTICE,)) for source in SOURCES])
    return folder


@pytest.mark.parametrize(
    ("command", "suggested"),
    [
        (("list", "nosuch"), None),
        (("list", "handbok/"), "handbook/"),
        (("list", "notez.md"), "notes.md"),
        (("delete", "nosuch.md"), None),
        (("delete", "handbok/2024/", "--prefix"), "handbook/2024/"),
    ],
)
def test_a_name_that_nothing_has_is_exit_code_5_with_a_close_suggestion_or_none(
    run: Run, listed: Path, command: tuple[str, ...], suggested: str | None
) -> None:
    result = run(*command, "--store", str(listed))
    assert (result.exit_code, result.stdout) == (5, "")
    found = re.findall("Did you mean '(.*?)'", result.stderr)
    assert found == ([] if suggested is None else [suggested])


def test_json_of_nothing_is_an_empty_list(run: Run, listed: Path) -> None:
    result = run("list", "nosuch", "--json", "--store", str(listed))
    assert (result.exit_code, json.loads(result.stdout)["documents"]) == (0, [])


def test_an_empty_collection_is_an_empty_list(run: Run, tmp_path: Path) -> None:
    open_database(tmp_path).create(CollectionInfo("documents", "none", 4, SCHEMA_VERSION)).close()
    result = run("list", "--store", str(tmp_path))
    assert (result.exit_code, result.output) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_terminal_gets_names_broken_at_slashes_only_and_notices_whole(
    elsewhere: Path, listed: Path, columns: int
) -> None:
    with terminal() as (stdout, read_until):
        process = subprocess.Popen(
            [*COMMAND, "list", "--store", str(listed)],
            stdout=stdout,
            stderr=subprocess.PIPE,
            env=environment(COLUMNS=str(columns)),
        )
        os.close(stdout)
        shown = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", read_until(""))
        assert (process.wait(), process.communicate()[1]) == (0, b"")
    lines = shown.splitlines()
    assert max(map(len, lines)) <= columns
    assert " ".join(shown.split()).count(NOTICE) == len(SOURCES)
    parts = {part for source in SOURCES for part in re.findall(r"[^/]+/?", source)}
    table = lines[1 : lines.index("")]
    for part in parts if columns >= 80 else parts - {"hotels-and-other-places-to-stay.md"}:
        assert any(part in line for line in table)


@given(st.text("ab/日", max_size=40), st.integers(1, 20))
def test_a_broken_path_loses_nothing_and_breaks_after_slashes(path: str, width: int) -> None:
    lines = broken_path(path, width).split("\n")
    assert "".join(lines) == path
    assert all(line.endswith("/") for line in lines[:-1])
    assert all(cell_len(line) <= width or "/" not in line[:-1] for line in lines)
