"""Pick for pick what activeft, the reference implementation of SIFT, chooses (see ``tests/data/activeft/make.py``)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.oracles import pool_with_copies, raw_batch, raw_sift

STORED: Any = json.loads((Path(__file__).parents[1] / "data" / "activeft" / "picks.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("seed", STORED["pools"])
def test_the_choice_is_that_of_the_reference_implementation_up_to_exact_copies(seed: str) -> None:
    stored = STORED["pools"][seed]
    targets, candidates = pool_with_copies(int(seed))
    assert stored["shape"] == [len(targets), *candidates.shape]
    assert stored["sum"] == pytest.approx(float(candidates.sum(dtype=np.float64)), abs=1e-3), "not the pool of the file"
    k = len(stored["picks"])
    arguments: Any = {"kernel": "linear", "noise_variance": STORED["noise_variance"], "with_repeats": True}
    wanted = candidates[stored["picks"]]
    assert np.array_equal(candidates[raw_sift(targets, candidates, k, **arguments).indices], wanted)
    batch = raw_batch(targets[None], candidates[None], k, **arguments)
    assert np.array_equal(candidates[batch.indices[0]], wanted)
    tensors = raw_sift(
        torch.from_numpy(targets), torch.from_numpy(candidates), k, **{**arguments, "kernel": lambda a, b: a @ b.T}
    )
    assert np.array_equal(candidates[tensors.indices], wanted)


def test_the_stored_choices_are_a_hundred_and_copies_are_among_what_was_chosen() -> None:
    assert len(STORED["pools"]) == 100
    repeated = 0
    for seed, stored in STORED["pools"].items():
        rows = pool_with_copies(int(seed))[1][stored["picks"]]
        repeated += len(np.unique(rows, axis=0)) < len(rows)
    assert repeated > 10
