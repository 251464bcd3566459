"""``sift-rag duplicates``, and the line of ``sift-rag status``: what they print where, and how they end."""

from __future__ import annotations

import json
import os
import re
import subprocess
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from sift_rag import opening, repetition
from sift_rag.protocols import PassageStore
from sift_rag.stores.embedded.manifest import SCHEMA_VERSION
from sift_rag.stores.registry import open_database
from sift_rag.types import CollectionInfo
from sift_rag_cli.commands import status
from tests.cli.conftest import Run
from tests.cli.test_process import COMMAND, environment, terminal
from tests.retrieval.test_candidates import passage

NO_MODEL = CollectionInfo("documents", "none", 4, SCHEMA_VERSION)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "folder"


@pytest.fixture
def repeating(folder: Path) -> Path:
    """A store with eleven copies of one passage, three of another, and two passages of which there is one."""
    with closing(made(folder)) as store:
        texts = ["Owls hunt at night.\n" * 9] * 11 + ["Bees \x1b[31mdance."] * 3 + ["Hens sleep.", "Foxes wait."]
        rows = np.eye(4, dtype=np.float32)[[0] * 11 + [1] * 3 + [2, 3]]
        names = [f"a folder with quite a long name/{number:02} [bold]{'x' * 40}.md" for number in range(len(texts))]
        store.upsert([passage(name, text) for name, text in zip(names, texts, strict=True)], rows)
    return folder


def made(folder: Path) -> PassageStore:
    return open_database(folder).create(NO_MODEL)


@pytest.fixture(autouse=True)
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where an embedder is loaded: the vectors are in the store."""

    def load(name: str) -> None:
        raise AssertionError(f"{name} was loaded")

    monkeypatch.setattr(opening, "load_sentence_transformer", load)


def test_totals_groups_and_files_are_printed_in_a_pipe_without_a_cut(run: Run, repeating: Path) -> None:
    result = run("duplicates", "--store", str(repeating), "--limit", "1", "-k", "3")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    with closing(opening.open_index(repeating)) as index:
        places = repetition.find_duplicates(index, k=3).places
    assert lines[:3] == [
        "12 of 16 passages (75.0%) repeat an earlier one",
        "4 distinct passages, 2 of them in several places",
        f"nearest neighbour spends {places.copies:.2f} of 3 places on copies (each of 16 passages taken as a question)",
    ]
    assert lines[4] == "Largest groups of copies, 1 of 2 (--limit)"
    assert lines[5].startswith("11 times  a folder with quite a long name/00 [bold]xxx")
    assert lines.count("   Owls hunt at night.") == 9
    assert sum(line.startswith("   also in a folder") for line in lines) == 10
    assert lines[-2] == "Files whose passages also stand in other files, 1 of 14 (--limit)"
    assert lines[-1] == f"1\t1\ta folder with quite a long name/00 [bold]{'x' * 40}.md"


def test_nothing_in_a_passage_steers_the_terminal(run: Run, repeating: Path) -> None:
    result = run("duplicates", "--store", str(repeating))
    assert r"   Bees \x1b[31mdance." in result.stdout
    assert "\x1b" not in result.output + run("duplicates", "--store", str(repeating), "--json").output


def test_json_is_the_librarys_shape_whole_whatever_the_limit(run: Run, repeating: Path) -> None:
    result = run("duplicates", "--store", str(repeating), "--limit", "1", "-k", "3", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    written = json.loads(result.stdout)
    with closing(opening.open_index(repeating)) as index:
        assert written == {"collection": "documents", **repetition.find_duplicates(index, k=3).to_dict()}
    assert [group["size"] for group in written["groups"]] == [11, 3]
    assert len(written["documents"]) == 14


def test_an_empty_collection_is_said_to_be_empty(run: Run, folder: Path) -> None:
    made(folder).close()
    result = run("duplicates", "--store", str(folder))
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "Collection 'documents' holds no passages.\n"
    written = json.loads(run("duplicates", "--store", str(folder), "--json").stdout)
    assert (written["passages"], written["places"]) == (0, {"k": 8, "probes": 0, "copies": None})


def test_a_collection_of_one_passage_repeats_nothing(run: Run, folder: Path) -> None:
    with closing(made(folder)) as store:
        store.upsert([passage("a.md", "Owls hunt.")], np.eye(4, dtype=np.float32)[:1])
    assert run("duplicates", "--store", str(folder)).stdout.splitlines() == [
        "0 of 1 passage (0.0%) repeat an earlier one",
        "1 distinct passage, 0 of them in several places",
        "nearest neighbour spends 0.00 of 8 places on copies (the one passage taken as a question)",
    ]


def test_a_collection_that_is_not_there_is_exit_code_5(run: Run, repeating: Path) -> None:
    result = run("duplicates", "--store", str(repeating), "-c", "missing")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (5, "", 1)


@pytest.mark.parametrize(("option", "value"), [("-k", "0"), ("--limit", "0")])
def test_a_number_out_of_range_is_exit_code_2(run: Run, repeating: Path, option: str, value: str) -> None:
    assert run("duplicates", "--store", str(repeating), option, value).exit_code == 2


def test_an_interruption_is_exit_code_130_and_leaves_the_store_free(
    run: Run, repeating: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(repetition, "leaders_of_copies", interrupted)
        result = run("duplicates", "--store", str(repeating))
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "Interrupted.\n")
    assert run("duplicates", "--store", str(repeating)).exit_code == 0


@pytest.mark.slow
def test_a_terminal_of_80_columns_gets_lines_within_its_width(elsewhere: Path, repeating: Path) -> None:
    with terminal() as (stdout, read_until):
        process = subprocess.Popen(
            [*COMMAND, "duplicates", "--store", str(repeating)],
            stdout=stdout,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        os.close(stdout)
        shown = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", read_until(""))
        assert (process.wait(), process.communicate()[1]) == (0, b"")
    lines = shown.splitlines()
    assert "12 of 16 passages (75.0%) repeat an earlier one" in lines
    assert "   ... and 7 more places" in lines
    assert shown.count("Owls hunt at night.") < 9
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in shown


class TestStatus:
    def test_the_first_line_is_shown_for_a_small_collection(self, run: Run, store: Path) -> None:
        first = run("duplicates", "--store", str(store)).stdout.splitlines()[0]
        assert re.fullmatch(r"\d of \d passages \(\d+\.\d%\) repeat an earlier one", first)
        assert f"copies      {first}" in run("status", "--store", str(store)).stdout.splitlines()
        repeated = json.loads(run("status", "--store", str(store), "--json").stdout)["repeated"]
        assert repeated == int(first[0]) > 0

    @pytest.mark.parametrize("too_many", [True, False])
    def test_the_command_is_named_for_a_large_one_and_for_one_in_use(
        self, run: Run, store: Path, monkeypatch: pytest.MonkeyPatch, too_many: bool
    ) -> None:
        def check() -> None:
            shown = run("status", "--store", str(store))
            assert shown.exit_code == 0
            assert "copies      not counted: see `sift-rag duplicates`" in shown.stdout.splitlines()
            assert json.loads(run("status", "--store", str(store), "--json").stdout)["repeated"] is None

        if too_many:
            monkeypatch.setattr(status, "COMPARED", 3)
            check()
        else:
            with closing(open_database(store).open("documents")):
                check()
