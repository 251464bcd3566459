"""The greedy order with a callback that refuses picks is the greedy order of the rest."""

from __future__ import annotations

import numpy as np
import pytest

from tests.oracles import raw_sift, unit_rows

MODEL = {"kernel": "rbf", "lengthscale": 0.6, "noise_variance": 0.3}


def test_without_a_refusal_it_is_the_choice_of_sift() -> None:
    rng = np.random.default_rng(0)
    targets, rows, known = unit_rows(rng, 2, 8), unit_rows(rng, 30, 8), unit_rows(rng, 3, 8)
    options = MODEL | {"known": known, "weights": [1.0, 3.0]}
    got = raw_sift(targets, rows, 9, accept=lambda row: [], **options)
    assert got.indices.tolist() == raw_sift(targets, rows, 9, **options).indices.tolist()


@pytest.mark.parametrize("seed", range(5))
def test_what_is_refused_might_as_well_not_be_there(seed: int) -> None:
    rng = np.random.default_rng(seed)
    target, rows = unit_rows(rng, 1, 8), unit_rows(rng, 30, 8)
    out = set(rng.choice(30, 15, replace=False).tolist())
    left = [row for row in range(30) if row not in out]
    got = raw_sift(target, rows, 9, accept=lambda row: [row] if row in out else [], **MODEL)
    assert got.indices.tolist() == [left[row] for row in raw_sift(target, rows[left], 9, **MODEL).indices]


def test_rows_closed_by_a_choice_are_not_asked_about_again() -> None:
    rng = np.random.default_rng(1)
    rows = np.repeat(unit_rows(rng, 4, 8), 3, axis=0)
    asked: list[int] = []

    def accept(row: int) -> list[int]:
        asked.append(row)
        return [other for other in range(12) if other // 3 == row // 3 and other != row]

    got = raw_sift(unit_rows(rng, 1, 8), rows, 12, accept=accept, **MODEL)
    assert (got.indices.tolist(), got.stopped) == (asked, "exhausted")
    assert sorted(row // 3 for row in asked) == [0, 1, 2, 3]


def test_nothing_to_choose_from_gives_nothing() -> None:
    assert len(raw_sift(np.eye(3)[:1], np.empty((0, 3)), 4, accept=lambda row: [], **MODEL)) == 0
    assert len(raw_sift(np.eye(3)[:1], np.eye(3), 0, accept=lambda row: [], **MODEL)) == 0
