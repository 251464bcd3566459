"""``sift-rag migrate``, and ``ingest --shard``, as a person sees them."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from sift_rag.opening import open_store
from tests.cli.conftest import Run
from tests.cli.test_process import INTERRUPTIBLE, environment


def test_a_collection_moves_to_another_store_and_answers_the_same(run: Run, store: Path, tmp_path: Path) -> None:
    moved = run("migrate", str(store), str(tmp_path / "new"))
    assert (moved.exit_code, moved.stdout) == (0, "")
    carried, checked = moved.stderr.splitlines()
    assert carried == "6 files copied, 0 already there"
    assert checked.startswith("Collection 'documents' has all 7 passages, with identical vectors (")
    answers = [
        run("search", "Who repairs a laptop?", "--json", "--store", str(place)) for place in (store, tmp_path / "new")
    ]
    hits = [json.loads(answer.stdout)["hits"] for answer in answers]
    assert hits[0] == hits[1]


def test_a_second_run_says_that_all_is_there_and_json_says_it_in_numbers(run: Run, store: Path, tmp_path: Path) -> None:
    command = ("migrate", str(store), str(tmp_path / "new"), "--to-collection", "archive", "--json")
    first, second = (json.loads(run(*command).stdout) for _ in range(2))
    assert second == first | {"carried": 0, "skipped": 6}
    assert first == {
        "collection": "archive",
        "carried": 6,
        "skipped": 0,
        "repaired": 0,
        "passages": 7,
        "besides": 0,
        "fingerprint": first["fingerprint"],
        "deviation": 0.0,
        "differences": [],
    }
    assert len(first["fingerprint"]) == 32


def test_what_cannot_be_compared_in_the_end_is_told_with_exit_code_1(run: Run, store: Path, tmp_path: Path) -> None:
    shutil.copytree(store, tmp_path / "strays")
    with closing(open_store(tmp_path / "strays")) as opened:
        opened.drop_documents(["library/laptops.md"])
    moved = run("migrate", str(tmp_path / "strays"), str(tmp_path / "new"))
    assert moved.exit_code == 1
    assert moved.stdout.startswith(
        "Passages without a record of their document in the origin, which were not copied: 1."
    )


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("{store}", "{store}"), 2, "cannot be copied into itself"),
        (("{store}", "{store}/../{name}"), 2, "cannot be copied into itself"),
        (("{store}", "{new}", "--collection", "letters"), 5, "no collection 'letters'"),
        (("{new}", "{store}"), 5, "no collection 'documents'"),
        (("{store}",), 2, "Missing argument 'TO'"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_made(
    run: Run, store: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, complaint: str
) -> None:
    new = tmp_path / "new"
    result = run("migrate", *(a.format(store=store, name=store.name, new=new) for a in arguments))
    assert result.exit_code == code
    assert complaint in result.stderr
    assert not new.exists()


def test_a_target_of_another_embedder_is_a_conflict(run: Run, store: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "new" / "documents" / "manifest.json"
    run("migrate", str(store), str(tmp_path / "new"))
    manifest.write_text(manifest.read_text().replace("all-MiniLM-L6-v2", "another"))
    result = run("migrate", str(store), str(tmp_path / "new"))
    assert result.exit_code == 6
    assert "made with the embedder another (384 dimensions)" in result.stderr
    assert "--to-collection" in result.stderr


def test_either_store_in_use_is_told(run: Run, store: Path, tmp_path: Path) -> None:
    run("migrate", str(store), str(tmp_path / "one"))
    for held, command in (("one", ("one", "two")), ("one", ("{store}", "one"))):
        with closing(open_store(tmp_path / held)):
            places = [str(store) if name == "{store}" else str(tmp_path / name) for name in command]
            result = run("migrate", *places)
            assert result.exit_code == 4
            assert "is in use by" in result.stderr


@pytest.mark.slow
def test_an_interrupted_migration_says_how_to_go_on(elsewhere: Path, store: Path, tmp_path: Path) -> None:
    interrupt = "import sift_rag.stores.migration as m, os, signal\n"
    interrupt += "def stop(*_): os.kill(os.getpid(), signal.SIGINT)\nm._Migration.write = stop\n"
    command = [*INTERRUPTIBLE[:2], interrupt + INTERRUPTIBLE[2], "migrate", str(store), str(tmp_path / "new")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    assert ended.returncode == 128 + signal.SIGINT
    assert ended.stderr.splitlines() == [
        "What has been copied is kept; run the same command again to continue.",
        "Interrupted.",
    ]


def test_shards_of_a_folder_go_in_one_after_another(run: Run, library: Path, store: Path, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        result = run("ingest", str(library), "--store", str(tmp_path), "--shard", f"{number}/3")
        assert result.exit_code in {0, 1}
    whole, shared = (json.loads(run("list", "--json", "--store", str(place)).stdout) for place in (store, tmp_path))
    for listing in (whole, shared):
        for document in listing["documents"]:
            del document["ingested_at"]
    assert shared == whole


@pytest.mark.parametrize("shard", ["0/3", "4/3", "1", "1/", "/2", "a/b", "1/2/3", "-1/2", "1/0", "½/2"])
def test_a_shard_that_means_nothing_is_wrong_usage(run: Run, library: Path, tmp_path: Path, shard: str) -> None:
    result = run("ingest", str(library), "--store", str(tmp_path / "s"), "--shard", shard)
    assert result.exit_code == 2
    assert "expected" in result.stderr
    assert not (tmp_path / "s").exists()


def test_a_shard_does_not_reindex(run: Run, library: Path, store: Path) -> None:
    result = run("ingest", str(library), "--store", str(store), "--shard", "1/2", "--reindex")
    assert result.exit_code == 2
    assert "One process" in result.stderr
