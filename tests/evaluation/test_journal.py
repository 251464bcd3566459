"""Measurements on disk: all of them come back, and only to the comparison that they belong to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sift_rag.corpus.shards import Shard
from sift_rag.errors import ConfigurationError
from sift_rag.evaluation import Comparison, Task
from sift_rag.evaluation.journal import Header, Journal, fingerprint, journal_name, merge
from sift_rag.finetuning import FineTuning
from sift_rag.selection import GaussianProcess, Linear
from tests.evaluation.conftest import answered, measured, outcome
from tests.evaluation.test_report import facts

OUTCOMES = [
    outcome("a", 1 / 3, measured("context", "sift", 5, 0.1 + 0.2), measured("finetune", "nearest", 5, 1e-300)),
    outcome(
        "q\u2028\n",
        2.0,
        measured("both", "sift", 5, 1.0, answered=answered("an owl 🦉", exact=True, f1=2 / 3, found=True)),
        task=Task("q\u2028\n", "grüppe", "owl", "Who\nhunts?"),
        answered=answered(""),
        left_out=4,
    ),
]


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    journal = Journal(tmp_path / "state" / "comparisons" / "abc.jsonl")
    journal.start()
    for one in OUTCOMES:
        journal.add(one)
    return journal


def test_what_is_read_equals_what_was_added(journal: Journal) -> None:
    assert journal.read() == OUTCOMES


def test_there_is_nothing_where_there_is_no_file(tmp_path: Path) -> None:
    assert Journal(tmp_path / "none" / "abc.jsonl").read() == []


def test_a_start_keeps_what_it_is_given_and_no_more(journal: Journal) -> None:
    journal.start(OUTCOMES[:1])
    assert journal.read() == OUTCOMES[:1]
    journal.start()
    assert journal.read() == []
    assert [path.name for path in journal.path.parent.iterdir()] == ["abc.jsonl"]


def test_a_line_that_was_cut_off_anywhere_is_not_there(journal: Journal) -> None:
    data = journal.path.read_bytes()
    first = data.index(b"\n") + 1
    for end in (*range(first, len(data), 97), len(data) - 1):
        journal.path.write_bytes(data[:end])
        assert journal.read() == OUTCOMES[:1]
    journal.start(journal.read())
    journal.add(OUTCOMES[1])
    assert journal.path.read_bytes() == data


@pytest.mark.parametrize(
    "line", [b"{", b"\xff\xfe", b"3", b"[]", b'{"task": {}}', b'{"task": {"id": "a", "b": 1}}', b""]
)
def test_a_damaged_line_is_named_with_the_way_out(journal: Journal, line: bytes) -> None:
    journal.path.write_bytes(line + b"\n" + journal.path.read_bytes())
    with pytest.raises(ConfigurationError, match=r"abc.jsonl' is damaged: ") as error:
        journal.read()
    assert error.value.remedy is not None
    assert error.value.remedy.key == "journal-damaged"


TASKS = (Task("a", "g", "Owls hunt."), Task("b", "g", "Bees dance."))


def test_equal_comparisons_have_one_fingerprint_and_different_ones_have_two() -> None:
    usual = Comparison()
    base = fingerprint(TASKS, usual, model="m", collection="c", passages=10)
    assert base == fingerprint(list(TASKS), Comparison(), model="m", collection="c", passages=10)
    others = [
        fingerprint(TASKS, usual, model="n", collection="c", passages=10),
        fingerprint(TASKS, usual, model="m", collection="d", passages=10),
        fingerprint(TASKS, usual, model="m", collection="c", passages=11),
        fingerprint(TASKS, usual, model="m", collection="c", passages=10, revisions="1"),
        fingerprint(TASKS[:1], usual, model="m", collection="c", passages=10),
        fingerprint(TASKS[::-1], usual, model="m", collection="c", passages=10),
    ]
    for changed in ({"text": "Owls sleep."}, {"group": "h"}, {"question": "Who?"}, {"id": "z"}):
        tasks = [replace(TASKS[0], **changed), TASKS[1]]
        others.append(fingerprint(tasks, usual, model="m", collection="c", passages=10))
    comparisons = (
        replace(usual, ks=(5, 20)),
        replace(usual, arms=("context",)),
        replace(usual, selectors=("sift",)),
        replace(usual, candidate_limit=100),
        replace(usual, window=1024),
        replace(usual, window=512),
        replace(usual, tuning=FineTuning(rank=8)),
        replace(usual, training=GaussianProcess()),
        replace(usual, training=GaussianProcess(Linear(), noise_variance=0.1)),
    )
    others += [fingerprint(TASKS, one, model="m", collection="c", passages=10) for one in comparisons]
    assert len({base, *others}) == 1 + len(others)


ALL_OF_THEM = [outcome(f"t{number}", 1.0, measured("context", "sift", 5, 0.5)) for number in range(7)]


def shards(folder: Path, of: int, *, name: str = "abc", **about: str) -> list[Journal]:
    """Keep the outcomes in one journal for each shard."""
    ids = tuple(one.task.id for one in ALL_OF_THEM)
    found = []
    for number in range(1, of + 1):
        shard = Shard(number, of)
        journal = Journal(
            folder / journal_name(name, shard), Header(name, ids, shard, facts(device=f"gpu {number % 2}", **about))
        )
        journal.start()
        for one in shard.take(ALL_OF_THEM):
            journal.add(one)
        found.append(journal)
    return found


@pytest.mark.parametrize("of", [1, 2, 3, 7, 9])
def test_merged_shards_are_the_whole_in_order(tmp_path: Path, of: int) -> None:
    journals = shards(tmp_path / "runs", of)
    assert len({journal.path for journal in journals}) == of
    sizes = [len(journal.read()) for journal in journals]
    assert max(sizes) - min(sizes) <= 1
    for paths in ([tmp_path / "runs"], [journal.path for journal in reversed(journals)], [tmp_path / "runs"] * 2):
        outcomes, about = merge(paths)
        assert outcomes == ALL_OF_THEM
        assert about == facts(device="gpu 1, gpu 0" if of > 1 else "gpu 1")


def test_a_journal_says_which_shard_of_which_comparison_it_is(tmp_path: Path) -> None:
    (_, second) = shards(tmp_path, 2)
    header = Journal(second.path).header()
    assert header is not None
    assert (header.fingerprint, header.shard, header.about.device) == ("abc", Shard(2, 2), "gpu 0")
    assert header.own == ["t1", "t3", "t5"]
    second.start(second.read())
    assert Journal(second.path).header() == header
    assert Journal(tmp_path / "none.jsonl").header() is None


def test_merged_shards_name_the_commands_of_all_of_them(tmp_path: Path) -> None:
    for journal in shards(tmp_path, 2):
        header = journal.header()
        assert header is not None
        command = f"compare --shard {header.shard.number}/2"
        Journal(journal.path, replace(header, about=facts(command=command))).start(journal.read())
    assert merge([tmp_path])[1].command == "compare --shard 1/2; compare --shard 2/2"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    journal = Journal(tmp_path / "file" / "abc.jsonl")
    for write in (journal.require_place, journal.start, lambda: journal.add(OUTCOMES[0])):
        with pytest.raises(ConfigurationError, match=r"cannot be kept in '.*file': (file exists|not a directory)\."):
            write()


def test_a_place_that_is_asked_for_holds_nothing_yet(journal: Journal) -> None:
    journal.require_place()
    assert [path.name for path in journal.path.parent.iterdir()] == ["abc.jsonl"]
    assert journal.read() == OUTCOMES


def test_folders_made_to_try_a_place_are_removed_again(tmp_path: Path) -> None:
    Journal(tmp_path / "one" / "two" / "abc.jsonl").require_place()
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_is_named_shard_by_shard(tmp_path: Path) -> None:
    journals = shards(tmp_path, 4)
    journals[0].path.unlink()
    journals[2].path.unlink()
    journals[1].start(journals[1].read()[:1])
    with pytest.raises(ConfigurationError, match=r"shards 1, 3 of 4 missing; shard 2 lacks 1 of 2 tasks\.") as error:
        merge([tmp_path])
    assert error.value.remedy is not None
    assert error.value.remedy.key == "shards-incomplete"


def test_a_shard_that_is_still_being_written_is_incomplete(tmp_path: Path) -> None:
    last = shards(tmp_path, 2)[-1].path
    last.write_bytes(last.read_bytes()[:-1])
    with pytest.raises(ConfigurationError, match="shard 2 lacks 1 of 3 tasks"):
        merge([tmp_path])


def test_only_shards_of_one_comparison_and_one_division_are_merged(tmp_path: Path) -> None:
    shards(tmp_path / "a", 2)
    shards(tmp_path / "b", 2, name="other")
    shards(tmp_path / "c", 3)
    with pytest.raises(ConfigurationError, match=r"abc.1-of-2.jsonl' and .*other.1-of-2.jsonl' belong to different"):
        merge([tmp_path / "a", tmp_path / "b"])
    with pytest.raises(ConfigurationError, match="divisions into 2 and 3 shards"):
        merge([tmp_path / "a", tmp_path / "c"])
    (tmp_path / "a" / "copy.jsonl").write_bytes((tmp_path / "a" / "abc.2-of-2.jsonl").read_bytes())
    with pytest.raises(ConfigurationError, match="both hold shard 2"):
        merge([tmp_path / "a"])


def test_what_is_no_journal_is_not_merged(tmp_path: Path, journal: Journal) -> None:
    with pytest.raises(ConfigurationError, match="There is no"):
        merge([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match="holds no journal"):
        merge([tmp_path / "empty"])
    with pytest.raises(ConfigurationError, match="does not say which comparison"):
        merge([journal.path])
    for content in (b"Owls hunt.\n", b'{"text": "Owls hunt."}\n', b"[]\n"):
        (tmp_path / "texts.jsonl").write_bytes(content)
        with pytest.raises(ConfigurationError, match=r"texts.jsonl' does not say which comparison"):
            merge([tmp_path / "texts.jsonl"])
    damaged = shards(tmp_path / "damaged", 1)[0].path
    damaged.write_bytes(damaged.read_bytes().replace(b'"number": 1', b'"number": 5'))
    with pytest.raises(ConfigurationError, match="is damaged: There is no shard 5 of 1"):
        merge([damaged])
