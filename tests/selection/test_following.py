"""Following the first passage: what it changes, what it never changes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from sift_rag import defaults
from sift_rag.selection import (
    Features,
    GaussianProcess,
    Linear,
    Pool,
    Sift,
    Stopping,
    Target,
    Texts,
    posterior_variance,
    select_sift,
)
from tests.oracles import unit_rows

AFTER = defaults.FOLLOW_AFTER


def pool(seed: int, n: int = 40, targets: int = 1, **more: Any) -> Pool:
    rng = np.random.default_rng(seed)
    return Pool(unit_rows(rng, targets, 6, dtype=np.float64), unit_rows(rng, n, 6, dtype=np.float64), **more)


def picks(choice: Any) -> list[int]:
    return list(choice.selection.indices.tolist())


@pytest.mark.parametrize("seed", range(5))
def test_the_first_picks_are_the_question_s_and_a_smaller_k_is_a_prefix(seed: int) -> None:
    asked = pool(seed)
    alone, whole = Sift(follow=0).select(asked, 12), Sift().select(asked, 12)
    assert picks(whole)[:AFTER] == picks(alone)[:AFTER]
    for k in range(13):
        part = Sift().select(asked, k).selection
        assert part.indices.tolist() == picks(whole)[:k]
        assert part.posterior_variances.tolist() == pytest.approx(whole.selection.posterior_variances[:k].tolist())
        assert part.prior_variance == whole.selection.prior_variance


def test_several_targets_are_answered_by_themselves_first() -> None:
    asked = pool(2, targets=2)
    alone, whole = Sift(follow=0).select(asked, 12), Sift().select(asked, 12)
    assert picks(whole)[: 2 * AFTER] == picks(alone)[: 2 * AFTER]
    assert whole.followed is not None
    assert not whole.followed.shares[: 2 * AFTER].any()
    assert whole.followed.shares[2 * AFTER :].any()
    assert Sift().select(asked, 2 * AFTER).followed is None


def test_the_choice_is_that_of_a_second_target_by_definition() -> None:
    asked = pool(3)
    process = GaussianProcess(noise_variance=0.5, features=Features(centring=0.0))
    choice = Sift(process, follow=0.8).select(asked, 7)
    query, rows = np.asarray(asked.targets), np.asarray(asked.candidates)
    order = picks(Sift(process, follow=0).select(asked, AFTER))
    second = query[0] + rows[order[0]]
    both = np.vstack([query, second / np.linalg.norm(second)])

    def left(chosen: list[int]) -> float:
        return posterior_variance(both, rows[chosen], lengthscale=0.5, noise_variance=0.5, weights=[1.0, 0.8])

    while len(order) < 7:
        order.append(min((i for i in range(40) if i not in order), key=lambda i: left([*order, i])))
    assert picks(choice) == order
    ours = [posterior_variance(query, rows[order[: n + 1]], lengthscale=0.5, noise_variance=0.5) for n in range(7)]
    np.testing.assert_allclose(choice.selection.posterior_variances, ours)


def test_a_second_hop_is_found_that_the_question_cannot_see() -> None:
    """The question is near one passage; what that one leads to is at right angles to the question."""
    question = np.array([[1.0, 0, 0, 0]])
    first = np.array([0.8, 0.6, 0, 0])
    hop = np.array([0.0, 1.0, 0, 0])
    others = np.array([[0.1, 0, np.sqrt(1 - 0.01), 0]] * 2 + [[0.1, 0, 0, np.sqrt(1 - 0.01)]] * 3)
    rows = np.vstack([first, others, hop])
    process = GaussianProcess(features=Features(centring=0.0))
    assert 6 not in picks(Sift(process, follow=0).select(Pool(question, rows), 5))
    assert 6 in picks(Sift(process, follow=3.0).select(Pool(question, rows), 5))


def test_more_candidates_come_after_those_of_the_pool() -> None:
    rng = np.random.default_rng(1)
    asked = pool(1, 10)
    seen: list[Target] = []

    def extend(target: Target) -> Pool:
        seen.append(target)
        near = np.asarray(target.row) + 0.01 * rng.normal(size=(3, 6))
        rows = np.vstack([asked.candidates, near / np.linalg.norm(near, axis=1, keepdims=True)])
        return Pool(asked.targets, rows)

    choice = Sift().select(Pool(asked.targets, asked.candidates, extend=extend), 8)
    assert len(seen) == 1
    assert seen[0].text is None
    assert np.linalg.norm(seen[0].row) == pytest.approx(1.0)
    assert set(picks(choice)) & {10, 11, 12}
    assert choice.followed is not None
    assert choice.followed.first == picks(choice)[0]
    assert choice.followed.shares.shape == (8,)
    assert (choice.followed.shares[:AFTER] == 0).all()
    assert ((choice.followed.shares >= 0) & (choice.followed.shares <= 1)).all()
    assert choice.followed.shares[AFTER:].max() > 0.5
    assert len(choice.redundancy.gains) == 13


def test_the_words_of_the_further_target_are_those_of_question_and_passage() -> None:
    asked = pool(2, 6)
    texts = Texts(["owls"], [f"owls see prey{n}" for n in range(6)])
    seen: list[Target] = []

    def extend(target: Target) -> Pool:
        seen.append(target)
        return Pool(asked.targets, asked.candidates, texts=texts)

    choice = Sift().select(Pool(asked.targets, asked.candidates, texts=texts, extend=extend), 5)
    assert seen[0].text == f"owls\n{texts.candidates[picks(choice)[0]]}"


@pytest.mark.parametrize("targets", [1, 2, 3])
@pytest.mark.parametrize("known", [0, 2])
def test_it_composes_with_targets_weights_and_what_is_known(targets: int, known: int) -> None:
    rng = np.random.default_rng(4)
    given = unit_rows(rng, known, 6, dtype=np.float64) if known else None
    asked = pool(4, targets=targets, known=given, weights=[1.0] * targets)
    choice = Sift().select(asked, 10)
    assert len(set(picks(choice))) == 10
    variances = [choice.selection.prior_variance, *choice.selection.posterior_variances]
    assert variances == sorted(variances, reverse=True)
    if given is not None:
        seen = GaussianProcess().problem(asked)
        told = posterior_variance(seen.targets, seen.points[40:], noise_variance=5.0)
        assert choice.selection.prior_variance == pytest.approx(told, rel=1e-5)


def test_rules_end_the_choice_by_what_the_question_knows() -> None:
    asked = pool(5)
    whole = Sift().select(asked, 12).selection
    variance = float(whole.posterior_variances[6])
    got = Sift().select(asked, 12, stopping=Stopping(variance=variance)).selection
    assert (got.indices.tolist(), got.stopped) == (whole.indices[:7].tolist(), "variance")
    early = Sift().select(asked, 12, stopping=Stopping(variance=float(whole.posterior_variances[0])))
    assert (len(early.selection), early.selection.stopped, early.followed) == (1, "variance", None)


@pytest.mark.parametrize("fill", [False, True])
def test_a_budget_of_tokens_holds(fill: bool) -> None:
    counts = 5 + np.arange(40) % 7
    got = Sift().select(pool(6, token_counts=counts), 40, stopping=Stopping(tokens=60, fill=fill)).selection
    assert counts[got.indices].sum() <= 60
    assert got.stopped == "tokens"
    assert len(got) > AFTER


def test_few_candidates_end_it() -> None:
    for n in range(6):
        choice = Sift().select(pool(7, n), 9)
        assert sorted(picks(choice)) == list(range(n))
        assert choice.selection.stopped == "exhausted"


def test_tensors_follow_too() -> None:
    asked = pool(8)
    wanted = Sift().select(asked, 9)
    got = Sift().select(Pool(torch.from_numpy(asked.targets), torch.from_numpy(asked.candidates)), 9)
    assert picks(got) == picks(wanted)


def test_other_kernels_and_repeats_do_not_follow() -> None:
    asked = pool(9)
    for selector in (Sift(GaussianProcess(Linear())), Sift.for_fine_tuning(), Sift(with_repeats=True), Sift(follow=0)):
        assert selector.select(asked, 9).followed is None


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf])
def test_a_weight_that_is_none_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="follow must be a number >= 0"):
        Sift(follow=weight)
    with pytest.raises(ValueError, match="follow must be a number >= 0"):
        select_sift(np.ones(1), np.ones((1, 1)), 1, follow=weight)


def test_information_cannot_follow() -> None:
    with pytest.raises(ValueError, match="cannot follow"):
        select_sift(np.ones(1), np.ones((1, 1)), 1, objective="information", follow=1.0)


def test_token_counts_of_more_candidates_count_only_where_those_of_the_pool_do() -> None:
    asked = pool(10)
    counts = 1 + np.arange(40) % 9

    def extend(target: Target) -> Pool:
        return Pool(asked.targets, asked.candidates, token_counts=counts)

    plain = Sift().select(asked, 12)
    assert picks(Sift().select(Pool(asked.targets, asked.candidates, extend=extend), 12)) == picks(plain)


@pytest.mark.filterwarnings("error")
def test_a_first_passage_opposite_to_the_question_is_not_followed() -> None:
    asked = pool(3)
    candidates = np.concatenate([-np.asarray(asked.targets), np.asarray(asked.candidates)])
    scores = np.array([1.0] + [0.1] * (len(candidates) - 1))
    scored = Pool(asked.targets, candidates, relevance=scores)
    choice = Sift().select(scored, AFTER + 4)
    assert choice.followed is None
    assert picks(choice) == picks(Sift(follow=0).select(scored, AFTER + 4))
    assert picks(choice)[0] == 0
