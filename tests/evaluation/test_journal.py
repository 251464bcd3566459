"""Measurements on disk: all of them come back, and only to the comparison that they belong to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sift_rag.errors import ConfigurationError
from sift_rag.evaluation import Comparison, Task
from sift_rag.evaluation.journal import Journal, fingerprint
from sift_rag.finetuning import FineTuning
from sift_rag.selection import GaussianProcess, Linear
from tests.evaluation.conftest import answered, measured, outcome

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
        replace(usual, tuning=FineTuning(rank=8)),
        replace(usual, training=GaussianProcess()),
        replace(usual, training=GaussianProcess(Linear(), noise_variance=0.1)),
    )
    others += [fingerprint(TASKS, one, model="m", collection="c", passages=10) for one in comparisons]
    assert len({base, *others}) == 1 + len(others)
