"""Scores that other software can sort by and cut off."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sift_rag.retrieval.scores import falling_scores


@given(
    gains=st.lists(st.floats(0, 1e3) | st.just(0.0) | st.just(0.25), max_size=50), similarity=st.floats(-1, 1 + 1e-7)
)
def test_scores_fall_strictly_within_zero_and_one_after_any_rounding(gains: list[float], similarity: float) -> None:
    scores = falling_scores(gains, similarity)
    assert len(scores) == len(gains)
    read = np.array(json.loads(json.dumps(scores)), dtype=np.float32)
    assert (np.diff(read) < 0).all()
    assert all(0 < score <= 1 for score in scores)


def test_the_first_is_the_similarity_and_the_others_have_the_root_of_their_gain() -> None:
    assert falling_scores([0.16, 0.04, 0.01], 0.8) == pytest.approx([0.8, 0.4, 0.2])
    assert falling_scores([0.16, 0.04, 0.01], 0.8)[:2] == falling_scores([0.16, 0.04], 0.8)


def test_a_gain_that_rises_again_is_held_down_and_one_of_nothing_is_lifted() -> None:
    first, second, third, fourth = falling_scores([0.04, 0.01, 0.0225, 0.0], 0.5)
    assert (first, second) == (0.5, 0.25)
    assert second > third > 0.2499
    assert 0 < fourth < 1e-5


def test_ten_thousand_equal_gains_keep_ten_thousand_scores() -> None:
    scores = np.array(falling_scores([0.1] * 10_000, 0.7), dtype=np.float32)
    assert len(set(scores.tolist())) == 10_000
    assert scores.min() > 0.69


def test_without_gains_there_are_no_scores() -> None:
    assert falling_scores([], 0.5) == []
