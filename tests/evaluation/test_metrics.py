"""Figures compared with values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sift_rag.evaluation.metrics import (
    Interval,
    bootstrap,
    contains_answer,
    exact_match,
    rank_correlation,
    standard_error,
    token_f1,
)


@pytest.mark.parametrize(
    ("answer", "reference", "exact", "f1"),
    [
        ("The Eiffel Tower!", "eiffel tower", True, 1.0),
        ("Paris, France", "Paris", False, 2 / 3),  # precision 1/2, recall 1
        ("in Paris in France", "Paris France", False, 2 / 3),  # precision 2/4, recall 1
        ("Paris Paris", "Paris", False, 2 / 3),  # a word counts as often as it stands in both
        ("Rome", "Paris", False, 0.0),
        ("", "Paris", False, 0.0),
        ("the", "a", True, 1.0),  # nothing is left of both
        ("theatre", "the atre", False, 0.0),  # an article is a word
    ],
)
def test_answers_are_compared_word_by_word(answer: str, reference: str, exact: bool, f1: float) -> None:
    assert exact_match(answer, reference) is exact
    assert token_f1(answer, reference) == pytest.approx(f1)
    assert token_f1(reference, answer) == pytest.approx(f1)


def test_an_answer_is_contained_word_for_word() -> None:
    texts = ["It was Ada Lovelace, in 1843.", "The 12 owls."]
    assert contains_answer(texts, "ada lovelace")
    assert contains_answer(texts, "an 1843")
    assert not contains_answer(texts, "lace")
    assert not contains_answer(texts, "1843 12")  # not across texts
    assert not contains_answer([], "owls")


def test_rank_correlation_by_hand() -> None:
    assert rank_correlation([1, 2, 3], [10, 100, 1000]) == pytest.approx(1.0)
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1.0)
    assert rank_correlation([1, 2, 3, 4], [2, 1, 4, 3]) == pytest.approx(0.6)  # 1 - 6 * 4 / (4 * 15)
    # ranks 1, 2.5, 2.5, 4 and 1, 2, 3, 4: covariance 4.5, variances 4.5 and 5
    assert rank_correlation([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(4.5 / np.sqrt(4.5 * 5.0))


def test_without_three_pairs_or_with_a_constant_there_is_no_correlation() -> None:
    assert rank_correlation([1, 2], [1, 2]) is None
    assert rank_correlation([], []) is None
    assert rank_correlation([5, 5, 5], [1, 2, 3]) is None
    assert rank_correlation([1, 2, 3], [5, 5, 5]) is None


def test_the_standard_error_is_that_of_a_sample() -> None:
    assert standard_error([2.0, 4.0, 6.0]) == pytest.approx(2 / np.sqrt(3))
    assert standard_error([7.0]) == 0.0


def test_an_interval_tells_its_sign_only_when_zero_is_outside() -> None:
    assert Interval(2.0, 0.1, 4.0).excludes_zero
    assert Interval(-2.0, -4.0, -0.1).excludes_zero
    assert not Interval(2.0, 0.0, 4.0).excludes_zero
    assert not Interval(0.0, -1.0, 1.0).excludes_zero


@pytest.mark.slow
@given(st.lists(st.floats(-100, 100), min_size=1, max_size=30))
def test_the_interval_is_the_same_every_time_and_holds_the_mean(values: list[float]) -> None:
    interval = bootstrap(values)
    assert interval == bootstrap(values)
    assert interval.mean == pytest.approx(np.mean(values))
    tolerance = 1e-9 * (1 + max(map(abs, values)))
    assert min(values) - tolerance <= interval.low <= interval.mean + tolerance
    assert interval.mean - tolerance <= interval.high <= max(values) + tolerance


def test_the_interval_of_a_large_sample_is_that_of_the_normal_distribution() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, 400).tolist()
    interval = bootstrap(values)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * standard_error(values), rel=0.05)


@pytest.mark.slow
def test_the_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    intervals = [bootstrap(rng.exponential(1.0, 20).tolist()) for _ in range(60)]
    covered = sum(interval.low <= 1.0 <= interval.high for interval in intervals)
    assert 0.8 * 60 <= covered < 60  # 90 % is what it reaches with 20 values of such a skewed law
